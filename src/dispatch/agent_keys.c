/* SPDX-License-Identifier: MIT
 *
 * The keys of an agent: what each of them may say, and the complaint when it says something else.
 *
 * One table serves the agents file and the API (JSON is made a tree of YAML nodes first), so that what can
 * be written in one can be sent to the other.
 *
 * A key that is null or empty is as good as absent.
 *
 * Keys of the first SuperX without a meaning here (`version`, `name`, what `metadata` says beyond the
 * card) are accepted. Those that promise something which is not built yet are noted, for the caller to
 * log.
 */
#include "dispatch/agent_keys.h"

#include <ctype.h>
#include <stdio.h>

#include "lib/http.h"
#include "lib/json.h"

/* A JWT with many claims; the whole head of a request must stay within LIMIT_HTTP_HEAD. */
#define BEARER_MAX KB(8)
#define HEADERS_MAX_BYTES KB(16)
#define FILE_NAME_MAX 4096u
#define SERVER_NAME_MAX 253u
#define IN_FLIGHT_MAX 10000u
#define STREAMS_MAX 100000u
#define TIMEOUT_MAX_MS 86400000u /* a day */

/* One key of an agent. `node` is its value, node->key the key. */
typedef int (*key_fn)(struct key_reader *r, struct agent_spec *spec,
                      const struct yaml_node *node);

static int read_url(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_endpoint(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_card_url(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_form(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_follow(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_bearer(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_headers(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_forward(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_ca_file(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_cert_file(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_key_file(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_server(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_protocol(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_version(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_in_flight(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_streams(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_send(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_final_get(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_timeout(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_breaker(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_id_again(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_card(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_metadata(struct key_reader *, struct agent_spec *, const struct yaml_node *);
static int read_nothing(struct key_reader *, struct agent_spec *, const struct yaml_node *);

/* cardUrl stands before the keys that bring a card, which may name a URL, too. */
static const struct {
    const char *name;
    key_fn read;
} agent_keys[] = {
    {"url", read_url},
    {"endpoint", read_endpoint},
    {"cardUrl", read_card_url},
    {"card", read_form},
    {"followCardHost", read_follow},
    {"bearer", read_bearer},
    {"headers", read_headers},
    {"forwardHeaders", read_forward},
    {"caFile", read_ca_file},
    {"certFile", read_cert_file},
    {"keyFile", read_key_file},
    {"serverName", read_server},
    {"protocol", read_protocol},
    {"protocolVersion", read_version},
    {"maxInFlight", read_in_flight},
    {"maxStreams", read_streams},
    {"send", read_send},
    {"finalGet", read_final_get},
    {"timeoutMs", read_timeout},
    {"failureThreshold", read_breaker},
    {"failureWindowMs", read_breaker},
    {"cooldownMs", read_breaker},
    {"id", read_id_again},
    {"name", read_nothing},
    {"version", read_nothing},
    {"agentCard", read_card},
    {"metadata", read_metadata},
};

#define N_AGENT_KEYS (sizeof agent_keys / sizeof *agent_keys)

/* By enum agent_send. */
static const char *const agent_sends[] = {"as-asked", "stream", "async"};

const char *agent_send_text(enum agent_send send)
{
    return agent_sends[send];
}

struct agent_spec agent_spec_default(const struct agent_defaults *defaults)
{
    return (struct agent_spec){.version = A2A_0_3,
                               .max_in_flight = defaults->max_in_flight,
                               .max_streams = defaults->max_streams,
                               .final_get = true,
                               .timeout_ms = defaults->timeout_ms};
}

bool agent_id_is_valid(struct str id)
{
    for (size_t i = 0; i < id.n; i++) {
        unsigned char c = (unsigned char)id.p[i];

        if (c >= 0x80 || !(isalnum(c) || c == '.' || c == '_' || c == '-'))
            return false;
    }
    /* Clients resolve "." and ".." in paths: an agent of that name could not be called. */
    return id.n >= 1 && id.n <= LIMIT_AGENT_ID && !str_is(id, STR(".")) &&
           !str_is(id, STR(".."));
}

/* --- values ------------------------------------------------------------------------------------- */

/* A text without control characters, absent if it is empty. */
static int read_line(struct key_reader *r, const struct yaml_node *node, size_t max,
                     struct str *out)
{
    struct str text;
    int err = key_read_text(r, node, &text);

    if (err)
        return err;
    if (text.n > max)
        return key_refuse(r, node, ERR_LIMIT, "%.*s is longer than %zu bytes",
                          STR_ARG(key_name(node)), max);
    if (str_has_control(text))
        return key_refuse(r, node, ERR_INVALID, "%.*s must not hold control characters",
                          STR_ARG(key_name(node)));
    *out = text.n ? text : STR_NONE;
    return 0;
}

/* A URL that can be called, absent if it is empty. */
static int read_link(struct key_reader *r, const struct yaml_node *node, struct str *out)
{
    const char *why;
    struct str url;
    int err = key_read_text(r, node, &url);

    if (err)
        return err;
    err = url.n ? egress_url_check(url, &why) : 0;
    if (err)
        return key_refuse(r, node, err, "%s", why);
    *out = url.n ? url : STR_NONE;
    return 0;
}

/* A whole number, or what *out was if the value is null or empty. */
static int read_number(struct key_reader *r, const struct yaml_node *node, uint64_t min,
                       uint64_t max, uint64_t *out)
{
    struct str text;
    uint64_t number;
    int err = key_read_text(r, node, &text);

    if (err || text.n == 0)
        return err;
    if (str_to_u64(text, &number) || number < min || number > max)
        return key_refuse(r, node, ERR_INVALID, "%.*s must be a whole number from %llu to %llu",
                          STR_ARG(key_name(node)), (unsigned long long)min,
                          (unsigned long long)max);
    *out = number;
    return 0;
}

/* true or false, or what *out was if the value is null or empty. */
static int read_truth(struct key_reader *r, const struct yaml_node *node, bool *out)
{
    struct str text;
    int err = key_read_text(r, node, &text);

    if (err || text.n == 0)
        return err;
    if (!str_is_nocase(text, STR("true")) && !str_is_nocase(text, STR("false")))
        return key_refuse(r, node, ERR_INVALID, "%.*s must be true or false",
                          STR_ARG(key_name(node)));
    *out = str_is_nocase(text, STR("true"));
    return 0;
}

/* --- where -------------------------------------------------------------------------------------- */

static int read_url(struct key_reader *r, struct agent_spec *spec, const struct yaml_node *node)
{
    int err = read_link(r, node, &spec->url);

    if (!err && !spec->url.p)
        return key_refuse(r, node, ERR_INVALID, "the URL is empty");
    return err;
}

static int read_endpoint(struct key_reader *r, struct agent_spec *spec,
                         const struct yaml_node *node)
{
    return read_link(r, node, &spec->endpoint);
}

static int read_card_url(struct key_reader *r, struct agent_spec *spec,
                         const struct yaml_node *node)
{
    return read_link(r, node, &spec->card_url);
}

static int read_follow(struct key_reader *r, struct agent_spec *spec,
                       const struct yaml_node *node)
{
    return read_truth(r, node, &spec->follow_card_host);
}

static int read_ca_file(struct key_reader *r, struct agent_spec *spec,
                        const struct yaml_node *node)
{
    return read_line(r, node, FILE_NAME_MAX, &spec->ca_file);
}

static int read_cert_file(struct key_reader *r, struct agent_spec *spec,
                          const struct yaml_node *node)
{
    return read_line(r, node, FILE_NAME_MAX, &spec->cert_file);
}

static int read_key_file(struct key_reader *r, struct agent_spec *spec,
                         const struct yaml_node *node)
{
    return read_line(r, node, FILE_NAME_MAX, &spec->key_file);
}

static int read_server(struct key_reader *r, struct agent_spec *spec,
                       const struct yaml_node *node)
{
    return read_line(r, node, SERVER_NAME_MAX, &spec->server_name);
}

/* --- credentials and headers -------------------------------------------------------------------- */

static int read_bearer(struct key_reader *r, struct agent_spec *spec,
                       const struct yaml_node *node)
{
    struct str bearer;
    int err = key_read_text(r, node, &bearer);

    if (err)
        return err;
    if (bearer.n > BEARER_MAX)
        return key_refuse(r, node, ERR_LIMIT, "bearer is longer than %zu bytes",
                          (size_t)BEARER_MAX);
    /* A token read from a file often ends in a line feed: say so, rather than have the agent say 401. */
    if (!http_is_header_value(bearer) || str_trim(bearer).n != bearer.n)
        return key_refuse(
            r, node, ERR_INVALID,
            "bearer must be one token without control characters or blanks at its ends");
    spec->bearer = bearer.n ? bearer : STR_NONE;
    return 0;
}

static bool is_token(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];

        if (c >= 0x80 || (!isalnum(c) && !strchr("!#$%&'*+-.^_`|~", c)) || c == 0)
            return false;
    }
    return name.n > 0;
}

static int check_header(struct key_reader *r, const struct agent_spec *spec,
                        const struct yaml_node *node)
{
    struct str name = node->key->text;
    int n = (int)(name.n < 64 ? name.n : 64);
    const char *why = str_is_nocase(name, STR("Authorization")) ? "use bearer instead"
                                                                : header_reserved(name);

    if (!is_token(name))
        return key_refuse(r, node->key, ERR_INVALID, "\"%.*s\" cannot be the name of a header",
                          n, name.p);
    if (why)
        return key_refuse(r, node->key, ERR_INVALID, "the header %.*s cannot be set: %s", n,
                          name.p, why);
    for (size_t i = 0; i < spec->n_headers; i++)
        if (str_is_nocase(spec->headers[i].name, name))
            return key_refuse(r, node->key, ERR_CONFLICT, "the header %.*s is given twice", n,
                              name.p);
    if (spec->n_headers == AGENT_HEADERS_MAX)
        return key_refuse(r, node->key, ERR_LIMIT, "more than %d headers", AGENT_HEADERS_MAX);
    return 0;
}

static int read_headers(struct key_reader *r, struct agent_spec *spec,
                        const struct yaml_node *node)
{
    size_t n = 0;

    if (yaml_is_null(node))
        return 0;
    if (node->kind != YAML_KIND_MAP)
        return key_refuse(r, node, ERR_INVALID, "headers must be a map of names and values");
    for (const struct yaml_node *i = node->first; i; i = i->next) {
        struct str value;
        int err = check_header(r, spec, i);

        if (!err)
            err = key_read_text(r, i, &value);
        if (err)
            return err;
        if (!http_is_header_value(value) || str_trim(value).n != value.n)
            return key_refuse(r, i, ERR_INVALID,
                              "the header %.*s must not hold control characters, or blanks at "
                              "its ends",
                              STR_ARG(i->key->text));
        n += i->key->text.n + value.n + 4;
        if (n > HEADERS_MAX_BYTES)
            return key_refuse(r, i, ERR_LIMIT, "the headers are longer than %zu bytes together",
                              (size_t)HEADERS_MAX_BYTES);
        if (value.n) /* as an empty bearer: none */
            spec->headers[spec->n_headers++] = (struct agent_header){i->key->text, value};
    }
    return 0;
}

static int check_forward(struct key_reader *r, const struct agent_spec *spec,
                         const struct yaml_node *node, struct str name)
{
    int n = (int)(name.n < 64 ? name.n : 64);
    const char *why = header_unforwardable(name);

    if (!is_token(name))
        return key_refuse(r, node, ERR_INVALID, "\"%.*s\" cannot be the name of a header", n,
                          name.p);
    if (why)
        return key_refuse(r, node, ERR_INVALID, "the header %.*s cannot be forwarded: %s", n,
                          name.p, why);
    for (size_t i = 0; i < spec->n_forwards; i++)
        if (str_is_nocase(spec->forwards[i], name))
            return key_refuse(r, node, ERR_CONFLICT, "the header %.*s is given twice", n,
                              name.p);
    if (spec->n_forwards == AGENT_FORWARDS_MAX)
        return key_refuse(r, node, ERR_LIMIT, "more than %d headers", AGENT_FORWARDS_MAX);
    return 0;
}

/* Stands behind `bearer` and `headers` in the table of keys, and must not contradict them. */
static int read_forward(struct key_reader *r, struct agent_spec *spec,
                        const struct yaml_node *node)
{
    const char *why;

    if (yaml_is_null(node) || (node->kind == YAML_KIND_SCALAR && node->text.n == 0))
        return 0;
    if (node->kind != YAML_KIND_LIST)
        return key_refuse(r, node, ERR_INVALID, "forwardHeaders must be a list of names");
    for (const struct yaml_node *i = node->first; i; i = i->next) {
        struct str name;
        int err = key_read_text(r, i, &name);

        if (!err && (name.n == 0 || header_goes_anyway(name)))
            continue;
        if (!err)
            err = check_forward(r, spec, i, name);
        if (err)
            return err;
        spec->forwards[spec->n_forwards++] = name;
    }
    why = spec_forwards_why(spec);
    return why ? key_refuse(r, node, ERR_CONFLICT, "%s", why) : 0;
}

/* --- how ---------------------------------------------------------------------------------------- */

static int read_protocol(struct key_reader *r, struct agent_spec *spec,
                         const struct yaml_node *node)
{
    struct str text;
    int err = key_read_text(r, node, &text);

    (void)spec;
    if (err || text.n == 0 || str_is_nocase(text, STR("a2a")))
        return err;
    if (str_is_nocase(text, STR("mcp")))
        return key_refuse(r, node, ERR_UNSUPPORTED,
                          "protocol mcp is not offered: SuperX speaks A2A with agents");
    return key_refuse(r, node, ERR_UNSUPPORTED, "protocol must be a2a");
}

static int read_version(struct key_reader *r, struct agent_spec *spec,
                        const struct yaml_node *node)
{
    struct str text;
    int err = key_read_text(r, node, &text);

    if (err || text.n == 0) /* then the card says it */
        return err;
    err = a2a_version_parse(text, &spec->version);
    if (err == ERR_UNSUPPORTED)
        return key_refuse(r, node, err,
                          "protocolVersion must be 0.3 or 1.0; others are not spoken here");
    if (err)
        return key_refuse(r, node, err, "protocolVersion must look like 0.3, 0.3.0 or 1.0");
    spec->has_version = true;
    return 0;
}

static int read_in_flight(struct key_reader *r, struct agent_spec *spec,
                          const struct yaml_node *node)
{
    uint64_t n = spec->max_in_flight;
    int err = read_number(r, node, 1, IN_FLIGHT_MAX, &n);

    spec->max_in_flight = (unsigned)n;
    return err;
}

static int read_streams(struct key_reader *r, struct agent_spec *spec,
                        const struct yaml_node *node)
{
    uint64_t n = spec->max_streams;
    int err = read_number(r, node, 0, STREAMS_MAX, &n);

    spec->max_streams = (unsigned)n;
    return err;
}

static int read_send(struct key_reader *r, struct agent_spec *spec,
                     const struct yaml_node *node)
{
    struct str text;
    int err = key_read_text(r, node, &text);

    if (err || text.n == 0)
        return err;
    for (size_t i = 0; i < sizeof agent_sends / sizeof *agent_sends; i++)
        if (str_is_nocase(text, str_of(agent_sends[i]))) {
            spec->send = (enum agent_send)i;
            return 0;
        }
    return key_refuse(r, node, ERR_INVALID, "send must be as-asked, stream or async");
}

static int read_final_get(struct key_reader *r, struct agent_spec *spec,
                          const struct yaml_node *node)
{
    return read_truth(r, node, &spec->final_get);
}

static int read_timeout(struct key_reader *r, struct agent_spec *spec,
                        const struct yaml_node *node)
{
    return read_number(r, node, 1, TIMEOUT_MAX_MS, &spec->timeout_ms);
}

static int read_breaker(struct key_reader *r, struct agent_spec *spec,
                        const struct yaml_node *node)
{
    uint64_t ignored = 0;

    (void)spec;
    if (!r->breaker_key)
        r->breaker_key = node->key;
    return read_number(r, node, 1, TIMEOUT_MAX_MS, &ignored);
}

/* The id is known by now. In the map form it is the key, and another one here would be ignored. */
static int read_id_again(struct key_reader *r, struct agent_spec *spec,
                         const struct yaml_node *node)
{
    struct str id;
    int err = key_read_text(r, node, &id);

    if (!err && id.n && !str_is(id, spec->id))
        return key_refuse(r, node, ERR_INVALID,
                          "the agent's id is its key, %.*s; leave this out", STR_ARG(spec->id));
    return err;
}

static int read_nothing(struct key_reader *r, struct agent_spec *spec,
                        const struct yaml_node *node)
{
    (void)r;
    (void)spec;
    (void)node;
    return 0;
}

/* --- cards -------------------------------------------------------------------------------------- */

static int read_form(struct key_reader *r, struct agent_spec *spec,
                     const struct yaml_node *node)
{
    static const enum a2a_card_form forms[] = {A2A_CARD_HYBRID, A2A_CARD_1_0, A2A_CARD_0_3};
    struct str text;
    int err = key_read_text(r, node, &text);

    if (err || text.n == 0)
        return err;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (str_is_nocase(text, str_of(a2a_card_form_text(forms[i])))) {
            spec->card_form = forms[i];
            spec->has_card_form = true;
            return 0;
        }
    return key_refuse(r, node, ERR_INVALID,
                      "card must be hybrid, 1.0 or 0.3 (the form in which callers get it); "
                      "the card itself is agentCard");
}

static bool is_json_number(struct str text)
{
    return (json_scan(text, NULL, NULL, 0, NULL) == 0) && json_type(text) == JSON_NUMBER;
}

static int write_scalar(struct key_reader *r, const struct yaml_node *node, bool has_numbers,
                        struct buf *out)
{
    struct str text;
    int err;

    if (node->is_plain && yaml_is_null(node)) {
        BUF_LIT(out, "null");
        return 0;
    }
    err = key_read_text(r, node, &text);
    if (err)
        return err;
    if (node->is_plain && str_is_nocase(text, STR("true")))
        BUF_LIT(out, "true");
    else if (node->is_plain && str_is_nocase(text, STR("false")))
        BUF_LIT(out, "false");
    else if (node->is_plain && has_numbers && is_json_number(text))
        buf_add_str(out, text);
    else
        json_write_string(out, text);
    return 0;
}

/* Writes a YAML tree as JSON. A card has no numbers outside of extensions' `params`: `version: 1.0` is a
 * text. Recursion ends at YAML_DEPTH_MAX. */
static int write_tree(struct key_reader *r, const struct yaml_node *node, bool has_numbers,
                      struct buf *out)
{
    bool is_map = node->kind == YAML_KIND_MAP;
    int err = 0;

    if (node->kind == YAML_KIND_SCALAR)
        return write_scalar(r, node, has_numbers, out);
    buf_add_char(out, is_map ? '{' : '[');
    for (const struct yaml_node *i = node->first; i && !err; i = i->next) {
        if (i != node->first)
            buf_add_char(out, ',');
        if (is_map) {
            json_write_string(out, i->key->text);
            buf_add_char(out, ':');
        }
        err = write_tree(r, i, has_numbers || (is_map && str_is(i->key->text, STR("params"))),
                         out);
    }
    buf_add_char(out, is_map ? '}' : ']');
    return err;
}

/* Whether it can be shown as a card. */
static int check_card(struct key_reader *r, const struct yaml_node *node, struct str doc)
{
    struct a2a_card card;
    struct arena arena;
    char why[200] = "";
    int err;

    arena_init(&arena, KB(64));
    err = a2a_card_read(doc, &arena, &card, why);
    arena_release(&arena);
    return err ? key_refuse(r, node, err, "agentCard: %.180s", why) : 0;
}

/* A card in full. Cards of the first SuperX may lack a `url`; `home` then stands in for it. */
static int take_card(struct key_reader *r, struct agent_spec *spec,
                     const struct yaml_node *node, struct str home)
{
    bool has_place = yaml_get(node, "url") || yaml_get(node, "supportedInterfaces");
    struct buf doc;
    int err = 0;

    buf_init(&doc, LIMIT_CARD);
    if (r->is_json)
        json_minify(&doc, node->text);
    else
        err = write_tree(r, node, false, &doc);
    if (!err && !has_place && home.p && doc.n > 2) {
        doc.n--;
        BUF_LIT(&doc, ",\"url\":");
        json_write_string(&doc, home);
        BUF_LIT(&doc, "}");
    }
    if (!err && buf_error(&doc))
        err = key_refuse(r, node, buf_error(&doc), "agentCard is larger than %zu bytes",
                         (size_t)LIMIT_CARD);
    if (!err)
        err = check_card(r, node, buf_str(&doc));
    if (!err) {
        spec->card = arena_str(r->arena, buf_str(&doc));
        if (!spec->card.p)
            err = key_refuse_memory(r, node);
    }
    buf_release(&doc);
    return err;
}

static int read_card(struct key_reader *r, struct agent_spec *spec,
                     const struct yaml_node *node)
{
    if (yaml_is_null(node))
        return 0;
    if (node->kind != YAML_KIND_MAP)
        return key_refuse(r, node, ERR_INVALID, "agentCard must be a map");
    return take_card(r, spec, node, STR_NONE);
}

/* The first SuperX's place for cards: metadata.agentCard.url is where the card is; with a name it is a
 * card itself. */
static int read_metadata(struct key_reader *r, struct agent_spec *spec,
                         const struct yaml_node *node)
{
    const struct yaml_node *card, *link, *name;
    struct str text = STR_NONE, url = STR_NONE;
    int err = 0;

    card = node->kind == YAML_KIND_MAP ? yaml_get(node, "agentCard") : NULL;
    if (!card || card->kind != YAML_KIND_MAP)
        return 0;
    link = yaml_get(card, "url");
    name = yaml_get(card, "name");
    if (link && !spec->card_url.p) {
        err = read_link(r, link, &url);
        spec->card_url = url;
    }
    if (!err && name && name->kind == YAML_KIND_SCALAR)
        err = key_read_text(r, name, &text);
    if (!err && text.n && !spec->card.p)
        err = take_card(r, spec, card, spec->url);
    return err;
}

/* --- all of them -------------------------------------------------------------------------------- */

static int refuse_key(struct key_reader *r, const struct yaml_node *key)
{
    const char *names[N_AGENT_KEYS];

    for (size_t i = 0; i < N_AGENT_KEYS; i++)
        names[i] = agent_keys[i].name;
    return key_refuse_unknown(r, key, names, N_AGENT_KEYS);
}

/* The values in the order of the table, so that a key may rest on those before it. */
static int collect(struct key_reader *r, const struct yaml_node *node,
                   const struct yaml_node *values[N_AGENT_KEYS])
{
    for (const struct yaml_node *i = node->first; i; i = i->next) {
        size_t k = 0;

        while (k < N_AGENT_KEYS && !str_is(i->key->text, str_of(agent_keys[k].name)))
            k++;
        if (k == N_AGENT_KEYS)
            return refuse_key(r, i->key);
        if (values[k]) /* YAML has said so already */
            return key_refuse(r, i->key, ERR_CONFLICT, "%s is given twice", agent_keys[k].name);
        values[k] = i;
    }
    return 0;
}

static bool is_https(struct str url)
{
    return url.n > 6 && str_is_nocase(str_make(url.p, 6), STR("https:"));
}

static int check_tls(struct key_reader *r, const struct agent_spec *spec,
                     const struct yaml_node *at)
{
    if (spec->key_file.p && !spec->cert_file.p)
        return key_refuse(r, at, ERR_INVALID, "agent %.*s has a keyFile but no certFile",
                          STR_ARG(spec->id));
    if ((spec->ca_file.p || spec->cert_file.p || spec->server_name.p) && !is_https(spec->url) &&
        !is_https(spec->endpoint) && !is_https(spec->card_url))
        return key_refuse(r, at, ERR_INVALID,
                          "agent %.*s has settings for TLS, but none of its URLs is https://",
                          STR_ARG(spec->id));
    return 0;
}

int agent_keys_read(struct key_reader *r, struct agent_spec *spec, const struct yaml_node *node,
                    const struct yaml_node *at)
{
    const struct yaml_node *values[N_AGENT_KEYS] = {NULL};
    int err;

    if (node->kind != YAML_KIND_MAP && !yaml_is_null(node))
        return key_refuse(r, node, ERR_INVALID, "agent %.*s must be a map of its settings",
                          STR_ARG(spec->id));
    err = collect(r, node, values);
    for (size_t i = 0; i < N_AGENT_KEYS && !err; i++)
        if (values[i])
            err = agent_keys[i].read(r, spec, values[i]);
    if (!err && !spec->url.p)
        return key_refuse(r, at, ERR_INVALID, "agent %.*s has no url", STR_ARG(spec->id));
    return err ? err : check_tls(r, spec, at);
}
