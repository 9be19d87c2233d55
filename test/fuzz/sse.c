/* SPDX-License-Identifier: MIT
 *
 * Fuzzing the event reader: however a stream is cut, its events are those of the whole. The first byte says where.
 */
#include <stdint.h>
#include <stdlib.h>

#include "lib/limits.h"
#include "lib/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void note(struct buf *out, const struct sse_event *event)
{
    buf_printf(out, "%zu %zu %zu ", event->type.n, event->id.p ? event->id.n + 1 : 0,
               event->data.n);
    buf_add_str(out, event->type);
    buf_add_str(out, event->id.p ? event->id : STR(""));
    buf_add_str(out, event->data);
}

/* Returns the error, if there was one; what came before it is not compared. */
static int read_all(struct buf *out, struct str text, size_t piece)
{
    struct sse_event event;
    struct sse s;
    size_t used, at = 0;
    int err = 0;

    sse_init(&s, KB(4));
    while (at < text.n && err >= 0) {
        size_t n = text.n - at < piece ? text.n - at : piece;

        err = sse_read(&s, str_make(text.p + at, n), &used, &event);
        BUG_ON(err == 0 && used != n);
        BUG_ON(used > n || s.data.n > KB(4));
        if (err == 1)
            note(out, &event);
        at += used;
    }
    if (err >= 0)
        err = sse_end(&s, &event);
    if (err == 1)
        note(out, &event);
    sse_release(&s);
    return err < 0 ? err : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data + 1, size - 1};
    struct buf whole, cut;
    int err;

    if (size < 2)
        return 0;
    buf_init(&whole, MB(16));
    buf_init(&cut, MB(16));
    err = read_all(&whole, text, text.n);
    BUG_ON(err != read_all(&cut, text, 1u + data[0] % 16));
    BUG_ON(!err && !str_is(buf_str(&whole), buf_str(&cut)));
    buf_release(&whole);
    buf_release(&cut);
    return 0;
}
