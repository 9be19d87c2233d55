/* SPDX-License-Identifier: MIT
 *
 * One libpq connection on the loop.
 *
 *              +-------------------------- backoff over ---------------------------+
 *              v                                                                   |
 *     NEW -> RESOLVING -> CONNECTING -> SETTING_UP --on_ready--> READY           WAITING
 *                |             |             |                     |               ^
 *                +-------------+-------------+---- drop() ---------+---on_down-----+
 *
 *   RESOLVING   uv_getaddrinfo() is out: libpq's own look-up would block the loop
 *   CONNECTING  PQconnectPoll() whenever the socket says so; `patience` bounds it
 *   SETTING_UP  pipeline mode; session settings and all statements go out as one unit
 *   READY       the owner's units; `tags` remembers them in order, one Sync each; `patience` runs while
 *               one is owed
 *   WAITING     `patience` is the backoff: 10 ms after a loss, then 0.2 s doubling to 5 s while attempts fail
 *
 * The owner hears of a unit once: results as they come, then its Sync, with the unit's first error if it
 * had one. A unit whose Sync does not come before on_down() has no known outcome.
 *
 * Calls that send cannot fail from the owner's view: when libpq refuses, the connection is dropped at the
 * end of the turn, and on_down() tells. So nobody is called back from inside a call of his own.
 *
 * libpq owns the socket and may change it between two PQconnectPoll(); the watch on it is therefore made
 * anew for each step, and lives on the heap until libuv has let go of it.
 */
#include <arpa/inet.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "store/postgres_int.h"

#define BACKOFF_FIRST_MS 200u
#define BACKOFF_MAX_MS 5000u
#define AFTER_LOSS_MS 10u

#define TAG_SETUP (-1)
#define TAGS_MAX                                                                               \
    256u /* units under way at once: few, but for a lane that gives each row its own */
#define ADDRESSES_MAX 4u /* of one name; the rest have their turn at later attempts */

enum conn_state {
    CONN_NEW,
    CONN_RESOLVING,
    CONN_CONNECTING,
    CONN_SETTING_UP,
    CONN_READY,
    CONN_WAITING
};

struct pg_conn {
    struct grave grave; /* n_pending: the look-up and the watch */
    struct pg_conn_config config;
    const struct pg_conn_ops *ops;
    void *arg; /* borrowed: the owner, until pg_conn_close() */
    enum conn_state state;
    bool is_closed; /* by the owner: no more callbacks */
    bool is_broken; /* to be dropped at the end of the turn */
    bool was_ready; /* since the last on_down() */
    bool is_draining;
    PGconn *pg;       /* owned; NULL unless CONNECTING, SETTING_UP, READY */
    uv_poll_t *watch; /* owned by libuv once closed */
    int watching;     /* events asked for */
    uv_getaddrinfo_t lookup;
    bool is_looking_up;
    unsigned n_attempts; /* since the last time it was ready */
    struct timer patience;
    struct deferred drop;
    int tags[TAGS_MAX]; /* ring of units whose Sync is owed */
    unsigned first_tag, n_tags;
    unsigned query;        /* results seen of the first unit */
    struct pg_error error; /* its first error */
    bool has_error;
    int backend_pid;
    char backend_start[48];
    char farewell[160]; /* what the server said unasked, perhaps before hanging up */
    char why[256];
};

static void attempt(struct pg_conn *c);
static void step_connecting(struct pg_conn *c);
static void on_patience(struct timer *t, void *arg);
static void on_drop(void *arg);

/* --- birth and death ---------------------------------------------------------------------- */

struct pg_conn *pg_conn_new(const struct pg_conn_config *config, const struct pg_conn_ops *ops,
                            void *arg)
{
    struct pg_conn *c = MEM_NEW(struct pg_conn);

    c->config = *config;
    c->ops = ops;
    c->arg = arg;
    timer_init(&c->patience, on_patience, c);
    list_init(&c->drop.link);
    c->drop.fn = on_drop;
    c->drop.arg = c;
    return c;
}

void pg_conn_start(struct pg_conn *c)
{
    if (c->state != CONN_NEW)
        return;
    /* Not at once: an attempt may fail on the spot, and on_down() must not come from inside this call. */
    c->state = CONN_WAITING;
    timer_start(c->config.loop, &c->patience, 0);
}

static void free_conn(struct grave *g)
{
    mem_free(CONTAINER_OF(g, struct pg_conn, grave));
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct pg_conn *c = handle->data;

    c->grave.n_pending--;
    mem_free(handle);
}

static void unwatch(struct pg_conn *c)
{
    if (!c->watch)
        return;
    uv_poll_stop(c->watch);
    uv_close((uv_handle_t *)c->watch, on_watch_closed);
    c->watch = NULL;
    c->watching = 0;
}

/* Lets go of the server; what the connection was doing is forgotten. */
static void hang_up(struct pg_conn *c)
{
    unwatch(c);
    timer_stop(c->config.loop, &c->patience);
    loop_undefer(&c->drop);
    if (c->is_looking_up)
        uv_cancel((uv_req_t *)&c->lookup); /* if it is too late its answer is ignored */
    PQfinish(c->pg);
    c->pg = NULL;
    c->n_tags = c->query = 0;
    c->has_error = false;
    c->is_broken = false;
}

void pg_conn_close(struct pg_conn *c)
{
    if (!c)
        return;
    BUG_ON(c->is_closed);
    c->is_closed = true;
    /* Inside a callback of drain() libpq's object is still in use further up the stack. */
    if (!c->is_draining)
        hang_up(c);
    loop_bury(c->config.loop, &c->grave, free_conn);
}

/* The connection is over, or the attempt was. */
static void drop(struct pg_conn *c)
{
    bool was_ready = c->was_ready;
    uint64_t wait_ms = AFTER_LOSS_MS;

    hang_up(c);
    c->was_ready = false;
    c->state = CONN_WAITING;
    if (!was_ready) {
        unsigned doublings = c->n_attempts > 5 ? 5 : c->n_attempts;

        wait_ms = (uint64_t)BACKOFF_FIRST_MS << doublings;
        if (wait_ms > BACKOFF_MAX_MS)
            wait_ms = BACKOFF_MAX_MS;
        wait_ms -= clock_mono_ns() % (wait_ms / 4); /* many nodes lose one database at once */
        c->n_attempts++;
    }
    timer_start(c->config.loop, &c->patience, wait_ms);
    log_event(was_ready ? LOG_WARN : LOG_DEBUG,
              was_ready ? "database connection lost, connecting again" : "database not reached",
              LOG_Z("connection", c->config.name), LOG_Z("why", c->why));
    c->ops->on_down(c->arg, was_ready, c->why);
}

static void on_drop(void *arg)
{
    struct pg_conn *c = arg;

    if (!c->is_closed)
        drop(c);
}

/* Marks the connection for dropping at the end of the turn; the first reason counts. */
static void break_off(struct pg_conn *c, const char *why)
{
    if (c->is_broken || c->is_closed || c->state == CONN_WAITING)
        return;
    c->is_broken = true;
    pg_say(c->why, sizeof c->why, "%s", why);
    unwatch(c);
    loop_defer(c->config.loop, &c->drop);
}

void pg_conn_fail(struct pg_conn *c, const char *why)
{
    break_off(c, why);
}

/* As above, for libpq's reason. What the server said last, if it said something before it hung up, is
 * better than that the connection is closed. */
static void break_off_pg(struct pg_conn *c)
{
    char why[256];
    const char *reason = PQerrorMessage(c->pg);

    if (c->state == CONN_READY && (c->has_error || c->farewell[0]))
        reason = c->has_error ? c->error.text : c->farewell;
    pg_target_explain(c->config.target, reason, why);
    break_off(c, why);
}

static void on_patience(struct timer *t, void *arg)
{
    struct pg_conn *c = arg;
    char why[256];

    (void)t;
    if (c->state == CONN_WAITING) {
        attempt(c);
        return;
    }
    pg_target_explain(c->config.target,
                      c->state == CONN_READY ? "no answer for too long, connection timed out"
                                             : "connecting timed out",
                      why);
    break_off(c, why);
}

/* --- watching the socket ------------------------------------------------------------------ */

static void drain(struct pg_conn *c);
static void flush(struct pg_conn *c);

static void on_socket(uv_poll_t *handle, int status, int events)
{
    struct pg_conn *c = handle->data;

    loop_note(c->config.loop, "postgresql");
    if (status < 0)
        /* libuv stops watching a socket with an error; there may still be something to read */
        c->watching = 0;
    if (c->state == CONN_CONNECTING) {
        step_connecting(c);
        return;
    }
    if (status == 0 && !(events & UV_READABLE)) {
        flush(c);
        return;
    }
    /* An error of the socket itself is seen by libpq when it reads. */
    if (PQconsumeInput(c->pg)) {
        drain(c);
        return;
    }
    /* libpq has closed the socket: its number may be somebody else's soon. What came before the end may
     * hold the server's reason, or even a Sync. */
    unwatch(c);
    drain(c);
    if (!c->is_closed)
        break_off_pg(c);
}

static void watch(struct pg_conn *c, int events)
{
    if (!c->watch) {
        c->watch = MEM_NEW(uv_poll_t);
        if (PQsocket(c->pg) < 0 ||
            uv_poll_init(loop_uv(c->config.loop), c->watch, PQsocket(c->pg)) != 0) {
            mem_free(c->watch);
            c->watch = NULL;
            break_off(c, "the database connection's socket cannot be watched");
            return;
        }
        c->watch->data = c;
        c->grave.n_pending++;
    }
    if (events != c->watching)
        BUG_ON(uv_poll_start(c->watch, events, on_socket) != 0);
    c->watching = events;
}

/* A write that failed is no error to libpq: it reads what the server may have said, and if that ends,
 * closes the socket under us. Only its status tells. */
static void flush(struct pg_conn *c)
{
    int left;

    if (c->is_broken)
        return;
    left = PQflush(c->pg);
    if (left < 0 || PQstatus(c->pg) == CONNECTION_BAD)
        break_off_pg(c);
    else
        watch(c, left ? UV_READABLE | UV_WRITABLE : UV_READABLE);
}

/* --- connecting --------------------------------------------------------------------------- */

/* libpq prints notices on stderr unless told otherwise. */
static void on_notice(void *arg, const char *message)
{
    struct pg_conn *c = arg;

    pg_say(c->farewell, sizeof c->farewell, "%s", message);
    log_event(LOG_DEBUG, "notice of the database",
              LOG_STR("notice", pg_message_cause(message)));
}

/* `addresses`: comma-separated, NULL for a socket; libpq tries them in order, each needs its host beside
 * it. */
static void connect_to(struct pg_conn *c, const char *addresses, unsigned n)
{
    const struct pg_target *t = c->config.target;
    struct pg_keywords words;
    struct buf hosts;

    buf_init(&hosts, KB(4));
    for (unsigned i = 0; i < n; i++)
        buf_printf(&hosts, "%s%s", i ? "," : "", t->host);
    pg_target_keywords(t, NULL, n ? buf_z(&hosts) : NULL, addresses, &words);
    c->state = CONN_CONNECTING;
    c->pg = PQconnectStartParams(words.keys, words.values, 0);
    buf_release(&hosts);
    BUG_ON(!c->pg); /* out of memory for a fixed size */
    PQsetNoticeProcessor(c->pg, on_notice, c);
    PQsetErrorVerbosity(c->pg, PQERRORS_VERBOSE);
    if (PQstatus(c->pg) == CONNECTION_BAD)
        break_off_pg(c);
    else
        /* as the manual says: behave as if PQconnectPoll() had said WRITING */
        watch(c, UV_WRITABLE);
}

static unsigned list_addresses(const struct addrinfo *found, unsigned skip, struct buf *out)
{
    char text[INET6_ADDRSTRLEN];
    unsigned n_found = 0, n = 0;

    for (const struct addrinfo *i = found; i; i = i->ai_next)
        n_found++;
    /* Later attempts begin with another address: a first one that swallows packets uses up the whole time. */
    skip = n_found ? skip % n_found : 0;
    for (unsigned turn = 0; turn < 2; turn++) {
        unsigned at = 0;

        for (const struct addrinfo *i = found; i && n < ADDRESSES_MAX; i = i->ai_next, at++) {
            const void *address;

            if ((turn == 0) != (at >= skip))
                continue;
            if (i->ai_family == AF_INET)
                address = &((const struct sockaddr_in *)(const void *)i->ai_addr)->sin_addr;
            else if (i->ai_family == AF_INET6)
                address = &((const struct sockaddr_in6 *)(const void *)i->ai_addr)->sin6_addr;
            else
                continue;
            if (inet_ntop(i->ai_family, address, text, sizeof text))
                buf_printf(out, "%s%s", n++ ? "," : "", text);
        }
    }
    return n;
}

static void on_lookup(uv_getaddrinfo_t *lookup, int status, struct addrinfo *found)
{
    struct pg_conn *c = CONTAINER_OF(lookup, struct pg_conn, lookup);
    struct buf addresses;
    unsigned n = 0;

    c->is_looking_up = false;
    c->grave.n_pending--;
    if (c->is_closed || c->is_broken || c->state != CONN_RESOLVING) {
        uv_freeaddrinfo(found);
        return;
    }
    buf_init(&addresses, KB(1));
    if (status == 0)
        n = list_addresses(found, c->n_attempts, &addresses);
    uv_freeaddrinfo(found);
    if (n > 0) {
        connect_to(c, buf_z(&addresses), n);
    } else {
        char why[256];

        pg_target_explain(c->config.target, "the host's name could not be resolved", why);
        break_off(c, why);
    }
    buf_release(&addresses);
}

static void attempt(struct pg_conn *c)
{
    const struct pg_target *t = c->config.target;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    unsigned char numeric[16];

    if (c->is_looking_up) {
        /* The look-up of an attempt given up is still in its thread; there is only one request struct. */
        timer_start(c->config.loop, &c->patience, BACKOFF_FIRST_MS);
        return;
    }
    c->state = CONN_RESOLVING;
    timer_start(c->config.loop, &c->patience, t->connect_timeout_s * 1000u);
    if (t->is_socket) {
        connect_to(c, NULL, 0);
    } else if (inet_pton(AF_INET, t->host, numeric) == 1 ||
               inet_pton(AF_INET6, t->host, numeric) == 1) {
        connect_to(c, t->host, 1);
    } else if (uv_getaddrinfo(loop_uv(c->config.loop), &c->lookup, on_lookup, t->host, NULL,
                              &hints) == 0) {
        c->is_looking_up = true;
        c->grave.n_pending++;
    } else {
        break_off(c, "the database host's name cannot be looked up");
    }
}

/* The new connection's own unit. Settings go as SELECTs and not as startup options, which poolers refuse. */
static void set_up(struct pg_conn *c)
{
    const struct pg_conn_config *config = &c->config;
    struct buf sql;

    c->state = CONN_SETTING_UP;
    if (PQsetnonblocking(c->pg, 1) != 0 || !PQenterPipelineMode(c->pg)) {
        break_off_pg(c);
        return;
    }
    buf_init(&sql, KB(4));
    /* No statement of ours gains from JIT, and one whose plan forbids table scans would always trigger it. */
    buf_printf(
        &sql,
        "SELECT pg_backend_pid(), (SELECT (extract(epoch FROM backend_start) * 1000000)::int8 "
        "FROM pg_stat_activity WHERE pid = pg_backend_pid()), set_config('search_path', '\"%s\"', false), "
        "set_config('synchronous_commit', 'on', false), "
        "set_config('default_transaction_isolation', 'read committed', false), "
        "set_config('default_transaction_read_only', 'off', false), "
        "set_config('lock_timeout', '500ms', false), "
        "set_config('statement_timeout', '30s', false), "
        "set_config('idle_in_transaction_session_timeout', '30s', false), "
        "set_config('tcp_keepalives_idle', '10', false), "
        "set_config('tcp_keepalives_interval', '5', false), "
        "set_config('tcp_keepalives_count', '3', false), "
        "set_config('jit', 'off', false)%s",
        config->schema, config->settings);
    pg_conn_sql(c, buf_z(&sql), NULL, 0);
    buf_release(&sql);
    for (size_t i = 0; i < config->n_statements && !c->is_broken; i++)
        if (!PQsendPrepare(c->pg, config->statements[i].name, config->statements[i].sql, 0,
                           NULL))
            break_off_pg(c);
    pg_conn_sync(c, TAG_SETUP);
}

static void step_connecting(struct pg_conn *c)
{
    unwatch(c);
    switch (PQconnectPoll(c->pg)) {
    case PGRES_POLLING_READING:
        watch(c, UV_READABLE);
        break;
    case PGRES_POLLING_WRITING:
        watch(c, UV_WRITABLE);
        break;
    case PGRES_POLLING_OK:
        set_up(c);
        break;
    case PGRES_POLLING_FAILED:
    case PGRES_POLLING_ACTIVE:
    default:
        break_off_pg(c);
        break;
    }
}

static void await_answer(struct pg_conn *c);

static void on_set_up(struct pg_conn *c)
{
    char why[256];

    if (c->has_error) {
        pg_target_explain(c->config.target, c->error.text, why);
        break_off(c, why);
        return;
    }
    c->state = CONN_READY;
    if (c->n_attempts > 0)
        log_event(LOG_INFO, "database connection is there",
                  LOG_Z("connection", c->config.name));
    c->n_attempts = 0;
    c->was_ready = true;
    c->why[0] = c->farewell[0] = '\0';
    await_answer(c); /* ends the patience with connecting */
    c->ops->on_ready(c->arg);
}

/* --- units -------------------------------------------------------------------------------- */

/* A server that owes an answer may be frozen, or the network may swallow everything but acknowledgements. */
static void await_answer(struct pg_conn *c)
{
    if (c->state != CONN_READY)
        return;
    if (c->n_tags > 0)
        timer_start(c->config.loop, &c->patience, c->config.answer_ms);
    else
        timer_stop(c->config.loop, &c->patience);
}

static void send_query(struct pg_conn *c, const char *statement, const char *sql,
                       const struct pg_value *values, int n)
{
    const char *p[PG_VALUES_MAX];
    int lengths[PG_VALUES_MAX], formats[PG_VALUES_MAX], ok;

    BUG_ON(n > PG_VALUES_MAX);
    if (c->is_broken || !c->pg)
        return;
    for (int i = 0; i < n; i++) {
        p[i] = values[i].p;
        lengths[i] = (int)values[i].n;
        formats[i] = 1;
    }
    ok = statement ? PQsendQueryPrepared(c->pg, statement, n, p, lengths, formats, 1)
                   : PQsendQueryParams(c->pg, sql, n, NULL, p, lengths, formats, 1);
    if (!ok)
        break_off_pg(c);
}

void pg_conn_run(struct pg_conn *c, const char *statement, const struct pg_value *values, int n)
{
    send_query(c, statement, NULL, values, n);
}

void pg_conn_query(struct pg_conn *c, const char *sql, const struct pg_value *values, int n)
{
    send_query(c, NULL, sql, values, n);
}

void pg_conn_sql(struct pg_conn *c, const char *sql, const char *const *values, int n)
{
    if (c->is_broken || !c->pg)
        return;
    if (!sql || !PQsendQueryParams(c->pg, sql, n, NULL, values, NULL, NULL, 0))
        break_off_pg(c);
}

void pg_conn_sync(struct pg_conn *c, int tag)
{
    if (c->is_broken || !c->pg)
        return;
    BUG_ON(c->n_tags == TAGS_MAX);
    if (!PQpipelineSync(c->pg)) {
        break_off_pg(c);
        return;
    }
    c->tags[(c->first_tag + c->n_tags++) % TAGS_MAX] = tag;
    await_answer(c);
    flush(c);
}

static void note_error(struct pg_conn *c, const PGresult *r)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);

    if (c->has_error)
        return; /* what follows an error is PIPELINE_ABORTED */
    c->has_error = true;
    memset(&c->error, 0, sizeof c->error);
    c->error.query = c->query;
    pg_say(c->error.sqlstate, sizeof c->error.sqlstate, "%s", state ? state : "");
    if (!text)
        text = PQresultErrorMessage(r);
    pg_say(c->error.text, sizeof c->error.text, "%.*s", (int)strcspn(text, "\n"), text);
}

static void on_unit_done(struct pg_conn *c)
{
    int tag = c->tags[c->first_tag];
    bool had_error = c->has_error;

    c->first_tag = (c->first_tag + 1) % TAGS_MAX;
    c->n_tags--;
    c->query = 0;
    if (tag == TAG_SETUP) {
        on_set_up(c);
    } else {
        await_answer(c);
        c->ops->on_sync(c->arg, tag, had_error ? &c->error : NULL);
    }
    if (!c->is_closed)
        c->has_error = false;
}

static void on_result(struct pg_conn *c, PGresult **result)
{
    const PGresult *r = *result;
    int tag = c->tags[c->first_tag];

    switch (PQresultStatus(r)) {
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
        if (tag != TAG_SETUP) {
            c->ops->on_result(c->arg, tag, c->query, result);
        } else if (c->query == 0 && PQntuples(r) == 1) {
            int64_t pid = 0;

            c->backend_pid = str_to_i64(str_of(PQgetvalue(r, 0, 0)), &pid) ? 0 : (int)pid;
            pg_say(c->backend_start, sizeof c->backend_start, "%s", PQgetvalue(r, 0, 1));
        }
        break;
    case PGRES_PIPELINE_SYNC:
        on_unit_done(c);
        break;
    case PGRES_PIPELINE_ABORTED:
        note_error(c, r);
        break;
    default:
        note_error(c, r);
        break;
    }
}

static void hand_out_notifications(struct pg_conn *c)
{
    PGnotify *n;

    while (!c->is_closed && !c->is_broken && (n = PQnotifies(c->pg))) {
        if (c->ops->on_notify && c->state == CONN_READY)
            c->ops->on_notify(c->arg, str_of(n->extra));
        PQfreemem(n);
    }
}

/* Hands out everything that has arrived. A callback may close the connection or break it off. */
static void drain(struct pg_conn *c)
{
    c->is_draining = true;
    while (!c->is_closed && !c->is_broken && c->n_tags > 0 && !PQisBusy(c->pg)) {
        PGresult *r = PQgetResult(c->pg);

        if (r) {
            on_result(c, &r);
            PQclear(r);
        } else if (PQstatus(c->pg) == CONNECTION_BAD) {
            break;
        } else {
            c->query++;
        }
    }
    hand_out_notifications(c);
    c->is_draining = false;
    if (c->is_closed) {
        hang_up(c);
        return;
    }
    if (!c->is_broken && PQstatus(c->pg) == CONNECTION_BAD)
        break_off_pg(c);
    else if (!c->is_broken)
        flush(c);
}

/* --- questions ---------------------------------------------------------------------------- */

bool pg_conn_is_ready(const struct pg_conn *c)
{
    return c && c->state == CONN_READY && !c->is_broken && !c->is_closed;
}

bool pg_conn_is_open(const struct pg_conn *c)
{
    return c && c->pg != NULL;
}

const char *pg_conn_why(const struct pg_conn *c)
{
    return c->n_attempts > 0 ? c->why : "";
}

int pg_conn_server_version(const struct pg_conn *c)
{
    return c->pg ? PQserverVersion(c->pg) : 0;
}

int pg_conn_backend_pid(const struct pg_conn *c)
{
    return c->backend_pid;
}

const char *pg_conn_backend_start(const struct pg_conn *c)
{
    return c->backend_start;
}
