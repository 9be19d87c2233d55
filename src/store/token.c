/* SPDX-License-Identifier: MIT
 *
 * Page tokens, written and read. base64url without padding, in its one canonical form: bits left over in the last
 * character must be zero, so that two tokens are the same place exactly if they are the same text.
 */
#include "store/token.h"

#define TOKEN_VERSION 1u
#define TOKEN_HEAD 10u /* version, time, length */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t encode(char *out, const unsigned char *p, size_t n)
{
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

/* Returns the number of bytes, or 0 if it is not base64url or does not fit. */
static size_t decode(unsigned char out[TOKEN_BYTES_MAX], struct str text)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n = 0;

    if (text.n > TOKEN_TEXT_MAX || text.n % 4 == 1)
        return 0;
    for (size_t i = 0; i < text.n; i++) {
        int value = value_of(text.p[i]);

        if (value < 0)
            return 0;
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            if (n == TOKEN_BYTES_MAX)
                return 0;
            out[n++] = (unsigned char)(bits >> n_bits);
        }
    }
    return bits & ((1u << n_bits) - 1) ? 0 : n;
}

size_t token_write(char out[TOKEN_TEXT_MAX], int64_t at_us, struct str agent, struct str id)
{
    unsigned char raw[TOKEN_BYTES_MAX] = {TOKEN_VERSION};
    uint64_t at = (uint64_t)at_us;

    BUG_ON(agent.n > LIMIT_AGENT_ID || id.n > LIMIT_TASK_ID);
    for (int i = 0; i < 8; i++)
        raw[1 + i] = (unsigned char)(at >> (56 - 8 * i));
    raw[9] = (unsigned char)agent.n;
    memcpy(raw + TOKEN_HEAD, agent.p, agent.n);
    memcpy(raw + TOKEN_HEAD + agent.n, id.p, id.n);
    return encode(out, raw, TOKEN_HEAD + agent.n + id.n);
}

int token_read(struct token *t, struct str text)
{
    size_t n = decode(t->bytes, text), agent_n;
    uint64_t at = 0;

    if (n <= TOKEN_HEAD || t->bytes[0] != TOKEN_VERSION)
        return ERR_INVALID;
    for (int i = 0; i < 8; i++)
        at = at << 8 | t->bytes[1 + i];
    agent_n = t->bytes[9];
    if (agent_n > n - TOKEN_HEAD)
        return ERR_INVALID;
    t->at_us = (int64_t)at;
    t->agent = str_make((const char *)t->bytes + TOKEN_HEAD, agent_n);
    t->id = str_make(t->agent.p + agent_n, n - TOKEN_HEAD - agent_n);
    return task_may_be(t->agent, t->id) ? 0 : ERR_INVALID;
}
