/* SPDX-License-Identifier: MIT
 *
 * JSON as a tree, for models: everything the gateway does not do. Nodes come from one array and are never freed; a
 * program begins with tree_clear().
 */
#ifndef TEST_TREE_H
#define TEST_TREE_H

#include <stdio.h>
#include <stdlib.h>

#include "lib/json.h"

struct node {
    struct str key;  /* raw; absent in lists and at the root */
    struct str text; /* of what is neither object nor list */
    enum json_type type;
    struct node *first, *next;
};

static struct node tree_nodes[1 << 16];
static char tree_text[1 << 20];
static size_t tree_n_nodes, tree_n_text;

static inline void tree_clear(void)
{
    tree_n_nodes = tree_n_text = 0;
}

static inline struct node *tree_new(struct str key, enum json_type type, struct str text)
{
    struct node *n = &tree_nodes[tree_n_nodes++];

    if (tree_n_nodes > sizeof tree_nodes / sizeof *tree_nodes)
        abort();
    *n = (struct node){.key = key, .type = type, .text = text};
    return n;
}

/* A copy that outlives where the text came from. */
static inline struct str tree_keep(struct str text)
{
    struct str kept = {tree_text + tree_n_text, text.n};

    if (!text.p)
        return STR_NONE;
    if (tree_n_text + text.n > sizeof tree_text)
        abort();
    if (text.n)
        memcpy(tree_text + tree_n_text, text.p, text.n);
    tree_n_text += text.n;
    return kept;
}

static inline void tree_add(struct node *to, struct node *child)
{
    struct node **at = &to->first;

    while (*at)
        at = &(*at)->next;
    *at = child;
}

static inline struct node *tree_parse(struct str key, struct str text)
{
    struct node *n = tree_new(key, json_type(text), text);
    struct json_cursor cursor;
    struct str name, value;

    JSON_EACH_MEMBER (&cursor, text, &name, &value)
        tree_add(n, tree_parse(name, value));
    JSON_EACH_ELEMENT (&cursor, text, &value)
        tree_add(n, tree_parse(STR_NONE, value));
    return n;
}

static inline struct node *tree_copy(const struct node *n, struct str key)
{
    struct node *copy = tree_new(key, n->type, n->text);

    for (const struct node *child = n->first; child; child = child->next)
        tree_add(copy, tree_copy(child, child->key));
    return copy;
}

static inline void tree_write(struct buf *out, const struct node *n)
{
    bool is_object = n->type == JSON_OBJECT;

    if (!is_object && n->type != JSON_ARRAY) {
        buf_add_str(out, n->text);
        return;
    }
    buf_add_char(out, is_object ? '{' : '[');
    for (const struct node *child = n->first; child; child = child->next) {
        if (child != n->first)
            buf_add_char(out, ',');
        if (is_object)
            buf_printf(out, "\"%.*s\":", STR_ARG(child->key));
        tree_write(out, child);
    }
    buf_add_char(out, is_object ? '}' : ']');
}

/* The first member of that name; NULL: there is none. */
static inline struct node *tree_find(const struct node *n, const char *name)
{
    for (struct node *child = n && n->type == JSON_OBJECT ? n->first : NULL; child;
         child = child->next)
        if (json_key_is(child->key, str_of(name)))
            return child;
    return NULL;
}

static inline bool tree_is(const struct node *n, enum json_type type)
{
    return n && n->type == type;
}

/* Makes `n` what `other` is, but for its place and key. */
static inline void tree_become(struct node *n, const struct node *other)
{
    struct node *copy = tree_copy(other, n->key);

    copy->next = n->next;
    *n = *copy;
}

static inline bool tree_same(const struct node *a, const struct node *b)
{
    struct buf x, y;
    bool is_same;

    buf_init(&x, MB(1));
    buf_init(&y, MB(1));
    tree_write(&x, a);
    tree_write(&y, b);
    is_same = str_is(buf_str(&x), buf_str(&y));
    buf_release(&x);
    buf_release(&y);
    return is_same;
}

/* What both are when decoded. */
static inline bool tree_same_string(const struct node *a, const struct node *b)
{
    struct buf text;
    bool is_same;

    if (!tree_is(a, JSON_STRING) || !tree_is(b, JSON_STRING))
        return false;
    buf_init(&text, MB(1));
    is_same =
        json_string_decode(a->text, &text) == 0 && json_string_is(b->text, buf_str(&text));
    buf_release(&text);
    return is_same;
}

#endif
