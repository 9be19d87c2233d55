/* SPDX-License-Identifier: MIT
 *
 * Finding by name among many: an index over the members of an object, or over a list of artifacts.
 *
 * Most objects have five members, and then this is a detour of some hundred nanoseconds. But peers choose: an agent that
 * sends a hundred thousand keys of metadata in one chunk and as many in the next would have the loop compare ten billion
 * names. Two walks over the text fill an array, a sort makes it searchable; both live in the caller's arena, whose
 * maximum is what such an agent runs into.
 */
#include "a2a/a2a_int.h"

#include <stdlib.h>

/* By name, then as they stand in the text: items lie in one array in that order. */
static int compare(const void *a, const void *b)
{
    const struct a2a_named *x = *(const struct a2a_named *const *)a;
    const struct a2a_named *y = *(const struct a2a_named *const *)b;
    int order = str_compare(x->name, y->name);

    return order ? order : (x > y) - (x < y);
}

/* Without escapes, a name is what stands there. */
static int decode(struct str raw, struct arena *arena, struct str *out)
{
    struct str inner = str_make(raw.p + 1, raw.n - 2);
    struct buf text;
    int err;

    if (inner.n == 0 || !memchr(inner.p, '\\', inner.n)) {
        *out = inner;
        return 0;
    }
    buf_init(&text, inner.n);
    err = json_string_decode(raw, &text);
    if (!err) {
        *out = arena_str(arena, buf_str(&text));
        err = out->p ? 0 : ERR_NOMEM;
    }
    buf_release(&text);
    return err;
}

static int take_room(struct a2a_names *names, size_t n, struct arena *arena)
{
    *names = (struct a2a_names){0};
    if (n == 0)
        return 0;
    names->items = arena_take(arena, n * sizeof *names->items);
    names->sorted = arena_take(arena, n * sizeof(*names->sorted));
    return names->items && names->sorted ? 0 : ERR_NOMEM;
}

/* `quoted`: the name as a JSON string; absent: it has none. */
static int add(struct a2a_names *names, struct str raw, struct str quoted, struct str value,
               struct arena *arena)
{
    struct a2a_named *item = &names->items[names->n++];

    *item = (struct a2a_named){.raw = raw, .value = value};
    if (!quoted.p)
        return 0;
    names->sorted[names->n_sorted++] = item;
    return decode(quoted, arena, &item->name);
}

static void sort(struct a2a_names *names)
{
    if (names->n_sorted > 1)
        qsort(names->sorted, names->n_sorted, sizeof(*names->sorted), compare);
}

int a2a_names_of_members(struct a2a_names *names, struct str object, struct arena *arena)
{
    struct json_cursor cursor;
    struct str key, value;
    size_t n = 0;
    int err;

    JSON_EACH_MEMBER (&cursor, object, &key, &value)
        n++;
    err = take_room(names, n, arena);
    if (err)
        return err;
    JSON_EACH_MEMBER (&cursor, object, &key, &value) {
        err = add(names, key, str_make(key.p - 1, key.n + 2), value, arena);
        if (err)
            return err;
    }
    sort(names);
    return 0;
}

bool a2a_is_artifact_id_key(struct str key, struct str value)
{
    return json_type(value) == JSON_STRING &&
           (json_key_is(key, STR("artifactId")) || json_key_is(key, STR("artifact_id")));
}

struct str a2a_artifact_id(struct str artifact)
{
    struct json_cursor cursor;
    struct str key, value;

    JSON_EACH_MEMBER (&cursor, artifact, &key, &value)
        if (a2a_is_artifact_id_key(key, value))
            return value;
    return STR_NONE;
}

int a2a_names_of_artifacts(struct a2a_names *names, struct str array, struct arena *arena)
{
    struct json_cursor cursor;
    struct str artifact, id;
    size_t n = 0;
    int err;

    JSON_EACH_ELEMENT (&cursor, array, &artifact)
        n++;
    err = take_room(names, n, arena);
    if (err)
        return err;
    JSON_EACH_ELEMENT (&cursor, array, &artifact) {
        id = a2a_artifact_id(artifact);
        err = add(names, id, id, artifact, arena);
        if (err)
            return err;
    }
    sort(names);
    return 0;
}

/* The index in `sorted` of the first whose name is not below `name`; with `above`, of the first that is above it. */
static size_t bound(const struct a2a_names *names, struct str name, bool above)
{
    size_t low = 0, high = names->n_sorted;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = str_compare(names->sorted[middle]->name, name);

        if (order < 0 || (above && order == 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct a2a_named *a2a_names_first(const struct a2a_names *names, struct str name)
{
    size_t i = bound(names, name, false);

    return i < names->n_sorted && str_is(names->sorted[i]->name, name) ? names->sorted[i]
                                                                       : NULL;
}

const struct a2a_named *a2a_names_last(const struct a2a_names *names, struct str name)
{
    size_t i = bound(names, name, true);

    return i > 0 && str_is(names->sorted[i - 1]->name, name) ? names->sorted[i - 1] : NULL;
}
