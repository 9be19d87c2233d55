/* SPDX-License-Identifier: MIT
 *
 * What a backend has found becomes a task: the events behind the stored document are folded onto it, in order.
 *
 * The database is ours, but people have SQL: what does not parse must not reach code that trusts it. Such a task is
 * ERR_INVALID, and stays as it is until somebody repairs it.
 *
 * A tail is as long as its document, or 64 KB (doc_is_due() in fold.c). Folding it event by event would cost a pass over
 * the document for each; chunks of one artifact, of which such tails mostly consist, are folded together (chunks.c).
 */
#include "lib/mem.h"
#include "store/parts.h"

static bool is_json(struct str text)
{
    return json_scan(text, NULL, NULL, 0, NULL) == 0;
}

/* Folds one event, or several as one, onto what was loaded so far. Returns 0 or a negative ERR_. */
static int fold_loaded(struct store *s, struct str *doc, int *turn,
                       const struct a2a_event *event)
{
    struct buf *next = &s->folds[*turn];
    int err;

    buf_clear(next);
    /* Also what an older, larger maximum let in. */
    next->max = doc->n + event->payload.n + KB(4);
    err = a2a_event_fold(*doc, event, next);
    if (err == 0) {
        *doc = buf_str(next);
        *turn = !*turn;
    }
    return err < 0 ? err : 0;
}

/* How many chunks stand behind the event `i`; with *update they can be folded as one. */
static size_t run_behind(const struct load *l, size_t i, struct chunks *c, struct str *update)
{
    if (i + 2 >= l->n_tail || l->tail[i].kind != A2A_EVENT_ARTIFACT_UPDATE ||
        !chunks_begin(c, l->tail[i].payload, STORE_LOAD_BYTES))
        return 0;
    for (size_t k = i + 1; k < l->n_tail && l->tail[k].kind == A2A_EVENT_ARTIFACT_UPDATE &&
                           l->tail[k].dialect == l->dialect;
         k++)
        if (!chunks_add(c, l->tail[k].payload))
            break;
    *update = c->n > 1 ? chunks_end(c) : STR_NONE;
    return c->n;
}

static int fold_tail(struct store *s, const struct load *l, struct str *doc)
{
    int turn = 0, err = 0;

    for (size_t i = 0; i < l->n_tail && !err; i++) {
        struct a2a_event event = {l->tail[i].kind, l->tail[i].payload};
        struct str update = STR_NONE;
        struct chunks c = {0};
        size_t n;

        if (event.kind == A2A_EVENT_MESSAGE)
            continue;
        /* Nobody writes such a tail: the document goes with the change of its dialect. */
        if (l->tail[i].dialect != l->dialect || !is_json(event.payload))
            return ERR_INVALID;
        err = fold_loaded(s, doc, &turn, &event);
        n = err ? 0 : run_behind(l, i, &c, &update);
        if (update.p) {
            event = (struct a2a_event){A2A_EVENT_ARTIFACT_UPDATE, update};
            err = fold_loaded(s, doc, &turn, &event);
            i += n;
        }
        chunks_release(&c);
    }
    return err;
}

int load_to_task(struct store *s, const struct load *l, struct task **out)
{
    struct task like = {.dialect = l->dialect,
                        .state = l->state,
                        .key = l->key,
                        .owner = l->owner,
                        .seq = l->seq,
                        .doc_seq = l->doc_seq,
                        .status_at_us = l->status_at_us,
                        .agent = l->agent,
                        .id = l->id,
                        .context = l->context,
                        .doc = l->doc};
    bool is_whole = l->seq >= l->doc_seq && l->n_tail == l->seq - l->doc_seq;
    int err = is_whole && is_json(l->doc) ? 0 : ERR_INVALID;
    struct task *t;

    /* The database is ours, but people have SQL: what does not parse must not reach code that trusts it. */
    for (size_t i = 0; i < l->n_tail; i++) {
        like.tail_bytes += l->tail[i].payload.n;
        fold_count_pass(&l->tail[i], &like.tail_passes, &like.tail_run);
    }
    if (!err)
        err = fold_tail(s, l, &like.doc);
    t = err ? NULL : task_new(&like);
    for (int i = 0; i < STORE_FOLDS; i++)
        buf_shrink(&s->folds[i], STORE_FOLD_KEEP);
    if (err)
        return err == ERR_NOMEM ? err : ERR_INVALID;
    if (!t)
        return ERR_NOMEM;
    *out = t;
    return 0;
}
