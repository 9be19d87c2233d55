/* SPDX-License-Identifier: MIT
 *
 * Four sources, one way in. Defaults, superx.yml, the environment and the command line each find a text for a
 * setting and hand it, with the place it came from, to value_take(): the only function that judges a text and the
 * only one that writes to struct config. Sources run from the weakest to the strongest, so a later one simply
 * overwrites; an earlier value must be right all the same, because the one who wrote it thinks it is.
 *
 * Faults do not stop the loading: each is printed where it is found and counted, so that one start shows them all.
 *
 * Deliberately absent: expansion of ${VAR} (the environment is a source already), several files, includes, reading
 * .env (the shell and docker compose do), and settings that change while the process runs.
 */
#include "wiring/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "lib/limits.h"
#include "lib/log.h"
#include "lib/yaml.h"
#include "wiring/config_int.h"

#define DEFAULT_FILE "superx.yml"
#define FILE_FLAG "--config"

/* No setting needs more; a value this long is a mistake (a whole file in a variable). */
#define VALUE_MAX KB(4)
/* All texts of all sources, twenty-odd of them with VALUE_MAX each. */
#define TEXTS_MAX MB(1)
/* The nodes of the largest file lib/yaml accepts. */
#define NODES_MAX MB(64)

/* A default of another C type than its setting does not compile. */
#define DEFAULT_TEXT(d) .text_default = (d)
#define DEFAULT_STRING DEFAULT_TEXT
#define DEFAULT_SECRET DEFAULT_TEXT
#define DEFAULT_URL DEFAULT_TEXT
#define DEFAULT_WORD DEFAULT_TEXT
#define DEFAULT_ADDRESS DEFAULT_TEXT
#define DEFAULT_NUMBER(d) .number_default = (d)
#define DEFAULT_BOOL DEFAULT_NUMBER

const struct setting config_settings[CONFIG_ID_MAX] = {
#define X(id, env_, type_, default_, min_, max_, flag_, fits_, text_)                          \
    [CONFIG_ID_##id] = {.name = #id,                                                           \
                        .env = (env_),                                                         \
                        .type = CONFIG_##type_,                                                \
                        DEFAULT_##type_(default_),                                             \
                        .min = (min_),                                                         \
                        .max = (max_),                                                         \
                        .flag = (flag_),                                                       \
                        .fits = (fits_),                                                       \
                        .text = (text_),                                                       \
                        .offset = offsetof(struct config, id)},
#include "wiring/config.def"
#undef X
};

#define EACH_SETTING(s)                                                                        \
    const struct setting *s = config_settings;                                                 \
    s < config_settings + CONFIG_ID_MAX;                                                       \
    s++

struct load {
    struct config *c;
    unsigned n_faults;
};

/* Where a text was found, for errors and for `superx config`. */
struct place {
    enum config_source source;
    unsigned line, column; /* CONFIG_FROM_FILE */
};

static void load_defaults(struct load *l);
static void load_file(struct load *l, const char *file);
static void load_environment(struct load *l);
static void load_flags(struct load *l, int *argc, char **argv);
static char *take_file_flag(struct load *l, int *argc, char **argv);
static void tell_legacy(void);
static void setup_log(const struct config *c);

int config_load(struct config *c, const char *file, int *argc, char **argv)
{
    struct load l = {.c = c};

    memset(c, 0, sizeof *c);
    arena_init(&c->arena, TEXTS_MAX);
    load_defaults(&l);
    const char *flag = take_file_flag(&l, argc, argv);
    load_file(&l, file ? file : flag);
    load_environment(&l);
    load_flags(&l, argc, argv);
    tell_legacy();
    if (l.n_faults) {
        config_release(c);
        return ERR_INVALID;
    }
    setup_log(c);
    return 0;
}

void config_release(struct config *c)
{
    arena_release(&c->arena);
    memset(c, 0, sizeof *c);
}

static void setup_log(const struct config *c)
{
    enum log_level level;
    int err = log_level_parse(str_of(c->log_level), &level);

    BUG_ON(err); /* the words of config.def are all levels */
    log_setup(level, strcmp(c->log_format, "json") == 0);
}

/* --- values --------------------------------------------------------------------------------------- */

static const char **text_slot(struct config *c, const struct setting *s)
{
    BUG_ON(s->type == CONFIG_NUMBER || s->type == CONFIG_BOOL);
    return (const char **)(void *)((char *)c + s->offset);
}

static void *number_slot(struct config *c, const struct setting *s)
{
    BUG_ON(s->type != CONFIG_NUMBER && s->type != CONFIG_BOOL);
    return (char *)c + s->offset;
}

const char *config_text(const struct config *c, const struct setting *s)
{
    return *text_slot((struct config *)(uintptr_t)c, s);
}

uint64_t config_number(const struct config *c, const struct setting *s)
{
    const void *slot = number_slot((struct config *)(uintptr_t)c, s);

    return s->type == CONFIG_BOOL ? *(const bool *)slot : *(const uint64_t *)slot;
}

static void number_set(struct config *c, const struct setting *s, uint64_t v)
{
    if (s->type == CONFIG_BOOL)
        *(bool *)number_slot(c, s) = v != 0;
    else
        *(uint64_t *)number_slot(c, s) = v;
}

/* `text` as it may stand in an error: a secret not at all, no control characters, not endless. */
static void write_shown(struct buf *out, const struct setting *s, struct str text)
{
    if (s->type == CONFIG_SECRET) {
        BUF_LIT(out, "***");
        return;
    }
    size_t from = out->n;
    if (s->type == CONFIG_URL)
        config_write_masked(out, text);
    else
        buf_add_str(out, text);
    for (size_t i = from; i < out->n; i++) {
        if ((unsigned char)out->p[i] < 0x20 || out->p[i] == 0x7f)
            out->p[i] = '?';
    }
    if (out->n - from > 80) {
        out->n = from + 77;
        BUF_LIT(out, "...");
    }
}

/* "superx: PORT=abc: ", "superx: --port=abc: " or "superx: superx.yml:3:7: port: abc: ", then the reason. */
PRINTF_LIKE(5, 6)
static void fault(struct load *l, const struct setting *s, const struct place *at,
                  struct str text, const char *fmt, ...)
{
    struct buf line;
    va_list args;

    buf_init(&line, 4 * VALUE_MAX);
    if (at->source == CONFIG_FROM_FILE)
        buf_printf(&line, "%s:%u:%u: %s: ", l->c->file, at->line, at->column, s->name);
    else
        buf_printf(&line, "%s=", at->source == CONFIG_FROM_ENV ? s->env : s->flag);
    write_shown(&line, s, text);
    BUF_LIT(&line, ": ");
    va_start(args, fmt);
    buf_vprintf(&line, fmt, args);
    va_end(args);
    fprintf(stderr, "superx: %.*s\n", STR_ARG(buf_str(&line)));
    buf_release(&line);
    l->n_faults++;
}

/* Whether `text` is one of the words of `list`, which '|' separates; *word is the list's spelling. */
static bool word_find(const char *list, struct str text, struct str *word)
{
    struct str rest = str_of(list);

    while (rest.p) {
        *word = str_cut(&rest, '|');
        if (str_is_nocase(*word, text))
            return true;
    }
    return false;
}

/* "a, b or c" */
static void write_choice(struct buf *out, const char *list)
{
    struct str rest = str_of(list);

    for (bool is_first = true; rest.p; is_first = false) {
        struct str word = str_cut(&rest, '|');

        if (!is_first)
            buf_add_str(out, rest.p ? STR(", ") : STR(" or "));
        buf_add_str(out, word);
    }
}

static void fault_choice(struct load *l, const struct setting *s, const struct place *at,
                         struct str text, const char *fmt)
{
    struct buf choice;

    buf_init(&choice, VALUE_MAX);
    write_choice(&choice, s->fits);
    if (s->type == CONFIG_URL)
        fault(l, s, at, text, "%s; expected a URL that begins with %s, then ://", fmt,
              buf_z(&choice));
    else
        fault(l, s, at, text, "%s; expected %s", fmt, buf_z(&choice));
    buf_release(&choice);
}

static bool bool_read(struct str text, uint64_t *out)
{
    struct str word;

    if (word_find("true|yes|on|1", text, &word))
        *out = 1;
    else if (word_find("false|no|off|0", text, &word))
        *out = 0;
    else
        return false;
    return true;
}

/* Reads a number or boolean; false after a fault. */
static bool number_take(struct load *l, const struct setting *s, struct str text,
                        const struct place *at, uint64_t *out)
{
    int64_t negative;

    if (s->type == CONFIG_BOOL) {
        if (bool_read(text, out))
            return true;
        fault(l, s, at, text, "neither true nor false");
        return false;
    }
    int err = str_to_u64(text, out);
    if (err == ERR_SYNTAX && str_to_i64(text, &negative) == 0)
        err = ERR_LIMIT;
    if (err == 0 && (*out < s->min || *out > s->max))
        err = ERR_LIMIT;
    if (err)
        fault(l, s, at, text, "%s; expected %llu to %llu",
              err == ERR_LIMIT ? "out of range" : "not a number", (unsigned long long)s->min,
              (unsigned long long)s->max);
    return err == 0;
}

/* Whether `text` is fit for a setting that holds text; false after a fault. *as is how it is kept. */
static bool text_fits(struct load *l, const struct setting *s, struct str text,
                      const struct place *at, struct str *as)
{
    unsigned char address[16];
    struct str word;

    *as = text;
    if (text.n > VALUE_MAX || (s->type == CONFIG_URL && text.n > LIMIT_URL)) {
        fault(l, s, at, text, "longer than %zu bytes",
              s->type == CONFIG_URL ? LIMIT_URL : VALUE_MAX);
        return false;
    }
    if (str_has_control(text)) {
        fault(l, s, at, text, "holds a control character (a line end, perhaps)");
        return false;
    }
    if (s->type == CONFIG_WORD) {
        if (word_find(s->fits, text, as))
            return true;
        fault_choice(l, s, at, text, "not known");
        return false;
    }
    if (s->type == CONFIG_ADDRESS) {
        char z[64] = "";

        if (text.n < sizeof z)
            memcpy(z, text.p, text.n);
        if (inet_pton(AF_INET, z, address) == 1 || inet_pton(AF_INET6, z, address) == 1)
            return true;
        fault(l, s, at, text,
              "not an address; expected one in numbers, such as 127.0.0.1, 0.0.0.0 or ::");
        return false;
    }
    if (s->type == CONFIG_URL && text.n > 0) {
        const char *end = memmem(text.p, text.n, "://", 3);

        if (end && word_find(s->fits, str_make(text.p, (size_t)(end - text.p)), &word))
            return true;
        fault_choice(l, s, at, text, "not a URL that fits here");
        return false;
    }
    return true;
}

/* Judges `text` and makes it the value of `s`. */
static void value_take(struct load *l, const struct setting *s, struct str text,
                       const struct place *at)
{
    size_t id = (size_t)(s - config_settings);
    uint64_t number;
    struct str kept;

    if (s->type == CONFIG_NUMBER || s->type == CONFIG_BOOL) {
        if (!number_take(l, s, text, at, &number))
            return;
        number_set(l->c, s, number);
    } else {
        if (!text_fits(l, s, text, at, &kept))
            return;
        kept = arena_str(&l->c->arena, kept);
        if (!kept.p) {
            fault(l, s, at, text, "out of memory");
            return;
        }
        *text_slot(l->c, s) = kept.p;
    }
    l->c->from[id].source = at->source;
    l->c->from[id].line = at->line;
}

static void load_defaults(struct load *l)
{
    for (EACH_SETTING(s)) {
        if (s->type == CONFIG_NUMBER || s->type == CONFIG_BOOL)
            number_set(l->c, s, s->number_default);
        else
            *text_slot(l->c, s) = s->text_default;
    }
}

/* --- superx.yml ------------------------------------------------------------------------------------ */

/* The setting somebody who wrote `key` may have meant, or NULL. */
static const char *nearest(struct str key)
{
    const char *found = NULL;
    unsigned best = 3; /* two slips of the finger; more is a guess */

    for (EACH_SETTING(s)) {
        /* Spelled as its variable (PORT) or as in the agents file (logLevel) is no slip but a mix-up. */
        if (str_is_nocase(key, str_of(s->env)) || str_is_nocase(key, str_of(s->name)))
            return s->name;
        unsigned d = str_distance(key, str_of(s->name));

        if (d < best) {
            best = d;
            found = s->name;
        }
    }
    return found;
}

static const struct setting *setting_find(struct str name)
{
    for (EACH_SETTING(s)) {
        if (str_is(name, str_of(s->name)))
            return s;
    }
    return NULL;
}

static void load_tree(struct load *l, const struct yaml_node *root)
{
    const char *file = l->c->file;

    if (root->kind != YAML_KIND_MAP) {
        fprintf(stderr, "superx: %s:%u:%u: expected settings, one `name: value` a line\n", file,
                root->line, root->column);
        l->n_faults++;
        return;
    }
    for (const struct yaml_node *node = root->first; node; node = node->next) {
        const struct setting *s = setting_find(node->key->text);
        struct place at = {CONFIG_FROM_FILE, node->line, node->column};

        if (!s) {
            const char *meant = nearest(node->key->text);

            fprintf(stderr, "superx: %s:%u:%u: %.*s: no such setting%s%s%s\n", file,
                    node->key->line, node->key->column, STR_ARG(node->key->text),
                    meant ? "; did you mean " : "", meant ? meant : "", meant ? "?" : "");
            l->n_faults++;
        } else if (node->kind != YAML_KIND_SCALAR) {
            fault(l, s, &at, node->kind == YAML_KIND_MAP ? STR("{...}") : STR("[...]"),
                  "expected one value");
        } else if (!yaml_is_null(node)) {
            value_take(l, s, node->text, &at);
        }
    }
}

/* The whole file in `out`; 0 or a negative errno value. */
static int read_whole(FILE *f, struct buf *out)
{
    for (;;) {
        char *to = buf_reserve(out, 4096);

        if (!to)
            return -EFBIG;
        errno = 0;
        size_t n = fread(to, 1, 4096, f);
        buf_commit(out, n);
        if (n == 0)
            return ferror(f) ? -(errno ? errno : EIO) : 0;
    }
}

static void load_file(struct load *l, const char *file)
{
    bool must_exist = file != NULL;
    struct yaml_node *root = NULL;
    struct yaml_fault why = {0};
    struct arena nodes;
    struct buf text;
    int err;

    if (!file)
        file = DEFAULT_FILE;
    FILE *f = fopen(file, "re");
    if (!f && errno == ENOENT && !must_exist)
        return;
    arena_init(&nodes, NODES_MAX);
    buf_init(&text, LIMIT_AGENTS_FILE);
    err = f ? read_whole(f, &text) : -errno;
    if (f)
        fclose(f);
    l->c->file = arena_str(&l->c->arena, str_of(file)).p;
    if (err || !l->c->file) {
        fprintf(stderr, "superx: %s: %s\n", file, strerror(err ? -err : ENOMEM));
        l->n_faults++;
    } else if (yaml_parse(buf_str(&text), &nodes, &root, &why) < 0) {
        fprintf(stderr, "superx: %s:%u:%u: %s\n", file, why.line, why.column, why.why);
        l->n_faults++;
    } else if (root) {
        load_tree(l, root);
    }
    buf_release(&text);
    arena_release(&nodes);
}

/* --- environment ------------------------------------------------------------------------------------- */

static void load_environment(struct load *l)
{
    for (EACH_SETTING(s)) {
        const char *text = getenv(s->env);

        /* The README of the first SuperX gave this one two names. */
        if (s == &config_settings[CONFIG_ID_agents_file] && (!text || !*text))
            text = getenv("SUPERX_AGENTS_FILE");
        if (text && *text)
            value_take(l, s, str_of(text), &(struct place){.source = CONFIG_FROM_ENV});
    }
}

/* Variables of the first SuperX. A name that ends in '_' stands for all that begin with it. */
static const char *const not_needed[] = {"CLUSTER_", "RELEASE_", "ERL_", NULL};
static const char *const no_effect[] = {"AGENT_FAILURE_", "AGENT_COOLDOWN_MS", "SUPERX_HOST",
                                        "SUPERX_PORT", NULL};

static bool is_listed(const char *const *list, struct str name)
{
    for (; *list; list++) {
        struct str entry = str_of(*list);

        if (entry.p[entry.n - 1] == '_' ? str_has_prefix(name, entry) : str_is(name, entry))
            return true;
    }
    return false;
}

/* One line that names the variables of `list` which are set; values are not shown, some are secrets. */
static void tell_listed(const char *const *list, const char *what)
{
    struct buf names;
    unsigned n = 0;

    buf_init(&names, KB(1));
    for (char **at = environ; *at; at++) {
        struct str value = str_of(*at), name = str_cut(&value, '=');

        if (!value.n || !is_listed(list, name))
            continue;
        if (n++ < 8)
            buf_printf(&names, "%s%.*s", n > 1 ? ", " : "", STR_ARG(name));
    }
    if (n > 8)
        buf_printf(&names, " and %u more", n - 8);
    if (n)
        fprintf(stderr, "superx: %.*s: %s\n", STR_ARG(buf_str(&names)), what);
    buf_release(&names);
}

static void tell_legacy(void)
{
    tell_listed(not_needed, "not needed any more; nodes share the database and nothing else");
    tell_listed(no_effect, "no effect in this version");
}

/* --- command line -------------------------------------------------------------------------------------- */

/* If argv[i] is `flag`, takes it and its value out of argv and returns true; *text is the value, absent for a flag
 * that stands alone. */
static bool flag_take(int *argc, char **argv, int i, const char *flag, bool may_stand_alone,
                      struct str *text)
{
    struct str rest = str_of(argv[i]), name = str_cut(&rest, '=');
    int taken = 1;

    if (!*flag || !str_is(name, str_of(flag)))
        return false;
    if (!rest.p && !may_stand_alone && i + 1 < *argc &&
        !str_has_prefix(str_of(argv[i + 1]), STR("--"))) {
        rest = str_of(argv[i + 1]);
        taken = 2;
    }
    *text = rest;
    memmove(argv + i, argv + i + taken, sizeof *argv * (size_t)(*argc - i - taken + 1));
    *argc -= taken;
    return true;
}

/* The value of the last --config, or NULL. */
static char *take_file_flag(struct load *l, int *argc, char **argv)
{
    char *file = NULL;
    struct str text;

    for (int i = 1; i < *argc && strcmp(argv[i], "--") != 0;) {
        if (!flag_take(argc, argv, i, FILE_FLAG, false, &text)) {
            i++;
        } else if (text.n) {
            file = (char *)(uintptr_t)text.p; /* up to the end of an argument: terminated */
        } else {
            fprintf(stderr, "superx: %s: needs the name of a file\n", FILE_FLAG);
            l->n_faults++;
        }
    }
    return file;
}

/* Takes argv[i] if it is the flag of a setting. */
static bool load_flag(struct load *l, int *argc, char **argv, int i)
{
    struct place at = {.source = CONFIG_FROM_FLAG};
    struct str text;

    for (EACH_SETTING(s)) {
        if (!flag_take(argc, argv, i, s->flag, s->type == CONFIG_BOOL, &text))
            continue;
        if (text.p) {
            value_take(l, s, text, &at);
        } else if (s->type == CONFIG_BOOL) {
            value_take(l, s, STR("true"), &at);
        } else {
            fprintf(stderr, "superx: %s: needs a value\n", s->flag);
            l->n_faults++;
        }
        return true;
    }
    return false;
}

static void load_flags(struct load *l, int *argc, char **argv)
{
    for (int i = 1; i < *argc && strcmp(argv[i], "--") != 0;) {
        if (!load_flag(l, argc, argv, i))
            i++;
    }
}
