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
 *  - A document above the maximum (less the room kept for its end) is not written. The gateway ends the task
 *    instead: the append is told ERR_LIMIT, what was written is the event that says so.
 *  - Within one dialect bytes are kept. When an agent comes back in the other one, the document is translated
 *    and the event folded onto that; from then on the task is kept in the new dialect. A document that cannot be
 *    translated can only be replaced, by a snapshot.
 *  - A task's context is that of its document; where that has none, the one it had, or the append's, or one made
 *    up. It stands in the row only: the document is the agent's.
 *
 * Four buffers take turns: one holds the document before the append, one the document so far, one what that is in
 * another dialect, one is free.
 */
#include "a2a/a2a.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "store/parts.h"

#define TAIL_MIN KB(64)     /* a document is rewritten when its events exceed this or itself */
#define FOLD_KEEP KB(64)    /* room kept between rows */
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
    bool status_is_new, dialect_is_new;
    size_t n_events, event_bytes;
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

/* --- one event ------------------------------------------------------------------------------------ */

static void add_event(struct folding *f, enum a2a_event_kind kind, struct str payload)
{
    struct work *w = f->work;
    size_t n = f->now.n_events;

    if (n == w->n_events_room) {
        w->n_events_room = w->n_events_room ? w->n_events_room * 2 : 4;
        w->row.events = mem_resize(w->row.events, w->n_events_room, sizeof *w->row.events);
    }
    w->row.events[n] = (struct row_event){
        .seq = (w->base ? w->base->seq : 0) + n + 1,
        .kind = kind,
        .payload = payload,
    };
    f->now.n_events++;
    f->now.event_bytes += payload.n;
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

    if (own.p)
        return own;
    if (f->now.context.p)
        return f->now.context;
    if (p->context.p)
        return p->context;
    made_up = id_uuid4();
    id_uuid_text(&made_up, text);
    return arena_str(&f->arena, str_make(text, UUID_TEXT));
}

/* Makes the folded document in buffer `in` the one that stands. */
static int stand_on(struct folding *f, struct pending *p, const struct a2a_event *event, int in)
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

        f->now.status_is_new = true;
        f->now.status_at_us = is_usable ? view.status_at_us : f->now_us;
    }
    f->now.dialect_is_new |= f->now.doc.p && f->now.dialect != p->dialect;
    f->now.doc = doc;
    f->now.in = in;
    f->now.dialect = p->dialect;
    f->now.state = view.state;
    f->now.status = view.status;
    f->now.context = context_of(f, p, view.context_id);
    if (!f->now.context.p)
        return ERR_NOMEM;
    add_event(f, event->kind, event->payload);
    return 0;
}

static bool is_terminal_document(struct folding *f, struct str doc)
{
    struct a2a_task view;
    const char *why;

    return !a2a_task_read(doc, &f->arena, &view, &why) && a2a_state_is_terminal(view.state);
}

/* Folds into a free buffer. The room kept for the end is open to the agent's own last word, too. */
static int fold_bounded(struct folding *f, struct str doc, const struct a2a_event *event,
                        int *in)
{
    struct buf *out = free_buffer(f, in);
    int err;

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

    blob_unref(w->made);
    w->made = NULL;
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
        w->made = buf_error(&status) ? NULL : blob_new(buf_str(&status));
    } else {
        last.kind = A2A_EVENT_TASK;
        err = a2a_task_read(event->payload, &f->arena, &view, &p->why);
        if (err)
            goto out;
        a2a_task_write_failed(&doc, p->dialect, &view, buf_str(&status));
        w->made = buf_error(&doc) || buf_error(&status) ? NULL : blob_new(buf_str(&doc));
    }
    err = ERR_NOMEM;
    if (!w->made)
        goto out;
    last.payload = blob_str(w->made);
    free_buffer(f, &in)->max = f->max_end;
    err = a2a_event_fold(last.kind == A2A_EVENT_TASK ? STR_NONE : f->now.doc, &last,
                         &f->store->folds[in]);
    if (err == 0)
        err = stand_on(f, p, &last, in);
    if (err == 0)
        log_event(LOG_WARN, "task ended: its document outgrew the maximum",
                  LOG_STR("agent", w->agent), LOG_STR("task", w->id),
                  LOG_U64("max_bytes", f->max_end));
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

static int refuse(struct pending *p, int err, const char *why)
{
    p->why = why;
    return err;
}

/* An event that changes the document; with is_replaced it is a snapshot, and what stood does not count. */
static int fold_change(struct folding *f, struct pending *p, const struct a2a_event *event,
                       bool is_replaced)
{
    int in, err = fold_bounded(f, is_replaced ? STR_NONE : f->now.doc, event, &in);

    if (err == 0)
        return stand_on(f, p, event, in);
    if (err == ERR_LIMIT)
        return end_task(f, p, event);
    if (err == ERR_FINAL)
        return refuse(p, err, "the task is already in a terminal state");
    if (err < 0)
        refuse(p, err, err == ERR_NOMEM ? "out of memory" : "the event does not fit the task");
    return err;
}

static int fold_event(struct folding *f, struct pending *p, const struct a2a_event *event)
{
    bool is_final = f->now.doc.p && a2a_state_is_terminal(f->now.state);
    bool is_other_dialect = f->now.doc.p && p->dialect != f->now.dialect;
    struct standing as_it_was = f->now;
    int err;

    if (event->kind == A2A_EVENT_MESSAGE) {
        if (is_final)
            return refuse(p, ERR_FINAL, "the task is already in a terminal state");
        add_event(f, event->kind, event->payload);
        return 0;
    }
    if (event->kind != A2A_EVENT_TASK && !f->now.doc.p)
        return refuse(p, ERR_INVALID, "the first event of a task must be a snapshot");
    if (is_other_dialect && translate(f, p))
        is_other_dialect = false;
    if (is_other_dialect && is_final)
        return refuse(p, ERR_FINAL, "the task is already in a terminal state");
    if (is_other_dialect && event->kind != A2A_EVENT_TASK)
        return refuse(p, ERR_INVALID,
                      "the agent changed its A2A version; only a whole task can follow");
    err = fold_change(f, p, event, is_other_dialect);
    if (err == 1) { /* nothing new: nor is the dialect */
        f->now = as_it_was;
        err = 0;
    }
    f->aside = -1;
    return err;
}

/* --- one append ----------------------------------------------------------------------------------- */

static void fold_append(struct folding *f, struct pending *p)
{
    int err = 0;

    p->answer.err = 0;
    p->why = NULL;
    f->before = f->now;
    for (size_t i = 0; i < p->n_events && !err && !p->answer.err; i++)
        err = fold_event(f, p, &p->events[i]);
    if (!err && !f->now.doc.p)
        err = refuse(p, ERR_INVALID, "a task cannot begin with a message alone");
    if (err) {
        const char *why = p->why ? p->why : err_text(err);
        enum log_level level = complain(f, err == ERR_FINAL ? LOG_INFO : LOG_WARN, why);

        f->now = f->before;
        p->answer.err = err;
        log_event(level, "event refused", LOG_STR("agent", f->work->agent),
                  LOG_STR("task", f->work->id), LOG_Z("why", why));
    }
    f->before.in = -1;
}

static void fold_appends(struct folding *f)
{
    struct work *w = f->work;
    struct list *first;

    while ((first = list_first(&w->queue))) {
        struct pending *p = CONTAINER_OF(first, struct pending, answer.link);

        if (f->now.event_bytes && (f->now.event_bytes + p->bytes > LIMIT_BATCH_BYTES / 2 ||
                                   f->now.n_events >= ROW_EVENTS_MAX))
            break;
        list_remove(first);
        list_append(&w->row.appends, first);
        w->queue_bytes -= p->bytes;
        fold_append(f, p);
        if (w->n_alone)
            break;
    }
}

/* --- the row -------------------------------------------------------------------------------------- */

static bool doc_is_due(const struct folding *f)
{
    const struct task *base = f->work->base;
    size_t limit = f->now.doc.n > TAIL_MIN ? f->now.doc.n : TAIL_MIN;

    return !base || f->now.status_is_new || f->now.dialect_is_new ||
           f->now.state != base->state || base->tail_bytes + f->now.event_bytes > limit;
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
    like.tail_bytes = row->doc_is_due ? 0 : base->tail_bytes + f->now.event_bytes;
    row->seq_before = base ? base->seq : 0;
    row->owner_before = base ? base->owner : (struct uuid){0};
    row->after = task_new(&like);
    if (!row->after)
        return false;
    row->bytes = like.agent.n + like.id.n + like.context.n +
                 (row->doc_is_due ? like.doc.n : 0) + f->now.event_bytes +
                 row->n_events * ROW_EVENT_BYTES + ROW_EVENT_BYTES;
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
        buf_shrink(&s->folds[i], FOLD_KEEP);
    arena_release(&f.arena);
    return has_row;
}

void fold_clear(struct work *w)
{
    BUG_ON(!list_is_empty(&w->row.appends));
    task_unref(w->row.after);
    blob_unref(w->made);
    mem_free(w->row.events);
    w->made = NULL;
    w->n_events_room = 0;
    w->row = (struct row){0};
    list_init(&w->row.link);
    list_init(&w->row.appends);
}

/* --- what a backend has found --------------------------------------------------------------------- */

static bool is_json(struct str text)
{
    return json_scan(text, NULL, NULL, 0, NULL) == 0;
}

int fold_load(struct store *s, const struct load *l, struct task **out)
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
    int turn = 0, err = is_whole && is_json(l->doc) ? 0 : ERR_INVALID;
    struct task *t;

    /* The database is ours, but people have SQL: what does not parse must not reach code that trusts it. */
    for (size_t i = 0; i < l->n_tail && !err; i++) {
        struct a2a_event event = {l->tail[i].kind, l->tail[i].payload};
        struct buf *next = &s->folds[turn];

        like.tail_bytes += event.payload.n;
        if (event.kind == A2A_EVENT_MESSAGE)
            continue;
        buf_clear(next);
        /* Also what an older, larger maximum let in. */
        next->max = like.doc.n + event.payload.n + KB(4);
        err = is_json(event.payload) ? a2a_event_fold(like.doc, &event, next) : ERR_INVALID;
        if (err == 0) {
            like.doc = buf_str(next);
            turn = !turn;
        }
        err = err < 0 ? err : 0;
    }
    t = err ? NULL : task_new(&like);
    for (int i = 0; i < STORE_FOLDS; i++)
        buf_shrink(&s->folds[i], FOLD_KEEP);
    if (err)
        return err == ERR_NOMEM ? err : ERR_INVALID;
    if (!t)
        return ERR_NOMEM;
    *out = t;
    return 0;
}
