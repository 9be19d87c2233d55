/* SPDX-License-Identifier: MIT
 *
 * Lanes: a batch becomes one durable transaction, or it is found out which of its rows cannot.
 *
 *                 clean Sync, all rows back (or whose doing it was is clear)
 *     EMPTY <---------------------------------------------------------+---------+-----------+
 *       | commit                                                      |         |           |
 *       v         ready                     error of a row            |         |  second   |
 *     HELD ---------------------> BATCH ---------------------> SINGLES ---------+---------> EACH
 *       ^  \--outcome unknown--> FENCE --no ghost--> (BATCH)      |             bad row     |
 *       |                                                         +---> CHECK <-------------+
 *       +---- connection lost, or an error that is no row's fault (backoff) ----------------+
 *
 * The normal way is two statements at most, one for new rows and one for known ones, over unnest() of
 * arrays; documents and events hang on the rows whose guard held (equality of seq and owner, not
 * terminal). Only keys of such rows come back. Nothing is believed before the Sync: a statement that
 * succeeded in a transaction that did not commit has succeeded at nothing.
 *
 * An error names no row of an array. So the batch is sent again row by row with one Sync; the index of the
 * failing statement is the row's. With a second bad row every row gets a Sync of its own: slow, bounded,
 * rare.
 *
 * A lost connection leaves the outcome unknown in three ways: it committed, it did not, or its server
 * process is still at it. FENCE ends the third: the ghost is terminated and waited for. Then the same rows
 * go out under the same (writer, wseq). One whose guard now fails is ours exactly if its event carries
 * them: CHECK asks.
 *
 * The hint that wakes other nodes is a transaction of its own behind the batch's: NOTIFY inside would hold
 * a lock of the whole server across the fsync. Nobody waits for it, and a node without company does not
 * send it.
 */
#include "lib/crash.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "store/postgres_int.h"

#define RETRY_FIRST_MS 100u
#define RETRY_MAX_MS 5000u
#define FENCE_AGAIN_MS 50u
#define ANSWER_MS 60000u
#define EACH_WINDOW 64u /* Syncs under way at once in LANE_EACH */
/* After so many refusals in a row the store is said to be down; fewer are a deadlock that was resolved. */
#define RETRIES_TOLD 3u

/* The core bounds a batch, but not below one row: a document and the events it was made of. A message of the
 * protocol ends at 1 GB. */
#define ROW_MAX MB(512)
#define VALUES_MAX MB(768)

enum lane_tag {
    TAG_FENCE,
    TAG_BATCH,
    TAG_SINGLES,
    TAG_CHECK,
    TAG_HINT,
    TAG_EACH /* + index of the slot */
};

/* The subselects in "IS TRUE" keep the planner from making joins of them: a hashed subplan is right for
 * one row and for 256, and needs no statistics. */
#define PASSED(key) "(" key " IN (SELECT t.key FROM t)) IS TRUE"

#define EVENTS                                                                                 \
    "e AS (INSERT INTO task_events (key, seq, wseq, kind, dialect, payload, writer, at) "      \
    "SELECT e.*, $19::int4, $20::timestamptz FROM unnest($13::uuid[], $14::int8[], "           \
    "$15::int8[], $16::int2[], $17::int2[], $18::text[]) "                                     \
    "AS e(key, seq, wseq, kind, dialect, payload) "                                            \
    "WHERE " PASSED("e.key") ") SELECT t.key FROM t"

#define DOCS "unnest($10::uuid[], $11::int8[], $12::text[]) AS i(key, seq, doc)"

static const struct pg_statement statements[] = {
    {"insert",
     "WITH t AS (INSERT INTO tasks (key, agent, task_id, context, dialect, state, seq, status_at, owner) "
     "SELECT i.*, $9::uuid FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::int2[], "
     "$6::int2[], $7::int8[], $8::timestamptz[]) "
     "AS i(key, agent, task_id, context, dialect, state, seq, status_at) "
     "ON CONFLICT (agent, task_id) DO NOTHING RETURNING key), "
     "d AS (INSERT INTO task_docs (key, seq, doc) SELECT i.key, i.seq, i.doc FROM " DOCS
     " WHERE " PASSED("i.key") "), " EVENTS},
    {"update",
     "WITH t AS (UPDATE tasks AS t SET context = i.context, dialect = i.dialect, state = i.state, "
     "seq = i.seq, status_at = i.status_at, owner = $9::uuid FROM unnest($1::uuid[], $2::int8[], "
     "$3::uuid[], $4::text[], $5::int2[], $6::int2[], $7::int8[], $8::timestamptz[]) "
     "AS i(key, seq_before, owner_before, context, dialect, state, seq, status_at) "
     "WHERE t.key = i.key AND t.seq = i.seq_before AND t.owner = i.owner_before "
     "AND t.state NOT IN (3, 4, 5, 7) RETURNING t.key), "
     "d AS (UPDATE task_docs AS d SET seq = i.seq, doc = i.doc FROM " DOCS
     " WHERE d.key = i.key AND " PASSED("i.key") "), " EVENTS},
    {"check",
     "SELECT e.key FROM unnest($1::uuid[], $2::int8[], $3::int8[]) AS q(key, seq, wseq) "
     "JOIN task_events AS e ON e.key = q.key AND e.seq = q.seq AND e.wseq = q.wseq "
     "WHERE e.writer = $4::int4"},
    {"fence", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1::int4 "
              "AND (extract(epoch FROM backend_start) * 1000000)::int8::text = $2::text"},
    {"hint", "SELECT pg_notify($1::text, $2::text)"},
    {"wake", pg_push_wake_sql},
    {"push", pg_push_insert_sql},
};

/* The good plan is known and does not depend on how large the tables are: every row by its index. Left
 * alone, the planner looks at young tables without statistics and keeps plans that read them whole. */
#define SETTINGS                                                                                \
    ", set_config('plan_cache_mode', 'force_generic_plan', false)"                              \
    ", set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false)" \
    ", set_config('enable_mergejoin', 'off', false)"

static void finish(struct pg_lane *lane);

/* --- rows as arrays ----------------------------------------------------------------------- */

/* Rows of one kind that go into one statement. */
struct rows {
    struct row **at; /* lane->picked */
    size_t n;
    bool are_new;
};

static struct rows pick_rows(struct pg_lane *lane, size_t from, size_t to, bool are_new)
{
    struct rows rows = {lane->picked, 0, are_new};

    for (size_t i = from; i < to; i++)
        if (lane->slots[i].place == SLOT_OPEN && lane->slots[i].row->is_new == are_new)
            rows.at[rows.n++] = lane->slots[i].row;
    return rows;
}

/* All that are open. */
static struct rows pick_open(struct pg_lane *lane, size_t from, size_t to)
{
    struct rows rows = {lane->picked, 0, false};

    for (size_t i = from; i < to; i++)
        if (lane->slots[i].place == SLOT_OPEN)
            rows.at[rows.n++] = lane->slots[i].row;
    return rows;
}

/* One array: `add` is evaluated for each `row`, or for each `event` of each `row`. */
#define ROW_COLUMN(v, type, rows, add)                                                         \
    do {                                                                                       \
        pg_add_array((v), (type), (rows)->n);                                                  \
        for (size_t i_ = 0; i_ < (rows)->n; i_++) {                                            \
            const struct row *row = (rows)->at[i_];                                            \
            add;                                                                               \
        }                                                                                      \
    } while (0)

#define EVENT_COLUMN(v, type, rows, n_all, add)                                                \
    do {                                                                                       \
        pg_add_array((v), (type), (n_all));                                                    \
        for (size_t i_ = 0; i_ < (rows)->n; i_++) {                                            \
            const struct row *row = (rows)->at[i_];                                            \
            for (size_t e_ = 0; e_ < row->n_events; e_++) {                                    \
                const struct store_event *event = &row->events[e_];                            \
                add;                                                                           \
            }                                                                                  \
        }                                                                                      \
    } while (0)

static bool has_doc(const struct row *row)
{
    return row->is_new || row->doc_is_due;
}

/* $1 to $9 */
static void add_tasks(struct pg_values *v, const struct rows *rows, const struct uuid *owner)
{
    ROW_COLUMN(v, PG_UUID, rows, pg_element_uuid(v, &row->after->key));
    if (rows->are_new) {
        ROW_COLUMN(v, PG_TEXT, rows, pg_element_text(v, row->after->agent));
        ROW_COLUMN(v, PG_TEXT, rows, pg_element_text(v, row->after->id));
    } else {
        ROW_COLUMN(v, PG_INT8, rows, pg_element_int8(v, row->seq_before));
        ROW_COLUMN(v, PG_UUID, rows, pg_element_uuid(v, &row->owner_before));
    }
    ROW_COLUMN(v, PG_TEXT, rows, pg_element_text(v, row->after->context));
    ROW_COLUMN(v, PG_INT2, rows, pg_element_int2(v, (int)row->after->dialect));
    ROW_COLUMN(v, PG_INT2, rows, pg_element_int2(v, (int)row->after->state));
    ROW_COLUMN(v, PG_INT8, rows, pg_element_int8(v, row->after->seq));
    ROW_COLUMN(v, PG_TIME, rows, pg_element_time(v, row->after->status_at_us));
    pg_add_uuid(v, owner);
}

/* $10 to $12: only the documents that are due */
static void add_docs(struct pg_values *v, const struct rows *all, struct row **room)
{
    struct rows due = {room, 0, all->are_new};

    for (size_t i = 0; i < all->n; i++)
        if (has_doc(all->at[i]))
            due.at[due.n++] = all->at[i];
    ROW_COLUMN(v, PG_UUID, &due, pg_element_uuid(v, &row->after->key));
    ROW_COLUMN(v, PG_INT8, &due, pg_element_int8(v, row->after->seq));
    ROW_COLUMN(v, PG_TEXT, &due, pg_element_text(v, row->after->doc));
}

/* $13 to $18 */
static void add_events(struct pg_values *v, const struct rows *rows)
{
    size_t n = 0;

    for (size_t i = 0; i < rows->n; i++)
        n += rows->at[i]->n_events;
    EVENT_COLUMN(v, PG_UUID, rows, n, (void)event; pg_element_uuid(v, &row->after->key));
    EVENT_COLUMN(v, PG_INT8, rows, n, pg_element_int8(v, event->seq));
    EVENT_COLUMN(v, PG_INT8, rows, n, (void)event; pg_element_int8(v, row->first_wseq + e_));
    EVENT_COLUMN(v, PG_INT2, rows, n, pg_element_int2(v, (int)event->kind));
    EVENT_COLUMN(v, PG_INT2, rows, n, pg_element_int2(v, (int)event->dialect));
    EVENT_COLUMN(v, PG_TEXT, rows, n, pg_element_text(v, event->payload));
}

/* Sends the rows as one statement; nothing if there are none. Returns 0, or what the buffer said. */
static int send_rows(struct pg_lane *lane, const struct rows *rows)
{
    struct pg_values *v = &lane->values;
    int err;

    if (rows->n == 0)
        return 0;
    pg_values_clear(v);
    add_tasks(v, rows, &lane->p->boot_id);
    add_docs(v, rows, lane->picked + lane->room);
    add_events(v, rows);
    pg_add_int4(v, lane->p->log.writers[lane->index]);
    pg_add_time(v, lane->batch->at_us);
    err = pg_values_end(v);
    if (!err)
        pg_conn_run(lane->conn, rows->are_new ? "insert" : "update", v->values, v->n);
    pg_values_clear(v);
    return err;
}

/* --- webhooks ----------------------------------------------------------------------------- */

#define PUSH_COLUMN(v, type, rows, n_all, add)                                                 \
    do {                                                                                       \
        pg_add_array((v), (type), (n_all));                                                    \
        for (size_t i_ = 0; i_ < (rows)->n; i_++) {                                            \
            const struct row *row = (rows)->at[i_];                                            \
            for (size_t k_ = 0; k_ < row->n_pushes; k_++) {                                    \
                const struct store_push_config *push = &row->pushes[k_];                       \
                (void)push;                                                                    \
                add;                                                                           \
            }                                                                                  \
        }                                                                                      \
    } while (0)

static int send_values(struct pg_lane *lane, const char *statement)
{
    struct pg_values *v = &lane->values;
    int err = pg_values_end(v);

    if (!err)
        pg_conn_run(lane->conn, statement, v->values, v->n);
    pg_values_clear(v);
    return err;
}

/* Registers the webhooks that came with these rows. */
static int send_pushes(struct pg_lane *lane, const struct rows *rows)
{
    struct pg_values *v = &lane->values;
    size_t n = 0;

    for (size_t i = 0; i < rows->n; i++)
        n += rows->at[i]->n_pushes;
    if (n == 0 || lane->drops_pushes)
        return 0;
    pg_values_clear(v);
    PUSH_COLUMN(v, PG_UUID, rows, n, pg_element_uuid(v, &row->after->key));
    PUSH_COLUMN(v, PG_INT8, rows, n, pg_element_int8(v, row->after->seq));
    PUSH_COLUMN(v, PG_INT8, rows, n, pg_element_int8(v, row->seq_before));
    PUSH_COLUMN(v, PG_TEXT, rows, n, pg_element_text(v, push->id));
    PUSH_COLUMN(v, PG_INT2, rows, n, pg_element_int2(v, (int)push->form));
    PUSH_COLUMN(v, PG_TEXT, rows, n, pg_element_text(v, push->doc));
    PUSH_COLUMN(v, PG_TEXT, rows, n, pg_element_text(v, push->secret));
    pg_add_uuid(v, &lane->p->boot_id);
    pg_add_time(v, lane->batch->at_us);
    return send_values(lane, "push");
}

/* Behind all rows of a unit: statements of their own, because only these see what was registered while the rows waited
 * for their locks (postgres_push.c). */
static int send_wake(struct pg_lane *lane, const struct rows *rows)
{
    struct pg_values *v = &lane->values;
    int err = send_pushes(lane, rows);

    if (err)
        return err;
    pg_values_clear(v);
    ROW_COLUMN(v, PG_UUID, rows, pg_element_uuid(v, &row->after->key));
    pg_add_time(v, lane->batch->at_us);
    return send_values(lane, "wake");
}

/* --- sending ------------------------------------------------------------------------------ */

static size_t count_slots(const struct pg_lane *lane, int place)
{
    size_t n = 0;

    for (size_t i = 0; i < lane->n; i++)
        n += (int)lane->slots[i].place == place;
    return n;
}

/* The same again after a pause, whose length doubles while nothing helps. */
static void hold(struct pg_lane *lane, const char *why)
{
    unsigned doublings = lane->n_retries > 6 ? 6 : lane->n_retries;
    uint64_t wait_ms = (uint64_t)RETRY_FIRST_MS << doublings;

    lane->state = LANE_HELD;
    lane->n_retries++;
    timer_start(lane->p->loop, &lane->retry, wait_ms > RETRY_MAX_MS ? RETRY_MAX_MS : wait_ms);
    if (lane->n_retries >= RETRIES_TOLD) {
        pg_target_explain(&lane->p->target, why, lane->trouble);
        postgres_judge(lane->p);
    }
    log_event(LOG_DEBUG, "batch will be sent again", LOG_U64("lane", lane->index),
              LOG_Z("why", why));
}

/* From now on an attempt of the connection's present server process may or may not have happened. */
static void note_ghost(struct pg_lane *lane)
{
    lane->outcome_unknown = true;
    lane->ghost_pid = pg_conn_backend_pid(lane->conn);
    pg_say(lane->ghost_start, sizeof lane->ghost_start, "%s",
           pg_conn_backend_start(lane->conn));
}

/* Memory for the arrays was refused: what was already sent of the unit must not become a transaction.
 * Units before it (LANE_EACH) do. */
static void hold_unsent(struct pg_lane *lane)
{
    note_ghost(lane);
    pg_conn_fail(lane->conn, "out of memory for a batch");
    hold(lane, "out of memory for a batch");
}

static void settle(struct pg_slot *slot, enum row_outcome outcome)
{
    slot->place = SLOT_SETTLED;
    slot->row->outcome = outcome;
}

static size_t row_bytes(const struct row *row)
{
    size_t n = has_doc(row) ? row->after->doc.n : 0;

    for (size_t i = 0; i < row->n_events; i++)
        n += row->events[i].payload.n;
    return n;
}

static void refuse_giants(struct pg_lane *lane)
{
    for (size_t i = 0; i < lane->n; i++) {
        struct pg_slot *slot = &lane->slots[i];

        if (slot->place == SLOT_OPEN && row_bytes(slot->row) > ROW_MAX) {
            pg_say(slot->row->why, sizeof slot->row->why,
                   "the task and its events are larger than "
                   "the database's protocol can carry");
            settle(slot, ROW_REFUSED);
        }
    }
}

static int send_kind(struct pg_lane *lane, bool are_new)
{
    struct rows rows = pick_rows(lane, 0, lane->n, are_new);

    return send_rows(lane, &rows);
}

static int wake_open(struct pg_lane *lane, size_t from, size_t to)
{
    struct rows rows = pick_open(lane, from, to);

    return rows.n ? send_wake(lane, &rows) : 0;
}

static void send_batch(struct pg_lane *lane)
{
    for (size_t i = 0; i < lane->n; i++)
        lane->slots[i].came_back = false;
    refuse_giants(lane);
    lane->state = LANE_BATCH;
    if (send_kind(lane, true) || send_kind(lane, false) || wake_open(lane, 0, lane->n)) {
        hold_unsent(lane);
        return;
    }
    pg_conn_sync(lane->conn, TAG_BATCH);
    CRASH_POINT(batch_sent);
}

static int send_one(struct pg_lane *lane, size_t i)
{
    struct rows one = pick_rows(lane, i, i + 1, lane->slots[i].row->is_new);

    lane->slots[i].came_back = false;
    return send_rows(lane, &one);
}

static void send_singles(struct pg_lane *lane)
{
    lane->state = LANE_SINGLES;
    lane->n_singles++;
    for (size_t i = 0; i < lane->n; i++)
        if (lane->slots[i].place == SLOT_OPEN && send_one(lane, i)) {
            hold_unsent(lane);
            return;
        }
    if (wake_open(lane, 0, lane->n)) {
        hold_unsent(lane);
        return;
    }
    pg_conn_sync(lane->conn, TAG_SINGLES);
}

static void send_each(struct pg_lane *lane)
{
    lane->state = LANE_EACH;
    lane->n_each_left = 0;
    lane->each_failed = false;
    for (size_t i = 0; i < lane->n && lane->n_each_left < EACH_WINDOW; i++) {
        if (lane->slots[i].place != SLOT_OPEN)
            continue;
        if (send_one(lane, i) || wake_open(lane, i, i + 1)) {
            hold_unsent(lane);
            return;
        }
        lane->n_each_left++;
        pg_conn_sync(lane->conn, TAG_EACH + (int)i);
    }
}

static void send_fence(struct pg_lane *lane)
{
    struct pg_values *v = &lane->values;

    lane->state = LANE_FENCE;
    pg_values_clear(v);
    pg_add_int4(v, lane->ghost_pid);
    pg_add_text(v, str_of(lane->ghost_start));
    BUG_ON(pg_values_end(v));
    lane->ghost_lives = false;
    pg_conn_run(lane->conn, "fence", v->values, v->n);
    pg_conn_sync(lane->conn, TAG_FENCE);
}

/* The first event of a row stands for all: they were written together or not at all. */
static void send_check(struct pg_lane *lane)
{
    struct pg_values *v = &lane->values;
    struct rows rows = {lane->picked, 0, false};

    for (size_t i = 0; i < lane->n; i++)
        if (lane->slots[i].place == SLOT_MISSING)
            rows.at[rows.n++] = lane->slots[i].row;
    lane->state = LANE_CHECK;
    pg_values_clear(v);
    ROW_COLUMN(v, PG_UUID, &rows, pg_element_uuid(v, &row->after->key));
    ROW_COLUMN(v, PG_INT8, &rows, pg_element_int8(v, row->events[0].seq));
    ROW_COLUMN(v, PG_INT8, &rows, pg_element_int8(v, row->first_wseq));
    pg_add_int4(v, lane->p->log.writers[lane->index]);
    if (pg_values_end(v)) {
        hold_unsent(lane);
        return;
    }
    pg_conn_run(lane->conn, "check", v->values, v->n);
    pg_conn_sync(lane->conn, TAG_CHECK);
}

static void send_hint(struct pg_lane *lane, const struct batch *batch)
{
    struct pg_values *v = &lane->values;
    uint64_t first = UINT64_MAX, last = 0;
    char text[64];

    LIST_EACH (it, &batch->rows) {
        const struct row *row = CONTAINER_OF(it, struct row, link);

        uint64_t row_last = row->first_wseq + row->n_events - 1;

        if (row->outcome != ROW_COMMITTED)
            continue;
        first = row->first_wseq < first ? row->first_wseq : first;
        last = row_last > last ? row_last : last;
    }
    if (last == 0 || !lane->p->log.has_company || !pg_conn_is_ready(lane->conn))
        return;
    snprintf(text, sizeof text, "%d:%llu-%llu", (int)lane->p->log.writers[lane->index],
             (unsigned long long)first, (unsigned long long)last);
    pg_values_clear(v);
    pg_add_text(v, str_of(lane->p->channel));
    pg_add_text(v, str_of(text));
    BUG_ON(pg_values_end(v));
    pg_conn_run(lane->conn, "hint", v->values, v->n);
    pg_conn_sync(lane->conn, TAG_HINT);
}

void pg_lane_resume(struct pg_lane *lane)
{
    if (lane->state != LANE_HELD || !pg_conn_is_ready(lane->conn) ||
        timer_is_on(&lane->retry) || lane->p->in_doubt)
        return;
    if (lane->ghost_pid)
        send_fence(lane);
    else
        send_batch(lane);
}

static void on_retry(struct timer *t, void *arg)
{
    (void)t;
    pg_lane_resume(arg);
}

/* --- verdicts ----------------------------------------------------------------------------- */

static void settle_bad(struct pg_slot *slot, const struct pg_error *error)
{
    if (pg_error_classify(error->sqlstate) == PG_ERROR_LOCKED) {
        settle(slot, ROW_PARKED);
        return;
    }
    pg_say(slot->row->why, sizeof slot->row->why,
           "the database refuses the task: %s (SQLSTATE %s)", error->text, error->sqlstate);
    settle(slot, ROW_REFUSED);
}

/* The transaction of this slot is durable: it came back, or its guard had failed. */
static void settle_clean(struct pg_lane *lane, struct pg_slot *slot)
{
    if (slot->came_back)
        settle(slot, ROW_COMMITTED);
    else if (lane->outcome_unknown)
        slot->place = SLOT_MISSING;
    else
        settle(slot, ROW_CONFLICT);
}

/* After each answer: what is still to be done for this batch? */
static void proceed(struct pg_lane *lane)
{
    if (count_slots(lane, SLOT_OPEN) > 0) {
        if (lane->n_singles < 2)
            send_singles(lane);
        else
            send_each(lane);
    } else if (count_slots(lane, SLOT_MISSING) > 0) {
        send_check(lane);
    } else {
        finish(lane);
    }
}

static void finish(struct pg_lane *lane)
{
    struct batch *batch = lane->batch;

    lane->n_retries = 0;
    lane->batch = NULL;
    lane->state = LANE_EMPTY;
    send_hint(lane, batch);
    if (lane->trouble[0]) {
        lane->trouble[0] = '\0';
        postgres_judge(lane->p);
    }
    store_batch_done(lane->p->base.store, batch);
}

/* An error that is no row's fault. */
static void retry_all(struct pg_lane *lane, const struct pg_error *error)
{
    if (pg_error_classify(error->sqlstate) == PG_ERROR_SHAPE) {
        pg_conn_fail(lane->conn, error->text); /* its statements are to be prepared anew */
        postgres_doubt(lane->p, error->text);
    }
    hold(lane, error->text);
}

static bool is_of_row(const struct pg_error *error)
{
    enum pg_error_class class = pg_error_classify(error->sqlstate);

    return class == PG_ERROR_ROW || class == PG_ERROR_LOCKED;
}

/* Not a row but its webhooks are refused: what should not happen must not keep the row out for ever. */
static void retry_without_pushes(struct pg_lane *lane, const struct pg_error *error)
{
    if (pg_error_classify(error->sqlstate) == PG_ERROR_ROW) {
        log_event(LOG_ERROR, "webhooks that came with messages could not be registered",
                  LOG_Z("why", error->text));
        lane->drops_pushes = true;
    }
    retry_all(lane, error);
}

static struct pg_slot *nth_open(struct pg_lane *lane, size_t n)
{
    for (size_t i = 0; i < lane->n; i++)
        if (lane->slots[i].place == SLOT_OPEN && n-- == 0)
            return &lane->slots[i];
    return NULL;
}

/* TAG_BATCH and TAG_SINGLES: one transaction for all rows that are open. */
static void on_batch_sync(struct pg_lane *lane, int tag, const struct pg_error *error)
{
    if (!error) {
        for (size_t i = 0; i < lane->n; i++)
            if (lane->slots[i].place == SLOT_OPEN)
                settle_clean(lane, &lane->slots[i]);
    } else if (!is_of_row(error)) {
        retry_all(lane, error);
        return;
    } else if (tag == TAG_SINGLES || count_slots(lane, SLOT_OPEN) == 1) {
        struct pg_slot *bad = nth_open(lane, tag == TAG_SINGLES ? error->query : 0);

        if (!bad || (tag == TAG_BATCH && error->query > 0)) {
            retry_without_pushes(lane, error);
            return;
        }
        settle_bad(bad, error);
    }
    proceed(lane);
}

static void on_each_sync(struct pg_lane *lane, size_t i, const struct pg_error *error)
{
    BUG_ON(i >= lane->n || lane->n_each_left == 0);
    lane->n_each_left--;
    if (!error)
        settle_clean(lane, &lane->slots[i]);
    else if (is_of_row(error))
        settle_bad(&lane->slots[i], error);
    else
        lane->each_failed = true;
    if (lane->n_each_left > 0)
        return;
    if (lane->each_failed)
        hold(lane, error ? error->text : "the database failed for a while");
    else
        proceed(lane);
}

static void on_check_sync(struct pg_lane *lane, const struct pg_error *error)
{
    if (error) {
        retry_all(lane, error); /* sends the batch again; those missing are still */
        return;
    }
    for (size_t i = 0; i < lane->n; i++)
        if (lane->slots[i].place == SLOT_MISSING)
            settle(&lane->slots[i], lane->slots[i].came_back ? ROW_COMMITTED : ROW_CONFLICT);
    proceed(lane);
}

static void on_fence_sync(struct pg_lane *lane, const struct pg_error *error)
{
    lane->state = LANE_HELD;
    if (error)
        log_event(LOG_WARN, "cannot tell whether the lost database connection still works",
                  LOG_Z("why", error->text));
    if (!error && lane->ghost_lives)
        timer_start(lane->p->loop, &lane->retry, FENCE_AGAIN_MS); /* terminated, not gone yet */
    else
        lane->ghost_pid = 0;
    pg_lane_resume(lane);
}

static void on_sync(void *arg, int tag, const struct pg_error *error)
{
    struct pg_lane *lane = arg;

    switch (tag) {
    case TAG_HINT:
        if (error)
            log_event(LOG_DEBUG, "hint to other nodes failed", LOG_Z("why", error->text));
        break;
    case TAG_FENCE:
        on_fence_sync(lane, error);
        break;
    case TAG_BATCH:
    case TAG_SINGLES:
        on_batch_sync(lane, tag, error);
        break;
    case TAG_CHECK:
        on_check_sync(lane, error);
        break;
    default:
        on_each_sync(lane, (size_t)(tag - TAG_EACH), error);
        break;
    }
}

static struct pg_slot *find_slot(struct pg_lane *lane, const struct uuid *key)
{
    size_t low = 0, high = lane->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = id_uuid_compare(key, &lane->slots[middle].row->after->key);

        if (order == 0)
            return &lane->slots[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static void on_result(void *arg, int tag, unsigned query, PGresult **result)
{
    struct pg_lane *lane = arg;
    const PGresult *r = *result;

    (void)query;
    if (tag == TAG_HINT)
        return;
    if (tag == TAG_FENCE) {
        lane->ghost_lives = PQntuples(r) > 0;
        return;
    }
    if (tag != TAG_CHECK && PQnfields(r) == 0) { /* a wake-up, or registrations */
        lane->batch->n_woken += (unsigned)strtoul(PQcmdTuples(*result), NULL, 10);
        return;
    }
    for (int i = 0; i < PQntuples(r); i++) {
        struct uuid key = pg_get_uuid(r, i, 0);
        struct pg_slot *slot = find_slot(lane, &key);

        BUG_ON(!slot);
        slot->came_back = true;
    }
}

/* --- the connection ----------------------------------------------------------------------- */

static void on_ready(void *arg)
{
    struct pg_lane *lane = arg;

    postgres_judge(lane->p);
    pg_lane_resume(lane);
}

static void on_down(void *arg, bool was_ready, const char *why)
{
    struct pg_lane *lane = arg;

    (void)why;
    if (was_ready && lane->state >= LANE_BATCH && lane->state <= LANE_EACH)
        note_ghost(lane);
    if (lane->state != LANE_EMPTY) {
        lane->state = LANE_HELD;
        for (size_t i = 0; i < lane->n; i++)
            if (lane->slots[i].place == SLOT_MISSING)
                lane->slots[i].place = SLOT_OPEN;
    }
    postgres_judge(lane->p);
}

static const struct pg_conn_ops ops = {
    .on_ready = on_ready, .on_result = on_result, .on_sync = on_sync, .on_down = on_down};

void pg_lane_init(struct postgres *p, unsigned index)
{
    struct pg_lane *lane = &p->lanes[index];
    struct pg_conn_config config = {
        .loop = p->loop,
        .target = &p->target,
        .schema = p->schema,
        .name = "writer",
        .settings = SETTINGS,
        .statements = statements,
        .n_statements = sizeof statements / sizeof *statements,
        .answer_ms = ANSWER_MS,
    };

    lane->p = p;
    lane->index = index;
    lane->room = LIMIT_BATCH_ROWS;
    lane->slots = mem_zero(lane->room, sizeof *lane->slots);
    lane->picked = mem_zero(2 * lane->room, sizeof *lane->picked);
    timer_init(&lane->retry, on_retry, lane);
    pg_values_init(&lane->values, VALUES_MAX);
    lane->conn = pg_conn_new(&config, &ops, lane);
}

void pg_lane_start(struct pg_lane *lane)
{
    pg_conn_start(lane->conn);
}

void pg_lane_commit(struct pg_lane *lane, struct batch *batch)
{
    size_t n = 0;

    BUG_ON(lane->state != LANE_EMPTY || batch->n_rows == 0);
    BUG_ON(batch->n_rows > lane->room);
    LIST_EACH (it, &batch->rows) {
        struct row *row = CONTAINER_OF(it, struct row, link);

        BUG_ON(n == batch->n_rows || row->n_events == 0);
        /* find_slot() rests on the order, and two nodes that sort alike do not deadlock. */
        BUG_ON(n > 0 &&
               id_uuid_compare(&lane->slots[n - 1].row->after->key, &row->after->key) >= 0);
        lane->slots[n++] = (struct pg_slot){.row = row};
    }
    BUG_ON(n != batch->n_rows);
    lane->batch = batch;
    lane->n = n;
    lane->n_singles = 0;
    lane->outcome_unknown = lane->drops_pushes = false;
    lane->ghost_pid = 0;
    lane->state = LANE_HELD;
    pg_lane_resume(lane);
}

void pg_lane_stop(struct pg_lane *lane)
{
    struct batch *batch = lane->batch;

    timer_stop(lane->p->loop, &lane->retry);
    pg_conn_close(lane->conn);
    lane->conn = NULL;
    lane->batch = NULL;
    lane->state = LANE_EMPTY;
    pg_values_release(&lane->values);
    mem_free(lane->slots);
    mem_free(lane->picked);
    lane->slots = NULL;
    lane->picked = NULL;
    if (batch)
        store_batch_abandoned(lane->p->base.store, batch);
}
