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
 * ${VAR} and ${VAR:-default} are replaced in values (not in keys); $${ is a literal ${. A variable that is
 * not set and has no default is an error: an empty bearer where a token was meant would be found out much
 * later.
 *
 * Keys that the first SuperX had and this one does not act on (the circuit breaker's, `version`, `metadata`)
 * are accepted so that its files load. The breaker's promise something, so one log line says that they do
 * nothing yet.
 */
#include "dispatch/dispatch_int.h"

#include <ctype.h>
#include <strings.h>

#include "lib/http.h"
#include "lib/log.h"
#include "lib/yaml.h"

/* A JWT with many claims; the whole head of a request must stay within LIMIT_HTTP_HEAD. */
#define BEARER_MAX KB(8)
#define VARIABLE_NAME_MAX 127u
#define IN_FLIGHT_MAX 10000u
#define TIMEOUT_MAX_MS 86400000u /* a day */
/* Longer keys are no slips of the finger. */
#define SUGGEST_MAX 32u

struct reader {
    const struct agent_defaults *defaults;
    const char *(*env)(const char *name);
    struct arena *arena;
    struct agents_fault *fault;
    struct map ids; /* id -> spec, to find doubles */
    struct agent_spec *first, **last;
    const struct yaml_node *breaker_key; /* the first key without effect yet; NULL: none */
};

/* One key of an agent. `node` is its value, node->key the key. */
typedef int (*key_fn)(struct reader *r, struct agent_spec *spec, const struct yaml_node *node);

static int read_url(struct reader *r, struct agent_spec *spec, const struct yaml_node *node);
static int read_bearer(struct reader *r, struct agent_spec *spec, const struct yaml_node *node);
static int read_protocol(struct reader *r, struct agent_spec *spec,
                         const struct yaml_node *node);
static int read_version(struct reader *r, struct agent_spec *spec,
                        const struct yaml_node *node);
static int read_in_flight(struct reader *r, struct agent_spec *spec,
                          const struct yaml_node *node);
static int read_timeout(struct reader *r, struct agent_spec *spec,
                        const struct yaml_node *node);
static int read_breaker(struct reader *r, struct agent_spec *spec,
                        const struct yaml_node *node);
static int read_id_again(struct reader *r, struct agent_spec *spec,
                         const struct yaml_node *node);
static int read_nothing(struct reader *r, struct agent_spec *spec,
                        const struct yaml_node *node);

static const struct {
    const char *name;
    key_fn read;
} agent_keys[] = {
    {"url", read_url},
    {"bearer", read_bearer},
    {"protocol", read_protocol},
    {"protocolVersion", read_version},
    {"maxInFlight", read_in_flight},
    {"timeoutMs", read_timeout},
    {"failureThreshold", read_breaker},
    {"failureWindowMs", read_breaker},
    {"cooldownMs", read_breaker},
    {"id", read_id_again},
    {"name", read_nothing},
    {"version", read_nothing},
    {"metadata", read_nothing},
};

#define N_AGENT_KEYS (sizeof agent_keys / sizeof *agent_keys)

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

/* --- complaints --------------------------------------------------------------------------------- */

static int refuse(struct reader *r, const struct yaml_node *at, int err, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

static int refuse(struct reader *r, const struct yaml_node *at, int err, const char *fmt, ...)
{
    va_list args;

    r->fault->line = at ? at->line : 0;
    r->fault->column = at ? at->column : 0;
    va_start(args, fmt);
    (void)vsnprintf(r->fault->why, sizeof r->fault->why, fmt, args);
    va_end(args);
    return err;
}

/* A key as people compare them: without case, '_' and '-'. Returns its length; 0 if it is too long. */
static size_t simplify(char out[SUGGEST_MAX], struct str key)
{
    size_t n = 0;

    if (key.n > SUGGEST_MAX)
        return 0;
    for (size_t i = 0; i < key.n; i++)
        if (key.p[i] != '_' && key.p[i] != '-')
            out[n++] = (char)tolower((unsigned char)key.p[i]);
    return n;
}

/* Whether `known` is nearer to `key` than *best, and near enough to be meant. */
static bool is_nearer(struct str key, const char *known, unsigned *best)
{
    char a[SUGGEST_MAX], b[SUGGEST_MAX];
    size_t na = simplify(a, key), nb = simplify(b, str_of(known));
    unsigned d;

    if (na == 0)
        return false;
    d = str_distance(str_make(a, na), str_make(b, nb));
    if (d > (na <= 3 ? 1u : 2u) || d >= *best)
        return false;
    *best = d;
    return true;
}

static int refuse_key(struct reader *r, const struct yaml_node *key, const char *meant)
{
    int n = (int)(key->text.n < 64 ? key->text.n : 64);

    if (meant)
        return refuse(r, key, ERR_INVALID, "unknown key \"%.*s\"; did you mean %s?", n,
                      key->text.p, meant);
    return refuse(r, key, ERR_INVALID, "unknown key \"%.*s\"", n, key->text.p);
}

/* --- values ------------------------------------------------------------------------------------- */

/* Takes "NAME}" or "NAME:-default}" off *rest, which stands behind "${", and appends the value. */
static int expand_one(struct reader *r, const struct yaml_node *node, struct str *rest,
                      struct buf *out)
{
    const char *end = rest->n ? memchr(rest->p, '}', rest->n) : NULL;
    struct str inside, name, fallback = STR_NONE;
    char z[VARIABLE_NAME_MAX + 1];
    const char *value;

    if (!end)
        return refuse(r, node, ERR_INVALID, "${ without its }");
    inside = str_make(rest->p, (size_t)(end - rest->p));
    *rest = str_make(end + 1, rest->n - inside.n - 1);
    name = inside;
    for (size_t i = 0; i + 1 < inside.n && !fallback.p; i++)
        if (inside.p[i] == ':' && inside.p[i + 1] == '-') {
            name.n = i;
            fallback = str_make(inside.p + i + 2, inside.n - i - 2);
        }
    if (fallback.n && memmem(fallback.p, fallback.n, "${", 2))
        return refuse(r, node, ERR_INVALID,
                      "the default of a variable must not contain another variable");
    for (size_t i = 0; i < name.n; i++)
        if (!(isalpha((unsigned char)name.p[i]) || name.p[i] == '_' ||
              (i && isdigit((unsigned char)name.p[i]))))
            name.n = 0;
    if (name.n == 0 || name.n > VARIABLE_NAME_MAX)
        return refuse(r, node, ERR_INVALID,
                      "${...} must hold the name of a variable, or NAME:-default");
    memcpy(z, name.p, name.n);
    z[name.n] = '\0';
    value = r->env ? r->env(z) : NULL;
    if (fallback.p && (!value || !*value)) /* as in a shell */
        buf_add_str(out, fallback);
    else if (value)
        buf_add_str(out, str_of(value));
    else
        return refuse(r, node, ERR_INVALID,
                      "the environment variable %s is not set; set it, or write ${%s:-default}",
                      z, z);
    return 0;
}

static int expand_all(struct reader *r, const struct yaml_node *node, struct buf *out)
{
    struct str rest = node->text;
    const char *at;
    int err = 0;

    while (!err && (at = memmem(rest.p, rest.n, "${", 2))) {
        struct str before = str_make(rest.p, (size_t)(at - rest.p));
        bool is_escaped = before.n && at[-1] == '$';

        rest = str_make(at + 2, rest.n - before.n - 2);
        if (is_escaped)
            before.n--;
        buf_add_str(out, before);
        if (is_escaped)
            BUF_LIT(out, "${");
        else
            err = expand_one(r, node, &rest, out);
    }
    buf_add_str(out, rest);
    return err;
}

/* The text of a value with its variables replaced; "" for null. Lives in the arena. */
static int read_text(struct reader *r, const struct yaml_node *node, struct str *out)
{
    struct buf text;
    int err;

    if (node->kind != YAML_KIND_SCALAR)
        return refuse(r, node, ERR_INVALID, "%.*s must be a text, not a %s",
                      STR_ARG(node->key->text), node->kind == YAML_KIND_MAP ? "map" : "list");
    *out = yaml_is_null(node) ? STR("") : node->text;
    if (!memchr(out->p, '$', out->n))
        return 0;
    buf_init(&text, LIMIT_AGENTS_FILE);
    err = expand_all(r, node, &text);
    if (!err && buf_error(&text))
        err = refuse(r, node, buf_error(&text), "%.*s is too long", STR_ARG(node->key->text));
    if (!err) {
        *out = arena_str(r->arena, buf_str(&text));
        if (!out->p)
            err = refuse(r, node, ERR_NOMEM, "the file takes more memory than allowed");
    }
    buf_release(&text);
    return err;
}

/* A whole number, or what *out was if the value is null or empty. */
static int read_number(struct reader *r, const struct yaml_node *node, uint64_t max,
                       uint64_t *out)
{
    struct str text;
    uint64_t number;
    int err = read_text(r, node, &text);

    if (err || text.n == 0)
        return err;
    if (str_to_u64(text, &number) || number < 1 || number > max)
        return refuse(r, node, ERR_INVALID, "%.*s must be a whole number from 1 to %llu",
                      STR_ARG(node->key->text), (unsigned long long)max);
    *out = number;
    return 0;
}

/* --- the keys of an agent ----------------------------------------------------------------------- */

static int read_url(struct reader *r, struct agent_spec *spec, const struct yaml_node *node)
{
    const char *why;
    int err = read_text(r, node, &spec->url);

    if (err)
        return err;
    if (spec->url.n == 0)
        return refuse(r, node, ERR_INVALID, "the URL is empty");
    err = egress_url_check(spec->url, &why);
    return err ? refuse(r, node, err, "%s", why) : 0;
}

static int read_bearer(struct reader *r, struct agent_spec *spec, const struct yaml_node *node)
{
    struct str bearer;
    int err = read_text(r, node, &bearer);

    if (err)
        return err;
    if (bearer.n > BEARER_MAX)
        return refuse(r, node, ERR_LIMIT, "bearer is longer than %zu bytes",
                      (size_t)BEARER_MAX);
    /* A token read from a file often ends in a line feed: say so, rather than have the agent say 401. */
    if (!http_is_header_value(bearer) || str_trim(bearer).n != bearer.n)
        return refuse(
            r, node, ERR_INVALID,
            "bearer must be one token without control characters or blanks at its ends");
    spec->bearer = bearer.n ? bearer : STR_NONE;
    return 0;
}

static int read_protocol(struct reader *r, struct agent_spec *spec,
                         const struct yaml_node *node)
{
    struct str text;
    int err = read_text(r, node, &text);

    (void)spec;
    if (err || text.n == 0 || str_is_nocase(text, STR("a2a")))
        return err;
    if (str_is_nocase(text, STR("mcp")))
        return refuse(r, node, ERR_UNSUPPORTED,
                      "protocol mcp is not offered: SuperX speaks A2A with agents");
    return refuse(r, node, ERR_UNSUPPORTED, "protocol must be a2a");
}

static int read_version(struct reader *r, struct agent_spec *spec, const struct yaml_node *node)
{
    struct str text;
    int err = read_text(r, node, &text);

    if (err)
        return err;
    err = a2a_version_parse(text, &spec->version);
    if (err == ERR_UNSUPPORTED)
        return refuse(r, node, err,
                      "protocolVersion must be 0.3 or 1.0; others are not spoken here");
    if (err)
        return refuse(r, node, err, "protocolVersion must look like 0.3, 0.3.0 or 1.0");
    return 0;
}

static int read_in_flight(struct reader *r, struct agent_spec *spec,
                          const struct yaml_node *node)
{
    uint64_t n = spec->max_in_flight;
    int err = read_number(r, node, IN_FLIGHT_MAX, &n);

    spec->max_in_flight = (unsigned)n;
    return err;
}

static int read_timeout(struct reader *r, struct agent_spec *spec, const struct yaml_node *node)
{
    return read_number(r, node, TIMEOUT_MAX_MS, &spec->timeout_ms);
}

static int read_breaker(struct reader *r, struct agent_spec *spec, const struct yaml_node *node)
{
    uint64_t ignored = 0;

    (void)spec;
    if (!r->breaker_key)
        r->breaker_key = node->key;
    return read_number(r, node, TIMEOUT_MAX_MS, &ignored);
}

/* The id is known by now. In the map form it is the key, and another one here would be ignored. */
static int read_id_again(struct reader *r, struct agent_spec *spec,
                         const struct yaml_node *node)
{
    struct str id;
    int err = read_text(r, node, &id);

    if (!err && !str_is(id, spec->id))
        return refuse(r, node, ERR_INVALID, "the agent's id is its key, %.*s; leave this out",
                      STR_ARG(spec->id));
    return err;
}

static int read_nothing(struct reader *r, struct agent_spec *spec, const struct yaml_node *node)
{
    (void)r;
    (void)spec;
    (void)node;
    return 0;
}

/* --- agents ------------------------------------------------------------------------------------- */

static int read_key(struct reader *r, struct agent_spec *spec, const struct yaml_node *node)
{
    const char *meant = NULL;
    unsigned best = UINT32_MAX;

    for (size_t i = 0; i < N_AGENT_KEYS; i++)
        if (str_is(node->key->text, str_of(agent_keys[i].name)))
            return agent_keys[i].read(r, spec, node);
    for (size_t i = 0; i < N_AGENT_KEYS; i++)
        if (is_nearer(node->key->text, agent_keys[i].name, &best))
            meant = agent_keys[i].name;
    return refuse_key(r, node->key, meant);
}

static int add_spec(struct reader *r, struct agent_spec *spec, const struct yaml_node *at)
{
    const struct agent_spec *before = map_get(&r->ids, spec->id);

    if (!agent_id_is_valid(spec->id))
        return refuse(r, at, ERR_INVALID,
                      "an agent's id must be 1 to %u letters, digits, '.', '_' or '-'",
                      LIMIT_AGENT_ID);
    if (before)
        return refuse(r, at, ERR_CONFLICT, "the agent \"%.*s\" was given before, in line %u",
                      STR_ARG(spec->id), before->line);
    if (r->ids.n == LIMIT_AGENTS)
        return refuse(r, at, ERR_LIMIT, "more than %u agents", LIMIT_AGENTS);
    map_put(&r->ids, spec->id, spec);
    *r->last = spec;
    r->last = &spec->next;
    return 0;
}

/* `at` is the word that names the agent, where complaints about the whole of it point. */
static int read_agent(struct reader *r, const struct yaml_node *node, struct str id,
                      const struct yaml_node *at)
{
    struct agent_spec *spec = arena_take(r->arena, sizeof *spec);
    int err;

    if (!spec)
        return refuse(r, at, ERR_NOMEM, "the file takes more memory than allowed");
    *spec = (struct agent_spec){
        .id = id,
        .version = A2A_0_3,
        .max_in_flight = r->defaults->max_in_flight,
        .timeout_ms = r->defaults->timeout_ms,
        .line = at->line,
    };
    err = add_spec(r, spec, at);
    if (err)
        return err;
    if (node->kind != YAML_KIND_MAP && !yaml_is_null(node))
        return refuse(r, node, ERR_INVALID, "agent %.*s must be a map of its settings",
                      STR_ARG(id));
    for (const struct yaml_node *i = node->first; i && !err; i = i->next)
        err = read_key(r, spec, i);
    if (!err && !spec->url.p)
        return refuse(r, at, ERR_INVALID, "agent %.*s has no url", STR_ARG(id));
    return err;
}

/* An agent of the list form: `id` names it, else `name`. */
static int read_listed(struct reader *r, const struct yaml_node *node)
{
    const struct yaml_node *named = yaml_get(node, "id");
    struct str id;
    int err;

    if (node->kind != YAML_KIND_MAP)
        return refuse(r, node, ERR_INVALID,
                      "each agent of the list must be a map with a name and a url");
    if (!named)
        named = yaml_get(node, "name");
    if (!named)
        return refuse(r, node, ERR_INVALID, "the agent has no name");
    err = read_text(r, named, &id);
    return err ? err : read_agent(r, node, id, named);
}

static int read_agents(struct reader *r, const struct yaml_node *agents)
{
    int err = 0;

    if (yaml_is_null(agents))
        return 0;
    if (agents->kind == YAML_KIND_SCALAR)
        return refuse(r, agents, ERR_INVALID,
                      "agents must be a map (id: {url: ...}) or a list");
    for (const struct yaml_node *i = agents->first; i && !err; i = i->next)
        err = agents->kind == YAML_KIND_MAP ? read_agent(r, i, i->key->text, i->key)
                                            : read_listed(r, i);
    return err;
}

/* --- the file ----------------------------------------------------------------------------------- */

static int read_default_agent(struct reader *r, const struct yaml_node *node)
{
    struct str id;
    int err = read_text(r, node, &id);

    if (!err && id.n && !agent_id_is_valid(id))
        err = refuse(r, node, ERR_INVALID, "default_agent must be an agent's id");
    return err;
}

static int read_root(struct reader *r, const struct yaml_node *root)
{
    const struct yaml_node *agents = NULL;
    int err = 0;

    /* Not "no agents": an editor that is just saving leaves an empty file for a moment. */
    if (!root)
        return refuse(r, NULL, ERR_INVALID,
                      "the file is empty; write \"agents: {}\" for no agents");
    if (root->kind != YAML_KIND_MAP)
        return refuse(r, root, ERR_INVALID, "the file must begin with \"agents:\"");
    for (const struct yaml_node *i = root->first; i && !err; i = i->next) {
        unsigned best = UINT32_MAX;
        const char *meant = NULL;

        if (str_is(i->key->text, STR("agents"))) {
            agents = i;
            continue;
        }
        if (str_is(i->key->text, STR("default_agent"))) {
            err = read_default_agent(r, i);
            continue;
        }
        if (is_nearer(i->key->text, "agents", &best))
            meant = "agents";
        if (is_nearer(i->key->text, "default_agent", &best))
            meant = "default_agent";
        err = refuse_key(r, i->key, meant);
    }
    if (!err && !agents)
        return refuse(r, root, ERR_INVALID, "the file has no \"agents:\"");
    return err ? err : read_agents(r, agents);
}

int agents_file_read(struct str text, const struct agent_defaults *defaults,
                     const char *(*env)(const char *name), struct arena *arena,
                     struct agent_spec **out, struct agents_fault *fault)
{
    struct reader r = {.defaults = defaults, .env = env, .arena = arena, .fault = fault};
    struct yaml_fault yaml_fault = {0};
    struct yaml_node *root = NULL;
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
    err = read_root(&r, root);
    map_release(&r.ids);
    if (err)
        return err;
    if (r.breaker_key)
        log_event(LOG_INFO, "the agents file sets a circuit breaker, which has no effect yet",
                  LOG_STR("key", r.breaker_key->text), LOG_U64("line", r.breaker_key->line));
    *out = r.first;
    return 0;
}
