/* SPDX-License-Identifier: MIT
 *
 * Whatever the bytes, yaml_parse() ends, stays within its limits, and gives either a tree that keeps what
 * yaml.h says or a fault with a place and a reason.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/limits.h"
#include "lib/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned n_nodes;

static void check_node(const struct yaml_node *node, unsigned depth)
{
    BUG_ON(depth > YAML_DEPTH_MAX + 1 || ++n_nodes > YAML_NODES_MAX);
    BUG_ON(node->line == 0 || node->column == 0);
    if (node->kind == YAML_KIND_SCALAR) {
        BUG_ON(node->first || node->text.p[node->text.n] != '\0');
        BUG_ON(strlen(node->text.p) != node->text.n || !str_is_utf8(node->text));
    }
    for (const struct yaml_node *child = node->first; child; child = child->next) {
        BUG_ON((node->kind == YAML_KIND_MAP) != (child->key != NULL));
        if (child->key) {
            /* the first of its name is the only one */
            BUG_ON(yaml_get(node, child->key->text.p) != child);
            n_nodes++;
        }
        check_node(child, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct arena arena;
    struct yaml_fault fault = {0};
    struct yaml_node *root = NULL;

    arena_init(&arena, size % 7 ? MB(64) : size * 4); /* sometimes too small */
    n_nodes = 0;
    if (yaml_parse(str_make((const char *)data, size), &arena, &root, &fault))
        BUG_ON(root || !fault.line || !fault.column || !fault.why[0]);
    else if (root)
        check_node(root, 1);
    arena_release(&arena);
    return 0;
}
