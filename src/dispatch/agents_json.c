/* SPDX-License-Identifier: MIT
 *
 * One agent as JSON: what agents.upsert takes and what the store keeps.
 *
 *     {"id":"weather","url":"https://weather.example/","bearer":"...","protocolVersion":"1.0"}
 *
 * The keys are those of the agents file. To have one table for both (agent_keys.c), the JSON is made a
 * tree of YAML nodes; as deep as keys are looked for, below that a container is its text. `name` stands in
 * for `id`, as in the file's list form, and null is as good as absent.
 */
#include "dispatch/agent_keys.h"

#include <stdio.h>

#include "lib/json.h"

/* agent, metadata, agentCard, its members */
#define TREE_DEPTH 3u

/* A string without its quotes and escapes, or the text of another scalar. In the arena, ends in NUL. */
static int read_scalar(struct key_reader *r, struct str raw, struct str *out)
{
    struct buf text;
    int err = 0;

    buf_init(&text, raw.n + 1);
    if (json_type(raw) == JSON_STRING)
        err = json_string_decode(raw, &text);
    else
        buf_add_str(&text, raw);
    *out = err || buf_error(&text) ? STR_NONE : arena_str(r->arena, buf_str(&text));
    buf_release(&text);
    if (!out->p)
        return key_refuse_memory(r, NULL);
    if (memchr(out->p, '\0', out->n))
        return key_refuse(r, NULL, ERR_INVALID, "the agent holds a NUL character");
    return 0;
}

static int new_node(struct key_reader *r, struct str value, unsigned depth,
                    struct yaml_node **out);

/* A key comes without its quotes. */
static int new_key(struct key_reader *r, struct str raw, struct yaml_node **out)
{
    return new_node(r, str_make(raw.p - 1, raw.n + 2), 0, out);
}

static int add_children(struct key_reader *r, struct str value, unsigned depth,
                        struct yaml_node *node)
{
    struct yaml_node **last = &node->first;
    struct json_cursor at;
    struct str raw_key, v;
    int err = 0;

    if (node->kind == YAML_KIND_LIST) {
        JSON_EACH_ELEMENT (&at, value, &v) {
            err = new_node(r, v, depth, last);
            if (err)
                return err;
            last = &(*last)->next;
        }
        return 0;
    }
    JSON_EACH_MEMBER (&at, value, &raw_key, &v) {
        err = new_node(r, v, depth, last);
        if (!err)
            err = new_key(r, raw_key, &(*last)->key);
        if (err)
            return err;
        last = &(*last)->next;
    }
    return 0;
}

static int new_node(struct key_reader *r, struct str value, unsigned depth,
                    struct yaml_node **out)
{
    struct yaml_node *node = arena_take(r->arena, sizeof *node);
    enum json_type type = json_type(value);

    if (!node)
        return key_refuse_memory(r, NULL);
    *node = (struct yaml_node){.kind = YAML_KIND_SCALAR, .text = value};
    *out = node;
    if (type == JSON_OBJECT || type == JSON_ARRAY) {
        node->kind = type == JSON_OBJECT ? YAML_KIND_MAP : YAML_KIND_LIST;
        return depth ? add_children(r, value, depth - 1, node) : 0;
    }
    node->is_plain = type != JSON_STRING;
    return read_scalar(r, value, &node->text);
}

static int read_id(struct key_reader *r, const struct yaml_node *root, struct str *out)
{
    const struct yaml_node *id = yaml_get(root, "id");
    int err;

    if (yaml_is_null(id))
        id = yaml_get(root, "name");
    if (yaml_is_null(id))
        return key_refuse(r, NULL, ERR_INVALID, "the agent has no id");
    err = key_read_text(r, id, out);
    if (!err && !agent_id_is_valid(*out))
        err = key_refuse(r, NULL, ERR_INVALID,
                         "an agent's id must be 1 to %u letters, digits, '.', '_' or '-'",
                         LIMIT_AGENT_ID);
    return err;
}

int agent_spec_read(struct str json, const struct agent_defaults *defaults, struct arena *arena,
                    struct agent_spec *out, char why[200])
{
    struct agents_fault fault = {0};
    struct key_reader r = {
        .defaults = defaults, .is_json = true, .arena = arena, .fault = &fault};
    struct agent_spec spec = agent_spec_default(defaults);
    struct yaml_node *root = NULL;
    int err;

    if (json_type(json) != JSON_OBJECT)
        err = key_refuse(&r, NULL, ERR_INVALID, "an agent must be an object");
    else
        err = new_node(&r, json, TREE_DEPTH, &root);
    if (!err)
        err = read_id(&r, root, &spec.id);
    if (!err)
        err = agent_keys_read(&r, &spec, root, NULL);
    if (err) {
        (void)snprintf(why, 200, "%s", fault.why);
        return err == ERR_NOMEM ? err : ERR_INVALID;
    }
    *out = spec;
    return 0;
}

/* --- writing ------------------------------------------------------------------------------------ */

static void write_text(struct buf *out, const char *key, struct str value)
{
    if (!value.p)
        return;
    buf_printf(out, ",\"%s\":", key);
    json_write_string(out, value);
}

static void write_headers(struct buf *out, const struct agent_spec *spec)
{
    bool is_first = true;

    if (spec->n_headers == 0)
        return;
    BUF_LIT(out, ",\"headers\":");
    for (size_t i = 0; i < spec->n_headers; i++) {
        json_write_key(out, &is_first, spec->headers[i].name); /* a token: no escapes */
        json_write_string(out, spec->headers[i].value);
    }
    json_write_end(out, is_first);
}

static void write_forwards(struct buf *out, const struct agent_spec *spec)
{
    if (spec->n_forwards == 0)
        return;
    BUF_LIT(out, ",\"forwardHeaders\":");
    for (size_t i = 0; i < spec->n_forwards; i++) {
        buf_add_char(out, i ? ',' : '[');
        json_write_string(out, spec->forwards[i]);
    }
    buf_add_char(out, ']');
}

void agent_spec_write(struct buf *out, const struct agent_spec *spec)
{
    BUF_LIT(out, "{\"id\":");
    json_write_string(out, spec->id);
    write_text(out, "url", spec->url);
    write_text(out, "endpoint", spec->endpoint);
    write_text(out, "cardUrl", spec->card_url);
    if (spec->has_card_form)
        write_text(out, "card", str_of(a2a_card_form_text(spec->card_form)));
    if (spec->follow_card_host)
        BUF_LIT(out, ",\"followCardHost\":true");
    write_text(out, "bearer", spec->bearer);
    write_headers(out, spec);
    write_forwards(out, spec);
    write_text(out, "caFile", spec->ca_file);
    write_text(out, "certFile", spec->cert_file);
    write_text(out, "keyFile", spec->key_file);
    write_text(out, "serverName", spec->server_name);
    if (spec->has_version)
        write_text(out, "protocolVersion", str_of(a2a_version_text(spec->version)));
    buf_printf(out, ",\"maxInFlight\":%u,\"maxStreams\":%u,\"timeoutMs\":%llu",
               spec->max_in_flight, spec->max_streams, (unsigned long long)spec->timeout_ms);
    if (spec->send != AGENT_SEND_AS_ASKED)
        write_text(out, "send", str_of(agent_send_text(spec->send)));
    if (!spec->final_get)
        BUF_LIT(out, ",\"finalGet\":false");
    if (spec->card.p) {
        BUF_LIT(out, ",\"agentCard\":");
        buf_add_str(out, spec->card);
    }
    BUF_LIT(out, "}");
}
