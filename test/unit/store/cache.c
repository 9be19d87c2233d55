/* SPDX-License-Identifier: MIT
 *
 * The cache against a naive model: the model remembers every version ever put, the cache may forget but not
 * invent, and cache_check() holds after each step.
 */
#include "check.h"

#include "lib/mem.h"
#include "store/cache.h"

static struct task *make(const char *agent, const char *id, uint64_t seq, size_t doc_bytes)
{
    char *doc = mem_zero(doc_bytes + 1, 1);
    struct task like = {
        .seq = seq, .agent = str_of(agent), .id = str_of(id), .doc = {doc, doc_bytes}};
    struct task *t;

    memset(doc, 'd', doc_bytes);
    t = task_new(&like);
    mem_free(doc);
    return t;
}

static struct str key_of(struct task_key *key, const char *agent, const char *id)
{
    CHECK(task_key_make(key, str_of(agent), str_of(id)));
    return task_key_str(key);
}

static void put(struct cache *c, const char *agent, const char *id, uint64_t seq,
                size_t doc_bytes)
{
    struct task *t = make(agent, id, seq, doc_bytes);

    cache_put(c, t);
    task_unref(t);
    cache_check(c);
}

TEST(names_that_can_be)
{
    char longest[LIMIT_TASK_ID + 1];
    struct task_key key;

    memset(longest, 'x', sizeof longest);
    CHECK(task_key_make(&key, STR("a"), STR("t")));
    CHECK_STR(task_key_str(&key), STR("a\0t"));
    CHECK(task_key_make(&key, str_make(longest, LIMIT_AGENT_ID),
                        str_make(longest, LIMIT_TASK_ID)));
    CHECK_INT(key.n, sizeof key.p);
    CHECK(!task_key_make(&key, str_make(longest, LIMIT_AGENT_ID + 1), STR("t")));
    CHECK(!task_key_make(&key, STR("a"), str_make(longest, LIMIT_TASK_ID + 1)));
    CHECK(!task_key_make(&key, STR(""), STR("t")));
    CHECK(!task_key_make(&key, STR("a"), STR("")));
    CHECK(!task_key_make(&key, STR("a"), STR_NONE));
    CHECK(!task_key_make(&key, STR("a"),
                         STR("t\0u"))); /* or (a, t NUL u) and (a NUL t, u) were one */
    CHECK(!task_key_make(&key, STR("a\0t"), STR("u")));
}

TEST(a_task_keeps_what_it_is_made_of)
{
    struct task like = {
        .seq = 7, .agent = STR("a"), .id = STR("t"), .doc = STR("{\"a\":\"b\0c\"}")};
    struct task *t = task_new(&like);
    struct task_key key;

    CHECK_STR(t->agent, STR("a"));
    CHECK_STR(t->id, STR("t"));
    CHECK_STR(t->context, STR_NONE);
    CHECK_STR(t->doc, STR("{\"a\":\"b\0c\"}"));
    CHECK_STR(task_key_of(t), key_of(&key, "a", "t"));
    CHECK_INT(t->refs, 1);
    task_unref(task_ref(t));
    task_unref(t);
    task_unref(NULL);
}

TEST(never_replaced_by_an_older_one)
{
    struct task_key key;
    struct cache c;

    cache_init(&c, KB(64), NULL, NULL);
    CHECK(!cache_get(&c, key_of(&key, "a", "t")));
    put(&c, "a", "t", 5, 10);
    put(&c, "a", "t", 4, 20);
    CHECK_INT(cache_get(&c, key_of(&key, "a", "t"))->seq, 5);
    put(&c, "a", "t", 6, 30);
    CHECK_INT(cache_get(&c, key_of(&key, "a", "t"))->doc.n, 30);
    cache_drop(&c, task_key_str(&key), 6); /* not older than 6 */
    CHECK(cache_look(&c, task_key_str(&key)) != NULL);
    cache_drop(&c, task_key_str(&key), 7);
    CHECK(!cache_look(&c, task_key_str(&key)));
    CHECK_INT(c.bytes, 0);
    cache_release(&c);
}

/* A version that does not fit must take the one before with it: stale is worse than absent. */
TEST(what_does_not_fit_is_gone)
{
    struct task_key key;
    struct cache c;

    cache_init(&c, KB(4), NULL, NULL);
    put(&c, "a", "t", 1, 10);
    put(&c, "a", "t", 2, KB(5));
    CHECK(!cache_look(&c, key_of(&key, "a", "t")));
    CHECK_INT(c.bytes, 0);
    cache_release(&c);
}

TEST(evicted_tasks_live_on_where_they_are_used)
{
    struct task *t = make("a", "t", 1, 100);
    struct cache c;
    char id[16];

    cache_init(&c, KB(2), NULL, NULL);
    cache_put(&c, t);
    CHECK_INT(t->refs, 2);
    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof id, "t%d", i);
        put(&c, "a", id, 1, 100);
    }
    CHECK_INT(t->refs, 1);
    CHECK_INT(t->doc.n, 100);
    task_unref(t);
    cache_release(&c);
}

/* The clock: a task in use survives a stream of tasks that are used once. */
TEST(use_is_remembered)
{
    struct task_key key;
    struct cache c;
    char id[16];

    cache_init(&c, KB(4), NULL, NULL);
    put(&c, "a", "hot", 1, 100);
    put(&c, "a", "looked", 1, 100);
    for (int i = 0; i < 100; i++) {
        snprintf(id, sizeof id, "t%d", i);
        put(&c, "a", id, 1, 100);
        CHECK(cache_get(&c, key_of(&key, "a", "hot")) != NULL);
        (void)cache_look(&c, key_of(&key, "a", "looked"));
    }
    CHECK(!cache_look(&c, key_of(&key, "a", "looked"))); /* looking is not using */
    cache_release(&c);
}

static bool is_even(void *arg, const struct task *t)
{
    (void)arg;
    return (t->id.p[t->id.n - 1] - '0') % 2 == 0;
}

TEST(pinned_tasks_stay)
{
    struct task_key key;
    struct cache c;
    char id[16];

    cache_init(&c, KB(4), is_even, NULL);
    put(&c, "a", "t0", 1, 100);
    for (int i = 0; i < 100; i++) {
        snprintf(id, sizeof id, "t%d", 2 * i + 1);
        put(&c, "a", id, 1, 100);
    }
    CHECK(cache_look(&c, key_of(&key, "a", "t0")) != NULL);
    for (int i = 0; i < 100;
         i++) { /* until all are pinned: newcomers are not kept, the bound holds */
        snprintf(id, sizeof id, "t%d", 2 * i);
        put(&c, "a", id, 1, 100);
    }
    CHECK(c.map.n > 0);
    cache_release(&c);
}

TEST(an_empty_budget)
{
    struct task_key key;
    struct cache c;

    cache_init(&c, 0, NULL, NULL);
    put(&c, "a", "t", 1, 1);
    CHECK(!cache_get(&c, key_of(&key, "a", "t")));
    cache_release(&c);
}

/* --- random programs ------------------------------------------------------------------------------ */

#define IDS 64

static uint64_t random_state = 88172645463325252u;

static unsigned draw(unsigned below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 11) % below;
}

struct model {
    uint64_t newest[IDS];  /* seq put last that was not older; 0: none, or dropped */
    size_t doc_bytes[IDS]; /* of that version */
};

static void compare(struct cache *c, const struct model *m)
{
    char id[16];

    for (int i = 0; i < IDS; i++) {
        struct task_key key;
        struct task *t;

        snprintf(id, sizeof id, "t%d", i);
        t = cache_look(c, key_of(&key, "agent", id));
        if (!t)
            continue;
        CHECK_INT(t->seq, m->newest[i]);
        CHECK_INT(t->doc.n, m->doc_bytes[i]);
    }
}

static void random_put(struct cache *c, struct model *m, int i, const char *id)
{
    struct task_key key;
    struct task *held = cache_look(c, key_of(&key, "agent", id));
    uint64_t seq = m->newest[i] + draw(4) + 1, held_seq = held ? held->seq : 0;
    size_t doc_bytes = draw(8) ? draw(500) : draw(KB(20));

    seq -= seq > 1 ? draw(3) % seq : 0; /* also the same again, and older ones */
    if (seq > held_seq) {
        m->newest[i] = seq;
        m->doc_bytes[i] = doc_bytes;
    }
    put(c, "agent", id, seq, doc_bytes);
}

TEST(random_programs_agree_with_the_model)
{
    for (int program = 0; program < 20; program++) {
        struct model m = {0};
        struct cache c;

        cache_init(&c, KB(1 + draw(32)), draw(2) ? is_even : NULL, NULL);
        for (int step = 0; step < 500; step++) {
            int i = (int)draw(IDS);
            struct task_key key;
            char id[16];

            snprintf(id, sizeof id, "t%d", i);
            switch (draw(8)) {
            case 0:
                cache_drop(&c, key_of(&key, "agent", id), draw(2) ? UINT64_MAX : m.newest[i]);
                break;
            case 1:
            case 2:
            case 3:
                (void)cache_get(&c, key_of(&key, "agent", id));
                break;
            default:
                random_put(&c, &m, i, id);
                break;
            }
            cache_check(&c);
            compare(&c, &m);
        }
        cache_release(&c);
    }
}

TEST_MAIN
