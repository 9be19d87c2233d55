/* SPDX-License-Identifier: MIT
 *
 * What a translation between the versions costs: a message of about 0.7 KB, told in one version, written in the
 * other, again and again for the milliseconds given. Prints one line a direction, "0.3-1.0 BYTES NANOSECONDS".
 * Scanning is not counted: the gateway has scanned every message before it knows that it must translate.
 */
#include <stdio.h>
#include <stdlib.h>

#include "a2a/a2a.h"
#include "lib/clock.h"

/* A question as people's clients send it: text, a file by reference, data, metadata. */
static const char in_0_3[] =
    "{\"kind\":\"message\",\"messageId\":\"9f1c2d3e-4b5a-6978-8899-aabbccddeeff\",\"role\":\"user\","
    "\"contextId\":\"5d0f6a52-7c1e-4f0a-9a3b-0c1d2e3f4a5b\",\"parts\":[{\"kind\":\"text\",\"text\":"
    "\"Which of the attached readings are outside the limits, and since when? Answer with one "
    "line a sensor, the oldest first, and say which of them you could not read at all.\"},"
    "{\"kind\":\"file\",\"file\":{\"uri\":\"https://files.example/readings/2026-11-23.csv\","
    "\"name\":\"readings.csv\",\"mimeType\":\"text/csv\"}},{\"kind\":\"data\",\"data\":{\"limits\":"
    "{\"temperature\":[-20,85.5],\"pressure\":[0.2,12]},\"units\":\"si\"}}],\"metadata\":{"
    "\"https://example.org/ext/trace\":{\"span\":\"00f067aa0ba902b7\",\"sampled\":true},"
    "\"priority\":3}}";

static double measure(enum a2a_version from, struct str message, uint64_t ms, struct buf *out)
{
    struct a2a_translation t = {
        .what = A2A_OBJECT_MESSAGE, .from = from, .to = from == A2A_0_3 ? A2A_1_0 : A2A_0_3};
    uint64_t begun = clock_mono_ns(), end = begun + ms * 1000000, now, n = 0;
    const char *why;

    do {
        for (int i = 0; i < 100; i++, n++) {
            buf_clear(out);
            if (a2a_translate(out, &t, message, &why)) {
                fprintf(stderr, "translate: %s\n", why);
                exit(1);
            }
        }
        now = clock_mono_ns();
    } while (now < end);
    return (double)(now - begun) / (double)n;
}

int main(int argc, char **argv)
{
    uint64_t ms = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    struct str old = str_of(in_0_3);
    struct buf new, back;
    double up, down;

    buf_init(&new, KB(64));
    buf_init(&back, KB(64));
    up = measure(A2A_0_3, old, ms, &new);
    down = measure(A2A_1_0, buf_str(&new), ms, &back);
    printf("0.3-1.0 %zu %.1f\n1.0-0.3 %zu %.1f\n", old.n, up, new.n, down);
    buf_release(&new);
    buf_release(&back);
    return 0;
}
