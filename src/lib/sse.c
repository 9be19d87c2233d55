/* SPDX-License-Identifier: MIT
 *
 * The stream is taken line by line. A line that lies whole in the bytes at hand is looked at where it lies; only one
 * that is cut is gathered first, so every byte is looked at once and copied at most twice, however it comes.
 *
 * What bounds memory: an event's data by `max`, a line by that and the longest field name, ids and types by
 * SSE_NAME_MAX (longer ones are taken as not given), comments by nothing, for they are not kept.
 */
#include "lib/sse.h"

#define SSE_NAME_MAX 4096u
#define SSE_FIELD_ROOM 16u /* "data: " and then some */

void sse_init(struct sse *s, size_t max)
{
    *s = (struct sse){.max = max};
    buf_init(&s->line, max + SSE_FIELD_ROOM);
    buf_init(&s->data, max);
    buf_init(&s->type, SSE_NAME_MAX);
    buf_init(&s->last_id, SSE_NAME_MAX);
}

void sse_release(struct sse *s)
{
    buf_release(&s->line);
    buf_release(&s->data);
    buf_release(&s->type);
    buf_release(&s->last_id);
}

/* --- one line ------------------------------------------------------------------------------------- */

/* A value too long for its place counts as not given. */
static void keep_name(struct buf *place, struct str value)
{
    buf_clear(place);
    if (buf_add_str(place, value))
        buf_clear(place);
}

static int take_data(struct sse *s, struct str value)
{
    if (s->has_data)
        buf_add_char(&s->data, '\n');
    s->has_data = true;
    return buf_add_str(&s->data, value);
}

static void take_retry(struct sse *s, struct str value)
{
    uint64_t ms;

    if (str_to_u64(value, &ms) == 0)
        s->retry_ms = ms;
}

static int take_field(struct sse *s, struct str name, struct str value)
{
    if (str_is(name, STR("data")))
        return take_data(s, value);
    if (str_is(name, STR("event"))) {
        keep_name(&s->type, value);
    } else if (str_is(name, STR("id")) && !memchr(value.p, '\0', value.n)) {
        keep_name(&s->last_id, value);
        s->has_id = true;
    } else if (str_is(name, STR("retry"))) {
        take_retry(s, value);
    }
    return 0;
}

static void give(struct sse *s, struct sse_event *out)
{
    *out = (struct sse_event){.data = buf_str(&s->data),
                              .type = s->type.n ? buf_str(&s->type) : STR("message"),
                              .id = s->has_id ? buf_str(&s->last_id) : STR_NONE};
    s->is_given = true;
}

/* Returns 1 when the line has ended an event. */
static int take_line(struct sse *s, struct str line, struct sse_event *out)
{
    static const char mark[] = "\xef\xbb\xbf";
    const char *colon;
    struct str name = line, value = STR("");

    if (!s->has_line && str_has_prefix(line, str_make(mark, 3)))
        name = line = str_make(line.p + 3, line.n - 3);
    s->has_line = true;
    if (line.n == 0) {
        if (s->has_data)
            give(s, out);
        else
            buf_clear(&s->type);
        return s->has_data;
    }
    colon = memchr(line.p, ':', line.n);
    if (colon == line.p)
        return 0;
    if (colon) {
        name = str_make(line.p, (size_t)(colon - line.p));
        value = str_make(colon + 1, line.n - name.n - 1);
        if (value.n > 0 && value.p[0] == ' ')
            value = str_make(value.p + 1, value.n - 1);
    }
    return take_field(s, name, value);
}

/* --- bytes ---------------------------------------------------------------------------------------- */

/* Keeps the beginning of a line that is cut here. */
static int keep_line(struct sse *s, struct str piece)
{
    bool is_comment = s->line.n ? s->line.p[0] == ':' : piece.n > 0 && piece.p[0] == ':';

    if (is_comment)
        piece = s->line.n ? STR("") : STR(":");
    return buf_add_str(&s->line, piece);
}

static size_t line_length(struct str bytes)
{
    size_t n = 0;

    while (n < bytes.n && bytes.p[n] != '\n' && bytes.p[n] != '\r')
        n++;
    return n;
}

static void begin_anew(struct sse *s)
{
    if (!s->is_given)
        return;
    buf_shrink(&s->data, SSE_NAME_MAX);
    buf_clear(&s->type);
    s->is_given = s->has_data = false;
}

int sse_read(struct sse *s, struct str bytes, size_t *used, struct sse_event *out)
{
    size_t at = 0;
    int got = 0;

    begin_anew(s);
    while (at < bytes.n && !got) {
        struct str line = {bytes.p + at, 0};

        if (s->after_cr && line.p[0] == '\n') {
            s->after_cr = false;
            at++;
            continue;
        }
        s->after_cr = false;
        line.n = line_length(str_make(line.p, bytes.n - at));
        at += line.n;
        if (at == bytes.n || s->line.n) {
            got = keep_line(s, line);
            if (at == bytes.n)
                break;
            line = buf_str(&s->line);
        }
        s->after_cr = bytes.p[at++] == '\r';
        got = got ? got : take_line(s, line, out);
        buf_shrink(&s->line, SSE_NAME_MAX);
    }
    *used = at;
    return got;
}

int sse_end(struct sse *s, struct sse_event *out)
{
    struct sse_event unused;
    int err = 0;

    begin_anew(s);
    if (s->line.n)
        err = take_line(s, buf_str(&s->line), &unused);
    if (err < 0 || !s->has_data)
        return err;
    give(s, out);
    return 1;
}
