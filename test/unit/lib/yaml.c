/* SPDX-License-Identifier: MIT */
#include "check.h"

#include <stdlib.h>

#include "lib/limits.h"
#include "lib/mem.h"
#include "lib/yaml.h"

static struct arena arena;
static struct yaml_fault fault;

static int parse(struct str text, const struct yaml_node **root)
{
    struct yaml_node *node = NULL;
    int err;

    arena_init(&arena, MB(64));
    fault = (struct yaml_fault){0};
    err = yaml_parse(text, &arena, &node, &fault);
    *root = node;
    return err;
}

TEST(agents_file)
{
    static const char text[] = "# agents\n"
                               "agents:\n"
                               "  - id: weather\n"
                               "    url: \"http://127.0.0.1:4001\"\n"
                               "    headers: {x-a: 'it''s', x-b: |-\n"
                               "  no\n";
    static const char good[] = "# agents\n"
                               "agents:\n"
                               "  - id: weather\n"
                               "    url: \"http://127.0.0.1:4001/\\u00fc\"\n"
                               "    forwardHeaders: [Authorization, X-Trace]\n"
                               "    timeout: 30\n"
                               "  - id: 'it''s'\n"
                               "    note: >\n"
                               "      folded\n"
                               "      text\n"
                               "empty:\n";
    const struct yaml_node *root, *agents, *agent, *list;

    CHECK_INT(parse(str_of(text), &root), ERR_SYNTAX);
    arena_release(&arena);
    CHECK_INT(parse(str_of(good), &root), 0);
    CHECK_INT(root->kind, YAML_KIND_MAP);
    agents = yaml_get(root, "agents");
    CHECK(agents && agents->kind == YAML_KIND_LIST);
    CHECK_STR(agents->key->text, STR("agents"));
    CHECK_INT(agents->key->line, 2);
    CHECK_INT(agents->key->column, 1);
    agent = agents->first;
    CHECK_INT(agent->line, 3);
    CHECK_INT(agent->column, 5);
    CHECK(!agent->key);
    CHECK_STR(yaml_get(agent, "id")->text, STR("weather"));
    CHECK(yaml_get(agent, "id")->is_plain);
    CHECK_STR(yaml_get(agent, "url")->text, STR("http://127.0.0.1:4001/\xc3\xbc"));
    CHECK(!yaml_get(agent, "url")->is_plain);
    CHECK_INT(yaml_get(agent, "url")->line, 4);
    CHECK_INT(yaml_get(agent, "url")->column, 10);
    list = yaml_get(agent, "forwardHeaders");
    CHECK_STR(list->first->text, STR("Authorization"));
    CHECK_STR(list->first->next->text, STR("X-Trace"));
    CHECK(!list->first->next->next);
    CHECK_INT(yaml_get(agent, "timeout")->text.p[2], '\0');
    agent = agent->next;
    CHECK_STR(yaml_get(agent, "id")->text, STR("it's"));
    CHECK_STR(yaml_get(agent, "note")->text, STR("folded text\n"));
    CHECK(!agent->next);
    CHECK(!yaml_get(agent, "missing"));
    CHECK(!yaml_get(list, "id"));
    CHECK(!yaml_get(NULL, "id"));
    CHECK(yaml_is_null(yaml_get(root, "empty")));
    arena_release(&arena);
}

TEST(nothing_in_it)
{
    static const char *const empty[] = {"", "\n", "# only a comment\n", "\xef\xbb\xbf",
                                        "   \n\n"};
    const struct yaml_node *root;

    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        CHECK_INT(parse(str_of(empty[i]), &root), 0);
        CHECK(!root);
        arena_release(&arena);
    }
    CHECK_INT(parse(STR_NONE, &root), 0);
    CHECK(!root);
    CHECK_INT(parse(STR("---\n"), &root), 0);
    CHECK(root && yaml_is_null(root));
    arena_release(&arena);
}

TEST(nulls)
{
    const struct yaml_node *root, *n;

    CHECK_INT(parse(STR("[~, null, Null, NULL, , 'null', \"\", nul, [], {}]"), &root),
              ERR_SYNTAX);
    CHECK_INT(parse(STR("[~, null, Null, NULL, 'null', \"\", nul, [], {}]"), &root), 0);
    n = root->first;
    for (int i = 0; i < 9; i++, n = n->next)
        CHECK_INT(yaml_is_null(n), i < 4);
    CHECK(!n);
    CHECK(yaml_is_null(NULL));
    arena_release(&arena);
}

TEST(refused_with_place_and_reason)
{
    static const struct {
        struct str text;
        int err;
        unsigned line, column;
        const char *why; /* a part of it */
    } table[] = {
        {STR("a: 1\nb: 2\na: 3\n"), ERR_SYNTAX, 3, 1, "\"a\" was given before, in line 1"},
        {STR("x: {k: 1, k: 2}"), ERR_SYNTAX, 1, 11, "\"k\" was given before"},
        {STR("x:\n  k: 1\n  'k': 2"), ERR_SYNTAX, 3, 3, "\"k\" was given before"},
        {STR("a: &x 1\n"), ERR_SYNTAX, 1, 4, "anchors (&x)"},
        {STR("a: &x [1]\n"), ERR_SYNTAX, 1, 4, "anchors (&x)"},
        {STR("- &x {a: 1}\n"), ERR_SYNTAX, 1, 3, "anchors (&x)"},
        {STR("a: *x\n"), ERR_SYNTAX, 1, 4, "aliases (*x)"},
        {STR("a: !!int 1\n"), ERR_SYNTAX, 1, 4, "tags"},
        {STR("a: ! 1\n"), ERR_SYNTAX, 1, 4, "tags"},
        {STR("a: !mine [1]\n"), ERR_SYNTAX, 1, 4, "tags"},
        {STR("!!map {a: 1}\n"), ERR_SYNTAX, 1, 1, "tags"},
        {STR("a: 1\n---\nb: 2\n"), ERR_SYNTAX, 2, 1, "second document"},
        {STR("a: 1\n...\n---\nb: 2\n"), ERR_SYNTAX, 3, 1, "second document"},
        {STR("[a]: 1\n"), ERR_SYNTAX, 1, 1, "a key must be"},
        {STR("? {a: 1}\n: 1\n"), ERR_SYNTAX, 1, 3, "a key must be"},
        {STR("\"a\\nb\": 1\n"), ERR_SYNTAX, 1, 1, "control characters"},
        {STR("a: \"x\\0y\"\n"), ERR_SYNTAX, 1, 4, "NUL"},
        {STR("a: x\0y\n"), ERR_SYNTAX, 1, 5, "control characters"},
        {STR("a: 1\nb: \xff\n"), ERR_SYNTAX, 2, 4, "invalid leading UTF-8 octet"},
        {STR("a: \xc3\xbc\xc3"), ERR_SYNTAX, 1, 5, "incomplete UTF-8"},
        {STR("\xff\xfe"
             "a\0"),
         ERR_SYNTAX, 1, 1, "invalid leading UTF-8 octet"},
        {STR("a: 'x\n"), ERR_SYNTAX, 2, 1, "unexpected end of stream"},
        {STR("a: [1, 2\n"), ERR_SYNTAX, 2, 1, "did not find expected"},
        {STR("a: 1\n b: 2\n"), ERR_SYNTAX, 2, 3, "mapping values are not allowed"},
        {STR("a:\n\t- 1\n"), ERR_SYNTAX, 2, 1, "cannot start any token"},
        {STR("%YAML 3.0\n---\n"), ERR_SYNTAX, 1, 1, "incompatible YAML document"},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct yaml_node *root;

        CHECK_INT(parse(table[i].text, &root), table[i].err);
        if (fault.line != table[i].line || fault.column != table[i].column ||
            !strstr(fault.why, table[i].why))
            printf("    row %zu, %u:%u: %s\n", i, fault.line, fault.column, fault.why);
        CHECK_INT(fault.line, table[i].line);
        CHECK_INT(fault.column, table[i].column);
        CHECK(strstr(fault.why, table[i].why));
        CHECK(!root);
        arena_release(&arena);
    }
}

TEST(depth)
{
    for (unsigned depth = YAML_DEPTH_MAX - 1; depth <= YAML_DEPTH_MAX + 1; depth++) {
        char text[2 * YAML_DEPTH_MAX + 4];
        const struct yaml_node *root;

        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        CHECK_INT(parse(str_make(text, 2 * (size_t)depth), &root),
                  depth > YAML_DEPTH_MAX ? ERR_LIMIT : 0);
        if (depth > YAML_DEPTH_MAX)
            CHECK_INT(fault.column, YAML_DEPTH_MAX + 1);
        arena_release(&arena);
    }
}

/* The largest files there may be: read in full or refused, and never slowly. */
TEST(size)
{
    const struct yaml_node *root;
    char *text = mem_zero(LIMIT_AGENTS_FILE + 1, 1);
    size_t n = 0, members = 0;

    memset(text, '#', LIMIT_AGENTS_FILE + 1);
    CHECK_INT(parse(str_make(text, LIMIT_AGENTS_FILE), &root), 0);
    CHECK_INT(parse(str_make(text, LIMIT_AGENTS_FILE + 1), &root), ERR_LIMIT);
    CHECK(strstr(fault.why, "larger than 1048576 bytes"));
    for (; n + 16 < LIMIT_AGENTS_FILE && members < 99999; members++)
        n += (size_t)snprintf(text + n, 16, "%zx: \n", members);
    CHECK_INT(parse(str_make(text, n), &root), 0);
    for (const struct yaml_node *m = root ? root->first : NULL; m; m = m->next)
        members--;
    CHECK_INT(members, 0);
    arena_release(&arena);
    text[0] = '[';
    for (n = 1; n < 500000; n += 2)
        memcpy(text + n, "1,", 2);
    text[n++] = ']';
    CHECK_INT(parse(str_make(text, n), &root), ERR_LIMIT);
    CHECK(strstr(fault.why, "more than 200000 values"));
    arena_release(&arena);
    memset(text, '[', LIMIT_AGENTS_FILE);
    CHECK_INT(parse(str_make(text, LIMIT_AGENTS_FILE), &root), ERR_LIMIT);
    arena_release(&arena);
    mem_free(text);
}

/* Every maximum of the arena up to what the document takes: refused for memory, nothing leaks. */
TEST(memory_refused_everywhere)
{
    static const struct str text =
        STR("agents:\n- {id: a, url: 'http://x', list: [1, 2, 3, [4, {b: c}]]}\n"
            "- {id: b, url: 'http://x', list: [1, 2, 3, [4, {b: c}]]}\n"
            "name: a long enough text to need a chunk of its own, or nearly so\n");
    unsigned refused = 0;
    int err = -1;

    for (size_t max = 64; err && max < 20000; max += 16) {
        struct yaml_node *root = NULL;

        arena_init(&arena, max);
        err = yaml_parse(text, &arena, &root, &fault);
        CHECK(err == 0 || err == ERR_NOMEM);
        CHECK(!err == !!root);
        refused += err != 0;
        arena_release(&arena);
    }
    CHECK_INT(err, 0);
    CHECK(refused > 10);
}

/* No prefix of a document makes the parser stumble, and each failure has a place. */
TEST(every_prefix)
{
    static const char text[] = "a: {b: [1, 'two', \"thr\\u0065e\"], c: ~}\n"
                               "? d\n: |\n  literal \xe2\x82\xac\n  text\n"
                               "e:\n- - x\n  - y: z # comment\n";

    for (size_t n = 0; n < sizeof text; n++) {
        char *copy = n ? malloc(n) : NULL; /* its end is watched by the sanitizer */
        const struct yaml_node *root;

        if (n)
            memcpy(copy, text, n);
        if (parse(str_make(copy, n), &root)) {
            CHECK(fault.line >= 1 && fault.line <= 9 && fault.column >= 1 && fault.why[0]);
            CHECK(!root);
        }
        arena_release(&arena);
        free(copy);
    }
}

TEST_MAIN
