/* SPDX-License-Identifier: MIT
 *
 * Configuration made visible: what is in force and why, and the three texts that are generated from the table
 * (.env.example, superx.yml.example, docs/configuration.md). The unit test compares the files in the tree with what
 * is written here, so a setting cannot be added without its documentation.
 *
 * Secrets never come out, and neither does what may be a password in a URL: in doubt more is hidden.
 */
#include <string.h>

#include "lib/json.h"
#include "lib/limits.h"
#include "wiring/config_int.h"

/* A URL of LIMIT_URL with every byte escaped by JSON fits. */
#define SHOWN_MAX KB(32)

/* --- masking ---------------------------------------------------------------------------------------- */

static const char *last_char(struct str s, char c)
{
    return s.n ? memrchr(s.p, c, s.n) : NULL;
}

/* What stands behind the user information; values of parameters that hold passwords become "***". */
static void write_masked_rest(struct buf *out, struct str rest)
{
    struct str query = rest, path = str_cut(&query, '?');

    buf_add_str(out, path);
    for (char before = '?'; query.p; before = '&') {
        struct str value = str_cut(&query, '&'), name = str_cut(&value, '=');

        buf_add_char(out, before);
        buf_add_str(out, name);
        if (!value.p)
            continue;
        buf_add_char(out, '=');
        buf_add_str(out, memmem(name.p, name.n, "pass", 4) ? STR("***") : value);
    }
}

void config_write_masked(struct buf *out, struct str url)
{
    const char *scheme_end = url.n ? memmem(url.p, url.n, "://", 3) : NULL;
    size_t at = scheme_end ? (size_t)(scheme_end - url.p) + 3 : 0;
    struct str scheme = str_make(url.p, at), rest = str_make(url.p + at, url.n - at);

    buf_add_str(out, scheme);
    /* The last '@', although a parser would stop looking at the first '/': a password with an unescaped '/' is a
     * mistake that should not end in a log. */
    const char *user_end = last_char(rest, '@');
    if (user_end) {
        struct str user = str_make(rest.p, (size_t)(user_end - rest.p));
        struct str name = str_cut(&user, ':');
        bool is_odd = memchr(name.p, '/', name.n) || memchr(name.p, '?', name.n);

        rest = str_make(user_end, rest.n - (size_t)(user_end - rest.p));
        if (is_odd || str_has_prefix(scheme, STR("http"))) {
            BUF_LIT(out, "***"); /* http://TOKEN@host is a habit */
        } else {
            buf_add_str(out, name);
            if (user.p)
                BUF_LIT(out, ":***");
        }
    }
    write_masked_rest(out, rest);
}

/* --- superx config -------------------------------------------------------------------------------------- */

/* The value as people may see it: true, 4000, info, ***. */
static void write_value(struct buf *out, const struct config *c, const struct setting *s)
{
    struct str text;

    switch (s->type) {
    case CONFIG_NUMBER:
        buf_add_u64(out, config_number(c, s));
        return;
    case CONFIG_BOOL:
        buf_add_str(out, config_number(c, s) ? STR("true") : STR("false"));
        return;
    case CONFIG_SECRET:
        buf_add_str(out, *config_text(c, s) ? STR("***") : STR(""));
        return;
    case CONFIG_URL:
        config_write_masked(out, str_of(config_text(c, s)));
        return;
    case CONFIG_STRING:
    case CONFIG_WORD:
    case CONFIG_ADDRESS:
        text = str_of(config_text(c, s));
        buf_add_str(out, text);
        return;
    }
}

static void write_source(struct buf *out, const struct config *c, const struct setting *s)
{
    size_t id = (size_t)(s - config_settings);

    switch (c->from[id].source) {
    case CONFIG_FROM_DEFAULT:
        BUF_LIT(out, "default");
        return;
    case CONFIG_FROM_FILE:
        buf_printf(out, "%s:%u", c->file, c->from[id].line);
        return;
    case CONFIG_FROM_ENV:
        buf_printf(out, "environment %s", s->env);
        return;
    case CONFIG_FROM_FLAG:
        buf_printf(out, "flag %s", s->flag);
        return;
    }
}

static void print_json(const struct config *c, FILE *out)
{
    struct buf line, plain;

    buf_init(&line, SHOWN_MAX);
    buf_init(&plain, SHOWN_MAX);
    for (int i = 0; i < CONFIG_ID_MAX; i++) {
        const struct setting *s = &config_settings[i];
        bool is_bare = s->type == CONFIG_NUMBER || s->type == CONFIG_BOOL;

        buf_clear(&line);
        buf_clear(&plain);
        write_value(&plain, c, s);
        if (is_bare)
            buf_add_str(&line, buf_str(&plain));
        else
            json_write_string(&line, buf_str(&plain));
        BUF_LIT(&line, ",\"source\":");
        buf_clear(&plain);
        write_source(&plain, c, s);
        json_write_string(&line, buf_str(&plain));
        fprintf(out, "%s\"%s\":{\"value\":%.*s}", i ? "," : "{", s->name,
                STR_ARG(buf_str(&line)));
    }
    fprintf(out, "}\n");
    buf_release(&line);
    buf_release(&plain);
}

void config_print(const struct config *c, FILE *out, bool json)
{
    struct buf value, source;

    if (json) {
        print_json(c, out);
        return;
    }
    buf_init(&value, SHOWN_MAX);
    buf_init(&source, SHOWN_MAX);
    fprintf(out, "%-20s  %-32s  %s\n", "SETTING", "VALUE", "SOURCE");
    for (int i = 0; i < CONFIG_ID_MAX; i++) {
        const struct setting *s = &config_settings[i];

        buf_clear(&value);
        buf_clear(&source);
        write_value(&value, c, s);
        write_source(&source, c, s);
        fprintf(out, "%-20s  %-32.*s  %.*s\n", s->name,
                STR_ARG(value.n ? buf_str(&value) : STR("-")), STR_ARG(buf_str(&source)));
    }
    buf_release(&value);
    buf_release(&source);
}

/* --- samples --------------------------------------------------------------------------------------------- */

/* "0 to 65535", "1 to 86400000 ms", "error, warn or info", "true or false", "postgresql://" ... */
static void print_fits(FILE *out, const struct setting *s)
{
    struct str rest = str_of(s->fits);

    switch (s->type) {
    case CONFIG_NUMBER:
        fprintf(out, "%llu to %llu%s%s", (unsigned long long)s->min, (unsigned long long)s->max,
                *s->fits ? " " : "", s->fits);
        return;
    case CONFIG_BOOL:
        fprintf(out, "true or false");
        return;
    case CONFIG_WORD:
    case CONFIG_URL:
        for (bool is_first = true; rest.p; is_first = false) {
            struct str word = str_cut(&rest, '|');

            fprintf(out, "%s%.*s%s",
                    is_first ? ""
                    : rest.p ? ", "
                             : " or ",
                    STR_ARG(word), s->type == CONFIG_URL ? "://" : "");
        }
        return;
    case CONFIG_STRING:
        fprintf(out, "text");
        return;
    case CONFIG_SECRET:
        fprintf(out, "text, never shown");
        return;
    case CONFIG_ADDRESS:
        fprintf(out, "numeric address");
        return;
    }
}

/* The default as its file would spell it. */
static void print_default(FILE *out, const struct setting *s)
{
    if (s->type == CONFIG_NUMBER)
        fprintf(out, "%llu", (unsigned long long)s->number_default);
    else if (s->type == CONFIG_BOOL)
        fprintf(out, "%s", s->number_default ? "true" : "false");
    else
        fprintf(out, "%s", s->text_default);
}

void config_print_env_sample(FILE *out)
{
    fprintf(
        out,
        "# Every variable SuperX reads, with its default; an empty one is the same as none.\n"
        "# Copy to .env and load it with:  set -a; . ./.env; set +a\n"
        "# Generated from src/wiring/config.def.\n");
    for (int i = 0; i < CONFIG_ID_MAX; i++) {
        const struct setting *s = &config_settings[i];

        fprintf(out, "\n# %s\n# Fits: ", s->text);
        print_fits(out, s);
        fprintf(out, ".\n%s=", s->env);
        print_default(out, s);
        fprintf(out, "\n");
    }
}

void config_print_yml_sample(FILE *out)
{
    fprintf(out,
            "# Every setting with its default. Copy to superx.yml, keep the lines you change.\n"
            "# Environment variables and flags are stronger than this file.\n"
            "# Generated from src/wiring/config.def.\n");
    for (int i = 0; i < CONFIG_ID_MAX; i++) {
        const struct setting *s = &config_settings[i];
        bool is_bare = s->type == CONFIG_NUMBER || s->type == CONFIG_BOOL;

        fprintf(out, "\n# %s\n# Fits: ", s->text);
        print_fits(out, s);
        fprintf(out, ".\n%s: %s", s->name, is_bare ? "" : "\"");
        print_default(out, s);
        fprintf(out, "%s\n", is_bare ? "" : "\"");
    }
}

static void print_docs_row(FILE *out, const struct setting *s)
{
    bool has_default = s->type == CONFIG_NUMBER || s->type == CONFIG_BOOL || *s->text_default;

    fprintf(out, "| `%s` | `%s` | ", s->name, s->env);
    fprintf(out, *s->flag ? "`%s` | " : "%s | ", s->flag);
    if (has_default) {
        fprintf(out, "`");
        print_default(out, s);
        fprintf(out, "`");
    } else {
        fprintf(out, "unset");
    }
    fprintf(out, " | ");
    print_fits(out, s);
    fprintf(out, " | %s |\n", s->text);
}

void config_print_docs(FILE *out)
{
    fprintf(
        out,
        "# Configuration\n"
        "\n"
        "This page is generated from `src/wiring/config.def`, the table the program itself reads.\n"
        "\n"
        "A setting may be given in four places. Each is stronger than the one before it:\n"
        "\n"
        "1. the default built into the program,\n"
        "2. `superx.yml` in the folder SuperX is started from, or the file named by `--config`,\n"
        "3. an environment variable,\n"
        "4. a flag on the command line (`--port 4001` or `--port=4001`).\n"
        "\n"
        "`superx config` prints what is in force and where each value came from; secrets are shown as `***`.\n"
        "A value that does not fit stops the start with a line that names the setting, the value, the place and\n"
        "what would fit. An empty environment variable counts as unset. Time is in milliseconds.\n"
        "\n"
        "| In superx.yml | Variable | Flag | Default | Fits | What it is |\n"
        "|---|---|---|---|---|---|\n");
    for (int i = 0; i < CONFIG_ID_MAX; i++)
        print_docs_row(out, &config_settings[i]);
    fprintf(
        out,
        "\n"
        "## Variables of the first SuperX\n"
        "\n"
        "| Variable | Now |\n"
        "|---|---|\n"
        "| `SUPERX_AGENTS_FILE` | a second name of `AGENTS_FILE` |\n"
        "| `CLUSTER_*`, `RELEASE_*`, `ERL_*` | not needed: nodes share the database and nothing else |\n"
        "| `AGENT_FAILURE_*`, `AGENT_COOLDOWN_MS`, `SUPERX_HOST`, `SUPERX_PORT` | no effect in this version |\n"
        "\n"
        "One line at the start names those that are set.\n");
}
