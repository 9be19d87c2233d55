/* SPDX-License-Identifier: MIT */
#include "lib/mem.h"
#include "subscribe/subscribe_int.h"

/* What is put around an event, at most: wrapper, ids, and what a translation adds. */
#define SAID_MAX (2 * LIMIT_TASK_BYTES)

struct entry *entry_new(const struct store_event *event)
{
    struct entry *e = mem_zero(1, sizeof *e + event->payload.n);

    e->seq = event->seq;
    e->kind = event->kind;
    e->dialect = event->dialect;
    e->n = event->payload.n;
    memcpy(e->payload, event->payload.p, e->n);
    e->bytes = sizeof *e + e->n;
    e->has_state = a2a_event_state(e->kind, str_make(e->payload, e->n), &e->state) == 0;
    return e;
}

void entry_free(struct entry *e)
{
    if (!e)
        return;
    for (int i = 0; i < SAYING_MAX; i++)
        mem_free((char *)e->said[i].p);
    mem_free(e);
}

int entry_say(struct entry *e, struct str task_id, struct str context, enum a2a_version version,
              bool is_last, struct str *out, const char **why)
{
    enum saying how = version == A2A_1_0 ? SAYING_1_0 : is_last ? SAYING_0_3_LAST : SAYING_0_3;
    struct a2a_told told = {.kind = e->kind,
                            .payload = str_make(e->payload, e->n),
                            .dialect = e->dialect,
                            .task_id = task_id,
                            .context = context,
                            .is_last = is_last};
    struct buf text;
    int err;

    if (!e->said[how].p) {
        buf_init(&text, SAID_MAX);
        err = a2a_told_write(&text, &told, version, why);
        err = err ? err : buf_error(&text);
        if (err) {
            buf_release(&text);
            return err;
        }
        e->said[how] = buf_take(&text);
        e->bytes += e->said[how].n;
    }
    *out = e->said[how];
    return 0;
}
