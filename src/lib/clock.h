/* SPDX-License-Identifier: MIT
 *
 * Time, as something that can be replaced.
 *
 * Monotonic time is for waiting, wall time for people and stored rows. Both are read through one
 * replaceable source, so that a test of a 30-second window takes no time at all.
 */
#ifndef LIB_CLOCK_H
#define LIB_CLOCK_H

#include <stdint.h>

#include "lib/err.h"
#include "lib/str.h"

struct clock_source {
    uint64_t (*mono_ns)(void);
    int64_t (*wall_us)(void);
};

/* Replaces the source; NULL restores the system's clocks. For tests. */
void clock_set(const struct clock_source *source);

uint64_t clock_mono_ns(void);
uint64_t clock_mono_ms(void);
int64_t clock_wall_us(void); /* microseconds since 1970-01-01T00:00:00Z */
int64_t clock_wall_ms(void);

#define CLOCK_TEXT 24 /* "2026-01-31T12:34:56.789Z" */

/* RFC 3339 in UTC with milliseconds; writes 24 characters and a NUL. Years 0000-9999. */
void clock_format(int64_t wall_us, char out[CLOCK_TEXT + 1]);

/* Any RFC 3339 date-time: Z, an offset, or (A2A 0.3) no zone, which is read as UTC; 0-9 fraction digits. */
MUST_CHECK int clock_parse(struct str text, int64_t *wall_us);

#endif
