/* SPDX-License-Identifier: MIT */
#include "lib/base64.h"

#include <stdint.h>

#include "lib/limits.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t base64url_encode(char *out, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t length = 0;

    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | p[i];
        for (n_bits += 8; n_bits >= 6; n_bits -= 6)
            out[length++] = digits[bits >> (n_bits - 6) & 63];
    }
    if (n_bits)
        out[length++] = digits[bits << (6 - n_bits) & 63];
    return length;
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int base64url_decode(void *out, size_t max, struct str text, size_t *n)
{
    unsigned char *p = out;
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t length = 0;

    if (text.n % 4 == 1)
        return ERR_SYNTAX;
    for (size_t i = 0; i < text.n; i++) {
        int value = value_of(text.p[i]);

        if (value < 0)
            return ERR_SYNTAX;
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            if (length == max)
                return ERR_LIMIT;
            p[length++] = (unsigned char)(bits >> n_bits);
        }
    }
    if (bits & ((1u << n_bits) - 1))
        return ERR_SYNTAX;
    *n = length;
    return 0;
}

size_t base64_encode(char *out, const void *bytes, size_t n)
{
    size_t length = base64url_encode(out, bytes, n);

    for (size_t i = 0; i < length; i++)
        out[i] = out[i] == '-' ? '+' : out[i] == '_' ? '/' : out[i];
    while (length % 4)
        out[length++] = '=';
    return length;
}

int base64_decode(void *out, size_t max, struct str text, size_t *n)
{
    char url[KB(4)];

    while (text.n && text.p[text.n - 1] == '=' && text.n % 4 != 1)
        text.n--;
    if (text.n > sizeof url)
        return ERR_LIMIT;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (c == '-' || c == '_')
            return ERR_SYNTAX;
        url[i] = c == '+' ? '-' : c == '/' ? '_' : c;
    }
    return base64url_decode(out, max, str_make(url, text.n), n);
}
