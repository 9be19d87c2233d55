/* SPDX-License-Identifier: MIT
 *
 * The event reader against a table of streams, each cut at every place, and against a naive model that has the whole
 * text at once, on random streams.
 */
#include "lib/sse.h"

#include "check.h"
#include "lib/limits.h"

/* What events come to: "type|id|data;" each. */
static struct buf seen;

static void note(const struct sse_event *event)
{
    buf_add_str(&seen, event->type);
    buf_add_char(&seen, '|');
    buf_add_str(&seen, event->id.p ? event->id : STR("-"));
    buf_add_char(&seen, '|');
    buf_add_str(&seen, event->data);
    buf_add_char(&seen, ';');
}

static int feed(struct sse *s, struct str bytes)
{
    struct sse_event event;
    size_t used;

    while (bytes.n > 0) {
        int got = sse_read(s, bytes, &used, &event);

        if (got < 0)
            return got;
        if (got)
            note(&event);
        CHECK(got || used == bytes.n);
        bytes = str_make(bytes.p + used, bytes.n - used);
    }
    return 0;
}

/* Reads the text in pieces of `cut` bytes, or with `at` in two. */
static const char *read_cut(struct str text, size_t cut, size_t at)
{
    struct sse_event last;
    struct sse s;

    if (!seen.max)
        buf_init(&seen, MB(1));
    buf_clear(&seen);
    sse_init(&s, KB(64));
    for (size_t i = 0, n; i < text.n; i += n) {
        n = at ? (i == 0 ? at : text.n - i) : cut;
        if (n > text.n - i)
            n = text.n - i;
        CHECK_INT(feed(&s, str_make(text.p + i, n)), 0);
    }
    if (sse_end(&s, &last) == 1)
        note(&last);
    sse_release(&s);
    return buf_z(&seen);
}

static const struct {
    const char *text, *events;
} cases[] = {
    {"data: a\n\n", "message|-|a;"},
    {"data:a\r\rdata:  b\r\r", "message|-|a;message|-| b;"},
    {"data: a\r\n\r\ndata: b\r\n\r\n", "message|-|a;message|-|b;"},
    {"data: a\ndata: b\ndata:\ndata\n\n", "message|-|a\nb\n\n;"},
    {": comment\n:\n\ndata: a\n\n", "message|-|a;"},
    {"event: error\ndata: a\n\ndata: b\n\n", "error|-|a;message|-|b;"},
    {"id: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", "message|7|a;message|7|b;message||c;"},
    {"retry: 100\nunknown: x\nnothing\ndata: a\n\n", "message|-|a;"},
    {"\xef\xbb\xbf"
     "data: a\n\n",
     "message|-|a;"},
    {"\xef\xbb\xbf\xef\xbb\xbf"
     "data: a\n\n",
     ""},
    {"data: a", "message|-|a;"},
    {"data: a\n", "message|-|a;"},
    {"event: x\n\ndata: a\n\n", "message|-|a;"},
    {"id: 1\n\n\n\n", ""},
    {"data\n\n", "message|-|;"},
    {"data : a\n\n", ""},
    {"", ""},
};

TEST(every_framing_cut_everywhere)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str text = str_of(cases[i].text);

        CHECK_STR(str_of(read_cut(text, text.n + 1, 0)), str_of(cases[i].events));
        for (size_t cut = 1; cut < 4; cut++)
            CHECK_STR(str_of(read_cut(text, cut, 0)), str_of(cases[i].events));
        for (size_t at = 1; at < text.n; at++)
            CHECK_STR(str_of(read_cut(text, 0, at)), str_of(cases[i].events));
    }
}

TEST(an_id_with_nul_is_none)
{
    struct str text = STR("id: 1\ndata: a\n\nid: 2\0x\ndata: b\n\n");

    CHECK_STR(str_of(read_cut(text, 100, 0)), STR("message|1|a;message|1|b;"));
}

TEST(what_is_too_large_is_refused_and_what_is_dropped_may_be_long)
{
    struct sse_event event;
    struct buf text;
    struct sse s;
    size_t used;

    buf_init(&text, MB(1));
    buf_add_char(&text, ':');
    for (int i = 0; i < 100000; i++)
        buf_add_char(&text, 'c');
    BUF_LIT(&text, "\ndata: 12345678\n\n");
    sse_init(&s, 8);
    buf_clear(&seen);
    for (size_t i = 0; i < text.n; i += 100)
        CHECK_INT(feed(&s, str_make(text.p + i, text.n - i < 100 ? text.n - i : 100)), 0);
    CHECK_STR(buf_str(&seen), STR("message|-|12345678;"));
    CHECK_INT(sse_read(&s, STR("data: 1234\ndata: 5678\n\n"), &used, &event), ERR_LIMIT);
    sse_release(&s);
    sse_init(&s, 8);
    CHECK_INT(sse_read(&s, STR("data: 123456789012345678901234567890"), &used, &event),
              ERR_LIMIT);
    sse_release(&s);
    buf_release(&text);
}

/* --- the model ------------------------------------------------------------------------------------ */

struct model {
    struct buf out, data;
    char type[32], id[32];
    bool has_data, has_id;
};

static void model_line(struct model *m, const char *p, size_t n)
{
    const char *colon = memchr(p, ':', n);
    size_t n_name = colon ? (size_t)(colon - p) : n;
    struct str name = str_make(p, n_name);
    struct str value = colon ? str_make(colon + 1, n - n_name - 1) : STR("");

    if (value.n && value.p[0] == ' ')
        value = str_make(value.p + 1, value.n - 1);
    if (n == 0) {
        if (m->has_data)
            buf_printf(&m->out, "%s|%s|%.*s;", m->type[0] ? m->type : "message",
                       m->has_id ? m->id : "-", STR_ARG(buf_str(&m->data)));
        m->has_data = false;
        m->type[0] = '\0';
        buf_clear(&m->data);
    } else if (str_is(name, STR("data"))) {
        if (m->has_data)
            buf_add_char(&m->data, '\n');
        buf_add_str(&m->data, value);
        m->has_data = true;
    } else if (str_is(name, STR("event"))) {
        snprintf(m->type, sizeof m->type, "%.*s", STR_ARG(value));
    } else if (str_is(name, STR("id"))) {
        snprintf(m->id, sizeof m->id, "%.*s", STR_ARG(value));
        m->has_id = true;
    }
}

/* The whole text, line by line. */
static const char *model_read(struct model *m, struct str text)
{
    size_t from = 0;

    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '\n' && text.p[i] != '\r')
            continue;
        model_line(m, text.p + from, i - from);
        if (text.p[i] == '\r' && i + 1 < text.n && text.p[i + 1] == '\n')
            i++;
        from = i + 1;
    }
    if (from < text.n)
        model_line(m, text.p + from, text.n - from);
    if (m->has_data)
        model_line(m, "", 0);
    return buf_z(&m->out);
}

TEST(random_streams_are_what_the_model_says)
{
    static const char *const pieces[] = {"data", "event",     "id",         ":",    ": ",
                                         " ",    "\n",        "\r",         "\r\n", "\n\n",
                                         "x",    "data: y\n", "retry: 5\n", "::"};
    unsigned random = 20261124;

    for (int round = 0; round < 20000; round++) {
        struct model m = {.has_data = false};
        char text[128] = "";
        size_t n = 0;

        buf_init(&m.out, KB(4));
        buf_init(&m.data, KB(4));
        for (int i = 0; i < 14; i++) {
            const char *piece;

            random = random * 1103515245u + 12345u;
            piece = pieces[(random >> 16) % (sizeof pieces / sizeof *pieces)];
            n += (size_t)snprintf(text + n, sizeof text - n, "%s", piece);
        }
        CHECK_STR(str_of(read_cut(str_make(text, n), 1 + (random >> 20) % 9, 0)),
                  str_of(model_read(&m, str_make(text, n))));
        buf_release(&m.out);
        buf_release(&m.data);
    }
}

TEST_MAIN
