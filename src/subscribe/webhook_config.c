/* SPDX-License-Identifier: MIT
 *
 * A configuration on its way in and out of the store, and which addresses may be called.
 *
 * Addresses that are not of the public internet are refused, because a gateway stands where callers do not: beside
 * databases, metadata services, other people's machines. PUSH_ALLOW opens what an operator wants open, by network or by
 * name. What counts is the address that a connection would be made to, whatever the URL looks like; it is judged when the
 * webhook is registered, so that its owner learns it, and at each connection, because names change.
 */
#include <netinet/in.h>

#include "lib/http.h"
#include "lib/id.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/url.h"
#include "subscribe/webhook_int.h"

#define DOC_MAX KB(16)

/* --- PUSH_ALLOW ----------------------------------------------------------------------------------- */

static bool is_host_name(struct str item)
{
    for (size_t i = 0; i < item.n; i++) {
        char c = item.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '.' || c == '_'))
            return false;
    }
    return item.n > 0 && item.n <= 253 && item.p[0] != '-' && item.p[0] != '.';
}

static void add_network(struct webhooks *w, const struct network *network)
{
    w->networks = mem_resize(w->networks, w->n_networks + 1, sizeof *w->networks);
    w->networks[w->n_networks++] = *network;
}

static int add_item(struct webhooks *w, struct str item, char why[256])
{
    struct network network;

    if (network_read(item, &network)) {
        add_network(w, &network);
        return 0;
    }
    if (!is_host_name(item)) {
        snprintf(
            why, 256,
            "PUSH_ALLOW: \"%.*s\" is neither an address, nor a network such as 10.0.0.0/8, "
            "nor a host name",
            item.n > 80 ? 80 : (int)item.n, item.p);
        return ERR_INVALID;
    }
    w->names = mem_resize(w->names, w->n_names + 1, sizeof *w->names);
    w->names[w->n_names++] = item;
    return 0;
}

int webhooks_read_allow(struct webhooks *w, char why[256])
{
    struct str list = w->config.allow ? str_of(w->config.allow) : STR_NONE;
    struct network loopback;

    while (list.p) {
        struct str item = str_trim(str_cut(&list, ','));

        if (item.n && add_item(w, item, why))
            return ERR_INVALID;
    }
    if (!w->config.allow_loopback)
        return 0;
    if (network_read(STR("127.0.0.0/8"), &loopback))
        add_network(w, &loopback);
    if (network_read(STR("::1"), &loopback))
        add_network(w, &loopback);
    return 0;
}

const char *webhooks_refuse(void *arg, struct str host, const struct sockaddr *address)
{
    struct webhooks *w = arg;
    unsigned char bytes[NETWORK_ADDRESS];
    const char *what = "no internet";

    if (network_address_of(address, bytes)) {
        what = network_not_public(bytes);
        if (!what)
            return NULL;
        for (size_t i = 0; i < w->n_networks; i++)
            if (network_has(&w->networks[i], bytes))
                return NULL;
    }
    if (host.n && host.p[host.n - 1] == '.')
        host.n--;
    for (size_t i = 0; i < w->n_names; i++)
        if (str_is_nocase(w->names[i], host))
            return NULL;
    snprintf(w->forbidden, sizeof w->forbidden,
             "its address is %s; the gateway's operator can allow it with PUSH_ALLOW", what);
    return w->forbidden;
}

/* --- looking -------------------------------------------------------------------------------------- */

struct webhook_look {
    struct egress_request *request;
    bool is_local_name;
    webhook_look_fn fn;
    void *arg;
};

static void on_looked(void *arg, const struct egress_answer *answer)
{
    struct webhook_look *look = arg;
    char why[256];

    snprintf(why, sizeof why, "the webhook's url %s", answer->why ? answer->why : "");
    if (answer->err == ERR_RESOLVE && look->is_local_name)
        snprintf(why, sizeof why,
                 "the webhook's url must not be called: its name is this machine's own");
    else if (answer->err != ERR_FORBIDDEN)
        why[0] = '\0'; /* a name without addresses may have some tomorrow */
    look->fn(look->arg, why[0] ? why : NULL);
    mem_free(look);
}

/* RFC 6761: these are loopback whoever is asked, and some resolvers say that they do not exist. */
static bool is_local_name(struct str url)
{
    const struct str local = STR("localhost");
    struct str host;
    struct url u;
    const char *why;

    if (url_parse(url, false, &u, &why))
        return false;
    host = u.host;
    if (host.n && host.p[host.n - 1] == '.')
        host.n--;
    if (host.n > local.n && host.p[host.n - local.n - 1] != '.')
        return false;
    return host.n >= local.n &&
           str_is_nocase(str_make(host.p + host.n - local.n, local.n), local);
}

int webhook_look_start(struct webhooks *w, struct str url, webhook_look_fn fn, void *arg,
                       struct webhook_look **out)
{
    struct egress_call call = {.verb = "POST",
                               .url = url,
                               .only_look = true,
                               .connect_timeout_ms = 3000,
                               .timeout_ms = 3000};
    struct webhook_look *look;
    int err;

    if (w->is_stopped)
        return ERR_CANCELED;
    look = MEM_NEW(struct webhook_look);
    look->fn = fn;
    look->arg = arg;
    look->is_local_name = is_local_name(url);
    err = egress_start(w->egress, &call, on_looked, look, &look->request);
    if (err)
        mem_free(look);
    else
        *out = look;
    return err;
}

void webhook_look_cancel(struct webhook_look *look)
{
    if (!look)
        return;
    egress_cancel(look->request);
    mem_free(look);
}

/* --- in ------------------------------------------------------------------------------------------- */

static int fail(struct a2a_fault *fault, const char *why)
{
    a2a_fault_set(fault, A2A_ERROR_INVALID_PARAMS, "push notification configuration: %s", why);
    return ERR_INVALID;
}

static int no_memory(struct a2a_fault *fault)
{
    a2a_fault_set(fault, A2A_ERROR_OVERLOADED, "no memory for a webhook");
    return ERR_NOMEM;
}

static int decode(struct str raw, struct arena *arena, struct str *out)
{
    struct buf text;
    int err = 0;

    *out = STR_NONE;
    if (!raw.p)
        return 0;
    buf_init(&text, DOC_MAX);
    err = json_string_decode(raw, &text);
    if (!err) {
        *out = arena_str(arena, text.n ? buf_str(&text) : STR(""));
        err = out->p ? 0 : ERR_NOMEM;
    }
    buf_release(&text);
    return err;
}

static int make_id(struct str raw, struct arena *arena, struct str *out,
                   struct a2a_fault *fault)
{
    char text[UUID_TEXT + 1];
    struct uuid id;

    if (raw.p) {
        if (decode(raw, arena, out))
            return no_memory(fault);
        if (out->n == 0 || out->n > PUSH_ID_MAX || str_has_control(*out))
            return fail(fault, "id must have 1 to 128 bytes and no control characters");
        return 0;
    }
    id = id_uuid4();
    id_uuid_text(&id, text);
    *out = arena_str(arena, str_make(text, UUID_TEXT));
    return out->p ? 0 : no_memory(fault);
}

static int check_url(struct str raw, struct arena *arena, struct a2a_fault *fault)
{
    struct str url;
    const char *why;

    if (decode(raw, arena, &url))
        return no_memory(fault);
    if (egress_url_check(url, &why))
        return fail(fault, why);
    return 0;
}

static int seal_secrets(const struct webhooks *w, const struct a2a_push *push,
                        struct arena *arena, struct store_push_config *out)
{
    struct buf plain, sealed;
    int err;

    buf_init(&plain, DOC_MAX);
    buf_init(&sealed, 2 * DOC_MAX);
    a2a_push_write_secret(&plain, push);
    if (plain.n && w->has_seal)
        seal_write(&w->seal, &sealed, buf_str(&plain), out->id);
    err = buf_error(&plain) ? buf_error(&plain) : buf_error(&sealed);
    if (plain.n && !err) {
        out->secret = arena_str(arena, w->has_seal ? buf_str(&sealed) : buf_str(&plain));
        err = out->secret.p ? 0 : ERR_NOMEM;
    }
    buf_release(&plain);
    buf_release(&sealed);
    return err;
}

int webhook_make(const struct webhooks *w, const struct a2a_push *push, enum push_form form,
                 struct arena *arena, struct store_push_config *out, struct a2a_fault *fault)
{
    struct buf doc;
    int err;

    *out = (struct store_push_config){.form = form};
    if ((err = make_id(push->id, arena, &out->id, fault)) ||
        (err = check_url(push->url, arena, fault)))
        return err;
    buf_init(&doc, DOC_MAX);
    a2a_push_write_doc(&doc, push);
    if (!buf_error(&doc))
        out->doc = arena_str(arena, buf_str(&doc));
    err = buf_error(&doc);
    buf_release(&doc);
    if (err == ERR_LIMIT)
        return fail(fault, "it is too large (16 KB at most)");
    if (err || !out->doc.p)
        return no_memory(fault);
    err = seal_secrets(w, push, arena, out);
    if (err == ERR_LIMIT)
        return fail(fault, "its secrets are too large (16 KB at most)");
    return err ? no_memory(fault) : 0;
}

/* --- out ------------------------------------------------------------------------------------------ */

static int open_secrets(const struct webhooks *w, const struct store_push *push,
                        struct arena *arena, struct str *out, const char **why)
{
    struct buf plain;
    int err;

    *out = push->config.secret;
    if (!out->p || !seal_is(*out))
        return 0;
    if (!w->has_seal) {
        *why = "its secrets are sealed and SECRET_KEY_BASE is not set; set it and retry";
        return ERR_INVALID;
    }
    buf_init(&plain, DOC_MAX);
    err = seal_open(&w->seal, &plain, *out, push->config.id);
    *out = err ? STR_NONE : arena_str(arena, buf_str(&plain));
    buf_release(&plain);
    if (err == ERR_ABSENT)
        *why =
            "its secrets are sealed with another SECRET_KEY_BASE; set that one and retry, or "
            "register the webhook anew";
    else if (err || !out->p)
        *why = "its secrets cannot be opened; register the webhook anew";
    return err || !out->p ? ERR_INVALID : 0;
}

int hook_config_read(const struct webhooks *w, const struct store_push *push,
                     struct arena *arena, struct hook_config *out, const char **why)
{
    struct str doc = push->config.doc, secret;
    struct {
        struct str object;
        const char *name;
        struct str *to;
    } members[] = {
        {doc, "url", &out->url},
        {doc, "scheme", &out->scheme},
        {doc, "jwtIssuer", &out->jwt_issuer},
        {doc, "jwtAudience", &out->jwt_audience},
        {doc, "jwtKid", &out->jwt_kid},
        {STR_NONE, "token", &out->token},
        {STR_NONE, "credentials", &out->credentials},
        {STR_NONE, "hmacSecret", &out->hmac_secret},
        {STR_NONE, "jwtSecret", &out->jwt_secret},
    };

    *out = (struct hook_config){0};
    if (open_secrets(w, push, arena, &secret, why))
        return ERR_INVALID;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        struct str from = members[i].object.p ? members[i].object : secret;

        if (from.p && decode(json_get(from, members[i].name), arena, members[i].to)) {
            *why = "its stored configuration cannot be read; register it anew";
            return ERR_INVALID;
        }
    }
    out->jwt_claims = json_get(doc, "jwtClaims");
    out->wants_events = json_string_is(json_get(doc, "payload"), STR("event"));
    if (out->url.p)
        return 0;
    *why = "its stored configuration has no url; register it anew";
    return ERR_INVALID;
}
