/* SPDX-License-Identifier: MIT
 *
 * The PostgreSQL backend: opening, what state it is in, closing. How it is put together stands in
 * postgres_int.h.
 *
 *     open -> control connects -> gate -> registration -> lanes connect --> UP
 *                                                         readers when first asked
 *
 * State, judged anew whenever a connection comes or goes or the gate has decided (postgres_judge):
 *
 *     REFUSED   the gate says a person is needed
 *     UP        the gate has opened once, and all lanes are connected and not stuck
 *     DOWN      was UP; an attempt to connect a lane failed, or a batch keeps being refused
 *     OPENING   the same before the first UP
 *
 * A lane that is lost and back within its first attempt changes nothing: its batch waits and is resent.
 * The control connection alone being away is no reason to refuse work either; what it costs is trust in
 * the cache.
 *
 * Closing: the core has let the lanes finish. The lease is given up in one more unit, bounded by
 * FAREWELL_MS; then everything goes, and what was still in hand is handed back.
 */
#include <arpa/inet.h>

#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "store/postgres_int.h"

#define CONTROL_ANSWER_MS 10000u
#define FAREWELL_MS 1000u

/* --- state -------------------------------------------------------------------------------- */

static void tell(struct postgres *p, enum store_state state, const char *why)
{
    if (p->told && p->state == state && strcmp(p->why, why) == 0)
        return;
    p->told = true;
    p->state = state;
    pg_say(p->why, sizeof p->why, "%s", why);
    if (state != STORE_UP) {
        pg_errands_refuse(p, why);
        pg_push_refuse(p, why);
    }
    store_backend_state(p->base.store, state, p->why);
}

static const char *lane_trouble(const struct pg_lane *lane)
{
    return lane->trouble[0] ? lane->trouble : pg_conn_why(lane->conn);
}

void postgres_judge(struct postgres *p)
{
    const char *why = p->gate.trouble;
    bool is_up = p->log.was_registered;

    if (p->is_closing)
        return;
    if (!why[0] && !p->log.was_registered)
        why = pg_conn_why(p->control);
    for (unsigned i = 0; i < p->base.n_lanes; i++) {
        is_up = is_up && pg_conn_is_ready(p->lanes[i].conn) && !p->lanes[i].trouble[0];
        if (!why[0])
            why = lane_trouble(&p->lanes[i]);
    }
    p->was_up = p->was_up || is_up;
    if (p->gate.refused[0])
        tell(p, STORE_REFUSED, p->gate.refused);
    else if (is_up)
        tell(p, STORE_UP, "");
    else if (why[0])
        tell(p, p->was_up ? STORE_DOWN : STORE_OPENING, why);
}

void postgres_doubt(struct postgres *p, const char *why)
{
    p->in_doubt = true;
    pg_conn_fail(p->control, why);
}

void postgres_admit(struct postgres *p)
{
    p->in_doubt = false;
    for (unsigned i = 0; i < p->base.n_lanes; i++) {
        pg_lane_start(&p->lanes[i]);
        pg_lane_resume(&p->lanes[i]);
    }
    postgres_judge(p);
    pg_errands_send(p);
    pg_push_send(p);
}

/* --- the control connection --------------------------------------------------------------- */

static void finish_closing(struct postgres *p);

static void on_ready(void *arg)
{
    pg_gate_look(arg);
}

static void on_result(void *arg, int tag, unsigned query, PGresult **result)
{
    struct postgres *p = arg;

    switch (tag) {
    case PG_TAG_FACTS:
    case PG_TAG_MIGRATIONS:
        pg_gate_result(p, tag, *result);
        break;
    case PG_TAG_REGISTER:
    case PG_TAG_BEAT:
    case PG_TAG_LOG:
        pg_log_result(p, tag, query, *result);
        break;
    case PG_TAG_SPECS:
    case PG_TAG_ERRAND:
        pg_errands_result(p, tag, *result);
        break;
    case PG_TAG_PUSH:
        pg_push_result(p, query, *result);
        break;
    default:
        break;
    }
}

static void on_sync(void *arg, int tag, const struct pg_error *error)
{
    struct postgres *p = arg;

    if (tag == PG_TAG_LEAVE) {
        finish_closing(p);
        return;
    }
    if (p->is_closing)
        return;
    switch (tag) {
    case PG_TAG_FACTS:
    case PG_TAG_MIGRATIONS:
        pg_gate_sync(p, tag, error);
        break;
    case PG_TAG_AGENTS:
    case PG_TAG_SPECS:
    case PG_TAG_ERRAND:
        pg_errands_sync(p, tag, error);
        break;
    case PG_TAG_PUSH:
        pg_push_sync(p, error);
        break;
    case PG_TAG_NEWS: /* a beat finds what a lost one would have told */
        break;
    default:
        pg_log_sync(p, tag, error);
        break;
    }
}

static void on_down(void *arg, bool was_ready, const char *why)
{
    struct postgres *p = arg;

    p->gate.is_looking = false;
    pg_log_down(p);
    pg_errands_down(p, was_ready, why);
    pg_push_down(p);
    if (p->is_closing)
        finish_closing(p);
    else
        postgres_judge(p);
}

static void on_notify(void *arg, struct str payload)
{
    struct postgres *p = arg;

    if (!p->is_closing)
        pg_log_notify(p, payload);
}

static const struct pg_conn_ops control_ops = {.on_ready = on_ready,
                                               .on_result = on_result,
                                               .on_sync = on_sync,
                                               .on_down = on_down,
                                               .on_notify = on_notify};

/* --- the backend's door ------------------------------------------------------------------- */

static void on_commit(struct backend *b, struct batch *batch)
{
    struct postgres *p = CONTAINER_OF(b, struct postgres, base);

    BUG_ON(batch->lane >= b->n_lanes);
    pg_lane_commit(&p->lanes[batch->lane], batch);
}

static void on_load(struct backend *b, struct load_batch *loads)
{
    struct postgres *p = CONTAINER_OF(b, struct postgres, base);

    pg_reader_load(&p->readers[0], loads);
}

static void on_list(struct backend *b, struct list_query *query)
{
    struct postgres *p = CONTAINER_OF(b, struct postgres, base);

    pg_reader_list(&p->readers[p->n_readers - 1], query);
}

static void on_log(struct backend *b, struct log_query *query)
{
    struct postgres *p = CONTAINER_OF(b, struct postgres, base);

    pg_reader_log(&p->readers[0], query);
}

static void on_agents(struct backend *b, struct agents_put *put)
{
    pg_errands_put(CONTAINER_OF(b, struct postgres, base), put);
}

static void on_errand(struct backend *b, struct errand *errand)
{
    pg_errands_run(CONTAINER_OF(b, struct postgres, base), errand);
}

static void on_push(struct backend *b, struct push_job *job)
{
    pg_push_run(CONTAINER_OF(b, struct postgres, base), job);
}

static unsigned on_connections(const struct backend *b)
{
    const struct postgres *p = CONTAINER_OF(b, struct postgres, base);
    unsigned n = pg_conn_is_open(p->control);

    for (unsigned i = 0; i < b->n_lanes; i++)
        n += pg_conn_is_open(p->lanes[i].conn);
    for (unsigned i = 0; i < p->n_readers; i++)
        n += pg_conn_is_open(p->readers[i].conn);
    return n;
}

static void free_postgres(struct grave *g)
{
    struct postgres *p = CONTAINER_OF(g, struct postgres, grave);

    pg_target_release(&p->target);
    pg_log_release(p);
    pg_errands_release(p);
    pg_push_release(p);
    mem_free(p);
}

static void finish_closing(struct postgres *p)
{
    struct store *s = p->base.store;

    timer_stop(p->loop, &p->farewell);
    pg_conn_close(p->control);
    p->control = NULL;
    pg_errands_stop(p);
    pg_push_stop(p);
    for (unsigned i = 0; i < p->base.n_lanes; i++)
        pg_lane_stop(&p->lanes[i]);
    for (unsigned i = 0; i < p->n_readers; i++)
        pg_reader_stop(&p->readers[i]);
    loop_bury(p->loop, &p->grave, free_postgres);
    store_backend_closed(s);
}

static void on_farewell(struct timer *t, void *arg)
{
    (void)t;
    finish_closing(arg);
}

static void on_close(struct backend *b)
{
    struct postgres *p = CONTAINER_OF(b, struct postgres, base);
    const char *values[] = {p->boot, p->channel};

    BUG_ON(p->is_closing);
    p->is_closing = true;
    pg_gate_stop(p);
    if (!p->log.is_registered || !pg_conn_is_ready(p->control)) {
        timer_start(p->loop, &p->farewell, 0);
    } else {
        pg_conn_sql(p->control, "UPDATE nodes SET lease_until = now() WHERE boot = $1::uuid",
                    values, 1);
        pg_conn_sql(p->control, "SELECT pg_notify($1, 'node')", values + 1, 1);
        pg_conn_sync(p->control, PG_TAG_LEAVE);
        timer_start(p->loop, &p->farewell, FAREWELL_MS);
    }
    pg_log_stop(p);
}

static const struct backend_ops ops = {.commit = on_commit,
                                       .load = on_load,
                                       .list = on_list,
                                       .log = on_log,
                                       .agents = on_agents,
                                       .errand = on_errand,
                                       .push = on_push,
                                       .close = on_close,
                                       .connections = on_connections};

/* --- opening ------------------------------------------------------------------------------ */

bool pg_schema_is_valid(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

    return n > 0 && n <= PG_SCHEMA_MAX && name[n] == '\0' &&
           !(name[0] >= '0' && name[0] <= '9');
}

static struct uuid read_boot(const char *text)
{
    struct uuid u = {{0}};
    size_t n = 0;

    for (; *text; text++) {
        int digit = *text >= '0' && *text <= '9' ? *text - '0' : *text - 'a' + 10;

        if (*text == '-')
            continue;
        BUG_ON(n == 32 || digit < 0 || digit > 15);
        u.b[n / 2] = (unsigned char)(u.b[n / 2] << 4 | digit);
        n++;
    }
    BUG_ON(n != 32);
    return u;
}

/* How the pool is shared out; what is left over is not used. */
static void share_out(struct postgres *p, unsigned pool)
{
    p->base.n_lanes = pool < 4 ? 1 : PG_LANES;
    p->n_readers = pool < 5 ? 1 : PG_READERS;
}

static void start(struct postgres *p)
{
    struct pg_conn_config control = {.loop = p->loop,
                                     .target = &p->target,
                                     .schema = p->schema,
                                     .name = "control",
                                     .settings = "",
                                     .answer_ms = CONTROL_ANSWER_MS};

    timer_init(&p->farewell, on_farewell, p);
    pg_errands_init(p);
    pg_push_init(p);
    pg_gate_init(p);
    pg_log_init(p);
    for (unsigned i = 0; i < p->base.n_lanes; i++)
        pg_lane_init(p, i);
    for (unsigned i = 0; i < p->n_readers; i++)
        pg_reader_init(p, &p->readers[i]);
    p->control = pg_conn_new(&control, &control_ops, p);
    pg_conn_start(p->control);
}

int postgres_open(struct store *s, struct loop *loop, const struct store_config *config,
                  const char *boot, struct backend **out, char why[256])
{
    const char *schema = config->schema ? config->schema : "superx";
    struct postgres *p = MEM_NEW(struct postgres);
    int err = pg_target_parse(&p->target, config->database_url, why);

    if (!err && !pg_schema_is_valid(schema)) {
        pg_say(why, 256, "the schema's name may have a-z, 0-9 and _, at most %d of them",
               PG_SCHEMA_MAX);
        err = ERR_INVALID;
    }
    if (err) {
        pg_target_release(&p->target);
        mem_free(p);
        return err;
    }
    p->loop = loop;
    p->base.ops = &ops;
    p->base.store = s;
    p->base.n_nodes = 1;
    p->base.is_local = p->target.is_local;
    pg_target_describe(&p->target, p->base.description);
    pg_say(p->schema, sizeof p->schema, "%s", schema);
    pg_say(p->channel, sizeof p->channel, "%s_log", schema);
    pg_say(p->boot, sizeof p->boot, "%s", boot);
    p->boot_id = read_boot(boot);
    pg_say(p->node_name, sizeof p->node_name, "%s", config->node_name ? config->node_name : "");
    p->migrate = config->migrate;
    share_out(p, config->pool_size);
    start(p);
    store_trust(s, false);
    *out = &p->base;
    return 0;
}
