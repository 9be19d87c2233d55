/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: everything the A2A codec reads. The first byte chooses the reader; the rest is a caller's
 * request, an agent's reply, two texts (document and event) for the fold, or an object to be translated.
 * What is written from what was read must be JSON again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "a2a/a2a.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_json(struct str text)
{
    return json_scan(text, NULL, NULL, 0, NULL) == 0;
}

/* Wrapping makes an answer deeper than what it was made of, and the scanner has a limit. */
static bool is_json_or_deep(struct str text)
{
    int err = json_scan(text, NULL, NULL, 0, NULL);

    return err == 0 || err == ERR_LIMIT;
}

static void must_be_json(struct buf *out)
{
    if (!buf_error(out) && !is_json_or_deep(buf_str(out)))
        abort();
    buf_release(out);
}

/* To an agent of either version, said in every way. */
static void try_upstream(const struct a2a_request *r)
{
    for (int i = 0; i < 2 * (A2A_SAY_SEND_NO_WAIT + 1); i++) {
        struct a2a_upstream to = {.version = i & 1 ? A2A_1_0 : A2A_0_3,
                                  .tenant = STR("t"),
                                  .drop_context = !(i & 1),
                                  .saying = (enum a2a_saying)(i / 2)};
        struct buf out;
        const char *why;

        buf_init(&out, MB(1));
        if (a2a_request_write(&out, &to, 1, r, &why))
            buf_clear(&out);
        else if (!is_json_or_deep(buf_str(&out)))
            abort();
        buf_release(&out);
    }
}

/* A configuration in both halves, and told again: all of it JSON. */
static void try_push(const struct a2a_request *r)
{
    struct a2a_push_params p;
    struct a2a_fault fault;
    struct buf doc, secret, told;

    if (a2a_push_params_read(r->params, r->method, &p, &fault) || r->method != A2A_PUSH_SET)
        return;
    buf_init(&doc, MB(1));
    buf_init(&secret, MB(1));
    buf_init(&told, MB(1));
    a2a_push_write_doc(&doc, &p.push);
    a2a_push_write_secret(&secret, &p.push);
    for (int v = A2A_0_3; v <= A2A_1_0; v++)
        for (int superx = 0; superx <= 1; superx++) {
            buf_clear(&told);
            a2a_push_write(&told, (enum a2a_version)v, superx, STR("t"), STR("c"),
                           buf_str(&doc));
            if (!is_json_or_deep(buf_str(&told)))
                abort();
        }
    if (secret.n && !is_json(buf_str(&secret)))
        abort();
    must_be_json(&doc);
    buf_release(&secret);
    buf_release(&told);
}

static void try_request(struct str body)
{
    struct a2a_result result = {.version = A2A_1_0, .object = STR("{\"history\":[{},{}]}")};
    struct a2a_request r;
    struct a2a_fault fault;
    struct buf out;
    const char *why;
    int err = a2a_request_read(body, STR_NONE, &r, &fault);

    buf_init(&out, MB(1));
    if (err)
        a2a_error_write(&out, r.version, r.id, &fault);
    else if (r.method == A2A_SEND || r.method == A2A_STREAM || r.method == A2A_CANCEL)
        try_upstream(&r);
    else if (r.method >= A2A_PUSH_SET && r.method <= A2A_PUSH_DELETE)
        try_push(&r);
    else if (a2a_result_write(&out, &r, &result, &why))
        abort();
    if (out.n)
        must_be_json(&out);
    else
        buf_release(&out);
}

/* An agent's error for callers of both versions, on both surfaces. */
static void try_error(enum a2a_version version, struct str error)
{
    struct a2a_fault fault;

    a2a_fault_set(&fault, A2A_ERROR_INTERNAL, "x");
    fault.agent_error = error;
    fault.agent_version = version;
    for (int v = A2A_0_3; v <= A2A_1_0; v++) {
        struct buf out;

        buf_init(&out, MB(1));
        a2a_error_write(&out, (enum a2a_version)v, STR("1"), &fault);
        must_be_json(&out);
        buf_init(&out, MB(1));
        a2a_error_write_rpc(&out, (enum a2a_version)v, STR("1"), &fault);
        must_be_json(&out);
    }
}

static void try_result(enum a2a_version version, const struct a2a_reply *reply)
{
    struct a2a_result result = {
        .kind = reply->kind, .version = version, .object = reply->object, .context = STR("c")};

    for (int v = A2A_0_3; v <= A2A_1_0; v++) {
        struct a2a_request request = {.method = A2A_SEND,
                                      .version = (enum a2a_version)v,
                                      .id = STR("1"),
                                      .has_history_length = true,
                                      .history_length = 1};
        struct buf out;
        const char *why;

        buf_init(&out, MB(1));
        if (a2a_result_write(&out, &request, &result, &why))
            buf_clear(&out);
        else if (!buf_error(&out) && !is_json_or_deep(buf_str(&out)))
            abort();
        buf_release(&out);
    }
}

static void try_reply(struct str body, enum a2a_version version)
{
    struct a2a_reply reply;
    struct a2a_fault fault;
    struct buf out;

    if (a2a_reply_read(body, version, A2A_SEND, 5, &reply, &fault)) {
        buf_init(&out, MB(1));
        a2a_error_write(&out, version, STR("1"), &fault);
        must_be_json(&out);
    } else if (reply.kind == A2A_REPLY_ERROR) {
        try_error(version, reply.object);
    } else {
        try_result(version, &reply);
    }
}

/* 0; ERR_INVALID: it cannot be said; ERR_LIMIT: it was said, too deep to be read again. */
static int cross(const struct a2a_translation *t, struct str object, struct buf *out)
{
    const char *why = NULL;
    int err;

    buf_clear(out);
    if (a2a_translate(out, t, object, &why)) {
        if (!why)
            abort();
        return ERR_INVALID;
    }
    err = json_scan(buf_str(out), NULL, NULL, 0, NULL);
    if (err && err != ERR_LIMIT)
        abort();
    return err;
}

/* What could be said in the other version can be said in its own again, and going there and back a second
 * time changes nothing. */
static void try_translate(struct str object, enum a2a_object what, enum a2a_version from,
                          bool strict)
{
    enum a2a_version other = from == A2A_0_3 ? A2A_1_0 : A2A_0_3;
    struct a2a_translation there = {.what = what, .from = from, .to = other, .strict = strict};
    struct a2a_translation back = {.what = what, .from = other, .to = from, .strict = strict};
    struct buf steps[4];
    int err = 0;

    for (size_t i = 0; i < 4; i++)
        buf_init(&steps[i], MB(1));
    if (!is_json(object))
        err = ERR_SYNTAX;
    for (size_t i = 0; i < 4 && !err; i++) {
        err = cross(i % 2 ? &back : &there, i ? buf_str(&steps[i - 1]) : object, &steps[i]);
        if (i && err == ERR_INVALID)
            abort();
    }
    if (!err && !str_is(buf_str(&steps[1]), buf_str(&steps[3])))
        abort();
    for (size_t i = 0; i < 4; i++)
        buf_release(&steps[i]);
}

static bool is_task(struct str text)
{
    struct a2a_task task;
    struct arena arena;
    const char *why;
    int err;

    arena_init(&arena, KB(64));
    err = a2a_task_read(text, &arena, &task, &why);
    arena_release(&arena);
    return err == 0;
}

/* A fold either leaves everything as it was, or gives JSON that folds the same event to itself again. */
static void try_fold(struct str doc, struct str payload, enum a2a_event_kind kind)
{
    struct a2a_event event = {.kind = kind};
    struct buf stored, out, again, minified;

    if (!is_json(payload) || (kind == A2A_EVENT_TASK && !is_task(payload)))
        return;
    buf_init(&minified, MB(1));
    json_minify(&minified, payload);
    event.payload = buf_str(&minified);
    buf_init(&stored, MB(1));
    buf_init(&out, MB(1));
    buf_init(&again, MB(1));
    if (is_json(doc) && is_task(doc))
        json_minify(&stored, doc);
    if (a2a_event_fold(stored.n ? buf_str(&stored) : STR_NONE, &event, &out) == 0) {
        if (!is_json(buf_str(&out)))
            abort();
        if (kind == A2A_EVENT_TASK &&
            a2a_event_fold(buf_str(&out), &event, &again) == ERR_INVALID)
            abort();
    }
    buf_release(&minified);
    buf_release(&stored);
    buf_release(&out);
    buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_make((const char *)data + 1, size ? size - 1 : 0), first;
    unsigned choice;

    if (size == 0)
        return 0;
    /* The upper half is the translator's: what, which way, and whether strictly. */
    if (data[0] >= 128) {
        choice = data[0] - 128u;
        try_translate(rest, (enum a2a_object)(choice % (A2A_OBJECT_ERROR + 1)),
                      choice & 32 ? A2A_1_0 : A2A_0_3, (choice & 64) != 0);
        return 0;
    }
    choice = (data[0] + 2u) % 5; /* the digits 0 to 4, with which seeds begin, are themselves */
    switch (choice) {
    case 0:
        try_request(rest);
        break;
    case 1:
    case 2:
        try_reply(rest, choice == 1 ? A2A_0_3 : A2A_1_0);
        break;
    default:
        first = str_cut(&rest, '\n');
        try_fold(first, rest.p ? rest : STR(""),
                 choice == 3 ? A2A_EVENT_TASK : A2A_EVENT_STATUS);
    }
    return 0;
}
