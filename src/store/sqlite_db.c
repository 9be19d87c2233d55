/* SPDX-License-Identifier: MIT
 *
 * `superx db` for the embedded store. A server migrates its own file when it starts, so these commands are
 * for looking, for preparing a folder, and for starting over. What changes or removes the file needs the
 * folder's lock: with a server in it they refuse.
 *
 * Exit codes are those of store.h: 0 done, 1 failed, 3 pending migrations, 4 a server has the folder.
 */
#include <errno.h>
#include <unistd.h>

#include "lib/json.h"
#include "store/sqlite.h"

enum { DONE = 0, FAILED = 1, PENDING = 3, BUSY = 4 };

struct job {
    const char *dir;
    char path[4096];
    FILE *out;
    bool json;
    int lock; /* descriptor, or -1 */
};

static int fail(const char *why)
{
    fprintf(stderr, "superx db: %s\n", why);
    return FAILED;
}

/* What was done, as a sentence or an object. */
static void say(const struct job *j, const char *what)
{
    struct buf line;

    buf_init(&line, KB(32));
    if (j->json) {
        BUF_LIT(&line, "{\"backend\":\"sqlite\",\"path\":");
        json_write_string(&line, str_of(j->path));
        BUF_LIT(&line, ",\"done\":");
        json_write_string(&line, str_of(what));
        BUF_LIT(&line, "}");
    } else {
        buf_printf(&line, "%s: %s", j->path, what);
    }
    fprintf(j->out, "%s\n", buf_z(&line));
    buf_release(&line);
}

static bool has_file(const struct job *j)
{
    return access(j->path, F_OK) == 0;
}

static int lock(struct job *j)
{
    char why[256];
    int err = sqlite_folder_make(j->dir, why);

    if (!err)
        err = sqlite_lock(j->dir, &j->lock, why);
    if (!err)
        return DONE;
    fail(why);
    return err == ERR_CONFLICT ? BUSY : FAILED;
}

static int create(struct job *j, bool migrate)
{
    char why[256];
    bool was_there = has_file(j);
    sqlite3 *db;
    int err = sqlite_connect(j->path, true, SQLITE_READER_CACHE_KB, &db, why);

    if (err)
        return fail(why);
    if (migrate)
        err = sqlite_migrate(db, why);
    sqlite3_close(db);
    if (err)
        return fail(why);
    say(j, migrate ? "all migrations are applied" : was_there ? "exists already" : "created");
    return DONE;
}

static int drop(struct job *j)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    bool was_there = has_file(j);
    char path[sizeof j->path + 8];

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(path, sizeof path, "%s%s", j->path, ends[i]);
        if (unlink(path) != 0 && errno != ENOENT) {
            fprintf(stderr, "superx db: %s cannot be removed: %s\n", path, strerror(errno));
            return FAILED;
        }
    }
    say(j, was_there ? "removed" : "was not there");
    return DONE;
}

static void print_status(const struct job *j, int newest)
{
    struct buf text;
    bool is_first = true;

    buf_init(&text, KB(64));
    if (j->json) {
        BUF_LIT(&text, "{\"backend\":\"sqlite\",\"path\":");
        json_write_string(&text, str_of(j->path));
        BUF_LIT(&text, ",\"migrations\":[");
    } else {
        buf_printf(&text, "%s\n\n  status  migration\n", j->path);
    }
    for (const struct migration *m = sqlite_migrations; m->number; m++, is_first = false) {
        const char *status = m->number <= newest ? "up" : "down";

        if (j->json)
            buf_printf(&text, "%s{\"number\":%d,\"name\":\"%s\",\"status\":\"%s\"}",
                       is_first ? "" : ",", m->number, m->name, status);
        else
            buf_printf(&text, "  %-6s  %s\n", status, m->name);
    }
    if (j->json)
        BUF_LIT(&text, "]}\n");
    fprintf(j->out, "%s", buf_z(&text));
    buf_release(&text);
}

static int status(struct job *j)
{
    char why[256];
    sqlite3 *db;
    int newest = 0, err = 0;

    if (has_file(j)) {
        err = sqlite_connect(j->path, false, SQLITE_READER_CACHE_KB, &db, why);
        if (!err) {
            err = sqlite_applied(db, &newest, why);
            sqlite3_close(db);
        }
    }
    if (err)
        return fail(why);
    print_status(j, newest);
    for (const struct migration *m = sqlite_migrations; m->number; m++)
        if (m->number > newest)
            return PENDING;
    return DONE;
}

static int change(struct job *j, enum store_db_command command)
{
    int code = lock(j);

    if (code)
        return code;
    if (command == STORE_DB_RESET || command == STORE_DB_DROP)
        code = drop(j);
    if (code == DONE && command != STORE_DB_DROP)
        code = create(j, command != STORE_DB_CREATE);
    close(j->lock);
    return code;
}

int sqlite_db_run(enum store_db_command command, const struct store_config *config, FILE *out,
                  bool json)
{
    struct job j = {.dir = config->data_dir && *config->data_dir ? config->data_dir : "./data",
                    .out = out,
                    .json = json,
                    .lock = -1};
    int n = snprintf(j.path, sizeof j.path, "%s/superx.db", j.dir);

    if (n < 0 || (size_t)n >= sizeof j.path)
        return fail("the data folder's name is too long");
    return command == STORE_DB_STATUS ? status(&j) : change(&j, command);
}
