/* SPDX-License-Identifier: MIT
 *
 * DATABASE_URL: what is understood, what is refused and how it is said, and that no password gets out.
 */
#include "check.h"

#include <stdlib.h>

#include "store/postgres_int.h"

static const char *keyword(const struct pg_keywords *words, const char *key)
{
    for (size_t i = 0; words->keys[i]; i++)
        if (strcmp(words->keys[i], key) == 0)
            return words->values[i];
    return NULL;
}

#define CHECK_Z(got, want) CHECK_STR(str_of(got), str_of(want))

static void check_described(const char *url, const char *want, bool is_local)
{
    struct pg_target t;
    char why[256] = "", text[256];

    CHECK_INT(pg_target_parse(&t, url, why), 0);
    CHECK_Z(why, "");
    if (!why[0]) {
        pg_target_describe(&t, text);
        CHECK_Z(text, want);
        CHECK_INT(t.is_local, is_local);
    }
    pg_target_release(&t);
}

TEST(forms)
{
    check_described("postgresql://postgres:postgres@localhost:5432/orchestrator_dev",
                    "postgresql localhost:5432/orchestrator_dev user postgres", true);
    check_described("postgres://u@db.example.com/x", "postgresql db.example.com:5432/x user u",
                    false);
    check_described("ecto://u:p@127.0.0.1/x", "postgresql 127.0.0.1:5432/x user u", true);
    check_described("POSTGRESQL://u:p@10.0.0.1:6432/x", "postgresql 10.0.0.1:6432/x user u",
                    false);
    check_described("postgresql://u@[::1]:5433/x", "postgresql [::1]:5433/x user u", true);
    check_described("postgresql://u@[2001:db8::1]/x", "postgresql [2001:db8::1]:5432/x user u",
                    false);
    check_described("postgresql://u%40corp:p%2Fw%3A%40@h/d%20b",
                    "postgresql h:5432/d b user u@corp", false);
}

TEST(sockets)
{
    check_described("postgresql:///x?host=/run/postgresql&user=u",
                    "postgresql socket /run/postgresql port 5432, database x user u", true);
    check_described("postgresql://u@/x?host=/run/postgresql&port=5433",
                    "postgresql socket /run/postgresql port 5433, database x user u", true);
    check_described("postgresql://u@%2Frun%2Fpostgresql/x",
                    "postgresql socket /run/postgresql port 5432, database x user u", true);
    check_described("postgresql://u@/x",
                    "postgresql socket of this machine port 5432, database x user u", true);
}

TEST(keywords)
{
    struct pg_target t;
    struct pg_keywords words;
    char why[256] = "";

    CHECK_INT(
        pg_target_parse(&t,
                        "ecto://u:s%25%C3%A9cret@h:1234/d?ssl=true&application_name=my%20app&"
                        "connect_timeout=3&keepalives_idle=7",
                        why),
        0);
    CHECK_Z(why, "");
    pg_target_keywords(&t, NULL, NULL, NULL, &words);
    CHECK_Z(keyword(&words, "host"), "h");
    CHECK_Z(keyword(&words, "port"), "1234");
    CHECK_Z(keyword(&words, "user"), "u");
    CHECK_Z(keyword(&words, "password"), "s%\xc3\xa9"
                                         "cret");
    CHECK_Z(keyword(&words, "dbname"), "d");
    CHECK_Z(keyword(&words, "sslmode"), "require");
    CHECK_Z(keyword(&words, "application_name"), "my app");
    CHECK_Z(keyword(&words, "keepalives_idle"), "7");
    CHECK_Z(keyword(&words, "client_encoding"), "UTF8");
    CHECK(keyword(&words, "hostaddr") == NULL);
    CHECK_INT(t.connect_timeout_s, 3);
    pg_target_keywords(&t, "postgres", "h,h", "1.2.3.4,::1", &words);
    CHECK_Z(keyword(&words, "dbname"), "postgres");
    CHECK_Z(keyword(&words, "host"), "h,h");
    CHECK_Z(keyword(&words, "hostaddr"), "1.2.3.4,::1");
    pg_target_release(&t);
}

TEST(defaults)
{
    struct pg_target t;
    struct pg_keywords words;
    char why[256] = "";

    setenv("PGUSER", "somebody", 1);
    CHECK_INT(pg_target_parse(&t, "postgres://h/d", why), 0);
    pg_target_keywords(&t, NULL, NULL, NULL, &words);
    CHECK_Z(keyword(&words, "user"), "somebody");
    CHECK(keyword(&words, "password") == NULL);
    CHECK_Z(keyword(&words, "application_name"), "superx");
    CHECK(keyword(&words, "sslmode") == NULL);
    pg_target_release(&t);
}

/* Each wrong URL, and a part of the sentence that must name it. All carry the password "hunter2". */
static const struct {
    const char *url, *part;
} wrong[] = {
    {"", "is not a URL"},
    {"hunter2", "is not a URL"},
    {"mysql://u:hunter2@h/d", "scheme \"mysql\""},
    {"postgresql://u:hunter2@h", "names no database"},
    {"postgresql://u:hunter2@h/", "names no database"},
    {"postgresql://u:hunter2@h/a/b", "'/' in the database name"},
    {"postgresql://u:hunter2@h:99999/d", "not a URL"},
    {"postgresql://u:hunter2@h:x/d", "not a URL"},
    {"postgresql://u:hun@ter2@h/d", "not a URL"},
    {"postgresql://u:hunter2%zz@h/d", "not a URL"},
    {"postgresql://u:hunter2%ff@h/d", "bad percent escape in the password"},
    {"postgresql://u:hunter2%00@h/d", "not a URL"},
    {"postgresql://u:hunter2@h/d#x", "'#'"},
    {"postgresql://u:hunter2@h/d?sslmod=require", "parameter sslmod,"},
    {"postgresql://u:hunter2@h/d?sslmode=maybe", "unknown sslmode"},
    {"postgresql://u:hunter2@h/d?sslmode", "parameter sslmode has no value"},
    {"postgresql://u:hunter2@h/d?sslmode=require&sslmode=disable", "sslmode twice"},
    {"postgresql://u:hunter2@h/d?ssl=true&sslmode=disable", "sslmode twice"},
    {"postgresql://u:hunter2@h/d?ssl=maybe", "parameter ssl"},
    {"postgresql://u:hunter2@h/d?passfile=/etc/passwd", "passfile"},
    {"postgresql://u:hunter2@h/d?service=x", "service"},
    {"postgresql://u:hunter2@h/d?host=x", "host twice"},
    {"postgresql://u:hunter2@h:1/d?port=2", "port twice"},
    {"postgresql://u:hunter2@h/d?port=0", "port"},
    {"postgresql://u:hunter2@h/d?port=70000", "port"},
    {"postgresql://u:hunter2@h/d?user=v", "user twice"},
    {"postgresql://u:hunter2@h/d?password=v", "password twice"},
    {"postgresql://u:hunter2@h/d?connect_timeout=0", "connect_timeout"},
    {"postgresql://u:hunter2@h/d?connect_timeout=never", "connect_timeout"},
    {"postgresql://u:hunter2@h/d?keepalives=x", "keepalives is not a number"},
    {"postgresql://u:hunter2@h/d?host=/x%0ay", "twice"},
    {"postgresql://u:hunter2@/d?host=/x%0ay", "control characters"},
    {"postgresql://u:hunter2@/d?host=a,b", "several hosts"},
    {"postgresql://u:hunter2@h/ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
     "database name longer than 63"},
};

TEST(refusals_name_what_is_wrong)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct pg_target t;
        char why[256] = "";
        int err = pg_target_parse(&t, wrong[i].url, why);

        CHECK_INT(err, ERR_INVALID);
        CHECK(strncmp(why, "DATABASE_URL ", 13) == 0);
        CHECK(strstr(why, "hunter2") == NULL);
        if (!strstr(why, wrong[i].part))
            printf("    %s\n      says: %s\n", wrong[i].url, why);
        CHECK(strstr(why, wrong[i].part) != NULL);
        pg_target_release(&t);
    }
}

TEST(too_long)
{
    struct pg_target t;
    char url[4096], why[256];

    memset(url, 'a', sizeof url - 1);
    url[sizeof url - 1] = '\0';
    memcpy(url, "postgres://h/", 13);
    CHECK_INT(pg_target_parse(&t, url, why), ERR_INVALID);
    CHECK(strstr(why, "longer than") != NULL);
    pg_target_release(&t);
}

/* --- sentences ---------------------------------------------------------------------------- */

static void check_explained(const char *message, const char *want)
{
    struct pg_target t;
    char why[256], text[256];

    CHECK_INT(pg_target_parse(&t, "postgres://u:hunter2@h/d", why), 0);
    pg_target_explain(&t, message, text);
    CHECK_Z(text, want);
    pg_target_release(&t);
}

TEST(what_libpq_says)
{
    check_explained(
        "connection to server at \"1.2.3.4\", port 5432 failed: Connection refused\n"
        "\tIs the server running on that host and accepting TCP/IP connections?\n",
        "postgresql h:5432/d user u: Connection refused; is PostgreSQL running there? check host and "
        "port in DATABASE_URL");
    check_explained(
        "connection to server at \"1.2.3.4\", port 5432 failed: FATAL:  3D000: database \"d\" does not "
        "exist\nLOCATION:  InitPostgres, postinit.c:885\n",
        "postgresql h:5432/d user u: database \"d\" does not exist; run: superx db create");
    check_explained(
        "connection to server at \"1.2.3.4\", port 5432 failed: FATAL:  28P01: password authentication "
        "failed for user \"u\"\n",
        "postgresql h:5432/d user u: password authentication failed for user \"u\"; check user and "
        "password in DATABASE_URL, and pg_hba.conf on the server");
    check_explained(
        "connection to server on socket \"/x/.s.PGSQL.5432\" failed: No such file or directory\n",
        "postgresql h:5432/d user u: No such file or directory; is PostgreSQL running on this machine? "
        "check the socket's folder in DATABASE_URL");
    check_explained("something else\n", "postgresql h:5432/d user u: something else");
    check_explained("", "postgresql h:5432/d user u: ");
}

TEST(sqlstates_in_messages)
{
    static const struct {
        const char *message, *state;
    } rows[] = {
        {"FATAL:  57P01: terminating", "57P01"},
        {"a: b:  XX000: c", "XX000"},
        {"FATAL:  ABCD: no", ""},
        {"FATAL:  abcde: no", ""},
        {"FATAL:  57P01", ""},
        {"", ""},
        {":  :  28000: x", "28000"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char state[6];

        pg_message_sqlstate(rows[i].message, state);
        CHECK_Z(state, rows[i].state);
    }
}

TEST(classes_of_errors)
{
    static const struct {
        const char *state;
        enum pg_error_class class;
    } rows[] = {
        {"23505", PG_ERROR_ROW},   {"22021", PG_ERROR_ROW},   {"P0001", PG_ERROR_ROW},
        {"54000", PG_ERROR_ROW},   {"XX000", PG_ERROR_ROW},   {"55P03", PG_ERROR_LOCKED},
        {"55006", PG_ERROR_ROW},   {"40001", PG_ERROR_RETRY}, {"40P01", PG_ERROR_RETRY},
        {"53100", PG_ERROR_RETRY}, {"57014", PG_ERROR_RETRY}, {"58030", PG_ERROR_RETRY},
        {"08006", PG_ERROR_RETRY}, {"", PG_ERROR_RETRY},      {"25006", PG_ERROR_SHAPE},
        {"42P01", PG_ERROR_SHAPE}, {"26000", PG_ERROR_SHAPE}, {"0A000", PG_ERROR_SHAPE},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_INT(pg_error_classify(rows[i].state), rows[i].class);
}

TEST(sentences_are_cut_between_characters)
{
    char out[8];

    pg_say(out, sizeof out, "abcdef\xc3\xa9");
    CHECK_Z(out, "abcdef");
    pg_say(out, sizeof out, "abcde\xc3\xa9");
    CHECK_Z(out, "abcde\xc3\xa9");
    pg_say(out, sizeof out, "abcd\xf0\x9f\x98\x80xyz");
    CHECK_Z(out, "abcd");
    pg_say(out, sizeof out, "%s", "abcdefghij");
    CHECK_Z(out, "abcdefg");
}

TEST_MAIN
