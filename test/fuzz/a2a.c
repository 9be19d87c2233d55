/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: everything the A2A codec reads. The first byte chooses the reader; the rest is a caller's request, an
 * agent's reply, or two texts (document and event) for the fold. What is written from what was read must be JSON again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "a2a/a2a.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_json(struct str text)
{
    static const struct json_want nothing[] = {{NULL, -1, NULL}};

    return json_scan(text, nothing, NULL, 0, NULL) == 0;
}

static void must_be_json(struct buf *out)
{
    if (!buf_error(out) && !is_json(buf_str(out)))
        abort();
    buf_release(out);
}

static void try_request(struct str body)
{
    struct a2a_request r;
    struct a2a_fault fault;
    struct buf out;
    int err = a2a_request_read(body, STR_NONE, &r, &fault);

    buf_init(&out, MB(1));
    if (err)
        a2a_error_write(&out, r.version, r.id, &fault);
    else if (r.method == A2A_SEND)
        a2a_request_write(&out, r.version, r.method, 1, &r);
    else
        a2a_result_write(&out, &r, A2A_REPLY_TASK, STR("{\"history\":[1,2]}"),
                         r.has_history_length ? r.history_length : -1);
    must_be_json(&out);
}

static void try_reply(struct str body, enum a2a_version version)
{
    struct a2a_request request = {.method = A2A_SEND, .version = version, .id = STR("1")};
    struct a2a_reply reply;
    struct a2a_fault fault;
    struct buf out;

    buf_init(&out, MB(1));
    if (a2a_reply_read(body, version, A2A_SEND, 5, &reply, &fault)) {
        a2a_error_write(&out, version, request.id, &fault);
    } else if (reply.kind == A2A_REPLY_ERROR) {
        a2a_fault_set(&fault, A2A_ERROR_INTERNAL, "x");
        fault.agent_error = reply.object;
        a2a_error_write(&out, version, request.id, &fault);
    } else {
        a2a_result_write(&out, &request, reply.kind, reply.object, 1);
    }
    must_be_json(&out);
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

    if (size == 0)
        return 0;
    switch (data[0] % 5) {
    case 0:
        try_request(rest);
        break;
    case 1:
    case 2:
        try_reply(rest, data[0] % 5 == 1 ? A2A_0_3 : A2A_1_0);
        break;
    default:
        first = str_cut(&rest, '\n');
        try_fold(first, rest.p ? rest : STR(""),
                 data[0] % 5 == 3 ? A2A_EVENT_TASK : A2A_EVENT_STATUS);
    }
    return 0;
}
