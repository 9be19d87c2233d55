/* SPDX-License-Identifier: MIT
 *
 * What people do with webhooks: the methods webhooks.* of the gateway's own surface, and so `superx webhooks`.
 *
 *     list                           rows -> answer
 *     show, attempts, retry, test    rows of that id -> exactly one? -> done with it -> answer
 *     retry without an id            rows that failed -> one after the other -> answer
 *
 * A webhook is named by the id of its configuration; where tasks share one, the task (and its agent) is named, too.
 * Secrets are not told: a map says what kinds of proof a webhook has.
 */
#include <stdarg.h>

#include "call/call_int.h"
#include "lib/clock.h"
#include "lib/mem.h"

#define ANSWER_MAX MB(16)
#define LIST_DEFAULT 100
#define ATTEMPTS_DEFAULT 20

struct webhooks_op {
    struct calls *calls; /* borrowed as long as the gateway lives */
    enum call_webhooks_op op;
    struct str id, agent, task_id, after_id; /* arena; absent: not given */
    struct uuid after_key;
    bool has_after, only_failed;
    unsigned limit;
    struct store_push one; /* arena: what it is done with */
    struct uuid *keys;     /* RETRY of all: n of them, in the arena, with ids */
    struct str *ids;
    size_t n, at, n_retried;
    call_admin_fn fn;
    void *arg;
    struct arena arena;
};

/* --- answering ------------------------------------------------------------------------------------ */

static void finish(struct webhooks_op *op, const struct a2a_fault *fault, struct str result)
{
    op->fn(op->arg, fault, result);
    arena_release(&op->arena);
    mem_free(op);
}

static void fail(struct webhooks_op *op, enum a2a_error error, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static void fail(struct webhooks_op *op, enum a2a_error error, const char *fmt, ...)
{
    struct a2a_fault fault;
    char detail[2 * sizeof fault.detail];
    va_list args;

    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    a2a_fault_set(&fault, error, "%s", detail);
    finish(op, &fault, STR_NONE);
}

static void fail_store(struct webhooks_op *op, int err, const char *why)
{
    if (err == ERR_CANCELED)
        fail(op, A2A_ERROR_SHUTTING_DOWN, "send it again to the next instance");
    else if (err == ERR_ABSENT)
        fail(op, A2A_ERROR_TASK_NOT_FOUND, "there is no such webhook");
    else
        fail(op, A2A_ERROR_STORE_UNAVAILABLE, "%s", why && *why ? why : err_text(err));
}

static void tell(struct webhooks_op *op, struct buf *out)
{
    if (buf_error(out))
        fail(op, A2A_ERROR_OVERLOADED, "no memory for an answer of this size");
    else
        finish(op, NULL, buf_str(out));
    buf_release(out);
}

/* --- maps ----------------------------------------------------------------------------------------- */

static void write_text(struct buf *out, const char *name, struct str value)
{
    buf_printf(out, ",\"%s\":", name);
    if (value.p)
        json_write_string(out, value);
    else
        BUF_LIT(out, "null");
}

static void write_time(struct buf *out, const char *name, int64_t us)
{
    char when[CLOCK_TEXT + 1];

    if (us) {
        clock_format(us, when);
        write_text(out, name, str_make(when, CLOCK_TEXT));
    } else {
        write_text(out, name, STR_NONE);
    }
}

static void write_seq(struct buf *out, const char *name, uint64_t seq)
{
    buf_printf(out, ",\"%s\":%llu", name, (unsigned long long)seq);
}

static const char *state_of(const struct store_push *row)
{
    if (row->disabled.p)
        return "disabled";
    if (row->attempts)
        return "retrying";
    if (row->due_at_us)
        return "due";
    return row->failed_seq ? "up to date, with events given up" : "up to date";
}

static void write_webhook(struct buf *out, const struct store_push *row)
{
    static const char *const forms[] = {
        [PUSH_0_3] = "0.3", [PUSH_1_0] = "1.0", [PUSH_SUPERX] = "superx"};
    struct str url = json_get(row->config.doc, "url");

    BUF_LIT(out, "{\"id\":");
    json_write_string(out, row->config.id);
    write_text(out, "agentId", row->agent);
    write_text(out, "taskId", row->task_id);
    BUF_LIT(out, ",\"url\":");
    buf_add_str(out, url.p ? url : STR("null"));
    buf_printf(out, ",\"form\":\"%s\",\"state\":\"%s\"", forms[row->config.form],
               state_of(row));
    write_seq(out, "deliveredSeq", row->delivered_seq);
    write_seq(out, "headSeq", row->head_seq);
    write_seq(out, "failedSeq", row->failed_seq);
    write_seq(out, "attempts", row->attempts);
    write_time(out, "dueAt", row->due_at_us);
    write_text(out, "disabledBecause", row->disabled);
    write_time(out, "createdAt", row->created_at_us);
    buf_printf(out, ",\"hasSecrets\":%s}", row->config.secret.p ? "true" : "false");
}

/* --- list ----------------------------------------------------------------------------------------- */

static void write_after(struct buf *out, const struct store_push *row)
{
    char key[UUID_TEXT + 1];
    struct buf text;

    id_uuid_text(&row->key, key);
    buf_init(&text, KB(1));
    buf_add(&text, key, UUID_TEXT);
    buf_add_char(&text, '/');
    buf_add_str(&text, row->config.id);
    json_write_string(out, buf_str(&text));
    buf_release(&text);
}

static void on_listed(void *arg, int err, const struct store_push *rows, size_t n,
                      const char *why)
{
    struct webhooks_op *op = arg;
    struct buf out;

    if (err) {
        fail_store(op, err, why);
        return;
    }
    buf_init(&out, ANSWER_MAX);
    BUF_LIT(&out, "{\"webhooks\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_add_char(&out, ',');
        write_webhook(&out, &rows[i]);
    }
    BUF_LIT(&out, "],\"next\":");
    if (n == op->limit)
        write_after(&out, &rows[n - 1]);
    else
        BUF_LIT(&out, "null");
    buf_add_char(&out, '}');
    tell(op, &out);
}

/* --- one of them ---------------------------------------------------------------------------------- */

static void on_attempts(void *arg, int err, const struct store_push_attempt *rows, size_t n,
                        const char *why)
{
    struct webhooks_op *op = arg;
    struct buf out;

    if (err) {
        fail_store(op, err, why);
        return;
    }
    buf_init(&out, ANSWER_MAX);
    buf_add_char(&out, '[');
    for (size_t i = 0; i < n; i++) {
        buf_printf(&out, "%s{\"seq\":%llu", i ? "," : "", (unsigned long long)rows[i].seq);
        write_seq(&out, "attempt", rows[i].attempt);
        write_time(&out, "at", rows[i].at_us);
        write_seq(&out, "status", (uint64_t)rows[i].status);
        write_seq(&out, "ms", rows[i].ms);
        write_text(&out, "error", rows[i].error);
        write_text(&out, "answer", rows[i].answer);
        buf_add_char(&out, '}');
    }
    buf_add_char(&out, ']');
    tell(op, &out);
}

static void tell_retried(struct webhooks_op *op)
{
    struct buf out;

    buf_init(&out, KB(1));
    buf_printf(&out, "{\"retried\":%zu}", op->n_retried);
    tell(op, &out);
}

static void retry_next(struct webhooks_op *op);

static void on_retried(void *arg, int err, const char *why)
{
    struct webhooks_op *op = arg;

    if (err && err != ERR_ABSENT) {
        fail_store(op, err, why);
        return;
    }
    op->n_retried += err == 0;
    retry_next(op);
}

static void retry_next(struct webhooks_op *op)
{
    size_t i = op->at++;
    int err = 0;

    if (i < op->n)
        err = store_push_retry(op->calls->store, &op->keys[i], op->ids[i], clock_wall_us(),
                               on_retried, op);
    if (err)
        fail_store(op, err, NULL);
    else if (i >= op->n)
        tell_retried(op);
}

static void on_tested(void *arg, int status, uint64_t ms, const char *why, struct str answer)
{
    struct webhooks_op *op = arg;
    struct buf out;

    buf_init(&out, MB(1));
    buf_printf(&out, "{\"status\":%d,\"ms\":%llu", status, (unsigned long long)ms);
    write_text(&out, "error", why ? str_of(why) : STR_NONE);
    write_text(&out, "answer", answer.n > KB(1) ? str_make(answer.p, KB(1)) : answer);
    buf_add_char(&out, '}');
    tell(op, &out);
}

static void do_with_one(struct webhooks_op *op)
{
    struct store_push *one = &op->one;
    struct buf out;
    int err = 0;

    switch (op->op) {
    case CALL_WEBHOOKS_ATTEMPTS:
        err = store_push_attempts(op->calls->store, &one->key, one->config.id, op->limit,
                                  on_attempts, op);
        break;
    case CALL_WEBHOOKS_RETRY:
        op->keys = &one->key;
        op->ids = &one->config.id;
        op->n = 1;
        retry_next(op);
        return;
    case CALL_WEBHOOKS_TEST:
        err = webhook_test(op->calls->config.webhooks, one, on_tested, op);
        if (err == ERR_INVALID) {
            fail(op, A2A_ERROR_INVALID_PARAMS,
                 "its secrets cannot be opened with this SECRET_KEY_BASE, or its "
                 "configuration cannot be read; register it anew");
            return;
        }
        break;
    default:
        buf_init(&out, KB(64));
        write_webhook(&out, one);
        tell(op, &out);
        return;
    }
    if (err)
        fail_store(op, err, NULL);
}

static bool keep_one(struct webhooks_op *op, const struct store_push *row)
{
    struct arena *a = &op->arena;

    op->one = *row;
    op->one.agent = arena_str(a, row->agent);
    op->one.task_id = arena_str(a, row->task_id);
    op->one.context = arena_str(a, row->context);
    op->one.disabled = arena_str(a, row->disabled);
    op->one.payload = STR_NONE;
    op->one.config.id = arena_str(a, row->config.id);
    op->one.config.doc = arena_str(a, row->config.doc);
    op->one.config.secret = arena_str(a, row->config.secret);
    return op->one.config.id.p && op->one.config.doc.p;
}

static bool is_meant(const struct webhooks_op *op, const struct store_push *row)
{
    return !op->task_id.p || (row->task_id.p && str_is(row->task_id, op->task_id));
}

static void on_found(void *arg, int err, const struct store_push *rows, size_t n,
                     const char *why)
{
    struct webhooks_op *op = arg;
    const struct store_push *found = NULL;
    size_t n_found = 0;

    if (err) {
        fail_store(op, err, why);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (is_meant(op, &rows[i])) {
            found = &rows[i];
            n_found++;
        }
    if (n_found == 0)
        fail(op, A2A_ERROR_TASK_NOT_FOUND, "no webhook has the id \"%.*s\"%s",
             op->id.n > 64 ? 64 : (int)op->id.n, op->id.p,
             op->task_id.p ? " for that task" : "");
    else if (n_found > 1)
        fail(op, A2A_ERROR_INVALID_PARAMS,
             "%zu webhooks have that id; name the task (taskId) and, if need be, the agent "
             "(agentId)",
             n_found);
    else if (!keep_one(op, found))
        fail(op, A2A_ERROR_OVERLOADED, "no memory");
    else
        do_with_one(op);
}

/* --- retrying all ------------------------------------------------------------------------------- */

static void on_failed_ones(void *arg, int err, const struct store_push *rows, size_t n,
                           const char *why)
{
    struct webhooks_op *op = arg;

    if (err) {
        fail_store(op, err, why);
        return;
    }
    op->keys = arena_take(&op->arena, (n + 1) * sizeof *op->keys);
    op->ids = arena_take(&op->arena, (n + 1) * sizeof *op->ids);
    if (!op->keys || !op->ids) {
        fail(op, A2A_ERROR_OVERLOADED, "no memory");
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (is_meant(op, &rows[i])) {
            op->keys[op->n] = rows[i].key;
            op->ids[op->n++] = arena_str(&op->arena, rows[i].config.id);
        }
    retry_next(op);
}

/* --- what is asked -------------------------------------------------------------------------------- */

static int bad(struct a2a_fault *fault, const char *why)
{
    a2a_fault_set(fault, A2A_ERROR_INVALID_PARAMS, "%s", why);
    return ERR_INVALID;
}

static struct str member(struct str params, const char *name, const char *other)
{
    struct str value = json_get(params, name);

    if (!value.p && other)
        value = json_get(params, other);
    return json_type(value) == JSON_NULL ? STR_NONE : value;
}

static int read_text(struct webhooks_op *op, struct str raw, const char *why, struct str *out,
                     struct a2a_fault *fault)
{
    *out = STR_NONE;
    if (!raw.p)
        return 0;
    if (json_type(raw) == JSON_STRING && raw.n > 2 && json_string_length(raw) <= LIMIT_TASK_ID)
        *out = call_decode_id(&op->arena, raw);
    return out->p ? 0 : bad(fault, why);
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "<uuid>/<id>" */
static int read_after(struct webhooks_op *op, struct str raw, struct a2a_fault *fault)
{
    static const char why[] = "after must be the `next` of an earlier answer";
    struct str text;
    size_t n = 0;

    if (!raw.p)
        return 0;
    if (read_text(op, raw, why, &text, fault))
        return ERR_INVALID;
    if (text.n < UUID_TEXT + 2 || text.p[UUID_TEXT] != '/')
        return bad(fault, why);
    for (size_t i = 0; i < UUID_TEXT; i++) {
        int digit = digit_of(text.p[i]);

        if (text.p[i] == '-')
            continue;
        if (digit < 0 || n == 32)
            return bad(fault, why);
        op->after_key.b[n / 2] = (unsigned char)(op->after_key.b[n / 2] << 4 | digit);
        n++;
    }
    op->after_id = str_make(text.p + UUID_TEXT + 1, text.n - UUID_TEXT - 1);
    op->has_after = true;
    return n == 32 ? 0 : bad(fault, why);
}

static int read_limit(struct webhooks_op *op, struct str raw, struct a2a_fault *fault)
{
    int64_t n = op->op == CALL_WEBHOOKS_ATTEMPTS ? ATTEMPTS_DEFAULT : LIST_DEFAULT;

    if (raw.p && (json_to_i64(raw, &n) || n < 1 || n > (int64_t)PUSH_ROWS_MAX))
        return bad(fault, "limit must be an integer from 1 to 1000");
    op->limit = (unsigned)n;
    return 0;
}

static int take_apart(struct webhooks_op *op, struct str params, struct a2a_fault *fault)
{
    struct str failed = member(params, "failed", NULL);
    int err;

    op->only_failed = json_type(failed) == JSON_TRUE;
    if ((err = read_text(op, member(params, "id", "configId"), "id must be a string", &op->id,
                         fault)) ||
        (err = read_text(op, member(params, "agentId", "agent"), "agentId must be a string",
                         &op->agent, fault)) ||
        (err = read_text(op, member(params, "taskId", "task_id"), "taskId must be a string",
                         &op->task_id, fault)) ||
        (err = read_after(op, member(params, "after", NULL), fault)) ||
        (err = read_limit(op, member(params, "limit", NULL), fault)))
        return err;
    if (!op->id.p && op->op != CALL_WEBHOOKS_LIST && op->op != CALL_WEBHOOKS_RETRY)
        return bad(fault, "id (of the webhook's configuration) is required");
    return 0;
}

static int start(struct webhooks_op *op)
{
    struct store_push_query query = {.agent = op->agent,
                                     .id = op->id,
                                     .only_failed = op->only_failed,
                                     .has_after = op->has_after,
                                     .after_key = op->after_key,
                                     .after_id = op->after_id,
                                     .limit = PUSH_ROWS_MAX};

    if (op->op == CALL_WEBHOOKS_LIST) {
        query.limit = op->limit;
        if (op->agent.p)
            query.task_id = op->task_id;
        return store_push_list(op->calls->store, &query, on_listed, op);
    }
    if (op->id.p)
        return store_push_list(op->calls->store, &query, on_found, op);
    query.only_failed = true;
    return store_push_list(op->calls->store, &query, on_failed_ones, op);
}

void call_webhooks_start(struct calls *calls, const struct call_webhooks_request *request,
                         call_admin_fn fn, void *arg)
{
    struct webhooks_op *op = MEM_NEW(struct webhooks_op);
    struct a2a_fault fault = {0};
    int err;

    arena_init(&op->arena, MB(1));
    op->calls = calls;
    op->op = request->op;
    op->fn = fn;
    op->arg = arg;
    if (!calls->config.webhooks) {
        fail(op, A2A_ERROR_PUSH_NOT_SUPPORTED, "this gateway has no webhooks");
    } else if (take_apart(op, request->params, &fault)) {
        finish(op, &fault, STR_NONE);
    } else {
        err = start(op);
        if (err)
            fail_store(op, err, NULL);
    }
}
