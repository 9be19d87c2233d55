/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "lib/list.h"

struct item {
    char name;
    struct list link;
};

static struct list head;
static struct item items[5];

static void start(void)
{
    list_init(&head);
    for (int i = 0; i < 5; i++) {
        items[i].name = (char)('a' + i);
        list_init(&items[i].link);
    }
}

/* The names in order, read forwards; backwards they must be the same reversed. */
static struct str names(struct list *of)
{
    static char text[16];
    size_t n = 0, back;

    LIST_EACH (it, of)
        text[n++] = CONTAINER_OF(it, struct item, link)->name;
    back = n;
    for (struct list *it = of->prev; it != of; it = it->prev)
        CHECK(back > 0 && text[--back] == CONTAINER_OF(it, struct item, link)->name);
    CHECK_INT(back, 0);
    return str_make(text, n);
}

TEST(order)
{
    start();
    CHECK(list_is_empty(&head));
    CHECK(list_first(&head) == NULL);
    list_append(&head, &items[0].link);
    list_append(&head, &items[1].link);
    list_prepend(&head, &items[2].link);
    list_insert_before(&items[1].link, &items[3].link);
    CHECK_STR(names(&head), STR("cadb"));
    CHECK(list_first(&head) == &items[2].link);
    CHECK(!list_is_empty(&head));
}

TEST(removing_twice_is_harmless)
{
    start();
    for (int i = 0; i < 3; i++)
        list_append(&head, &items[i].link);
    CHECK(list_is_linked(&items[1].link));
    list_remove(&items[1].link);
    list_remove(&items[1].link);
    CHECK(!list_is_linked(&items[1].link));
    CHECK_STR(names(&head), STR("ac"));
    list_append(&head, &items[1].link);
    CHECK_STR(names(&head), STR("acb"));
}

TEST(removing_while_walking)
{
    start();
    for (int i = 0; i < 5; i++)
        list_append(&head, &items[i].link);
    LIST_EACH_SAFE (it, &head)
        if (CONTAINER_OF(it, struct item, link)->name != 'c')
            list_remove(it);
    CHECK_STR(names(&head), STR("c"));
}

TEST(splice)
{
    struct list other;

    start();
    list_init(&other);
    list_append(&head, &items[0].link);
    list_splice(&head, &other);
    CHECK_STR(names(&head), STR("a"));
    list_append(&other, &items[1].link);
    list_append(&other, &items[2].link);
    list_splice(&head, &other);
    CHECK_STR(names(&head), STR("abc"));
    CHECK(list_is_empty(&other));
    list_splice(&other, &head);
    CHECK_STR(names(&other), STR("abc"));
    CHECK(list_is_empty(&head));
}

TEST_MAIN
