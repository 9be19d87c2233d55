/* SPDX-License-Identifier: MIT
 *
 * `superx demo-agent`: a real A2A agent to try the gateway with, speaking 0.3 and 1.0 over JSON-RPC.
 *
 * Below /0.3/ it is an agent that knows only 0.3, below /1.0/ one that knows only 1.0, elsewhere it knows both; each of
 * the three has its card.
 *
 * What it does is written in the first word of the message:
 *
 *     hello                 anything else: completed, echoed as an artifact
 *     sleep SECONDS text    works that long, then completes (a blocking send waits for it); `delay` is the same
 *     count to N            one number every 200 ms, each an artifact
 *     ask question          input-required; the next message to the task completes it
 *     fail reason           failed          reject reason    rejected
 *     artifacts N           completed with N artifacts
 *     message text          answers with a message, no task
 *     error                 a JSON-RPC error of the agent's own
 *     garbage [html|empty|500]   not an answer at all
 *     hang                  never answers
 *
 * Streams tell each change as it comes. It remembers nothing: the task id carries the message and the time it came, and a task's state is computed from
 * its id and the clock. Restarted, it goes on where it was. (The exceptions are the answer to an `ask` and that a task
 * was canceled: these live as long as the process.)
 */
#include <signal.h>
#include <stdio.h>

#include "lib/clock.h"
#include "lib/id.h"
#include "lib/mem.h"
#include "wiring/demo_agent.h"
#include "wiring/gateway.h"

#define TEXT_MAX DEMO_TEXT_MAX
#define CONTEXT_MAX DEMO_CONTEXT_MAX
#define NOTES DEMO_NOTES
#define TICK_MS 200
#define WAIT_MAX_MS 3600000

struct script {
    struct str verb; /* first word */
    struct str rest; /* behind it */
    int64_t number;  /* first number in rest; 0 if none */
};

/* A blocking send that waits for its task to end. */
struct waiting {
    struct list link; /* in demo_agent.waiting */
    struct timer timer;
    struct demo_agent *agent;
    struct exchange *exchange;
    struct a2a_request request; /* only id, version, method; id points into `id` */
    char id[LIMIT_JSONRPC_ID];
    struct demo_task task;
};

/* --- scripts and ids --- */

static struct script parse_script(struct str text)
{
    struct script s = {.rest = text};
    struct str words = text, word;

    s.verb = str_cut(&s.rest, ' ');
    while ((word = str_cut(&words, ' ')).p)
        if (word.n > 0 && str_to_i64(word, &s.number) == 0)
            break;
    if (s.number < 0)
        s.number = 0;
    if (s.number > 3600)
        s.number = 3600;
    return s;
}

static void add_hex(struct buf *out, const char *z)
{
    for (; *z; z++)
        buf_printf(out, "%02x", (unsigned char)*z);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What add_hex() has written, and nothing else. */
static int take_hex(struct str hex, char *out, size_t max)
{
    if (hex.n % 2 || hex.n / 2 > max)
        return ERR_SYNTAX;
    for (size_t i = 0; i < hex.n / 2; i++) {
        int high = hex_digit(hex.p[2 * i]), low = hex_digit(hex.p[2 * i + 1]);

        if (high < 0 || low < 0 || (high == 0 && low == 0))
            return ERR_SYNTAX;
        out[i] = (char)(high << 4 | low);
    }
    out[hex.n / 2] = '\0';
    return 0;
}

static void make_id(struct demo_task *t)
{
    struct buf id;

    buf_init(&id, LIMIT_TASK_ID);
    buf_printf(&id, "demo-%llx-", (unsigned long long)t->started_ms);
    add_hex(&id, t->context);
    buf_add_char(&id, '-');
    add_hex(&id, t->text);
    snprintf(t->id, sizeof t->id, "%s", buf_z(&id));
    buf_release(&id);
}

static int read_id(struct str id, struct demo_task *t)
{
    struct str rest = id, name = str_cut(&rest, '-'), start = str_cut(&rest, '-');
    struct str context = str_cut(&rest, '-');
    char start_text[32] = "";
    unsigned long long ms;

    /* Eleven digits reach the year 2527; ids come from outside, and times are calculated with in microseconds. */
    if (!str_is(name, STR("demo")) || !rest.p || start.n == 0 || start.n > 11 ||
        id.n > LIMIT_TASK_ID)
        return ERR_ABSENT;
    memcpy(start_text, start.p, start.n);
    if (sscanf(start_text, "%llx", &ms) != 1 || take_hex(context, t->context, CONTEXT_MAX) ||
        take_hex(rest, t->text, TEXT_MAX) || str_has_control(str_of(t->context)))
        return ERR_ABSENT;
    t->started_ms = (int64_t)ms;
    memcpy(t->id, id.p, id.n);
    t->id[id.n] = '\0';
    return 0;
}

/* --- what a task is now --- */

static const struct demo_note *find_note(const struct demo_agent *a, const char *id)
{
    for (unsigned i = 0; i < NOTES && i < a->n_notes; i++)
        if (strcmp(a->notes[i].id, id) == 0)
            return &a->notes[i];
    return NULL;
}

/* `text` NULL: the task was canceled. */
static void take_note(struct demo_agent *a, const char *id, const char *text)
{
    struct demo_note *note = &a->notes[a->n_notes++ % NOTES];

    snprintf(note->id, sizeof note->id, "%s", id);
    snprintf(note->text, sizeof note->text, "%s", text ? text : "");
    note->is_canceled = !text;
    note->at_ms = clock_wall_ms();
}

/* When the task ends, in milliseconds after its start; 0: at once. */
static int64_t duration_ms(const struct script *s)
{
    if (str_is(s->verb, STR("delay")) || str_is(s->verb, STR("sleep")))
        return s->number * 1000;
    if (str_is(s->verb, STR("count")))
        return s->number * TICK_MS;
    return 0;
}

enum a2a_state demo_state(const struct demo_agent *a, const struct demo_task *t, int64_t now_ms)
{
    struct script s = parse_script(str_of(t->text));
    const struct demo_note *note = find_note(a, t->id);

    if (note && note->is_canceled)
        return A2A_STATE_CANCELED;
    if (str_is(s.verb, STR("ask")))
        return note ? A2A_STATE_COMPLETED : A2A_STATE_INPUT_REQUIRED;
    if (now_ms < t->started_ms + duration_ms(&s))
        return A2A_STATE_WORKING;
    if (str_is(s.verb, STR("fail")))
        return A2A_STATE_FAILED;
    if (str_is(s.verb, STR("reject")))
        return A2A_STATE_REJECTED;
    return A2A_STATE_COMPLETED;
}

/* --- writing objects in either version --- */

static void write_text_part(struct buf *out, enum a2a_version v, struct str text)
{
    buf_add_str(out, v == A2A_1_0 ? STR("[{\"text\":") : STR("[{\"kind\":\"text\",\"text\":"));
    json_write_string(out, text);
    BUF_LIT(out, "}]");
}

void demo_write_message(struct buf *out, enum a2a_version v, const struct demo_task *t,
                        const char *id, struct str text)
{
    BUF_LIT(out, "{");
    if (v == A2A_0_3)
        BUF_LIT(out, "\"kind\":\"message\",");
    BUF_LIT(out, "\"messageId\":");
    json_write_string(out, str_of(id));
    BUF_LIT(out, ",\"contextId\":");
    json_write_string(out, str_of(t->context));
    if (t->id[0]) {
        BUF_LIT(out, ",\"taskId\":");
        json_write_string(out, str_of(t->id));
    }
    buf_add_str(out, v == A2A_1_0 ? STR(",\"role\":\"ROLE_AGENT\",\"parts\":")
                                  : STR(",\"role\":\"agent\",\"parts\":"));
    write_text_part(out, v, text);
    buf_add_char(out, '}');
}

int64_t demo_artifacts(const struct demo_agent *a, const struct demo_task *t, int64_t now_ms)
{
    struct script s = parse_script(str_of(t->text));
    int64_t ticks = (now_ms - t->started_ms) / TICK_MS;

    if (str_is(s.verb, STR("count"))) {
        const struct demo_note *note = find_note(a, t->id);

        if (note && note->is_canceled) /* it stopped there */
            ticks = (note->at_ms - t->started_ms) / TICK_MS;
        return ticks < s.number ? ticks : s.number;
    }
    if (demo_state(a, t, now_ms) != A2A_STATE_COMPLETED)
        return 0;
    return str_is(s.verb, STR("artifacts")) ? s.number : 1;
}

int64_t demo_next_ms(const struct demo_task *t, int64_t now_ms)
{
    struct script s = parse_script(str_of(t->text));
    int64_t end_ms = t->started_ms + duration_ms(&s), next_ms = end_ms;

    if (str_is(s.verb, STR("count")))
        next_ms = t->started_ms + ((now_ms - t->started_ms) / TICK_MS + 1) * TICK_MS;
    if (next_ms > end_ms)
        next_ms = end_ms;
    return next_ms > now_ms ? next_ms : now_ms + 1;
}

void demo_write_artifact(struct buf *out, enum a2a_version v, const struct demo_agent *a,
                         const struct demo_task *t, int64_t number)
{
    struct script s = parse_script(str_of(t->text));
    const struct demo_note *note = find_note(a, t->id);
    struct buf text;

    buf_init(&text, KB(4));
    if (str_is(s.verb, STR("count")) || (str_is(s.verb, STR("artifacts")) && s.number != 1))
        buf_printf(&text, "%lld", (long long)number);
    else
        buf_printf(&text, "echo: %s", note ? note->text : t->text);
    buf_printf(out,
               "{\"artifactId\":\"%lld\",\"name\":\"result\",\"parts\":", (long long)number);
    write_text_part(out, v, buf_str(&text));
    buf_add_char(out, '}');
    buf_release(&text);
}

void demo_write_status(struct buf *out, enum a2a_version v, const struct demo_agent *a,
                       const struct demo_task *t, int64_t now_ms)
{
    struct script s = parse_script(str_of(t->text));
    enum a2a_state state = demo_state(a, t, now_ms);
    int64_t at_ms = t->started_ms + (state == A2A_STATE_WORKING ? 0 : duration_ms(&s));
    const struct demo_note *note = find_note(a, t->id);
    char when[CLOCK_TEXT + 1];

    if (note)
        at_ms = note->at_ms;
    clock_format(at_ms * 1000, when);
    BUF_LIT(out, "{\"state\":");
    json_write_string(out, str_of(a2a_state_name(state, v)));
    if (state != A2A_STATE_COMPLETED && state != A2A_STATE_WORKING &&
        state != A2A_STATE_CANCELED) {
        BUF_LIT(out, ",\"message\":");
        demo_write_message(out, v, t, "status", s.rest.p ? s.rest : STR("no reason given"));
    }
    buf_printf(out, ",\"timestamp\":\"%s\"}", when);
}

void demo_write_task(struct buf *out, enum a2a_version v, const struct demo_agent *a,
                     const struct demo_task *t, int64_t now_ms)
{
    int64_t n = demo_artifacts(a, t, now_ms);

    BUF_LIT(out, "{\"id\":");
    json_write_string(out, str_of(t->id));
    BUF_LIT(out, ",\"contextId\":");
    json_write_string(out, str_of(t->context));
    if (v == A2A_0_3)
        BUF_LIT(out, ",\"kind\":\"task\"");
    BUF_LIT(out, ",\"status\":");
    demo_write_status(out, v, a, t, now_ms);
    for (int64_t i = 1; i <= n; i++) {
        buf_add_str(out, i == 1 ? STR(",\"artifacts\":[") : STR(","));
        demo_write_artifact(out, v, a, t, i);
    }
    buf_add_str(out, n > 0 ? STR("]}") : STR("}"));
}

/* --- answering --- */

static void answer_out(struct demo_agent *a, struct exchange *x, int status, const char *type)
{
    struct str body = buf_str(&a->out);

    exchange_answer(x, status, type, NULL, 0, &body, 1);
    buf_shrink(&a->out, KB(64));
}

static void answer_fault(struct demo_agent *a, struct exchange *x, const struct a2a_request *r,
                         enum a2a_error error, const char *why)
{
    struct a2a_fault fault;

    a2a_fault_set(&fault, error, "%s", why);
    a2a_error_write(&a->out, r->version, r->id, &fault);
    answer_out(a, x, 200, "application/json");
}

static void answer_object(struct demo_agent *a, struct exchange *x, const struct a2a_request *r,
                          enum a2a_reply_kind kind, const struct demo_task *t, struct str text)
{
    struct a2a_result result = {.kind = kind, .version = r->version};
    struct buf object;
    const char *why;

    buf_init(&object, MB(4));
    if (kind == A2A_REPLY_TASK)
        demo_write_task(&object, r->version, a, t, clock_wall_ms());
    else
        demo_write_message(&object, r->version, t, "reply", text);
    result.object = buf_str(&object);
    if (a2a_result_write(&a->out, r, &result, &why))
        exchange_answer_text(x, 500, why);
    else
        answer_out(a, x, 200, "application/json");
    buf_release(&object);
}

static void on_gone(void *arg)
{
    struct waiting *w = arg;

    timer_stop(w->agent->loop, &w->timer);
    list_remove(&w->link);
    mem_free(w);
}

static void on_ended(struct timer *t, void *arg)
{
    struct waiting *w = arg;

    (void)t;
    answer_object(w->agent, w->exchange, &w->request, A2A_REPLY_TASK, &w->task, STR_NONE);
    list_remove(&w->link);
    mem_free(w);
}

static void wait_for_end(struct demo_agent *a, struct exchange *x, const struct a2a_request *r,
                         const struct demo_task *t, uint64_t after_ms)
{
    struct waiting *w = MEM_NEW(struct waiting);

    w->agent = a;
    w->exchange = x;
    w->task = *t;
    memcpy(w->id, r->id.p, r->id.n);
    w->request = (struct a2a_request){
        .method = r->method, .version = r->version, .id = str_make(w->id, r->id.n)};
    timer_init(&w->timer, on_ended, w);
    timer_start(a->loop, &w->timer, after_ms);
    list_append(&a->waiting, &w->link);
    exchange_on_gone(x, on_gone, w);
}

/* Answers that are none, for whoever wants to see how the gateway takes them. True if it was one. */
static bool misbehave(struct demo_agent *a, struct exchange *x, const struct a2a_request *r,
                      const struct script *s)
{
    if (str_is(s->verb, STR("hang"))) {
        wait_for_end(a, x, r, &(struct demo_task){.text = "hang"}, WAIT_MAX_MS);
        return true;
    }
    if (str_is(s->verb, STR("error"))) {
        answer_fault(a, x, r, A2A_ERROR_CONTENT_TYPE, "this agent was told to fail");
        return true;
    }
    if (!str_is(s->verb, STR("garbage")))
        return false;
    if (str_is(s->rest, STR("html")))
        BUF_LIT(&a->out, "<html><body>It works!</body></html>");
    else if (!str_is(s->rest, STR("empty")))
        BUF_LIT(&a->out, "{\"jsonrpc\":\"2.0\",\"id\":");
    answer_out(a, x, str_is(s->rest, STR("500")) ? 500 : 200, "application/json");
    return true;
}

/* The first text part of the message, cut to what an id can carry at a character's end. */
static void first_text(struct str message, char out[TEXT_MAX + 1])
{
    struct str part, text = STR_NONE;
    struct json_cursor c;
    struct buf decoded;
    size_t n;

    json_enter(&c, json_get(message, "parts"));
    while (!text.p && json_next_element(&c, &part))
        text = json_get(part, "text");
    buf_init(&decoded, LIMIT_REQUEST_BODY);
    if (json_type(text) != JSON_STRING || json_string_decode(text, &decoded))
        buf_clear(&decoded);
    n = decoded.n < TEXT_MAX ? decoded.n : TEXT_MAX;
    while (n > 0 && !str_is_utf8(str_make(decoded.p, n)))
        n--;
    for (size_t i = 0; i < n; i++)
        out[i] = decoded.p[i] ? decoded.p[i] : ' ';
    out[n] = '\0';
    buf_release(&decoded);
}

static int begin_task(struct demo_agent *a, const struct a2a_request *r, struct demo_task *t)
{
    struct buf id;
    struct uuid uuid;
    int err = 0;

    buf_init(&id, LIMIT_TASK_ID);
    if (r->task_id.p) { /* a message to a task that asked */
        char said[TEXT_MAX + 1];

        err = json_string_decode(r->task_id, &id);
        err = err ? err : read_id(buf_str(&id), t);
        buf_release(&id);
        if (err)
            return ERR_ABSENT;
        first_text(r->message, said);
        take_note(a, t->id, said);
        return 0;
    }
    t->started_ms = clock_wall_ms();
    first_text(r->message, t->text);
    uuid = id_uuid4();
    id_uuid_text(&uuid, t->context);
    if (r->message_context.p && (err = json_string_decode(r->message_context, &id)) == 0) {
        if (id.n > CONTEXT_MAX || str_has_control(buf_str(&id)))
            err = ERR_LIMIT;
        else
            snprintf(t->context, sizeof t->context, "%s", buf_z(&id));
    }
    buf_release(&id);
    make_id(t);
    return err ? ERR_LIMIT : 0;
}

static void on_send(struct demo_agent *a, struct exchange *x, const struct a2a_request *r)
{
    struct demo_task t = {.id = ""};
    int err = begin_task(a, r, &t);
    struct script s = parse_script(str_of(t.text));
    int64_t left = duration_ms(&s) - (clock_wall_ms() - t.started_ms);

    if (err == ERR_ABSENT)
        answer_fault(a, x, r, A2A_ERROR_TASK_NOT_FOUND, "not a task of this agent");
    else if (err)
        answer_fault(a, x, r, A2A_ERROR_INVALID_PARAMS,
                     "contextId is too long for the demo agent");
    else if (misbehave(a, x, r, &s))
        return;
    else if (str_is(s.verb, STR("message")) && r->method == A2A_STREAM)
        demo_stream_message(a, x, r, &t, s.rest.p ? s.rest : STR(""));
    else if (r->method == A2A_STREAM)
        demo_stream_start(a, x, r, &t);
    else if (str_is(s.verb, STR("message")))
        answer_object(a, x, r, A2A_REPLY_MESSAGE, &t, s.rest.p ? s.rest : STR(""));
    else if (left > 0 && r->wait != A2A_WAIT_NOT)
        wait_for_end(a, x, r, &t, (uint64_t)left);
    else
        answer_object(a, x, r, A2A_REPLY_TASK, &t, STR_NONE);
}

/* The task that the request names; false after answering that there is none. */
static bool find_task(struct demo_agent *a, struct exchange *x, const struct a2a_request *r,
                      struct demo_task *t)
{
    struct buf id;
    int err;

    buf_init(&id, LIMIT_TASK_ID);
    err = json_string_decode(r->task_id, &id);
    err = err ? err : read_id(buf_str(&id), t);
    buf_release(&id);
    if (err)
        answer_fault(a, x, r, A2A_ERROR_TASK_NOT_FOUND, "not a task of this agent");
    return !err;
}

static void on_get(struct demo_agent *a, struct exchange *x, const struct a2a_request *r)
{
    struct demo_task t;

    if (find_task(a, x, r, &t))
        answer_object(a, x, r, A2A_REPLY_TASK, &t, STR_NONE);
}

static void on_subscribe(struct demo_agent *a, struct exchange *x, const struct a2a_request *r)
{
    struct demo_task t;

    if (!find_task(a, x, r, &t))
        return;
    if (a2a_state_is_terminal(demo_state(a, &t, clock_wall_ms())))
        answer_fault(a, x, r, A2A_ERROR_UNSUPPORTED, "it is over");
    else
        demo_stream_start(a, x, r, &t);
}

/* Who waits for the task is told in the next millisecond. */
static void on_cancel(struct demo_agent *a, struct exchange *x, const struct a2a_request *r)
{
    struct demo_task t;

    if (!find_task(a, x, r, &t))
        return;
    if (a2a_state_is_terminal(demo_state(a, &t, clock_wall_ms()))) {
        answer_fault(a, x, r, A2A_ERROR_TASK_NOT_CANCELABLE, "it is over");
        return;
    }
    take_note(a, t.id, NULL);
    LIST_EACH (it, &a->waiting) {
        struct waiting *w = CONTAINER_OF(it, struct waiting, link);

        if (strcmp(w->task.id, t.id) == 0)
            timer_start(a->loop, &w->timer, 1);
    }
    demo_stream_look(a, t.id);
    answer_object(a, x, r, A2A_REPLY_TASK, &t, STR_NONE);
}

/* --- who it is, by the path --- */

/* Said once, in 1.0; the card's writer makes the others of it. */
static const char card[] =
    "{\"name\":\"SuperX demo agent\",\"description\":\"Does what the first word of a message says, to "
    "try the gateway with.\",\"version\":\"" SUPERX_VERSION
    "\",\"supportedInterfaces\":[{\"url\":"
    "\"http://127.0.0.1/\",\"protocolBinding\":\"JSONRPC\",\"protocolVersion\":\"1.0\"}],"
    "\"capabilities\":{\"streaming\":true,\"pushNotifications\":false},"
    "\"defaultInputModes\":[\"text/plain\"],\"defaultOutputModes\":[\"text/plain\"],\"skills\":["
    "{\"id\":\"echo\",\"name\":\"Echo\",\"description\":\"Says again what it was told.\",\"tags\":"
    "[\"demo\"],\"examples\":[\"hello\"]},"
    "{\"id\":\"sleep\",\"name\":\"Long work\",\"description\":\"Works some seconds, or counts.\","
    "\"tags\":[\"demo\"],\"examples\":[\"sleep 5\",\"count to 10\"]},"
    "{\"id\":\"ask\",\"name\":\"Dialogue\",\"description\":\"Asks back before it completes.\","
    "\"tags\":[\"demo\"],\"examples\":[\"ask your name\"]}]}";

static bool is_below(struct str path, struct str folder)
{
    return str_has_prefix(path, folder) && (path.n == folder.n || path.p[folder.n] == '/');
}

static void on_card(struct demo_agent *a, struct exchange *x)
{
    const struct http_head *head = exchange_head(x);
    enum a2a_card_form form = A2A_CARD_HYBRID;
    struct a2a_card_offer offer = {.streaming = true};
    struct str folder = STR("/");
    struct buf url;

    if (is_below(head->path, STR("/0.3"))) {
        form = A2A_CARD_0_3;
        folder = STR("/0.3/");
    } else if (is_below(head->path, STR("/1.0"))) {
        form = A2A_CARD_1_0;
        folder = STR("/1.0/");
    }
    buf_init(&url, LIMIT_URL);
    BUF_LIT(&url, "http://");
    buf_add_str(&url, http_head_get(head, STR("host")));
    buf_add_str(&url, folder);
    offer.url = buf_str(&url);
    if (buf_error(&url) || a2a_card_write(&a->out, str_of(card), form, &offer))
        exchange_answer_text(x, 500, "The card could not be written.");
    else
        answer_out(a, x, 200, "application/json");
    buf_release(&url);
}

/* Whether the agent of this path speaks the request's version. */
static bool speaks(struct str path, enum a2a_version version)
{
    return !is_below(path, version == A2A_1_0 ? STR("/0.3") : STR("/1.0"));
}

static void on_method(struct demo_agent *a, struct exchange *x, const struct a2a_request *r)
{
    if (!speaks(exchange_head(x)->path, r->version))
        answer_fault(a, x, r, A2A_ERROR_METHOD_NOT_FOUND,
                     "this agent speaks the other version of A2A");
    else if (r->method == A2A_SEND || r->method == A2A_STREAM)
        on_send(a, x, r);
    else if (r->method == A2A_GET)
        on_get(a, x, r);
    else if (r->method == A2A_CANCEL)
        on_cancel(a, x, r);
    else if (r->method == A2A_SUBSCRIBE)
        on_subscribe(a, x, r);
    else
        answer_fault(a, x, r, A2A_ERROR_UNSUPPORTED,
                     "the demo agent knows send, stream, get, subscribe and cancel");
}

static bool is_card_path(struct str path)
{
    static const struct str end = {"/.well-known/agent-card.json", 28};

    return path.n >= end.n && str_is(str_make(path.p + path.n - end.n, end.n), end);
}

static void on_request(struct exchange *x, void *arg)
{
    struct demo_agent *a = arg;
    const struct http_head *head = exchange_head(x);
    struct a2a_request r;
    struct a2a_fault fault;

    if (head->verb != HTTP_VERB_POST && is_card_path(head->path)) {
        on_card(a, x);
    } else if (head->verb != HTTP_VERB_POST) {
        exchange_answer_text(x, 200, "SuperX demo agent: POST JSON-RPC (A2A 0.3 or 1.0) here.");
    } else if (a2a_request_read(exchange_body(x), STR_NONE, &r, &fault)) {
        a2a_error_write(&a->out, r.version, r.id, &fault);
        answer_out(a, x, 200, "application/json");
    } else {
        on_method(a, x, &r);
    }
}

int demo_agent_run(int argc, char **argv)
{
    struct demo_agent agent = {.loop = loop_new()};
    struct server_config config = {.host = "127.0.0.1",
                                   .max_body = LIMIT_REQUEST_BODY,
                                   .max_connections = 1000,
                                   .head_timeout_ms = 10000,
                                   .body_timeout_ms = 60000,
                                   .idle_timeout_ms = 600000};
    struct server *server;
    uint64_t port = 0;
    char why[256];

    if (argc == 3 && strcmp(argv[1], "--port") == 0 &&
        str_to_u64(str_of(argv[2]), &port) == 0 && port <= 65535) {
        config.port = (uint16_t)port;
    } else if (argc != 1) {
        fprintf(stderr, "usage: superx demo-agent [--port N]\n");
        return EXIT_USAGE;
    }
    signal(SIGPIPE, SIG_IGN);
    list_init(&agent.waiting);
    list_init(&agent.streams);
    buf_init(&agent.out, MB(8));
    if (server_open(agent.loop, &config, on_request, &agent, &server, why)) {
        fprintf(stderr, "superx: %s\n", why);
        return EXIT_UNAVAILABLE;
    }
    printf("port %u\n", (unsigned)server_port(server));
    fflush(stdout);
    loop_run(agent.loop);
    return EXIT_OK;
}
