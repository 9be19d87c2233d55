/* SPDX-License-Identifier: MIT
 *
 * libyaml does the grammar and delivers events; here they become a tree, without recursion.
 *
 * The frames of open containers are a fixed array, one per level. Each open mapping has a hash map of its
 * keys beside its list of members, so that finding a duplicate among a hundred thousand keys takes no longer
 * than among ten. The nodes live in the caller's arena; everything else is gone on return.
 *
 * Why so much is refused: an alias makes a graph of a tree (and a billion laughs of nine lines), a tag asks
 * for types nobody here has, a second document or a duplicate key would be silently ignored by one reader or
 * the other. A configuration is read by people: it says each thing once, in one place.
 */
#include "lib/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "lib/limits.h"
#include "lib/map.h"

struct frame {
    struct yaml_node *node;  /* the open map or list */
    struct yaml_node **last; /* where its next child is linked in */
    struct yaml_node *key;   /* of a map: read, its value is next */
    struct map keys;         /* of a map: key text to key node */
};

struct builder {
    yaml_parser_t parser;
    struct str text;
    struct arena *arena;
    struct yaml_fault *fault;
    struct frame frames[YAML_DEPTH_MAX];
    unsigned depth; /* open frames */
    unsigned n_nodes, n_documents;
    struct yaml_node *root;
};

__attribute__((format(printf, 4, 5))) static int refuse(struct builder *b, int err,
                                                        yaml_mark_t at, const char *fmt, ...)
{
    va_list args;

    b->fault->line = (unsigned)at.line + 1;
    b->fault->column = (unsigned)at.column + 1;
    va_start(args, fmt);
    vsnprintf(b->fault->why, sizeof b->fault->why, fmt, args);
    va_end(args);
    return err;
}

/* libyaml's reader knows only the offset of a bad byte. */
static yaml_mark_t mark_of_offset(struct str text, size_t offset)
{
    yaml_mark_t at = {0};

    for (size_t i = 0; i < text.n && i < offset; i++) {
        if (text.p[i] == '\n') {
            at.line++;
            at.column = 0;
        } else if (((unsigned char)text.p[i] & 0xc0) != 0x80) {
            at.column++;
        }
    }
    return at;
}

static int refuse_as_parser(struct builder *b)
{
    const yaml_parser_t *p = &b->parser;
    const char *problem = p->problem ? p->problem : "malformed";

    if (p->error == YAML_MEMORY_ERROR)
        return refuse(b, ERR_NOMEM, p->mark, "out of memory");
    if (p->error == YAML_READER_ERROR)
        return refuse(b, ERR_SYNTAX, mark_of_offset(b->text, p->problem_offset), "%s", problem);
    if (p->context)
        return refuse(b, ERR_SYNTAX, p->problem_mark, "%s %s", problem, p->context);
    return refuse(b, ERR_SYNTAX, p->problem_mark, "%s", problem);
}

/* --- nodes ---------------------------------------------------------------------------------------- */

static int new_node(struct builder *b, enum yaml_kind kind, yaml_mark_t at,
                    struct yaml_node **out)
{
    struct yaml_node *node;

    if (b->n_nodes == YAML_NODES_MAX)
        return refuse(b, ERR_LIMIT, at, "more than %u values", YAML_NODES_MAX);
    node = arena_take(b->arena, sizeof *node);
    if (!node)
        return refuse(b, ERR_NOMEM, at, "the document takes more memory than allowed");
    b->n_nodes++;
    *node = (struct yaml_node){
        .kind = kind, .line = (unsigned)at.line + 1, .column = (unsigned)at.column + 1};
    *out = node;
    return 0;
}

static int take_key(struct builder *b, struct frame *f, struct yaml_node *node, yaml_mark_t at)
{
    const struct yaml_node *first;

    if (node->kind != YAML_KIND_SCALAR)
        return refuse(b, ERR_SYNTAX, at, "a key must be a plain text, not a map or a list");
    if (str_has_control(node->text)) /* keys are quoted in messages, on terminals too */
        return refuse(b, ERR_SYNTAX, at, "a key must not contain control characters");
    first = map_put(&f->keys, node->text, node);
    if (first)
        return refuse(b, ERR_SYNTAX, at, "the key \"%.*s\" was given before, in line %u",
                      (int)(node->text.n < 64 ? node->text.n : 64), node->text.p, first->line);
    f->key = node;
    return 0;
}

/* Hangs a node into the innermost open container, as key, value or element. */
static int attach(struct builder *b, struct yaml_node *node, yaml_mark_t at)
{
    struct frame *f;

    if (b->depth == 0) {
        b->root = node;
        return 0;
    }
    f = &b->frames[b->depth - 1];
    if (f->node->kind == YAML_KIND_MAP && !f->key)
        return take_key(b, f, node, at);
    node->key = f->key;
    f->key = NULL;
    *f->last = node;
    f->last = &node->next;
    return 0;
}

/* --- events --------------------------------------------------------------------------------------- */

static int refuse_properties(struct builder *b, const yaml_char_t *anchor,
                             const yaml_char_t *tag, yaml_mark_t at)
{
    if (anchor)
        return refuse(b, ERR_SYNTAX, at, "anchors (&%.64s) are not supported here",
                      (const char *)anchor);
    if (tag)
        return refuse(b, ERR_SYNTAX, at, "tags (!...) are not supported here");
    return 0;
}

static int on_scalar(struct builder *b, const yaml_event_t *e)
{
    struct str text = {(const char *)e->data.scalar.value, e->data.scalar.length};
    struct yaml_node *node;
    int err;

    err = refuse_properties(b, e->data.scalar.anchor, e->data.scalar.tag, e->start_mark);
    if (err)
        return err;
    if (text.n && memchr(text.p, '\0', text.n))
        return refuse(b, ERR_SYNTAX, e->start_mark, "a text must not contain NUL characters");
    err = new_node(b, YAML_KIND_SCALAR, e->start_mark, &node);
    if (err)
        return err;
    node->is_plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = arena_str(b->arena, text);
    if (!node->text.p)
        return refuse(b, ERR_NOMEM, e->start_mark,
                      "the document takes more memory than allowed");
    return attach(b, node, e->start_mark);
}

static int open_container(struct builder *b, enum yaml_kind kind, yaml_mark_t at)
{
    struct yaml_node *node;
    struct frame *f;
    int err;

    if (b->depth == YAML_DEPTH_MAX)
        return refuse(b, ERR_LIMIT, at, "nested deeper than %u levels", YAML_DEPTH_MAX);
    err = new_node(b, kind, at, &node);
    if (!err)
        err = attach(b, node, at);
    if (err)
        return err;
    f = &b->frames[b->depth++];
    *f = (struct frame){.node = node, .last = &node->first};
    map_init(&f->keys);
    return 0;
}

static void close_container(struct builder *b)
{
    BUG_ON(b->depth == 0);
    map_release(&b->frames[--b->depth].keys);
}

static int on_event(struct builder *b, const yaml_event_t *e)
{
    int err;

    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->n_documents++)
            return refuse(b, ERR_SYNTAX, e->start_mark, "a second document begins here");
        return 0;
    case YAML_ALIAS_EVENT:
        return refuse(b, ERR_SYNTAX, e->start_mark, "aliases (*%.64s) are not supported here",
                      (const char *)e->data.alias.anchor);
    case YAML_SCALAR_EVENT:
        return on_scalar(b, e);
    case YAML_SEQUENCE_START_EVENT:
        err = refuse_properties(b, e->data.sequence_start.anchor, e->data.sequence_start.tag,
                                e->start_mark);
        return err ? err : open_container(b, YAML_KIND_LIST, e->start_mark);
    case YAML_MAPPING_START_EVENT:
        err = refuse_properties(b, e->data.mapping_start.anchor, e->data.mapping_start.tag,
                                e->start_mark);
        return err ? err : open_container(b, YAML_KIND_MAP, e->start_mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        close_container(b);
        return 0;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return 0;
    }
    return 0;
}

static int read_events(struct builder *b)
{
    bool is_end = false;
    int err = 0;

    while (!err && !is_end) {
        yaml_event_t event;

        if (!yaml_parser_parse(&b->parser, &event))
            return refuse_as_parser(b);
        err = on_event(b, &event);
        is_end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    return err;
}

int yaml_parse(struct str text, struct arena *arena, struct yaml_node **root,
               struct yaml_fault *fault)
{
    struct builder b = {.text = text, .arena = arena, .fault = fault};
    yaml_mark_t start = {0};
    int err;

    if (text.n > LIMIT_AGENTS_FILE)
        return refuse(&b, ERR_LIMIT, start, "larger than %zu bytes", (size_t)LIMIT_AGENTS_FILE);
    if (!yaml_parser_initialize(&b.parser))
        return refuse(&b, ERR_NOMEM, start, "out of memory");
    /* Without this libyaml would also accept UTF-16, which nobody behind us expects. */
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)(text.p ? text.p : ""),
                                 text.n);
    err = read_events(&b);
    while (b.depth)
        close_container(&b);
    yaml_parser_delete(&b.parser);
    if (!err)
        *root = b.root;
    return err;
}

/* --- reading the tree ----------------------------------------------------------------------------- */

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *name)
{
    if (!map || map->kind != YAML_KIND_MAP)
        return NULL;
    for (const struct yaml_node *member = map->first; member; member = member->next)
        if (str_is(member->key->text, str_of(name)))
            return member;
    return NULL;
}

bool yaml_is_null(const struct yaml_node *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};

    if (!node)
        return true;
    if (node->kind != YAML_KIND_SCALAR || !node->is_plain)
        return false;
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        if (str_is(node->text, str_of(nulls[i])))
            return true;
    return false;
}
