/* SPDX-License-Identifier: MIT
 *
 * What a task becomes: the queued appends of one task, folded in order onto its durable document, make one
 * row. No I/O and no queues here; a2a_event_fold() says what an event means, this file says what the store
 * does with the answer.
 *
 *  - An append counts as a whole: if one of its events is refused, the document goes back to where it was
 *    before the append, and the next append is tried on that.
 *  - Messages are numbered and logged but change no document. A terminal task takes none.
 *  - A new task begins with a snapshot; messages may stand before it in the same append.
 *  - A snapshot of a task that is there becomes what a2a_difference() finds, event by event: readers of the log are
 *    told updates, never a second Task. With an update of its status behind it, one status update comes of both.
 *  - What changes nothing is not logged, but for the end of an artifact (lastChunk), which readers wait for.
 *  - A document above the maximum (less the room kept for its end) is not written. The gateway ends the task
 *    instead: the append is told ERR_LIMIT, what was written is the event that says so.
 *  - Within one dialect bytes are kept. When an agent comes back in the other one, the document is translated
 *    and the event folded onto that; from then on the task is kept in the new dialect. A document that cannot be
 *    translated can only be replaced, by a snapshot. The document is written at every change of dialect, so the
 *    events behind a stored document are all of its dialect.
 *  - A task's context is that of its document; where that has none, the one it had, or the append's, or one made
 *    up. It stands in the row only: the document is the agent's.
 *
 * Four buffers take turns: one holds the document before the append, one the document so far, one what that is in
 * another dialect, one is free.
 *
 * Every event costs a pass over the whole document, so a turn of the loop folds so many bytes and no more
 * (store.fold_room); what is left waits for the next.
 */
#include "a2a/a2a.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "store/parts.h"

#define TAIL_MIN KB(64)     /* a document is rewritten when its events exceed this or itself */
#define PASSES_MAX MB(512)  /* of documents, to fold what stands behind a stored one: 0.2 s */
#define DOC_SMALL KB(8)     /* one that may be written at every change of state */
#define FOLD_ARENA MB(8)    /* ids that had to be decoded */
#define ROW_EVENT_BYTES 64u /* what an event row costs beside its payload */
#define ROW_EVENTS_MAX 4096u

/* The document as it stands while folding. */
struct standing {
    struct str doc; /* absent: no task yet. In store.folds[in], or base's */
    int in;         /* index of the buffer; -1: base's bytes */
    enum a2a_version dialect;
    enum a2a_state state;
    int64_t status_at_us;
    struct str status, context; /* views into doc or arena; status absent: not looked at yet */
    bool dialect_is_new;
    size_t n_events, event_bytes;
    uint64_t tail_passes, tail_run; /* as in struct task */
};

struct folding {
    struct store *store;
    struct work *work;
    int64_t now_us;
    size_t max, max_end;         /* of a document, and of one that ends the task */
    struct standing now, before; /* before: as it was ahead of the append being folded */
    int aside; /* the buffer of what stood before it was translated; -1: none */
    struct arena arena;
};

/* An agent that is polled says again and again what cannot be folded: once aloud is enough. Where reasons lie says
 * which they are, for they are literals. Returns the level at which this one is told. */
static enum log_level complain(struct folding *f, enum log_level level, const char *why)
{
    uint64_t task = map_hash(task_key_str(&f->work->key));
    uint64_t what = task ^ ((uint64_t)(uintptr_t)why * 0x9e3779b97f4a7c15u);
    uint64_t *place = &f->store->complaints[(what >> 32) % STORE_COMPLAINTS];

    if (*place == what)
        return LOG_DEBUG;
    *place = what;
    return level;
}

static int refuse(struct pending *p, int err, const char *why)
{
    p->why = why;
    return err;
}

/* --- one event ------------------------------------------------------------------------------------ */

void fold_count_pass(const struct store_event *event, uint64_t *passes, uint64_t *run)
{
    uint64_t own = chunks_run_of(event);

    if (event->kind == A2A_EVENT_MESSAGE)
        return;
    *passes += own == 0 || own != *run;
    *run = own;
}

static void add_event(struct folding *f, const struct pending *p, const struct a2a_event *event)
{
    struct work *w = f->work;
    size_t n = f->now.n_events;

    if (n == w->n_events_room) {
        w->n_events_room = w->n_events_room ? w->n_events_room * 2 : 4;
        w->row.events = mem_resize(w->row.events, w->n_events_room, sizeof *w->row.events);
    }
    w->row.events[n] = (struct store_event){
        .seq = (w->base ? w->base->seq : 0) + n + 1,
        .kind = event->kind,
        .dialect = p->dialect,
        .payload = event->payload,
    };
    f->now.n_events++;
    f->now.event_bytes += event->payload.n;
    fold_count_pass(&w->row.events[n], &f->now.tail_passes, &f->now.tail_run);
}

/* Keeps a payload until the row is done with. Absent: the heap refuses. */
static struct str keep_made(struct work *w, struct str payload)
{
    struct made *made = bytes_take(sizeof *made + payload.n);

    if (!made)
        return STR_NONE;
    made->below = w->made;
    made->n = payload.n;
    memcpy(made->p, payload.p, payload.n);
    w->made = made;
    return str_make(made->p, made->n);
}

/* Drops what was made since `until` was the newest. */
static void drop_made(struct made **top, const struct made *until)
{
    while (*top != until) {
        struct made *made = *top;

        *top = made->below;
        mem_free(made);
    }
}

static struct buf *free_buffer(struct folding *f, int *index)
{
    int i = 0;

    while (i == f->now.in || i == f->before.in || i == f->aside)
        i++;
    BUG_ON(i >= STORE_FOLDS);
    *index = i;
    buf_clear(&f->store->folds[i]);
    return &f->store->folds[i];
}

/* The status of the document so far, which for the base nobody may have looked at yet. */
static struct str status_so_far(struct folding *f)
{
    struct a2a_task view;
    const char *why;

    if (!f->now.status.p && f->now.doc.p && !a2a_task_read(f->now.doc, &f->arena, &view, &why))
        f->now.status = view.status;
    return f->now.status;
}

/* The context of the row: tasks.context is what lists filter by and what callers are told, so there is always one. */
static struct str context_of(struct folding *f, const struct pending *p, struct str own)
{
    struct uuid made_up;
    char text[UUID_TEXT + 1];

    if (own.p && !str_is(own, f->now.context))
        return arena_str(&f->arena, own); /* the document it stands in does not live as long */
    if (f->now.context.p)
        return f->now.context;
    if (p->context.p)
        return p->context;
    made_up = id_uuid4();
    id_uuid_text(&made_up, text);
    return arena_str(&f->arena, str_make(text, UUID_TEXT));
}

/* An artifact stands one level deeper in a task than in an update, and a document that is nested too deep could not be
 * read any more. */
static bool is_too_deep(struct str update)
{
    struct buf inside;
    bool is_deep;

    buf_init(&inside, update.n + 2);
    buf_add_char(&inside, '[');
    buf_add_str(&inside, update);
    buf_add_char(&inside, ']');
    is_deep = buf_error(&inside) || json_scan(buf_str(&inside), NULL, NULL, 0, NULL);
    buf_release(&inside);
    return is_deep;
}

/* Makes the document in buffer `in` the one that stands, into which an artifact update was folded. That leaves alone all
 * that stand_on() looks for, so it need not look. */
static int stand_on_artifact(struct folding *f, struct pending *p, struct str update, int in)
{
    if (is_too_deep(update))
        return refuse(p, ERR_INVALID, "the artifact is nested too deep");
    f->now.doc = buf_str(&f->store->folds[in]);
    f->now.in = in;
    f->now.status = STR_NONE; /* it was a view into the document before */
    return 0;
}

/* Makes the folded document in buffer `in` the one that stands. */
static int stand_on(struct folding *f, struct pending *p, int in)
{
    struct str doc = buf_str(&f->store->folds[in]);
    struct a2a_task view;
    bool is_same_status;

    if (a2a_task_read(doc, &f->arena, &view, &p->why))
        return ERR_INVALID;
    if (!str_is(view.id, f->work->id)) {
        p->why = "the snapshot is of another task";
        return ERR_INVALID;
    }
    is_same_status = str_is(status_so_far(f), view.status);
    if (!is_same_status || f->now.dialect != p->dialect) {
        bool is_usable = view.status_at_us != 0 && view.status_at_us <= f->now_us;

        f->now.status_at_us = is_usable ? view.status_at_us : f->now_us;
    }
    f->now.dialect_is_new |= f->now.doc.p && f->now.dialect != p->dialect;
    f->now.doc = doc;
    f->now.in = in;
    f->now.dialect = p->dialect;
    f->now.state = view.state;
    f->now.status = view.status;
    f->now.context = context_of(f, p, view.context_id);
    return f->now.context.p ? 0 : ERR_NOMEM;
}

static bool is_terminal_document(struct folding *f, struct str doc)
{
    struct a2a_task view;
    const char *why;

    return !a2a_task_read(doc, &f->arena, &view, &why) && a2a_state_is_terminal(view.state);
}

static void spend(struct folding *f, size_t bytes)
{
    size_t *room = &f->store->fold_room;

    *room -= *room < bytes ? *room : bytes;
}

/* Folds into a free buffer. The room kept for the end is open to the agent's own last word, too. */
static int fold_bounded(struct folding *f, struct str doc, const struct a2a_event *event,
                        int *in)
{
    struct buf *out = free_buffer(f, in);
    int err;

    spend(f, doc.n + event->payload.n);
    out->max = f->max;
    err = a2a_event_fold(doc, event, out);
    if (err != ERR_LIMIT)
        return err;
    buf_clear(out);
    out->max = f->max_end;
    err = a2a_event_fold(doc, event, out);
    if (!err && !is_terminal_document(f, buf_str(out)))
        err = ERR_LIMIT;
    return err;
}

/* Ends the task because `event` would make it larger than allowed. */
static int end_task(struct folding *f, struct pending *p, const struct a2a_event *event)
{
    struct work *w = f->work;
    struct a2a_event last = {.kind = A2A_EVENT_STATUS};
    struct a2a_task view;
    struct uuid message_id = id_uuid4();
    char now[CLOCK_TEXT + 1], id_text[UUID_TEXT + 1], reason[160];
    struct buf status, doc;
    int in, err;

    buf_init(&status, LIMIT_TASK_END / 2);
    buf_init(&doc, LIMIT_TASK_END);
    clock_format(f->now_us, now);
    id_uuid_text(&message_id, id_text);
    snprintf(
        reason, sizeof reason,
        "The task outgrew the gateway's maximum of %zu bytes (TASK_MAX_BYTES); it was ended.",
        f->max_end);
    a2a_status_write_failed(&status, p->dialect, w->id, str_of(now), str_of(id_text), reason);
    if (f->now.doc.p && p->dialect == f->now.dialect) {
        last.payload = buf_error(&status) ? STR_NONE : keep_made(w, buf_str(&status));
    } else {
        last.kind = A2A_EVENT_TASK;
        err = a2a_task_read(event->payload, &f->arena, &view, &p->why);
        if (err)
            goto out;
        a2a_task_write_failed(&doc, p->dialect, &view, buf_str(&status));
        if (!buf_error(&doc) && !buf_error(&status))
            last.payload = keep_made(w, buf_str(&doc));
    }
    err = ERR_NOMEM;
    if (!last.payload.p)
        goto out;
    free_buffer(f, &in)->max = f->max_end;
    err = a2a_event_fold(last.kind == A2A_EVENT_TASK ? STR_NONE : f->now.doc, &last,
                         &f->store->folds[in]);
    if (err == 0)
        err = stand_on(f, p, in);
    if (err == 0) {
        add_event(f, p, &last);
        log_event(LOG_WARN, "task ended: its document outgrew the maximum",
                  LOG_STR("agent", w->agent), LOG_STR("task", w->id),
                  LOG_U64("max_bytes", f->max_end));
    }
out:
    buf_release(&doc);
    buf_release(&status);
    if (err == 0) {
        p->answer.err = ERR_LIMIT; /* what the append is told; what is written stays */
        p->why = "the task outgrew the maximum and was ended";
    }
    return err < 0 ? err : 0;
}

/* Says the document so far in the append's dialect. False: it cannot be said, and stands as it was. */
static bool translate(struct folding *f, const struct pending *p)
{
    struct a2a_translation t = {
        .what = A2A_OBJECT_TASK, .from = f->now.dialect, .to = p->dialect};
    const char *why = "it is larger in the other version than the gateway's maximum";
    struct buf *out;
    int in;

    out = free_buffer(f, &in);
    out->max = f->max;
    if (a2a_translate(out, &t, f->now.doc, &why) || buf_error(out)) {
        enum log_level level = complain(f, LOG_WARN, why);

        log_event(level, "agent changed its A2A version, the task cannot follow",
                  LOG_STR("agent", f->work->agent), LOG_STR("task", f->work->id),
                  LOG_Z("why", why));
        return false;
    }
    f->aside = f->now.in;
    f->now.doc = buf_str(out);
    f->now.in = in;
    f->now.dialect = p->dialect;
    f->now.status = STR_NONE;
    f->now.dialect_is_new = true;
    return true;
}

/* An event that changes the document; with is_replaced it is a snapshot, and what stood does not count. */
static int fold_change(struct folding *f, struct pending *p, const struct a2a_event *event,
                       bool is_replaced)
{
    int in, err = fold_bounded(f, is_replaced ? STR_NONE : f->now.doc, event, &in);

    if (err == 0) {
        err = event->kind == A2A_EVENT_ARTIFACT_UPDATE
                  ? stand_on_artifact(f, p, event->payload, in)
                  : stand_on(f, p, in);
        if (err == 0)
            add_event(f, p, event);
        return err;
    }
    if (err == ERR_LIMIT)
        return end_task(f, p, event);
    if (err == ERR_FINAL)
        return refuse(p, err, "the task is already in a terminal state");
    if (err < 0)
        refuse(p, err, err == ERR_NOMEM ? "out of memory" : "the event does not fit the task");
    return err;
}

/* The last chunk may bring nothing; readers wait for it all the same. */
static bool is_last_chunk(const struct a2a_event *event)
{
    return event->kind == A2A_EVENT_ARTIFACT_UPDATE &&
           json_type(json_get(event->payload, "append")) == JSON_TRUE &&
           json_type(json_get(event->payload, "lastChunk")) == JSON_TRUE;
}

struct telling {
    struct folding *f;
    struct pending *p;
    struct str last; /* an update that is the append's own: it need not be copied */
};

static int on_difference(void *arg, const struct a2a_event *event)
{
    struct telling *t = arg;
    struct a2a_event kept = *event;

    if (event->payload.p != t->last.p)
        kept.payload = keep_made(t->f->work, event->payload);
    if (!kept.payload.p)
        return ERR_NOMEM;
    add_event(t->f, t->p, &kept);
    return 0;
}

/* A snapshot of a task that is there. `last`: the status update behind it, if that says the same state. The document is
 * folded once, with the snapshot; folding the events of the difference one after the other leads to the same, but a
 * snapshot may bring ten thousand artifacts. */
static int fold_difference(struct folding *f, struct pending *p,
                           const struct a2a_event *snapshot, struct str last)
{
    struct telling t = {f, p, last};
    struct standing start = f->now;
    struct made *made = f->work->made;
    int in, err = fold_bounded(f, f->now.doc, snapshot, &in);

    if (err == ERR_LIMIT)
        return end_task(f, p, snapshot);
    if (err)
        return err == 1 ? 1 : refuse(p, err, "the snapshot does not fit the task");
    spend(f, f->now.doc.n + snapshot->payload.n);
    err = a2a_difference(f->now.doc, snapshot->payload, last, on_difference, &t, &p->why);
    if (!err && f->now.n_events == start.n_events)
        return 1;
    if (!err)
        err = stand_on(f, p, in);
    if (!err)
        return 0;
    f->now = start;
    drop_made(&f->work->made, made);
    return p->why ? err : refuse(p, err, err_text(err));
}

/* Folds one event, or two: a snapshot with the status update behind it (`last`, or absent). */
static int fold_event(struct folding *f, struct pending *p, const struct a2a_event *event,
                      struct str last)
{
    bool is_final = f->now.doc.p && a2a_state_is_terminal(f->now.state);
    bool is_other_dialect = f->now.doc.p && p->dialect != f->now.dialect;
    struct standing as_it_was = f->now;
    int err;

    if (event->kind == A2A_EVENT_MESSAGE) {
        if (is_final)
            return refuse(p, ERR_FINAL, "the task is already in a terminal state");
        add_event(f, p, event);
        return 0;
    }
    if (event->kind == A2A_EVENT_SYNC)
        return refuse(p, ERR_INVALID, "only the gateway itself makes such an event");
    if (event->kind != A2A_EVENT_TASK && !f->now.doc.p)
        return refuse(p, ERR_INVALID, "the first event of a task must be a snapshot");
    if (is_other_dialect && translate(f, p))
        is_other_dialect = false;
    if (is_other_dialect && is_final)
        return refuse(p, ERR_FINAL, "the task is already in a terminal state");
    if (is_other_dialect && event->kind != A2A_EVENT_TASK)
        return refuse(p, ERR_INVALID,
                      "the agent changed its A2A version; only a whole task can follow");
    if (event->kind == A2A_EVENT_TASK && f->now.doc.p && !is_final && !is_other_dialect)
        err = fold_difference(f, p, event, last);
    else
        err = fold_change(f, p, event, is_other_dialect);
    if (err == 1) { /* nothing new: nor is the dialect */
        f->now = as_it_was;
        if (!is_final && p->dialect == f->now.dialect && is_last_chunk(event))
            add_event(f, p, event);
        err = 0;
    }
    f->aside = -1;
    return err;
}

/* --- one append ----------------------------------------------------------------------------------- */

/* Whether the first event, a snapshot, says all that the status update behind it does; *last is then that update if it
 * may be told in place of the snapshot's status. A snapshot that ends the task was asked for after the update had been
 * heard: what that said is past. */
static bool is_said_by(const struct a2a_event *snapshot, const struct a2a_event *update,
                       struct str *last)
{
    enum a2a_state state, updated;

    if (snapshot->kind != A2A_EVENT_TASK || update->kind != A2A_EVENT_STATUS_UPDATE ||
        a2a_event_state(snapshot->kind, snapshot->payload, &state) ||
        a2a_event_state(update->kind, update->payload, &updated))
        return false;
    if (state == updated)
        *last = update->payload;
    return state == updated || a2a_state_is_terminal(state);
}

static int fold_events(struct folding *f, struct pending *p)
{
    int err = 0;

    for (size_t i = 0; i < p->n_events && !err && !p->answer.err; i++) {
        struct str last = STR_NONE;
        bool are_one =
            i + 1 < p->n_events && is_said_by(&p->events[i], &p->events[i + 1], &last);

        err = fold_event(f, p, &p->events[i], last);
        i += are_one;
    }
    return err;
}

static void fold_append(struct folding *f, struct pending *p)
{
    struct made *made = f->work->made;
    int err;

    p->answer.err = 0;
    p->why = NULL;
    f->before = f->now;
    err = fold_events(f, p);
    if (!err && !f->now.doc.p)
        err = refuse(p, ERR_INVALID, "a task cannot begin with a message alone");
    if (err) {
        const char *why = p->why ? p->why : err_text(err);
        enum log_level level = complain(f, err == ERR_FINAL ? LOG_INFO : LOG_WARN, why);

        f->now = f->before;
        f->aside = -1;
        drop_made(&f->work->made, made);
        p->answer.err = err;
        log_event(level, "event refused", LOG_STR("agent", f->work->agent),
                  LOG_STR("task", f->work->id), LOG_Z("why", why));
    }
    f->before.in = -1;
}

static struct pending *first_queued(struct work *w)
{
    struct list *first = list_first(&w->queue);

    return first ? CONTAINER_OF(first, struct pending, answer.link) : NULL;
}

static void take_up(struct work *w, struct pending *p)
{
    list_remove(&p->answer.link);
    list_append(&w->row.appends, &p->answer.link);
    w->queue_bytes -= p->bytes;
}

/* Whether the row takes `n` more events that came in `bytes` of appends. */
static bool has_room(const struct folding *f, size_t n, size_t bytes)
{
    return f->now.event_bytes == 0 || (f->now.event_bytes + bytes <= LIMIT_BATCH_BYTES / 2 &&
                                       f->now.n_events + n <= ROW_EVENTS_MAX);
}

/* Adds the appends in front of the queue to the run, as long as they are of it. */
static void gather_chunks(const struct folding *f, struct chunks *c, enum a2a_version dialect)
{
    size_t bytes = 0;

    LIST_EACH (it, &f->work->queue) {
        struct pending *p = CONTAINER_OF(it, struct pending, answer.link);

        bytes += p->bytes;
        if (p->n_events != 1 || p->events[0].kind != A2A_EVENT_ARTIFACT_UPDATE ||
            p->dialect != dialect || !has_room(f, c->n + 1, bytes) ||
            !chunks_add(c, p->events[0].payload))
            return;
    }
}

/* The appends behind `p`, which was folded, that are further chunks of the same artifact: all in one pass. What cannot be
 * done so is left in the queue, and done one by one. */
static void fold_chunks(struct folding *f, const struct pending *p)
{
    struct work *w = f->work;
    struct a2a_event all = {.kind = A2A_EVENT_ARTIFACT_UPDATE};
    struct chunks c;
    int in;

    if (list_is_empty(&w->queue) || p->answer.err || p->n_events != 1 ||
        p->events[0].kind != all.kind || p->dialect != f->now.dialect ||
        !chunks_begin(&c, p->events[0].payload, LIMIT_BATCH_BYTES))
        return;
    gather_chunks(f, &c, p->dialect);
    if (c.n > 1)
        all.payload = chunks_end(&c);
    if (all.payload.p && fold_bounded(f, f->now.doc, &all, &in) == 0 &&
        stand_on_artifact(f, first_queued(w), all.payload, in) == 0)
        for (size_t i = 0; i < c.n; i++) {
            struct pending *next = first_queued(w);

            take_up(w, next);
            next->answer.err = 0;
            next->why = NULL;
            add_event(f, next, &next->events[0]);
        }
    chunks_release(&c);
}

static void fold_appends(struct folding *f)
{
    struct work *w = f->work;
    struct pending *p;

    while ((p = first_queued(w)) && has_room(f, 0, p->bytes)) {
        if (f->store->fold_room == 0 && !list_is_empty(&w->row.appends))
            break;
        take_up(w, p);
        fold_append(f, p);
        if (w->n_alone)
            break;
        fold_chunks(f, p);
    }
}

/* --- the row -------------------------------------------------------------------------------------- */

/* A document is written when it is new, when it will not change any more, when its dialect has changed, and when the
 * events behind it have become more than it or TAIL_MIN. So all documents of a stream together are at most as long as
 * its events, and a few times TAIL_MIN. Events that cannot be folded together (chunks.c) must not become so many that
 * whoever loads the task does nothing else for long.
 * People with SQL like to see a new state with its words, so that counts, too, if it is cheap: an agent that goes to and
 * fro between two states makes us write DOC_SMALL each time, or nine times what it says. A new status of the same state
 * does not count, for some agents stream their very text that way. */
static bool doc_is_due(const struct folding *f)
{
    const struct task *base = f->work->base;
    size_t limit = f->now.doc.n > TAIL_MIN ? f->now.doc.n : TAIL_MIN, tail;

    if (!base || f->now.dialect_is_new || a2a_state_is_terminal(f->now.state))
        return true;
    tail = base->tail_bytes + f->now.event_bytes;
    if (f->now.state != base->state && (f->now.doc.n <= DOC_SMALL || tail >= f->now.doc.n / 8))
        return true;
    return tail > limit || f->now.tail_passes * f->now.doc.n > PASSES_MAX;
}

/* The last of those with one id counts. */
static struct store_push_config *place_of(struct row *row, struct str id)
{
    for (size_t i = 0; i < row->n_pushes; i++)
        if (str_is(row->pushes[i].id, id))
            return &row->pushes[i];
    row->pushes = mem_resize(row->pushes, row->n_pushes + 1, sizeof *row->pushes);
    return &row->pushes[row->n_pushes++];
}

/* The webhooks that came with appends of this row; rare. */
static void gather_pushes(struct row *row)
{
    LIST_EACH (it, &row->appends) {
        const struct pending *p = CONTAINER_OF(it, struct pending, answer.link);

        if (!p->has_push || p->answer.err)
            continue;
        *place_of(row, p->push.id) = p->push;
        row->bytes += p->push.doc.n + p->push.secret.n + ROW_EVENT_BYTES;
    }
}

static bool complete_row(struct folding *f)
{
    struct work *w = f->work;
    struct row *row = &w->row;
    const struct task *base = w->base;
    struct task like = {.dialect = f->now.dialect,
                        .state = f->now.state,
                        .owner = f->store->boot,
                        .status_at_us = f->now.status_at_us,
                        .agent = w->agent,
                        .id = w->id,
                        .context = f->now.context,
                        .doc = f->now.doc};

    row->is_new = !base;
    row->doc_is_due = doc_is_due(f);
    row->n_events = f->now.n_events;
    like.key = base ? base->key : id_uuid7(f->now_us / 1000);
    like.seq = (base ? base->seq : 0) + row->n_events;
    like.doc_seq = row->doc_is_due ? like.seq : base->doc_seq;
    if (!row->doc_is_due) {
        like.tail_bytes = base->tail_bytes + f->now.event_bytes;
        like.tail_passes = f->now.tail_passes;
        like.tail_run = f->now.tail_run;
    }
    row->seq_before = base ? base->seq : 0;
    row->owner_before = base ? base->owner : (struct uuid){0};
    row->after = task_new(&like);
    if (!row->after)
        return false;
    row->n_bytes = (row->doc_is_due ? like.doc.n : 0) + f->now.event_bytes;
    row->bytes = like.agent.n + like.id.n + like.context.n + row->n_bytes +
                 row->n_events * ROW_EVENT_BYTES + ROW_EVENT_BYTES;
    gather_pushes(row);
    return true;
}

static void begin(struct folding *f, struct store *s, struct work *w, int64_t now_us)
{
    const struct task *base = w->base;

    f->store = s;
    f->work = w;
    f->now_us = now_us;
    f->max_end = s->task_max_bytes;
    if (base && base->doc.n + LIMIT_TASK_END > f->max_end) /* stored under a larger maximum */
        f->max_end = base->doc.n + LIMIT_TASK_END;
    f->max = f->max_end > 2 * LIMIT_TASK_END ? f->max_end - LIMIT_TASK_END : f->max_end / 2;
    f->now = (struct standing){.in = -1};
    f->before = f->now;
    f->aside = -1;
    if (base) {
        f->now.doc = base->doc;
        f->now.dialect = base->dialect;
        f->now.state = base->state;
        f->now.status_at_us = base->status_at_us;
        f->now.context = base->context;
        f->now.tail_passes = base->tail_passes;
        f->now.tail_run = base->tail_run;
    }
    arena_init(&f->arena, FOLD_ARENA);
    list_init(&w->row.appends);
}

bool fold_work(struct store *s, struct work *w, int64_t now_us)
{
    struct folding f;
    bool has_row = false;

    begin(&f, s, w, now_us);
    fold_appends(&f);
    if (f.now.n_events > 0) {
        has_row = complete_row(&f);
        if (!has_row)
            LIST_EACH (it, &w->row.appends) {
                struct pending *p = CONTAINER_OF(it, struct pending, answer.link);

                p->answer.err = refuse(p, ERR_NOMEM, "out of memory");
            }
    }
    for (int i = 0; i < STORE_FOLDS; i++)
        buf_shrink(&s->folds[i], STORE_FOLD_KEEP);
    arena_release(&f.arena);
    return has_row;
}

void fold_clear(struct work *w)
{
    BUG_ON(!list_is_empty(&w->row.appends));
    task_unref(w->row.after);
    drop_made(&w->made, NULL);
    mem_free(w->row.events);
    mem_free(w->row.pushes);
    w->n_events_room = 0;
    w->row = (struct row){0};
    list_init(&w->row.link);
    list_init(&w->row.appends);
}

struct news fold_take_news(struct work *w)
{
    struct news news = {w->row.events, w->row.n_events, w->made};

    w->row.events = NULL;
    w->row.n_events = 0;
    w->made = NULL;
    return news;
}

void fold_free_news(struct news *news)
{
    drop_made(&news->made, NULL);
    mem_free(news->events);
    *news = (struct news){0};
}
