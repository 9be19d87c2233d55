/* SPDX-License-Identifier: MIT
 *
 * DATABASE_URL: postgresql://user:password@host:port/database?sslmode=require
 *
 * The URL is taken apart here and reaches libpq as single keywords, never as text: what was checked is
 * what is used, and names like ?passfile= or ?service= cannot lead libpq to files nobody meant. Schemes
 * postgresql, postgres and ecto (the first SuperX's) mean the same. A host that begins with '/', in the
 * authority (as %2F) or as ?host=, is the folder of a socket.
 *
 * Query parameters are an allow-list; another one is refused by name, because a mistyped
 * `sslmod=verify-full` that is ignored is a connection without TLS.
 *
 * Invariant: no sentence made here contains the password. Sentences about the URL name its part, not its
 * text.
 *
 * Deliberately absent: several hosts (libpq's host1,host2), service files, GSSAPI (its library blocks).
 */
#include <arpa/inet.h>
#include <stdarg.h>
#include <strings.h>

#include "lib/limits.h"
#include "lib/url.h"
#include "store/postgres_int.h"

#define CONNECT_TIMEOUT_S 10u
#define CONNECT_TIMEOUT_MAX_S 300u

/* What may stand behind '?', and what libpq then gets. Those handled by name below have no row. */
static const char *const allowed[] = {
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcrl",
    "sslcrldir",
    "sslsni",
    "ssl_min_protocol_version",
    "channel_binding",
    "application_name",
    "options",
    "keepalives",
    "keepalives_idle",
    "ssl_max_protocol_version",
    "keepalives_count",
    "keepalives_interval",
    "tcp_user_timeout",
    "target_session_attrs",
};

void pg_say(char *out, size_t room, const char *fmt, ...)
{
    va_list args;
    size_t n;

    va_start(args, fmt);
    if (vsnprintf(out, room, fmt, args) < 0)
        out[0] = '\0';
    va_end(args);
    n = strlen(out);
    if (n + 1 < room)
        return;
    /* Possibly cut: take away bytes until what is left is whole. At most three are too many. */
    for (int i = 0; i < 4 && n > 0 && !str_is_utf8(str_make(out, n)); i++)
        out[--n] = '\0';
}

#define REFUSE(why, ...) (pg_say((why), 256, "DATABASE_URL " __VA_ARGS__), ERR_INVALID)

/* A decoded copy in the arena. `what` names the part in the refusal. */
static int keep(struct pg_target *t, struct str encoded, const char *what, const char **out,
                char why[256])
{
    struct buf b;
    struct str copy = STR_NONE;
    int err;

    buf_init(&b, LIMIT_URL);
    err = url_decode(encoded, &b);
    if (!err && !str_is_utf8(buf_str(&b)))
        err = ERR_SYNTAX;
    if (!err) {
        copy = arena_str(&t->arena, buf_str(&b));
        err = copy.p ? 0 : ERR_NOMEM;
    }
    buf_release(&b);
    if (err)
        return REFUSE(why, "has a bad percent escape in the %s", what);
    *out = copy.p;
    return 0;
}

static int read_port(struct str text, const char **out, struct pg_target *t, char why[256])
{
    uint64_t port;
    struct str copy;

    if (str_to_u64(text, &port) || port == 0 || port > 65535)
        return REFUSE(why, "has a port that is not a number from 1 to 65535");
    copy = arena_str(&t->arena, text);
    BUG_ON(!copy.p);
    *out = copy.p;
    return 0;
}

static bool is_one_of(const char *value, const char *const *set)
{
    for (; *set; set++)
        if (strcmp(value, *set) == 0)
            return true;
    return false;
}

static int check_value(const char *key, const char *value, char why[256])
{
    static const char *const sslmodes[] = {"disable",   "allow",       "prefer", "require",
                                           "verify-ca", "verify-full", NULL};
    static const char *const numbers[] = {"keepalives",       "keepalives_idle",
                                          "keepalives_count", "keepalives_interval",
                                          "tcp_user_timeout", NULL};
    uint64_t number;

    if (strcmp(key, "sslmode") == 0 && !is_one_of(value, sslmodes))
        return REFUSE(why, "has an unknown sslmode; known: disable, allow, prefer, require, "
                           "verify-ca, verify-full");
    if (is_one_of(key, numbers) && str_to_u64(str_of(value), &number))
        return REFUSE(why, "parameter %s is not a number", key);
    return 0;
}

static int add_param(struct pg_target *t, const char *key, const char *value, char why[256])
{
    if (check_value(key, value, why))
        return ERR_INVALID;
    for (size_t i = 0; i < t->n_params; i++)
        if (strcmp(t->params[i].key, key) == 0)
            return REFUSE(why, "gives %s twice", key);
    BUG_ON(t->n_params == PG_PARAMS_MAX);
    t->params[t->n_params++] = (struct pg_param){key, value};
    return 0;
}

/* What Ecto, JDBC and others write: ssl=true asks for TLS without looking at the certificate. */
static int read_ssl(struct pg_target *t, const char *value, char why[256])
{
    if (strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
        return add_param(t, "sslmode", "require", why);
    if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
        return 0;
    return REFUSE(why, "parameter ssl is neither true nor false; or say sslmode=...");
}

static int read_timeout(struct pg_target *t, const char *value, char why[256])
{
    uint64_t seconds;

    if (str_to_u64(str_of(value), &seconds) || seconds == 0 || seconds > CONNECT_TIMEOUT_MAX_S)
        return REFUSE(why, "parameter connect_timeout is not a number of seconds from 1 to %u",
                      CONNECT_TIMEOUT_MAX_S);
    t->connect_timeout_s = (unsigned)seconds;
    return 0;
}

static int read_param(struct pg_target *t, struct str key, struct str raw, char why[256])
{
    char shown[40];
    const char *value;

    pg_say(shown, sizeof shown, "%.*s", STR_ARG(key));
    if (str_has_control(key) || !str_is_utf8(key))
        return REFUSE(why, "has a parameter whose name is not text");
    if (!raw.p)
        return REFUSE(why, "parameter %s has no value", shown);
    if (keep(t, raw, "query", &value, why))
        return ERR_INVALID;
    if (str_is(key, STR("host")))
        return t->host[0] ? REFUSE(why, "gives the host twice") : (t->host = value, 0);
    if (str_is(key, STR("port")))
        return t->port ? REFUSE(why, "gives the port twice")
                       : read_port(str_of(value), &t->port, t, why);
    if (str_is(key, STR("user")))
        return t->user ? REFUSE(why, "gives the user twice") : (t->user = value, 0);
    if (str_is(key, STR("password")))
        return t->password ? REFUSE(why, "gives the password twice") : (t->password = value, 0);
    if (str_is(key, STR("ssl")))
        return read_ssl(t, value, why);
    if (str_is(key, STR("connect_timeout")))
        return read_timeout(t, value, why);
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (str_is(key, str_of(allowed[i])))
            return add_param(t, allowed[i], value, why);
    return REFUSE(
        why,
        "has the parameter %s, which is not known here; known: host, port, user, password, "
        "connect_timeout, sslmode, sslrootcert, application_name, options, ...",
        shown);
}

static int read_query(struct pg_target *t, struct str query, char why[256])
{
    while (query.p) {
        struct str value = str_cut(&query, '&');
        struct str key = str_cut(&value, '=');

        if (key.n == 0 && !value.p)
            continue; /* "?", or "&&" */
        if (read_param(t, key, value, why))
            return ERR_INVALID;
    }
    return 0;
}

static bool is_known_scheme(struct str scheme)
{
    return str_is_nocase(scheme, STR("postgresql")) || str_is_nocase(scheme, STR("postgres")) ||
           str_is_nocase(scheme, STR("ecto"));
}

static int read_authority(struct pg_target *t, const struct url *u, char why[256])
{
    if (u->user.p && u->user.n > 0 && keep(t, u->user, "user", &t->user, why))
        return ERR_INVALID;
    if (u->password.p && keep(t, u->password, "password", &t->password, why))
        return ERR_INVALID;
    if (u->host.p && keep(t, u->host, "host", &t->host, why))
        return ERR_INVALID;
    if (u->port) {
        char text[8];

        snprintf(text, sizeof text, "%u", (unsigned)u->port);
        if (read_port(str_of(text), &t->port, t, why))
            return ERR_INVALID;
    }
    return 0;
}

static int read_database(struct pg_target *t, struct str path, char why[256])
{
    if (path.n > 0)
        path = str_make(path.p + 1, path.n - 1);
    if (path.n == 0)
        return REFUSE(why, "names no database; it stands behind the host, as in "
                           "postgresql://user@host/database");
    if (memchr(path.p, '/', path.n))
        return REFUSE(
            why, "has a '/' in the database name (as part of the name it is written %%2F)");
    return keep(t, path, "database", &t->database, why);
}

/* Whom libpq would connect as: PGUSER, else the account. Asked from libpq, so that what we show is what is
 * used. */
static const char *default_user(struct pg_target *t)
{
    PQconninfoOption *options = PQconndefaults();
    const char *user = "postgres";

    for (PQconninfoOption *o = options; o && o->keyword; o++)
        if (strcmp(o->keyword, "user") == 0 && o->val && o->val[0]) {
            struct str copy = arena_str(&t->arena, str_of(o->val));

            user = copy.p ? copy.p : user;
        }
    PQconninfoFree(options);
    return user;
}

static bool is_loopback(const char *host)
{
    struct in6_addr v6;

    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           (inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6));
}

static int check_names(const struct pg_target *t, char why[256])
{
    struct str host = str_of(t->host);

    if (str_of(t->database).n > PG_NAME_MAX)
        return REFUSE(why, "has a database name longer than %d bytes", PG_NAME_MAX);
    if (str_of(t->user).n > PG_NAME_MAX)
        return REFUSE(why, "has a user name longer than %d bytes", PG_NAME_MAX);
    if (str_has_control(str_of(t->database)) || str_has_control(str_of(t->user)) ||
        str_has_control(host))
        return REFUSE(why, "has control characters in a name");
    if (memchr(t->host, ',', host.n))
        return REFUSE(why, "names several hosts; one is supported");
    if (host.n > 255 || (t->is_socket && host.n > 100))
        return REFUSE(why, "has a host that is too long");
    return 0;
}

static int parse(struct pg_target *t, struct str text, char why[256])
{
    struct url u;
    const char *reason = NULL;

    if (text.n > LIMIT_URL)
        return REFUSE(why, "is longer than %zu bytes", LIMIT_URL);
    if (url_parse(text, true, &u, &reason))
        return REFUSE(
            why,
            "is not a URL: %s (in user and password write @ : / # %% as %%40 %%3A %%2F "
            "%%23 %%25)",
            reason);
    if (!is_known_scheme(u.scheme))
        return REFUSE(why, "has the scheme \"%.*s\"; known are postgresql, postgres and ecto",
                      u.scheme.n > 20 ? 20 : (int)u.scheme.n, u.scheme.p);
    if (u.fragment.p)
        return REFUSE(why, "has a '#' (in user and password it is written %%23)");
    if (read_authority(t, &u, why) || read_database(t, u.path, why) ||
        read_query(t, u.query, why))
        return ERR_INVALID;
    if (!t->port)
        t->port = "5432";
    if (!t->user)
        t->user = default_user(t);
    t->is_socket = t->host[0] == '/' || t->host[0] == '\0';
    t->is_local = t->is_socket || is_loopback(t->host);
    return check_names(t, why);
}

int pg_target_parse(struct pg_target *t, const char *url, char why[256])
{
    memset(t, 0, sizeof *t);
    arena_init(&t->arena, KB(64));
    t->host = "";
    t->connect_timeout_s = CONNECT_TIMEOUT_S;
    return parse(t, str_of(url), why);
}

void pg_target_release(struct pg_target *t)
{
    arena_release(&t->arena);
}

void pg_target_describe(const struct pg_target *t, char out[256])
{
    bool is_ipv6 = !t->is_socket && strchr(t->host, ':');

    if (t->is_socket)
        pg_say(out, 256, "postgresql socket %s port %s, database %s user %s",
               t->host[0] ? t->host : "of this machine", t->port, t->database, t->user);
    else
        pg_say(out, 256, "postgresql %s%s%s:%s/%s user %s", is_ipv6 ? "[" : "", t->host,
               is_ipv6 ? "]" : "", t->port, t->database, t->user);
}

static bool has_param(const struct pg_target *t, const char *key)
{
    for (size_t i = 0; i < t->n_params; i++)
        if (strcmp(t->params[i].key, key) == 0)
            return true;
    return false;
}

void pg_target_keywords(const struct pg_target *t, const char *database, const char *host,
                        const char *hostaddr, struct pg_keywords *out)
{
    /* A peer that vanished without a word is found by keep-alives when idle, and by the acknowledgement that
     * does not come when not: the kernel's own defaults are two hours and a quarter of one. */
    static const struct pg_param defaults[] = {
        {"application_name", "superx"}, {"keepalives_idle", "10"},
        {"keepalives_interval", "5"},   {"keepalives_count", "3"},
        {"tcp_user_timeout", "15000"},
    };
    size_t n = 0;

#define KEYWORD(key, value) (out->keys[n] = (key), out->values[n] = (value), n++)
    KEYWORD("host", host ? host : t->host);
    if (hostaddr)
        KEYWORD("hostaddr", hostaddr);
    KEYWORD("port", t->port);
    KEYWORD("user", t->user);
    if (t->password)
        KEYWORD("password", t->password);
    KEYWORD("dbname", database ? database : t->database);
    KEYWORD("client_encoding", "UTF8");
    KEYWORD("gssencmode", "disable");
    for (size_t i = 0; i < t->n_params; i++)
        KEYWORD(t->params[i].key, t->params[i].value);
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        if (!has_param(t, defaults[i].key))
            KEYWORD(defaults[i].key, defaults[i].value);
    BUG_ON(n >= PG_KEYWORDS_MAX);
    KEYWORD(NULL, NULL);
#undef KEYWORD
}

/* --- why it did not work ------------------------------------------------------------------ */

/* In verbose form a server's refusal reads "...: FATAL:  28P01: text": two blanks, five signs, a colon. */
static const char *find_sqlstate(const char *message)
{
    for (const char *at = strstr(message, ":  "); at; at = strstr(at + 1, ":  ")) {
        const char *code = at + 3;
        size_t n = strspn(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");

        if (n == 5 && code[5] == ':')
            return code;
    }
    return NULL;
}

void pg_message_sqlstate(const char *message, char out[6])
{
    const char *code = find_sqlstate(message);

    memset(out, 0, 6);
    if (code)
        memcpy(out, code, 5);
}

struct str pg_message_cause(const char *message)
{
    const char *code = find_sqlstate(message);
    const char *failed;

    if (code)
        message = code + 6;
    else if ((failed = strstr(message, " failed: ")))
        message = failed + 9;
    return str_trim(str_make(message, strcspn(message, "\n")));
}

/* What to try, by SQLSTATE; the first row whose beginning matches. */
static const struct {
    const char *sqlstate, *advice;
} by_sqlstate[] = {
    {"3D000", "run: superx db create"},
    {"28", "check user and password in DATABASE_URL, and pg_hba.conf on the server"},
    {"53300", "lower DB_POOL_SIZE or raise max_connections on the server"},
    {"57P03", "it will be tried again"},
    {"42501", "grant the user what it lacks"},
};

/* ... and by what libpq or the system say. */
static const struct {
    const char *part, *advice;
} by_text[] = {
    {"onnection refused", "is PostgreSQL running there? check host and port in DATABASE_URL"},
    {"No such file",
     "is PostgreSQL running on this machine? check the socket's folder in DATABASE_URL"},
    {"does not support SSL", "set sslmode in DATABASE_URL to what the server offers"},
    {"certificate", "check sslmode and sslrootcert in DATABASE_URL"},
    {"could not be resolved", "check the host in DATABASE_URL"},
    {"no password supplied", "put the password into DATABASE_URL"},
    {"imed out", "check host, port and what is between here and there"},
    {"no route", "check host, port and what is between here and there"},
    {"unreachable", "check host, port and what is between here and there"},
};

static const char *find_advice(const char *message)
{
    char sqlstate[6];

    pg_message_sqlstate(message, sqlstate);
    for (size_t i = 0; sqlstate[0] && i < sizeof by_sqlstate / sizeof *by_sqlstate; i++)
        if (strncmp(sqlstate, by_sqlstate[i].sqlstate, strlen(by_sqlstate[i].sqlstate)) == 0)
            return by_sqlstate[i].advice;
    for (size_t i = 0; i < sizeof by_text / sizeof *by_text; i++)
        if (strcasestr(message, by_text[i].part))
            return by_text[i].advice;
    return NULL;
}

void pg_target_explain(const struct pg_target *t, const char *message, char out[256])
{
    char where[256];
    const char *advice = find_advice(message);
    struct str cause = pg_message_cause(message);

    pg_target_describe(t, where);
    if (cause.n > 120)
        cause.n = 120;
    pg_say(out, 256, "%s: %.*s%s%s", where, STR_ARG(cause), advice ? "; " : "",
           advice ? advice : "");
}

enum pg_error_class pg_error_classify(const char *sqlstate)
{
    /* The database as a whole is not as it was when the statements were prepared: dropped, migrated,
     * restored, turned into a standby, a role changed. Refusing each row for that would throw away what
     * agents said. */
    static const char *const shape[] = {"25006", "26000", "0A000", "42P01",
                                        "3F000", "42703", "42501", NULL};
    static const char *const retry[] = {"08", "40", "53", "57", "58", NULL};

    if (sqlstate[0] == '\0')
        return PG_ERROR_RETRY;
    if (strcmp(sqlstate, "55P03") == 0)
        return PG_ERROR_LOCKED;
    for (int i = 0; shape[i]; i++)
        if (strcmp(sqlstate, shape[i]) == 0)
            return PG_ERROR_SHAPE;
    for (int i = 0; retry[i]; i++)
        if (strncmp(sqlstate, retry[i], 2) == 0)
            return PG_ERROR_RETRY;
    return PG_ERROR_ROW;
}
