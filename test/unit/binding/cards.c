/* SPDX-License-Identifier: MIT
 *
 * Cards over HTTP: which path, which form, what may be cached, and what is said when there is none.
 *
 * Exchanges and the calls behind the card are this file's: it defines what accept/ and call/card.c define, so the
 * linker takes these. Nothing runs by a clock or a socket.
 */
#include "check.h"

#include "binding/binding_int.h"
#include "lib/mem.h"

/* --- an exchange that only remembers -------------------------------------------------------------- */

struct exchange {
    struct http_head head;
    struct http_header list[8];
    int status; /* 0: not answered */
    unsigned n_answers;
    struct buf body, said; /* said: "name: value\n" of each header */
    void (*on_gone)(void *arg);
    void *gone_arg;
};

static struct exchange x;

const struct http_head *exchange_head(const struct exchange *e)
{
    CHECK_INT(e->n_answers, 0);
    return &e->head;
}

struct str exchange_body(const struct exchange *e)
{
    (void)e;
    return STR("");
}

int exchange_keep_body(struct exchange *e)
{
    (void)e;
    return 0;
}

struct str exchange_request_id(const struct exchange *e)
{
    (void)e;
    return STR("r");
}

const char *exchange_peer(const struct exchange *e)
{
    CHECK_INT(e->n_answers, 0);
    return "127.0.0.1:9";
}

bool exchange_peer_is_loopback(const struct exchange *e)
{
    (void)e;
    return true;
}

void exchange_on_gone(struct exchange *e, void (*fn)(void *arg), void *arg)
{
    e->on_gone = fn;
    e->gone_arg = arg;
}

void exchange_answer(struct exchange *e, int status, const char *content_type,
                     const struct exchange_header *list, size_t n_headers,
                     const struct str *parts, size_t n_parts)
{
    e->status = status;
    e->n_answers++;
    if (content_type)
        buf_printf(&e->said, "content-type: %s\n", content_type);
    for (size_t i = 0; i < n_headers; i++)
        buf_printf(&e->said, "%s: %.*s\n", list[i].name, STR_ARG(list[i].value));
    for (size_t i = 0; i < n_parts; i++)
        buf_add_str(&e->body, parts[i]);
}

/* No stream is opened in these tests. */
void exchange_stream(struct exchange *e, int status, const char *content_type,
                     const struct exchange_header *list, size_t n_headers,
                     void (*on_drain)(void *arg))
{
    (void)e;
    (void)status;
    (void)content_type;
    (void)list;
    (void)n_headers;
    (void)on_drain;
    BUG_ON(true);
}

int exchange_write(struct exchange *e, const struct str *parts, size_t n_parts)
{
    (void)e;
    (void)parts;
    (void)n_parts;
    BUG_ON(true);
    return 0;
}

void exchange_end(struct exchange *e)
{
    (void)e;
    BUG_ON(true);
}

void exchange_answer_text(struct exchange *e, int status, const char *text)
{
    struct str part = str_of(text);

    exchange_answer(e, status, "text/plain", NULL, 0, &part, 1);
}

/* --- calls that answer what the test says --------------------------------------------------------- */

static struct call_card card;
static struct a2a_fault fault;
static bool is_slow; /* the answer waits for deliver() */
static char asked_id[128];
static call_card_fn waiting;
static void *waiting_arg;
static const char *const *ids; /* NULL at the end */

void call_card_start(struct calls *c, struct str id, call_card_fn fn, void *arg)
{
    (void)c;
    snprintf(asked_id, sizeof asked_id, "%.*s", id.p ? (int)id.n : 6, id.p ? id.p : "(root)");
    waiting = fn;
    waiting_arg = arg;
    if (!is_slow)
        fn(arg, &card);
}

struct str calls_next_agent(struct calls *c, size_t *at)
{
    (void)c;
    return ids && ids[*at] ? str_of(ids[(*at)++]) : STR_NONE;
}

/* --- the stage ------------------------------------------------------------------------------------ */

static struct binding *binding;

static void forget(void)
{
    buf_release(&x.body);
    buf_release(&x.said);
    x = (struct exchange){0};
    buf_init(&x.body, MB(8));
    buf_init(&x.said, KB(4));
}

static void open_stage(void)
{
    struct binding_config config = {.listen = "127.0.0.1", .port = 4000};
    char why[256];

    CHECK_INT(binding_new(NULL, &config, &binding, why), 0);
    card = (struct call_card){.agent = STR("w"),
                              .doc = STR("{\"name\":\"W\",\"url\":\"http://in/\"}")};
    is_slow = false;
    ids = NULL;
    forget();
}

static void close_stage(void)
{
    buf_release(&x.body);
    buf_release(&x.said);
    x = (struct exchange){0};
    binding_free(binding);
}

/* `more`: a second header, or NULL. */
static void ask_with(enum http_verb verb, const char *target, const char *name,
                     const char *value)
{
    struct str query = str_of(target), path = str_cut(&query, '?');

    forget();
    x.head = (struct http_head){.verb = verb, .path = path, .query = query, .headers = x.list};
    x.list[x.head.n_headers++] = (struct http_header){STR("host"), STR("gw.example")};
    if (name)
        x.list[x.head.n_headers++] = (struct http_header){str_of(name), str_of(value)};
    binding_on_request(&x, binding);
}

static void ask(const char *target)
{
    ask_with(HTTP_VERB_GET, target, NULL, NULL);
}

static bool body_has(const char *part)
{
    return strstr(buf_z(&x.body), part) != NULL;
}

static bool said(const char *line)
{
    return strstr(buf_z(&x.said), line) != NULL;
}

#define WEATHER "/agents/w/.well-known/agent-card.json"

/* --- tests ---------------------------------------------------------------------------------------- */

TEST(paths)
{
    static const struct {
        const char *path, *id;
    } cases[] = {
        {WEATHER, "w"},
        {"/agents/w/.well-known/agent.json", "w"},
        {"/agents//.well-known/agent.json", ""},
        {"/.well-known/agent-card.json", "(root)"},
        {"/.well-known/agent.json", "(root)"},
    };

    open_stage();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ask(cases[i].path);
        CHECK_INT(x.status, 200);
        CHECK_STR(str_of(asked_id), str_of(cases[i].id));
        CHECK(body_has("\"url\":\"http://gw.example/agents/w/\""));
    }
    ask("/agents/w/.well-known/other.json");
    CHECK_INT(x.status, 404);
    ask("/.well-known/agent-card.json/");
    CHECK_INT(x.status, 404);
    ask(".well-known/agent-card.json");
    CHECK_INT(x.status, 404);
    close_stage();
}

TEST(headers_of_a_card)
{
    open_stage();
    ask(WEATHER);
    CHECK(said("content-type: application/json\n"));
    CHECK(said("cache-control: public, max-age=300\n"));
    CHECK(said("vary: A2A-Version, Host\n"));
    CHECK(said("access-control-allow-origin: *\n"));
    CHECK(said("etag: \""));
    close_stage();
}

TEST(form_follows_the_version)
{
    open_stage();
    ask(WEATHER);
    CHECK(body_has("supportedInterfaces") && body_has("preferredTransport"));
    ask_with(HTTP_VERB_GET, WEATHER, "a2a-version", "1.0.3");
    CHECK(body_has("supportedInterfaces") && !body_has("preferredTransport"));
    ask_with(HTTP_VERB_GET, WEATHER, "a2a-version", "0.3");
    CHECK(!body_has("supportedInterfaces") && body_has("preferredTransport"));
    ask_with(HTTP_VERB_GET, WEATHER, "a2a-version", "");
    CHECK(body_has("supportedInterfaces") && body_has("preferredTransport"));
    ask(WEATHER "?A2A-Version=1.0");
    CHECK(body_has("supportedInterfaces") && !body_has("preferredTransport"));
    close_stage();
}

TEST(operators_form_goes_before)
{
    open_stage();
    card.has_form = true;
    card.form = A2A_CARD_0_3;
    ask_with(HTTP_VERB_GET, WEATHER, "a2a-version", "1.0");
    CHECK(!body_has("supportedInterfaces") && body_has("preferredTransport"));
    close_stage();
}

TEST(unknown_versions)
{
    static const char *const versions[] = {"2.0", "99.0", "one", "1"};

    open_stage();
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        ask_with(HTTP_VERB_GET, WEATHER, "a2a-version", versions[i]);
        CHECK_INT(x.status, 400);
        CHECK(body_has("{\"error\":\"Protocol version is not supported\""));
        CHECK(body_has("\"supportedVersions\":[\"1.0\",\"0.3\"]}"));
        CHECK(said("cache-control: no-store\n"));
    }
    close_stage();
}

static void etag_of(const char *target, const char *version, char out[64])
{
    const char *at;

    ask_with(HTTP_VERB_GET, target, version ? "a2a-version" : NULL, version);
    at = strstr(buf_z(&x.said), "etag: ");
    snprintf(out, 64, "%.*s", at ? (int)strcspn(at + 6, "\n") : 0, at ? at + 6 : "");
}

TEST(etag_is_of_the_bytes)
{
    char first[64], again[64], other[64];

    open_stage();
    etag_of(WEATHER, NULL, first);
    etag_of(WEATHER, NULL, again);
    etag_of(WEATHER, "1.0", other);
    CHECK_INT(strlen(first), 34);
    CHECK_STR(str_of(first), str_of(again));
    CHECK(strcmp(first, other) != 0);
    card.doc = STR("{\"name\":\"V\",\"url\":\"http://in/\"}");
    etag_of(WEATHER, NULL, other);
    CHECK(strcmp(first, other) != 0);
    close_stage();
}

TEST(if_none_match)
{
    char etag[64], list[256];
    static const char *const forms[] = {"%s", "W/%s", "\"x\", %s", "W/\"x\" ,W/%s , \"y\""};

    open_stage();
    etag_of(WEATHER, NULL, etag);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const char *mark = strstr(forms[i], "%s");

        snprintf(list, sizeof list, "%.*s%s%s", (int)(mark - forms[i]), forms[i], etag,
                 mark + 2);
        ask_with(HTTP_VERB_GET, WEATHER, "if-none-match", list);
        CHECK_INT(x.status, 304);
        CHECK(said("etag: \"") && said("vary: ") && said("cache-control: public"));
    }
    ask_with(HTTP_VERB_GET, WEATHER, "if-none-match", "*");
    CHECK_INT(x.status, 304);
    ask_with(HTTP_VERB_GET, WEATHER, "if-none-match", "\"x\", W/\"y\"");
    CHECK_INT(x.status, 200);
    etag[strlen(etag) - 1] = '\0';
    ask_with(HTTP_VERB_GET, WEATHER, "if-none-match", etag);
    CHECK_INT(x.status, 200);
    close_stage();
}

TEST(other_verbs)
{
    open_stage();
    ask_with(HTTP_VERB_HEAD, WEATHER, NULL, NULL);
    CHECK_INT(x.status, 200);
    ask_with(HTTP_VERB_POST, WEATHER, NULL, NULL);
    CHECK_INT(x.status, 405);
    CHECK(said("allow: GET, HEAD, OPTIONS\n"));
    ask_with(HTTP_VERB_DELETE, "/.well-known/agent.json", NULL, NULL);
    CHECK_INT(x.status, 405);
    ask_with(HTTP_VERB_OPTIONS, WEATHER, NULL, NULL);
    CHECK_INT(x.status, 204);
    CHECK(said("access-control-allow-origin: *\n"));
    CHECK(said("access-control-allow-methods: GET, HEAD, OPTIONS\n"));
    CHECK(said("A2A-Version"));
    close_stage();
}

static void fail_with(enum a2a_error error, int status)
{
    a2a_fault_set(&fault, error, "why \"so\"");
    card = (struct call_card){.fault = &fault, .status = status, .agent = STR("w")};
}

TEST(faults)
{
    static const struct {
        enum a2a_error error;
        int agent_status, status;
        const char *body;
    } cases[] = {
        {A2A_ERROR_AGENT_NOT_FOUND, 0, 404,
         "{\"error\":\"Agent not found\",\"detail\":\"why \\\"so\\\"\"}"},
        {A2A_ERROR_AGENT_UNREACHABLE, 0, 502,
         "{\"error\":\"Failed to reach agent\",\"detail\":\"why \\\"so\\\"\"}"},
        {A2A_ERROR_AGENT_TIMEOUT, 0, 504,
         "{\"error\":\"Agent did not answer in time\",\"detail\":\"why \\\"so\\\"\"}"},
        {A2A_ERROR_AGENT_FAILED, 404, 404,
         "{\"error\":\"Failed to fetch agent card\",\"detail\":\"why \\\"so\\\"\",\"status\":404}"},
        {A2A_ERROR_AGENT_FAILED, 500, 502,
         "{\"error\":\"Failed to fetch agent card\",\"detail\":\"why \\\"so\\\"\",\"status\":500}"},
        {A2A_ERROR_AGENT_FAILED, 401, 502,
         "{\"error\":\"Failed to fetch agent card\",\"detail\":\"why \\\"so\\\"\",\"status\":401}"},
        {A2A_ERROR_INVALID_AGENT_RESPONSE, 200, 502,
         "{\"error\":\"Invalid agent response\",\"detail\":\"why \\\"so\\\"\"}"},
    };

    open_stage();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fail_with(cases[i].error, cases[i].agent_status);
        ask(WEATHER);
        CHECK_INT(x.status, cases[i].status);
        CHECK_STR(buf_str(&x.body), str_of(cases[i].body));
        CHECK(said("content-type: application/json\n") && said("cache-control: no-store\n"));
        CHECK(!said("etag"));
    }
    close_stage();
}

TEST(root_without_default_lists_all)
{
    static const char *const some[] = {"a", "b.c", NULL};

    open_stage();
    ids = some;
    fail_with(A2A_ERROR_AGENT_NOT_FOUND, 0);
    ask("/.well-known/agent-card.json");
    CHECK_INT(x.status, 404);
    CHECK(body_has("\"agents\":[{\"id\":\"a\",\"card\":"
                   "\"http://gw.example/agents/a/.well-known/agent-card.json\"},"
                   "{\"id\":\"b.c\",\"card\":"
                   "\"http://gw.example/agents/b.c/.well-known/agent-card.json\"}]}"));
    CHECK_INT(json_scan(buf_str(&x.body), NULL, NULL, 0, NULL), 0);
    ask(WEATHER);
    CHECK(!body_has("\"agents\""));
    ids = NULL;
    ask("/.well-known/agent.json");
    CHECK(body_has("\"agents\":[]}"));
    close_stage();
}

TEST(card_that_comes_later)
{
    open_stage();
    is_slow = true;
    ask(WEATHER);
    CHECK_INT(x.n_answers, 0);
    waiting(waiting_arg, &card);
    CHECK_INT(x.n_answers, 1);
    CHECK_INT(x.status, 200);
    close_stage();
}

/* The sanitizers see whether what waited is freed, and whether anything of the caller is touched. */
TEST(caller_leaves_before_the_card_comes)
{
    open_stage();
    is_slow = true;
    ask(WEATHER);
    x.on_gone(x.gone_arg);
    waiting(waiting_arg, &card);
    CHECK_INT(x.n_answers, 0);
    ask(WEATHER);
    x.on_gone(x.gone_arg);
    close_stage(); /* even the binding may have gone */
    waiting(waiting_arg, &card);
}

TEST(cards_that_cannot_be_shown)
{
    struct buf many;

    open_stage();
    card.doc = STR("[]");
    ask(WEATHER);
    CHECK_INT(x.status, 502);
    CHECK(body_has("not a JSON object"));
    buf_init(&many, MB(1));
    BUF_LIT(&many, "{\"skills\":[{}");
    while (many.n < MB(1) - 8)
        BUF_LIT(&many, ",{}");
    BUF_LIT(&many, "]}");
    card.doc = buf_str(&many);
    ask(WEATHER);
    CHECK_INT(x.status, 502);
    CHECK(body_has("too large"));
    CHECK_INT(json_scan(buf_str(&x.body), NULL, NULL, 0, NULL), 0);
    buf_release(&many);
    close_stage();
}

TEST_MAIN
