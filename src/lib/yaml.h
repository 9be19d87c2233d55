/* SPDX-License-Identifier: MIT
 *
 * YAML files as a tree of nodes that know their place, read with libyaml.
 *
 * Only what configuration needs: one document of mappings, sequences and scalars, in UTF-8. Anchors, aliases,
 * tags, several documents, duplicate keys, keys that are not scalars, NUL characters, more than
 * LIMIT_AGENTS_FILE bytes, YAML_DEPTH_MAX levels or YAML_NODES_MAX nodes are refused.
 */
#ifndef LIB_YAML_H
#define LIB_YAML_H

#include <stdbool.h>

#include "lib/arena.h"
#include "lib/str.h"

#define YAML_DEPTH_MAX 64u
#define YAML_NODES_MAX 200000u

enum yaml_kind { YAML_KIND_SCALAR, YAML_KIND_MAP, YAML_KIND_LIST };

struct yaml_node {
    enum yaml_kind kind;
    unsigned line, column; /* from 1 */
    struct str text;       /* scalar; NUL-terminated in the arena */
    bool is_plain;         /* scalar without quotes: may mean null, a number or a boolean */
    struct yaml_node *key; /* for members of a map: the key scalar */
    struct yaml_node *first, *next; /* children, next sibling */
};

struct yaml_fault {
    unsigned line, column;
    char why[160];
};

/* Parses `text` into `arena`. *root is NULL for an empty document. On failure *fault says where and why, and
 * the result is ERR_SYNTAX (malformed, or a feature refused), ERR_LIMIT (size, depth, nodes) or ERR_NOMEM
 * (the arena is full). */
MUST_CHECK int yaml_parse(struct str text, struct arena *arena, struct yaml_node **root,
                          struct yaml_fault *fault);

/* The member of a map, or NULL. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *name);

/* Whether a node is missing, empty, or a plain ~ / null. */
bool yaml_is_null(const struct yaml_node *node);

#endif
