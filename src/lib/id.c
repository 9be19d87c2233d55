/* SPDX-License-Identifier: MIT */
#include "lib/id.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "lib/err.h"

void id_random(void *p, size_t n)
{
    unsigned char *at = p;

    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);

        BUG_ON(got < 0 && errno != EINTR);
        if (got > 0) {
            at += got;
            n -= (size_t)got;
        }
    }
}

/* Randomness for ids is drawn 1 KB at a time: one system call for a hundred ids. */
static void draw(void *p, size_t n)
{
    static unsigned char pool[1024];
    static size_t left;

    if (left < n) {
        id_random(pool, sizeof pool);
        left = sizeof pool;
    }
    left -= n;
    memcpy(p, pool + left, n);
}

struct uuid id_uuid7(int64_t now_ms)
{
    static uint64_t last_ms;
    static uint16_t counter; /* 12 bits: rand_a of RFC 9562 section 6.2, method 1 */
    uint64_t ms = now_ms > 0 ? (uint64_t)now_ms : 0;
    struct uuid u = {{0}};

    draw(u.b + 6, 10);
    if (ms > last_ms) {
        last_ms = ms;
        /* leaves 2048 steps of head room */
        counter = (uint16_t)((u.b[6] << 8 | u.b[7]) & 0x7ff);
    } else if (++counter > 0xfff) {
        last_ms++;
        counter = 0;
    }
    for (int i = 0; i < 6; i++)
        u.b[i] = (unsigned char)(last_ms >> (40 - 8 * i));
    u.b[6] = (unsigned char)(0x70 | counter >> 8);
    u.b[7] = (unsigned char)counter;
    u.b[8] = (unsigned char)(0x80 | (u.b[8] & 0x3f));
    return u;
}

struct uuid id_uuid4(void)
{
    struct uuid u;

    draw(u.b, sizeof u.b);
    u.b[6] = (unsigned char)(0x40 | (u.b[6] & 0x0f));
    u.b[8] = (unsigned char)(0x80 | (u.b[8] & 0x3f));
    return u;
}

void id_uuid_text(const struct uuid *u, char out[UUID_TEXT + 1])
{
    static const char hex[] = "0123456789abcdef";
    size_t at = 0;

    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        out[at++] = hex[u->b[i] >> 4];
        out[at++] = hex[u->b[i] & 15];
    }
    out[at] = '\0';
}

int id_uuid_compare(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->b, b->b, sizeof a->b);
}
