/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: DATABASE_URL, and the small texts of the database that are read: hints, libpq's messages.
 *
 * What is checked beyond not crashing: a refusal names DATABASE_URL and is text; what is accepted has names a
 * server can hold, and becomes keywords in which each stands once.
 */
#include <stdint.h>

#include "lib/limits.h"
#include "lib/mem.h"
#include "store/postgres_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_keywords(const struct pg_target *t)
{
    struct pg_keywords words;
    size_t n = 0;

    pg_target_keywords(t, NULL, NULL, "127.0.0.1", &words);
    while (words.keys[n]) {
        BUG_ON(!words.values[n]);
        for (size_t i = 0; i < n; i++)
            BUG_ON(strcmp(words.keys[i], words.keys[n]) == 0);
        n++;
    }
    BUG_ON(n >= PG_KEYWORDS_MAX);
}

static void check_target(const char *url)
{
    struct pg_target t;
    char why[256] = "", text[256];
    uint64_t port;

    if (pg_target_parse(&t, url, why)) {
        BUG_ON(strncmp(why, "DATABASE_URL ", 13) != 0 || !str_is_utf8(str_of(why)));
    } else {
        BUG_ON(!t.database[0] || strlen(t.database) > PG_NAME_MAX ||
               strlen(t.user) > PG_NAME_MAX);
        BUG_ON(str_to_u64(str_of(t.port), &port) || port < 1 || port > 65535);
        BUG_ON(str_has_control(str_of(t.host)) || strchr(t.host, ','));
        check_keywords(&t);
        pg_target_describe(&t, text);
        BUG_ON(!str_is_utf8(str_of(text)));
    }
    pg_target_release(&t);
}

static void check_message(const char *message)
{
    char state[6];
    struct str cause = pg_message_cause(message);
    struct pg_hint hint;

    BUG_ON(cause.p < message || cause.p + cause.n > message + strlen(message));
    pg_message_sqlstate(message, state);
    BUG_ON(strlen(state) != 0 && strlen(state) != 5);
    if (!pg_hint_parse(str_of(message), &hint))
        BUG_ON(hint.writer < 1 || hint.first > hint.last);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *z = mem_str((const char *)data, size > KB(8) ? KB(8) : size);

    check_target(z);
    check_message(z);
    mem_free(z);
    return 0;
}
