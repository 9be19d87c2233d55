/* SPDX-License-Identifier: MIT
 *
 * The texts of an agent's keys: variables put in, and complaints worded.
 *
 * Complaints name keys, never values, because values are secrets, and point at the very word that is wrong.
 *
 * ${VAR} and ${VAR:-default} are replaced in the file's values (not in keys, and not in JSON, whose sender
 * has no business with the gateway's environment); $${ is a literal ${. A variable that is not set and has
 * no default is an error: an empty bearer where a token was meant would be found out much later.
 */
#include "dispatch/agent_keys.h"

#include <ctype.h>
#include <stdio.h>

#define VARIABLE_NAME_MAX 127u
/* Longer keys are no slips of the finger. */
#define SUGGEST_MAX 32u

/* --- complaints --------------------------------------------------------------------------------- */

int key_refuse(struct key_reader *r, const struct yaml_node *at, int err, const char *fmt, ...)
{
    va_list args;

    r->fault->line = at ? at->line : 0;
    r->fault->column = at ? at->column : 0;
    va_start(args, fmt);
    (void)vsnprintf(r->fault->why, sizeof r->fault->why, fmt, args);
    va_end(args);
    return err;
}

int key_refuse_memory(struct key_reader *r, const struct yaml_node *at)
{
    return key_refuse(r, at, ERR_NOMEM, "%s takes more memory than allowed",
                      r->is_json ? "the agent" : "the file");
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

int key_refuse_unknown(struct key_reader *r, const struct yaml_node *key,
                       const char *const *known, size_t n_known)
{
    int n = (int)(key->text.n < 64 ? key->text.n : 64);
    unsigned best = UINT32_MAX;
    const char *meant = NULL;

    for (size_t i = 0; i < n_known; i++)
        if (is_nearer(key->text, known[i], &best))
            meant = known[i];
    if (meant)
        return key_refuse(r, key, ERR_INVALID, "unknown key \"%.*s\"; did you mean %s?", n,
                          key->text.p, meant);
    return key_refuse(r, key, ERR_INVALID, "unknown key \"%.*s\"", n, key->text.p);
}

struct str key_name(const struct yaml_node *node)
{
    return node->key ? node->key->text : STR("a list's element");
}

/* --- values ------------------------------------------------------------------------------------- */

/* Takes "NAME}" or "NAME:-default}" off *rest, which stands behind "${", and appends the value. */
static int expand_one(struct key_reader *r, const struct yaml_node *node, struct str *rest,
                      struct buf *out)
{
    const char *end = rest->n ? memchr(rest->p, '}', rest->n) : NULL;
    struct str inside, name, fallback = STR_NONE;
    char z[VARIABLE_NAME_MAX + 1];
    const char *value;

    if (!end)
        return key_refuse(r, node, ERR_INVALID, "${ without its }");
    inside = str_make(rest->p, (size_t)(end - rest->p));
    *rest = str_make(end + 1, rest->n - inside.n - 1);
    name = inside;
    for (size_t i = 0; i + 1 < inside.n && !fallback.p; i++)
        if (inside.p[i] == ':' && inside.p[i + 1] == '-') {
            name.n = i;
            fallback = str_make(inside.p + i + 2, inside.n - i - 2);
        }
    if (fallback.n && memmem(fallback.p, fallback.n, "${", 2))
        return key_refuse(r, node, ERR_INVALID,
                          "the default of a variable must not contain another variable");
    for (size_t i = 0; i < name.n; i++)
        if (!(isalpha((unsigned char)name.p[i]) || name.p[i] == '_' ||
              (i && isdigit((unsigned char)name.p[i]))))
            name.n = 0;
    if (name.n == 0 || name.n > VARIABLE_NAME_MAX)
        return key_refuse(r, node, ERR_INVALID,
                          "${...} must hold the name of a variable, or NAME:-default");
    memcpy(z, name.p, name.n);
    z[name.n] = '\0';
    value = r->env ? r->env(z) : NULL;
    if (fallback.p && (!value || !*value)) /* as in a shell */
        buf_add_str(out, fallback);
    else if (value)
        buf_add_str(out, str_of(value));
    else
        return key_refuse(
            r, node, ERR_INVALID,
            "the environment variable %s is not set; set it, or write ${%s:-default}", z, z);
    return 0;
}

static int expand_all(struct key_reader *r, const struct yaml_node *node, struct buf *out)
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

int key_read_text(struct key_reader *r, const struct yaml_node *node, struct str *out)
{
    struct buf text;
    int err;

    if (node->kind != YAML_KIND_SCALAR)
        return key_refuse(r, node, ERR_INVALID, "%.*s must be a text, not a %s",
                          STR_ARG(key_name(node)),
                          node->kind == YAML_KIND_MAP ? "map" : "list");
    *out = yaml_is_null(node) ? STR("") : node->text;
    if (r->is_json || !memchr(out->p, '$', out->n))
        return 0;
    buf_init(&text, LIMIT_AGENTS_FILE);
    err = expand_all(r, node, &text);
    if (!err && buf_error(&text))
        err =
            key_refuse(r, node, buf_error(&text), "%.*s is too long", STR_ARG(key_name(node)));
    if (!err) {
        *out = arena_str(r->arena, buf_str(&text));
        if (!out->p)
            err = key_refuse_memory(r, node);
    }
    buf_release(&text);
    return err;
}
