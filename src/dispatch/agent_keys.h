/* SPDX-License-Identifier: MIT
 *
 * The keys of an agent, whatever they are written in: the file's YAML, or JSON made a tree of the same nodes.
 */
#ifndef DISPATCH_AGENT_KEYS_H
#define DISPATCH_AGENT_KEYS_H

#include "dispatch/dispatch_int.h"
#include "lib/yaml.h"

struct key_reader {
    const struct agent_defaults *defaults;
    const char *(*env)(const char *name); /* NULL: no variable is set */
    bool is_json;                         /* ${...} means itself; containers know their text */
    struct arena *arena;
    struct agents_fault *fault;
    const struct yaml_node *breaker_key; /* the first key that has no effect yet; NULL: none */
};

/* Reads all keys of the map `node` into `spec`, whose id is known and whose defaults are set. `at` is the
 * word that names the agent, where complaints about the whole of it point. */
MUST_CHECK int agent_keys_read(struct key_reader *r, struct agent_spec *spec,
                               const struct yaml_node *node, const struct yaml_node *at);

/* --- agent_texts.c ------------------------------------------------------------------------------ */

/* The text of a scalar with its variables replaced; "" for null. In the arena, ends in NUL. */
MUST_CHECK int key_read_text(struct key_reader *r, const struct yaml_node *node,
                             struct str *out);

/* Notes a complaint and returns `err`. `at` NULL: about no place. */
int key_refuse(struct key_reader *r, const struct yaml_node *at, int err, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

int key_refuse_memory(struct key_reader *r, const struct yaml_node *at);

/* The name of a value in complaints. */
struct str key_name(const struct yaml_node *node);

/* Complains about a key nobody knows; `known` are those it may have been meant to be. */
int key_refuse_unknown(struct key_reader *r, const struct yaml_node *key,
                       const char *const *known, size_t n_known);

#endif
