/* SPDX-License-Identifier: MIT
 *
 * Configuration: one table (config.def) is the source of the parser, of `superx config`, of .env.example, of
 * superx.yml.example and of docs/configuration.md.
 *
 * Order of precedence: built-in default < superx.yml < environment < command-line flag. Each value remembers where
 * it came from. A value that does not fit is an error that names the setting, the value, the source (with line) and
 * what would fit; nothing is clipped in silence, and all such errors of one start are told together.
 */
#ifndef WIRING_CONFIG_H
#define WIRING_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/arena.h"
#include "lib/str.h"

enum config_type {
    CONFIG_STRING,
    CONFIG_NUMBER,
    CONFIG_BOOL,
    CONFIG_SECRET, /* a string that is never shown */
    /* its scheme is checked here, the rest by who uses it; shown without password */
    CONFIG_URL,
    CONFIG_WORD,    /* one of the words in `fits`; kept in lower case */
    CONFIG_ADDRESS, /* a numeric IPv4 or IPv6 address */
};

enum config_id {
#define X(name, env, type, default, min, max, flag, fits, text) CONFIG_ID_##name,
#include "wiring/config.def"
#undef X
    CONFIG_ID_MAX
};

enum config_source { CONFIG_FROM_DEFAULT, CONFIG_FROM_FILE, CONFIG_FROM_ENV, CONFIG_FROM_FLAG };

struct config {
#define CONFIG_C_STRING const char *
#define CONFIG_C_SECRET const char *
#define CONFIG_C_URL const char *
#define CONFIG_C_WORD const char *
#define CONFIG_C_ADDRESS const char *
#define CONFIG_C_NUMBER uint64_t
#define CONFIG_C_BOOL bool
#define X(name, env, type, default, min, max, flag, fits, text) CONFIG_C_##type name;
#include "wiring/config.def"
#undef X
    struct arena arena; /* owns the strings; none of them is NULL, unset ones are "" */
    const char *file;   /* the superx.yml that was read, or NULL; in the arena */
    struct {
        enum config_source source;
        unsigned line; /* in the file; 0 for other sources */
    } from[CONFIG_ID_MAX];
};

/* Loads defaults, `file` (NULL: what a --config flag names, else ./superx.yml if it exists), the environment and the
 * flags in argv (which are removed from it: *argc shrinks; nothing behind "--" is looked at). An empty environment
 * variable or a null in the file is the same as none; a flag may set a text to empty. On failure prints the errors to
 * stderr, releases what it took and returns ERR_INVALID. Also prints one line that names variables of the first SuperX
 * which are not needed any more (CLUSTER_*, RELEASE_*, ERL_*), and one with those that do nothing yet. On success the
 * log is set up as asked. */
MUST_CHECK int config_load(struct config *c, const char *file, int *argc, char **argv);
void config_release(struct config *c);

/* What is in force and where each value came from; secrets are shown as "***", passwords in URLs too. */
void config_print(const struct config *c, FILE *out, bool json);

/* The generated samples. */
void config_print_env_sample(FILE *out);
void config_print_yml_sample(FILE *out);
void config_print_docs(FILE *out);

#endif
