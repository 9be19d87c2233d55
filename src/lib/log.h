/* SPDX-License-Identifier: MIT
 *
 * One event, one line, on stderr: logfmt, or JSON with LOG_FORMAT=json.
 *
 *     time=2026-01-31T12:34:56.789Z level=warn agent=weather msg="breaker opened" failures=5
 *
 * Levels: error = someone must act; warn = we coped; info = lifecycle and one line per call; debug =
 * decisions; trace = bytes. Payloads, tokens and URLs with credentials appear at trace only. Writing never
 * blocks the caller: a full pipe loses lines, and the next line that fits says how many (`lost=N`).
 *
 * A line is built from fields:
 *
 *     log_event(LOG_WARN, "breaker opened", LOG_STR("agent", id), LOG_U64("failures", n));
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/str.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

struct log_field {
    const char *key;
    enum { LOG_FIELD_NONE, LOG_FIELD_STR, LOG_FIELD_U64, LOG_FIELD_I64 } kind;
    struct str s; /* absent: the field is left out */
    union {
        uint64_t u;
        int64_t i;
    };
};

#define LOG_STR(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_STR, .s = (v)})
#define LOG_Z(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_STR, .s = str_of(v)})
#define LOG_U64(k, v)                                                                          \
    ((struct log_field){.key = (k), .kind = LOG_FIELD_U64, .u = (uint64_t)(v)})
#define LOG_I64(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_I64, .i = (int64_t)(v)})

/* Parses "error", "warn", "info", "debug", "trace" ("warning" too); ERR_INVALID otherwise. */
MUST_CHECK int log_level_parse(struct str name, enum log_level *out);

/* Sets what is written and how. Process-wide, called once by the configuration. */
void log_setup(enum log_level level, bool json);

/* Makes stderr non-blocking for log lines only (a duplicate descriptor is opened). Call once at start. */
void log_start(void);

bool log_is_on(enum log_level level);

void log_write(enum log_level level, const char *msg, const struct log_field *fields, size_t n);

#define log_event(level, msg, ...)                                                             \
    do {                                                                                       \
        if (log_is_on(level)) {                                                                \
            const struct log_field log_fields_[] = {{.key = NULL}, ##__VA_ARGS__};             \
            log_write((level), (msg), log_fields_ + 1,                                         \
                      sizeof log_fields_ / sizeof *log_fields_ - 1);                           \
        }                                                                                      \
    } while (0)

/* Formats one line into `out` without writing it; returns its length. For tests. */
size_t log_format(char *out, size_t room, enum log_level level, int64_t wall_us,
                  const char *msg, const struct log_field *fields, size_t n, bool json);

#endif
