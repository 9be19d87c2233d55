/* SPDX-License-Identifier: MIT
 *
 * Why a descriptor of our own: O_NONBLOCK belongs to the open file description, so setting it on fd 2
 * would change the terminal or pipe for every process that shares it. A pipe or terminal is therefore
 * reopened through /proc; where that is not possible (a socket) send-style non-blocking is not to be had
 * either and the plain descriptor is used. Regular files never block in this sense.
 */
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"

#define LOG_LINE_MAX 4096 /* PIPE_BUF: a line is written whole or not at all */
#define LOG_LINE_MIN 128  /* holds everything before the first field but a long message */

static enum log_level current_level = LOG_INFO;
static bool as_json;
static int log_fd = STDERR_FILENO;
static atomic_ulong lost_lines;

static const char *const level_names[] = {"error", "warn", "info", "debug", "trace"};

int log_level_parse(struct str name, enum log_level *out)
{
    if (str_is_nocase(name, STR("warning")))
        name = STR("warn");
    for (int i = LOG_ERROR; i <= LOG_TRACE; i++) {
        if (str_is_nocase(name, str_of(level_names[i]))) {
            *out = (enum log_level)i;
            return 0;
        }
    }
    return ERR_INVALID;
}

void log_setup(enum log_level level, bool json)
{
    current_level = level;
    as_json = json;
}

void log_start(void)
{
    struct stat st;
    int fd;

    if (fstat(STDERR_FILENO, &st) != 0 || !(S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
        return;
    fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | O_APPEND);
    if (fd >= 0)
        log_fd = fd;
}

bool log_is_on(enum log_level level)
{
    return level <= current_level;
}

/* A line under construction. What does not fit is cut: between characters, never inside an escape or a UTF-8
 * sequence, and nothing follows behind the cut but the closing quote, brace and newline kept free for it. */
#define LINE_TAIL 3

struct line {
    char *p;
    size_t n, room;
    bool is_full;
};

/* All of it or nothing. */
static void put(struct line *l, const char *p, size_t n)
{
    if (l->is_full || n > l->room - l->n) {
        l->is_full = true;
        return;
    }
    memcpy(l->p + l->n, p, n);
    l->n += n;
}

static void put_z(struct line *l, const char *z)
{
    put(l, z, strlen(z));
}

/* The number of bytes of the character at p[0], which starts well-formed UTF-8. */
static size_t utf8_length(const char *p)
{
    unsigned char c = (unsigned char)p[0];

    return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* The inside of a quoted string. Both formats use JSON's escapes, so that a hostile value can neither end
 * the line nor the string. Bytes that are not UTF-8 are shown as U+FFFD. */
static void put_escaped(struct line *l, struct str s)
{
    bool clean = str_is_utf8(s);
    size_t step = 1;

    for (size_t i = 0; i < s.n && !l->is_full; i += step) {
        unsigned char c = (unsigned char)s.p[i];
        char escape[8];

        step = 1;
        if (c == '"' || c == '\\') {
            escape[0] = '\\';
            escape[1] = (char)c;
            put(l, escape, 2);
        } else if (c == '\n') {
            put(l, "\\n", 2);
        } else if (c < 0x20 || c == 0x7f) {
            snprintf(escape, sizeof escape, "\\u%04x", c);
            put(l, escape, 6);
        } else if (c >= 0x80 && !clean) {
            put(l, "\xef\xbf\xbd", 3);
        } else {
            step = utf8_length(s.p + i);
            put(l, s.p + i, step);
        }
    }
}

static bool needs_quotes(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
            return true;
    }
    return s.n == 0;
}

static void put_quoted(struct line *l, struct str s)
{
    put(l, "\"", 1);
    if (l->is_full)
        return;
    put_escaped(l, s);
    l->p[l->n++] = '"'; /* at the worst this is the quote of the tail */
    l->is_full |= l->n > l->room;
}

/* Plain text, as much of it as fits: it consists of printable ASCII, any byte may be the last. */
static void put_cut(struct line *l, struct str s)
{
    size_t left;

    if (l->is_full)
        return;
    left = l->room - l->n;
    put(l, s.p, s.n < left ? s.n : left);
    l->is_full |= s.n > left;
}

static void put_value(struct line *l, const struct log_field *f, bool json)
{
    char digits[24];

    switch (f->kind) {
    case LOG_FIELD_STR:
        if (json || needs_quotes(f->s))
            put_quoted(l, f->s);
        else
            put_cut(l, f->s);
        break;
    case LOG_FIELD_U64:
        snprintf(digits, sizeof digits, "%llu", (unsigned long long)f->u);
        put_z(l, digits);
        break;
    case LOG_FIELD_I64:
        snprintf(digits, sizeof digits, "%lld", (long long)f->i);
        put_z(l, digits);
        break;
    case LOG_FIELD_NONE:
        break;
    }
}

/* A field whose value did not even begin before the line was full is left out. */
static void put_field(struct line *l, const struct log_field *f, bool json)
{
    size_t start = l->n, value;

    if (f->kind == LOG_FIELD_NONE || (f->kind == LOG_FIELD_STR && !f->s.p))
        return;
    put_z(l, json ? ",\"" : " ");
    put_z(l, f->key);
    put_z(l, json ? "\":" : "=");
    value = l->n;
    put_value(l, f, json);
    if (l->n == value)
        l->n = start;
}

size_t log_format(char *out, size_t room, enum log_level level, int64_t wall_us,
                  const char *msg, const struct log_field *fields, size_t n, bool json)
{
    struct line l = {.p = out, .room = room - LINE_TAIL};
    char when[CLOCK_TEXT + 1];

    BUG_ON(room < LOG_LINE_MIN);
    clock_format(wall_us, when);
    put_z(&l, json ? "{\"time\":\"" : "time=");
    put_z(&l, when);
    put_z(&l, json ? "\",\"level\":\"" : " level=");
    put_z(&l, level_names[level]);
    put_z(&l, json ? "\",\"msg\":" : " msg=");
    put_quoted(&l, str_of(msg));
    for (size_t i = 0; i < n; i++)
        put_field(&l, &fields[i], json);
    if (json)
        out[l.n++] = '}';
    out[l.n++] = '\n';
    return l.n;
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields, size_t n)
{
    char line[LOG_LINE_MAX];
    struct log_field with_lost[17];
    unsigned long lost = 0;
    size_t length;

    if (n < 16) {
        lost = atomic_exchange(&lost_lines, 0);
        /* first, so that a long field cannot cut it off */
        with_lost[0] = LOG_U64("lost", lost);
        for (size_t i = 0; lost && i < n; i++)
            with_lost[i + 1] = fields[i];
    }
    if (lost) {
        fields = with_lost;
        n++;
    }
    length = log_format(line, sizeof line, level, clock_wall_us(), msg, fields, n, as_json);
    if (write(log_fd, line, length) < 0)
        atomic_fetch_add(&lost_lines, lost + 1);
}
