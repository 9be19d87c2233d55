/* SPDX-License-Identifier: MIT
 *
 * Error codes, and the two macros that separate *impossible* from *unlikely*.
 *
 * Functions that can fail return 0 or a negative ERR_ and are MUST_CHECK. The code says what kind of
 * failure it was; the reason, a sentence for people, goes to the object concerned, which logs it once.
 * What cannot happen unless we made a mistake is a BUG_ON, which stays in production builds.
 */
#ifndef LIB_ERR_H
#define LIB_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN __attribute__((noreturn))

#define ERR_MAP(X)                                                                             \
    X(AGAIN, "try again when told")                                                            \
    X(CANCELED, "canceled")                                                                    \
    X(CLOSED, "closed by the other side")                                                      \
    X(TIMEOUT, "timed out")                                                                    \
    X(LIMIT, "larger than allowed")                                                            \
    X(SYNTAX, "malformed")                                                                     \
    X(INVALID, "not valid here")                                                               \
    X(NOMEM, "out of memory")                                                                  \
    X(IO, "input/output error")                                                                \
    X(CONNECT, "could not connect")                                                            \
    X(RESOLVE, "name could not be resolved")                                                   \
    X(TLS, "TLS failed")                                                                       \
    X(CONFLICT, "changed by someone else")                                                     \
    X(ABSENT, "not there")                                                                     \
    X(FULL, "full")                                                                            \
    X(STORE, "store not available")                                                            \
    X(FINAL, "task is already in a terminal state")                                            \
    X(FORBIDDEN, "not allowed")                                                                \
    X(UNSUPPORTED, "not supported")

enum err_ordinal {
    ERR_ORD_OK = 0,
#define X(name, text) ERR_ORD_##name,
    ERR_MAP(X)
#undef X
        ERR_ORD_MAX
};

enum err {
#define X(name, text) ERR_##name = -(int)ERR_ORD_##name,
    ERR_MAP(X)
#undef X
        ERR_OK = 0
};

/* A short English text for an ERR_ code. Never NULL. */
const char *err_text(int err);

/* Prints what was found impossible and where, then aborts. */
NORETURN void bug_stop(const char *what, const char *file, int line);

#define BUG_ON(condition)                                                                      \
    do {                                                                                       \
        if (__builtin_expect(!!(condition), 0))                                                \
            bug_stop(#condition, __FILE__, __LINE__);                                          \
    } while (0)

#endif
