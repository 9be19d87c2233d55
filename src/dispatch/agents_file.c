/* SPDX-License-Identifier: MIT
 *
 * The agents file: its text in, specs or one precise complaint out. Pure but for one log line (see below).
 *
 *     agents:                                agents:
 *       weather:                               - name: weather
 *         url: http://127.0.0.1:4001/            url: http://127.0.0.1:4001/
 *         bearer: ${WEATHER_TOKEN:-}
 *
 * Both forms mean the same: the first SuperX read maps and documented lists. A file is taken whole or not at
 * all, so that a slip of the finger in a reload leaves the agents as they are. Complaints read like a
 * compiler's: line and column of the very word that is wrong, what is wrong, and what was probably meant.
 * They name keys, never values, because values are secrets.
 *
 * What the keys of an agent mean, and ${VAR}, is agent_keys.c's to say.
 *
 * Keys that promise what is not built yet (the circuit breaker's) are accepted, so that one file serves now
 * and later; one log line says that they do nothing yet.
 */
#include "dispatch/agent_keys.h"

#include "lib/log.h"

struct reader {
    struct key_reader keys;
    struct map ids; /* id -> spec, to find doubles */
    struct agent_spec *first, **last;
};

/* --- agents ------------------------------------------------------------------------------------- */

static int add_spec(struct reader *r, struct agent_spec *spec, const struct yaml_node *at)
{
    const struct agent_spec *before = map_get(&r->ids, spec->id);

    if (!agent_id_is_valid(spec->id))
        return key_refuse(&r->keys, at, ERR_INVALID,
                          "an agent's id must be 1 to %u letters, digits, '.', '_' or '-'",
                          LIMIT_AGENT_ID);
    if (before)
        return key_refuse(&r->keys, at, ERR_CONFLICT,
                          "the agent \"%.*s\" was given before, in line %u", STR_ARG(spec->id),
                          before->line);
    if (r->ids.n == LIMIT_AGENTS)
        return key_refuse(&r->keys, at, ERR_LIMIT, "more than %u agents", LIMIT_AGENTS);
    map_put(&r->ids, spec->id, spec);
    *r->last = spec;
    r->last = &spec->next;
    return 0;
}

/* `at` is the word that names the agent, where complaints about the whole of it point. */
static int read_agent(struct reader *r, const struct yaml_node *node, struct str id,
                      const struct yaml_node *at)
{
    struct agent_spec *spec = arena_take(r->keys.arena, sizeof *spec);
    int err;

    if (!spec)
        return key_refuse_memory(&r->keys, at);
    *spec = agent_spec_default(r->keys.defaults);
    spec->id = id;
    spec->line = at->line;
    err = add_spec(r, spec, at);
    return err ? err : agent_keys_read(&r->keys, spec, node, at);
}

/* An agent of the list form: `id` names it, else `name`. */
static int read_listed(struct reader *r, const struct yaml_node *node)
{
    const struct yaml_node *named = yaml_get(node, "id");
    struct str id;
    int err;

    if (node->kind != YAML_KIND_MAP)
        return key_refuse(&r->keys, node, ERR_INVALID,
                          "each agent of the list must be a map with a name and a url");
    if (!named)
        named = yaml_get(node, "name");
    if (!named)
        return key_refuse(&r->keys, node, ERR_INVALID, "the agent has no name");
    err = key_read_text(&r->keys, named, &id);
    return err ? err : read_agent(r, node, id, named);
}

static int read_agents(struct reader *r, const struct yaml_node *agents)
{
    int err = 0;

    if (yaml_is_null(agents))
        return 0;
    if (agents->kind == YAML_KIND_SCALAR)
        return key_refuse(&r->keys, agents, ERR_INVALID,
                          "agents must be a map (id: {url: ...}) or a list");
    for (const struct yaml_node *i = agents->first; i && !err; i = i->next)
        err = agents->kind == YAML_KIND_MAP ? read_agent(r, i, i->key->text, i->key)
                                            : read_listed(r, i);
    return err;
}

/* --- the file ----------------------------------------------------------------------------------- */

static int read_default_agent(struct reader *r, const struct yaml_node *node, struct str *out)
{
    struct str id;
    int err = key_read_text(&r->keys, node, &id);

    if (!err && id.n && !agent_id_is_valid(id))
        err = key_refuse(&r->keys, node, ERR_INVALID, "default_agent must be an agent's id");
    if (!err)
        *out = id.n ? id : STR_NONE;
    return err;
}

static int read_root(struct reader *r, const struct yaml_node *root, struct str *default_agent)
{
    static const char *const known[] = {"agents", "default_agent"};
    const struct yaml_node *agents = NULL;
    int err = 0;

    /* Not "no agents": an editor that is just saving leaves an empty file for a moment. */
    if (!root)
        return key_refuse(&r->keys, NULL, ERR_INVALID,
                          "the file is empty; write \"agents: {}\" for no agents");
    if (root->kind != YAML_KIND_MAP)
        return key_refuse(&r->keys, root, ERR_INVALID, "the file must begin with \"agents:\"");
    for (const struct yaml_node *i = root->first; i && !err; i = i->next) {
        if (str_is(i->key->text, STR("agents")))
            agents = i;
        else if (str_is(i->key->text, STR("default_agent")))
            err = read_default_agent(r, i, default_agent);
        else
            err = key_refuse_unknown(&r->keys, i->key, known, 2);
    }
    if (!err && !agents)
        return key_refuse(&r->keys, root, ERR_INVALID, "the file has no \"agents:\"");
    return err ? err : read_agents(r, agents);
}

int agents_file_read(struct str text, const struct agent_defaults *defaults,
                     const char *(*env)(const char *name), struct arena *arena,
                     struct agent_spec **out, struct str *default_agent,
                     struct agents_fault *fault)
{
    struct reader r = {
        .keys = {.defaults = defaults, .env = env, .arena = arena, .fault = fault}};
    struct yaml_fault yaml_fault = {0};
    struct yaml_node *root = NULL;
    struct str named = STR_NONE;
    int err = yaml_parse(text, arena, &root, &yaml_fault);

    *fault = (struct agents_fault){0};
    if (err) {
        fault->line = yaml_fault.line;
        fault->column = yaml_fault.column;
        (void)snprintf(fault->why, sizeof fault->why, "%s", yaml_fault.why);
        return err;
    }
    r.last = &r.first;
    map_init(&r.ids);
    err = read_root(&r, root, &named);
    map_release(&r.ids);
    if (err)
        return err;
    if (r.keys.breaker_key)
        log_event(LOG_INFO, "the agents file sets a circuit breaker, which has no effect yet",
                  LOG_STR("key", r.keys.breaker_key->text),
                  LOG_U64("line", r.keys.breaker_key->line));
    *out = r.first;
    *default_agent = named;
    return 0;
}
