/* SPDX-License-Identifier: MIT */
#include "check.h"

#include <stdlib.h>

#include "lib/map.h"

enum { KEYS = 400 };

struct entry {
    char name[16];
    bool is_in;
    unsigned seen;
};

static struct entry entries[KEYS];

static struct str key_of(const struct entry *e)
{
    return str_of(e->name);
}

static void make_entries(void)
{
    for (int i = 0; i < KEYS; i++) {
        entries[i] = (struct entry){.is_in = false};
        snprintf(entries[i].name, sizeof entries[i].name, "key-%d", i);
    }
}

/* Every entry is where the model says, walks meet each exactly once, and each probe chain is unbroken. */
static void check_against_model(const struct map *m)
{
    size_t at = 0, n = 0, met = 0;
    struct entry *e;

    for (int i = 0; i < KEYS; i++) {
        n += entries[i].is_in;
        entries[i].seen = 0;
        CHECK(map_get(m, key_of(&entries[i])) == (entries[i].is_in ? &entries[i] : NULL));
    }
    CHECK_INT(m->n, n);
    CHECK(m->n * 4 <= m->room * 3);
    while ((e = map_next(m, &at))) {
        met += e->seen++ == 0;
        CHECK(e->is_in);
    }
    CHECK_INT(met, n);
    for (size_t i = 0; i < m->room; i++)
        for (size_t k = m->slots[i].hash; m->slots[i].hash && (k & (m->room - 1)) != i; k++)
            CHECK(m->slots[k & (m->room - 1)].hash != 0);
}

TEST(model)
{
    unsigned seed = 3;

    for (int round = 0; round < 20; round++) {
        /* Few keys wrap around a small table, many keys make it grow. */
        int n_keys = round % 2 ? 12 : KEYS;
        struct map m;

        make_entries();
        map_init(&m);
        for (int step = 0; step < 2000; step++) {
            struct entry *e = &entries[rand_r(&seed) % n_keys];

            if (rand_r(&seed) % 2) {
                CHECK(map_put(&m, key_of(e), e) == (e->is_in ? e : NULL));
                e->is_in = true;
            } else {
                CHECK(map_remove(&m, key_of(e)) == (e->is_in ? e : NULL));
                e->is_in = false;
            }
            if (n_keys < KEYS || step % 200 == 0)
                check_against_model(&m);
        }
        map_release(&m);
    }
}

TEST(empty_map)
{
    struct map m;
    size_t at = 0;

    map_init(&m);
    CHECK(!map_get(&m, STR("x")));
    CHECK(!map_remove(&m, STR("x")));
    CHECK(!map_next(&m, &at));
    map_release(&m);
}

TEST(putting_again_replaces_key_and_value)
{
    char first[] = "same", second[] = "same";
    struct map m;

    map_init(&m);
    CHECK(!map_put(&m, str_of(first), first));
    CHECK(map_put(&m, str_of(second), second) == first);
    memset(first, 'x', 4); /* its bytes are no longer borrowed */
    CHECK(map_get(&m, STR("same")) == second);
    CHECK_INT(m.n, 1);
    map_release(&m);
}

TEST(keys_are_bytes)
{
    int a, b, c;
    struct map m;

    map_init(&m);
    map_put(&m, STR("a\0b"), &a);
    map_put(&m, STR("a\0c"), &b);
    map_put(&m, STR(""), &c);
    CHECK(map_get(&m, STR("a\0b")) == &a);
    CHECK(map_get(&m, STR("a\0c")) == &b);
    CHECK(map_get(&m, STR("a")) == NULL);
    CHECK(map_get(&m, STR_NONE) == &c);
    map_release(&m);
}

TEST(hash_depends_on_every_byte_and_the_length)
{
    char text[40] = {0};
    unsigned same = 0;

    for (size_t n = 0; n < sizeof text; n++) {
        uint64_t h = map_hash(str_make(text, n));

        CHECK(h != 0);
        CHECK(h == map_hash(str_make(text, n)));
        same += n > 0 && h == map_hash(str_make(text, n - 1));
        for (size_t i = 0; i < n; i++) {
            text[i] = 1;
            same += h == map_hash(str_make(text, n));
            text[i] = 0;
        }
    }
    CHECK_INT(same, 0);
}

TEST_MAIN
