/* SPDX-License-Identifier: MIT
 *
 * Agent cards over HTTP: the one document of A2A that is fetched before anybody speaks A2A.
 *
 *     GET /agents/{id}/.well-known/agent-card.json    that agent's      (agent.json: the name before 0.3)
 *     GET /.well-known/agent-card.json                the default agent's; without one a 404 that lists all
 *
 * The form follows A2A-Version: 1.0 and 0.3 get a card of that version alone, nobody's wish gets both in one; what the
 * operator set for an agent goes before. Cards may be cached and compared: a strong ETag over the bytes, Vary for all
 * that they hang on. Any web page may read them, they are public. Errors are JSON with a sentence in `error`, as the
 * first SuperX had them, and what is to be done about it in `detail`.
 *
 * The card may have to be fetched from the agent first, so an answer may come later than the request's callback. What
 * waits for it outlives a caller who leaves: `exchange` is NULL then, and the card is dropped.
 */
#include <stdio.h>

#include "binding/binding_int.h"
#include "lib/digest.h"
#include "lib/mem.h"

/* A card is small, but what an agent leaves out of each of its skills is filled in. */
#define CARD_ANSWER_MAX (4 * LIMIT_CARD)
#define ETAG_HEX 32 /* 128 bits: nobody finds two cards with the same */

#define CARD_VERBS "GET, HEAD, OPTIONS"

struct card_request {
    struct binding *binding;   /* valid while there is an exchange */
    struct exchange *exchange; /* NULL when the caller is gone */
    bool is_root, is_asked;
    enum a2a_card_form asked; /* valid if is_asked */
};

bool is_card_path(struct str path)
{
    return str_is(path, STR(".well-known/agent-card.json")) ||
           str_is(path, STR(".well-known/agent.json"));
}

/* --- answers --- */

static void answer_json(struct binding *b, struct exchange *x, int status, struct buf *body,
                        struct str etag)
{
    struct exchange_header headers[4] = {
        {"access-control-allow-origin", STR("*")},
        {"vary", str_of(public_vary(&b->address))},
        {"cache-control", etag.p ? STR("public, max-age=300") : STR("no-store")},
        {"etag", etag},
    };
    struct str part = buf_str(body);

    if (buf_error(body))
        exchange_answer_text(x, 500, "The answer is too large for the gateway's memory.");
    else
        exchange_answer(x, status, "application/json", headers, etag.p ? 4 : 3, &part, 1);
}

static void answer_preflight(struct exchange *x)
{
    static const char allowed[] =
        "A2A-Version, A2A-Extensions, Authorization, Content-Type, If-None-Match";
    struct exchange_header headers[] = {
        {"access-control-allow-origin", STR("*")},
        {"access-control-allow-methods", STR(CARD_VERBS)},
        {"access-control-allow-headers", str_of(allowed)},
        {"access-control-max-age", STR("86400")},
        {"allow", STR(CARD_VERBS)},
    };

    exchange_answer(x, 204, NULL, headers, sizeof headers / sizeof *headers, NULL, 0);
}

/* Opens the object of an error; the caller closes it. */
static void write_error(struct buf *out, const char *error, const char *detail)
{
    BUF_LIT(out, "{\"error\":");
    json_write_string(out, str_of(error));
    if (detail[0]) {
        BUF_LIT(out, ",\"detail\":");
        json_write_string(out, str_of(detail));
    }
}

static void answer_bad_version(struct binding *b, struct exchange *x)
{
    struct buf out;

    buf_init(&out, KB(1));
    write_error(&out, a2a_error_row(A2A_ERROR_VERSION)->text,
                "ask with A2A-Version 1.0 or 0.3, or without, for a card of both");
    BUF_LIT(&out, ",\"supportedVersions\":[\"1.0\",\"0.3\"]}");
    answer_json(b, x, 400, &out, STR_NONE);
    buf_release(&out);
}

static void write_agents(struct buf *out, struct binding *b, struct exchange *x)
{
    size_t at = 0;
    bool first = true;
    struct str id;

    BUF_LIT(out, ",\"agents\":[");
    while ((id = calls_next_agent(b->calls, &at)).p) {
        buf_add_str(out, first ? STR("{\"id\":") : STR(",{\"id\":"));
        first = false;
        json_write_string(out, id);
        /* A base URL is made of characters that JSON does not escape. */
        BUF_LIT(out, ",\"card\":\"");
        public_write_agent(&b->address, out, exchange_head(x), exchange_peer(x), id);
        BUF_LIT(out, ".well-known/agent-card.json\"}");
    }
    buf_add_char(out, ']');
}

/* The agent's own status is told in the body; the answer's says where the fault lies: only that there is no card is
 * true of our address as of the agent's. */
static void answer_fault_json(struct card_request *c, const struct call_card *card)
{
    const struct a2a_error_row *row = a2a_error_row(card->fault->error);
    const char *error = row->text;
    int status = card->fault->error == A2A_ERROR_AGENT_FAILED ? card->status : 0;
    struct buf out;

    if (status)
        error = "Failed to fetch agent card";
    else if (card->fault->error == A2A_ERROR_AGENT_UNREACHABLE)
        error = "Failed to reach agent";
    buf_init(&out, CARD_ANSWER_MAX);
    write_error(&out, error, card->fault->detail);
    if (status)
        buf_printf(&out, ",\"status\":%d", status);
    if (c->is_root && card->fault->error == A2A_ERROR_AGENT_NOT_FOUND)
        write_agents(&out, c->binding, c->exchange);
    buf_add_char(&out, '}');
    answer_json(c->binding, c->exchange, status == 404 ? 404 : row->http, &out, STR_NONE);
    buf_release(&out);
}

/* If-None-Match: weak comparison (RFC 9110, section 13.1.2). */
static bool is_known_to_caller(const struct http_head *head, struct str etag)
{
    struct str list = http_head_get(head, STR("if-none-match"));

    while (list.p) {
        struct str tag = str_trim(str_cut(&list, ','));

        if (str_has_prefix(tag, STR("W/")))
            tag = str_make(tag.p + 2, tag.n - 2);
        if (str_is(tag, etag) || str_is(tag, STR("*")))
            return true;
    }
    return false;
}

static void answer_card(struct card_request *c, const struct call_card *card)
{
    struct binding *b = c->binding;
    enum a2a_card_form form = c->is_asked ? c->asked : A2A_CARD_HYBRID;
    struct a2a_card_offer offer = {.streaming = true, .push = true};
    const struct http_head *head = exchange_head(c->exchange);
    char digest[DIGEST_HEX + 1], etag[ETAG_HEX + 3];
    struct buf url, out;
    int err;

    buf_init(&url, 2 * LIMIT_URL);
    buf_init(&out, CARD_ANSWER_MAX);
    public_write_agent(&b->address, &url, head, exchange_peer(c->exchange), card->agent);
    offer.url = buf_str(&url);
    err = a2a_card_write(&out, card->doc, card->has_form ? card->form : form, &offer);
    if (err || buf_error(&url)) {
        buf_clear(&out);
        write_error(&out, a2a_error_row(A2A_ERROR_INVALID_AGENT_RESPONSE)->text,
                    err == ERR_INVALID ? "the agent's card is not a JSON object"
                                       : "the agent's card is too large to be shown");
        buf_add_char(&out, '}');
        answer_json(b, c->exchange, 502, &out, STR_NONE);
    } else {
        digest_sha256(buf_str(&out), digest);
        snprintf(etag, sizeof etag, "\"%.*s\"", ETAG_HEX, digest);
        answer_json(b, c->exchange, is_known_to_caller(head, str_of(etag)) ? 304 : 200, &out,
                    str_of(etag));
    }
    buf_release(&url);
    buf_release(&out);
}

/* --- requests --- */

static void on_card(void *arg, const struct call_card *card)
{
    struct card_request *c = arg;

    if (!c->exchange)
        ;
    else if (card->fault)
        answer_fault_json(c, card);
    else
        answer_card(c, card);
    mem_free(c);
}

static void on_gone(void *arg)
{
    struct card_request *c = arg;

    c->exchange = NULL;
}

/* ERR_UNSUPPORTED or ERR_SYNTAX: a version was asked for that is not spoken here. */
static int read_asked(struct exchange *x, struct card_request *c)
{
    enum a2a_version version;
    struct buf scratch;
    struct str asked;
    int err = 0;

    buf_init(&scratch, LIMIT_HTTP_TARGET);
    asked = asked_version(exchange_head(x), &scratch);
    c->is_asked = asked.n > 0;
    if (c->is_asked)
        err = a2a_version_parse(str_trim(asked), &version);
    if (c->is_asked && !err)
        c->asked = version == A2A_1_0 ? A2A_CARD_1_0 : A2A_CARD_0_3;
    buf_release(&scratch);
    return err;
}

void card_on_request(struct binding *b, struct exchange *x, struct str agent_id)
{
    enum http_verb verb = exchange_head(x)->verb;
    struct card_request wanted = {.binding = b, .exchange = x, .is_root = !agent_id.p};
    struct card_request *c;

    if (verb == HTTP_VERB_OPTIONS) {
        answer_preflight(x);
        return;
    }
    if (verb != HTTP_VERB_GET && verb != HTTP_VERB_HEAD) {
        answer_wrong_verb(x, CARD_VERBS);
        return;
    }
    if (read_asked(x, &wanted)) {
        answer_bad_version(b, x);
        return;
    }
    c = MEM_NEW(struct card_request);
    *c = wanted;
    /* Before the start: the answer may come from inside it. */
    exchange_on_gone(x, on_gone, c);
    call_card_start(b->calls, agent_id, on_card, c);
}
