/* SPDX-License-Identifier: MIT
 *
 * The embedded store on disk: a folder only its owner may enter, one database in it, and a lock file.
 *
 * The lock says which process serves from this folder. SQLite itself would let two in, but each would believe
 * its own cache. It is a flock: gone with the process however that ends, and inside is the holder's pid, for
 * the sentence a second one prints. The file is never removed, or two could lock two different files.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/mem.h"
#include "store/sqlite.h"

#define WHY 256

/* A folder is there after a power failure only if its parent's list of names is on disk. */
static void sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *parent = slash && slash > path ? mem_str(path, (size_t)(slash - path))
                                         : mem_str(slash ? "/" : ".", 1);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        (void)!fsync(fd); /* not every file system can */
        close(fd);
    }
    mem_free(parent);
}

int sqlite_folder_make(const char *dir, char why[WHY])
{
    char *path = mem_str(dir, strlen(dir));
    struct stat st;
    int err = 0;

    for (char *at = path + 1; !err && at[-1]; at++) {
        char c = *at;

        if (c && c != '/')
            continue;
        *at = '\0';
        if (mkdir(path, 0700) == 0) {
            sync_parent(path);
        } else if (errno != EEXIST) {
            snprintf(why, WHY, "the data folder %s cannot be made: %s", path, strerror(errno));
            err = ERR_IO;
        }
        *at = c;
    }
    if (!err && (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))) {
        snprintf(why, WHY, "%s is not a folder; set SUPERX_DATA to one", dir);
        err = ERR_INVALID;
    }
    mem_free(path);
    return err;
}

static void name_holder(int fd, const char *dir, char why[WHY])
{
    char pid[32];
    ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
    struct str text = str_trim(str_make(pid, n > 0 ? (size_t)n : 0));
    uint64_t number;

    if (str_to_u64(text, &number))
        text = STR("unknown");
    snprintf(why, WHY,
             "the data folder %s is in use by another superx, process %.*s; stop it, or set "
             "SUPERX_DATA to another folder",
             dir, STR_ARG(text));
}

int sqlite_lock(const char *dir, int *out, char why[WHY])
{
    char path[4096], pid[32];
    int fd, n = snprintf(path, sizeof path, "%s/superx.lock", dir);

    if (n < 0 || (size_t)n >= sizeof path) {
        snprintf(why, WHY, "the data folder's name is too long");
        return ERR_INVALID;
    }
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        snprintf(why, WHY, "%.160s cannot be opened: %s", path, strerror(errno));
        return ERR_IO;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int err = errno == EWOULDBLOCK ? ERR_CONFLICT : ERR_IO;

        if (err == ERR_CONFLICT)
            name_holder(fd, dir, why);
        else
            snprintf(why, WHY, "%.160s cannot be locked: %s", path, strerror(errno));
        close(fd);
        return err;
    }
    n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    /* The pid is a courtesy; a full disk is noticed by the database itself. */
    if (ftruncate(fd, 0) == 0)
        (void)!pwrite(fd, pid, (size_t)n, 0);
    *out = fd;
    return 0;
}

int sqlite_run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

void sqlite_bind_str(sqlite3_stmt *stmt, int at, struct str s)
{
    if (s.p)
        sqlite3_bind_text64(stmt, at, s.p, s.n, SQLITE_STATIC, SQLITE_UTF8);
    else
        sqlite3_bind_null(stmt, at);
}

void sqlite_bind_uuid(sqlite3_stmt *stmt, int at, const struct uuid *u)
{
    sqlite3_bind_blob(stmt, at, u->b, sizeof u->b, SQLITE_STATIC);
}

void sqlite_bind_u64(sqlite3_stmt *stmt, int at, uint64_t v)
{
    sqlite3_bind_int64(stmt, at, (sqlite3_int64)v);
}

struct str sqlite_column_str(sqlite3_stmt *stmt, int at)
{
    const char *p = (const char *)sqlite3_column_text(stmt, at);

    return p ? str_make(p, (size_t)sqlite3_column_bytes(stmt, at)) : STR_NONE;
}

struct uuid sqlite_column_uuid(sqlite3_stmt *stmt, int at)
{
    struct uuid u = {0};
    const void *p = sqlite3_column_blob(stmt, at);

    if (p && sqlite3_column_bytes(stmt, at) == sizeof u.b)
        memcpy(u.b, p, sizeof u.b);
    return u;
}

static int explain(sqlite3 *db, const char *path, char why[WHY])
{
    snprintf(why, WHY, "%s: %s", path, db ? sqlite3_errmsg(db) : "out of memory");
    return ERR_STORE;
}

int sqlite_connect(const char *path, bool make, unsigned cache_kb, sqlite3 **out, char why[WHY])
{
    static const char *const settings = "PRAGMA journal_mode = WAL;"
                                        "PRAGMA synchronous = FULL;"
                                        "PRAGMA wal_autocheckpoint = 0;"
                                        "PRAGMA temp_store = MEMORY;";
    char cache[64];
    sqlite3 *db = NULL;
    int err = 0, fd;

    /* SQLite would create it by the umask; its side files take the mode of this one. */
    fd = make ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (make && fd < 0) {
        snprintf(why, WHY, "%.160s cannot be opened: %s", path, strerror(errno));
        return ERR_STORE;
    }
    if (fd >= 0)
        close(fd);
    snprintf(cache, sizeof cache, "PRAGMA cache_size = -%u", cache_kb);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ||
        sqlite3_busy_timeout(db, SQLITE_BUSY_MS) || sqlite_run(db, settings) ||
        sqlite_run(db, cache))
        err = explain(db, path, why);
    if (err) {
        sqlite3_close(db);
        return err;
    }
    sqlite3_extended_result_codes(db, 1);
    *out = db;
    return 0;
}

int sqlite_applied(sqlite3 *db, int *newest, char why[WHY])
{
    sqlite3_stmt *stmt = NULL;
    int err = 0, n = 0;

    if (sqlite3_prepare_v2(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'migrations'",
                           -1, &stmt, NULL) ||
        sqlite3_step(stmt) != SQLITE_ROW)
        err = explain(db, "reading the migrations", why);
    else
        n = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    stmt = NULL;
    if (err || n == 0) {
        if (!err)
            *newest = 0;
        return err;
    }
    if (sqlite3_prepare_v2(db, "SELECT coalesce(max(number), 0) FROM migrations", -1, &stmt,
                           NULL) ||
        sqlite3_step(stmt) != SQLITE_ROW)
        err = explain(db, "reading the migrations", why);
    else
        *newest = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return err;
}

static int note_migration(sqlite3 *db, const struct migration *m)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(
        db, "INSERT INTO migrations (number, name, applied_at) VALUES (?1, ?2, ?3)", -1, &stmt,
        NULL);

    if (rc == SQLITE_OK) {
        sqlite3_bind_int(stmt, 1, m->number);
        sqlite3_bind_text(stmt, 2, m->name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 3, clock_wall_us());
        rc = sqlite3_step(stmt) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(db);
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* SQLite runs DDL in transactions: a migration is there as a whole or not at all. The embedded text ends with
 * a NUL. */
static int apply(sqlite3 *db, const struct migration *m, char why[WHY])
{
    if (sqlite_run(db, "BEGIN IMMEDIATE") || sqlite_run(db, m->sql.p) ||
        note_migration(db, m) || sqlite_run(db, "COMMIT")) {
        char what[64];

        snprintf(what, sizeof what, "migration %s", m->name);
        explain(db, what, why);
        if (!sqlite3_get_autocommit(db))
            (void)!sqlite_run(db, "ROLLBACK");
        return ERR_STORE;
    }
    return 0;
}

int sqlite_migrate(sqlite3 *db, char why[WHY])
{
    int newest, err;

    if (sqlite_run(
            db, "CREATE TABLE IF NOT EXISTS migrations (number INTEGER NOT NULL PRIMARY KEY, "
                "name TEXT NOT NULL, applied_at INTEGER NOT NULL)"))
        return explain(db, "making the table of migrations", why);
    err = sqlite_applied(db, &newest, why);
    /* A database newer than this program is served as it is: migrations only add. */
    for (const struct migration *m = sqlite_migrations; m->number && !err; m++)
        if (m->number > newest)
            err = apply(db, m, why);
    return err;
}
