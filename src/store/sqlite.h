/* SPDX-License-Identifier: MIT
 *
 * Inside the store: the embedded backend's shared parts.
 *
 *     loop thread --to_writer--> writer thread (its connection: all that changes)
 *                 --to_reader--> reader thread (its connection: loads, lists, checkpoints)
 *                 <--to_loop---  both, with a uv_async to wake the loop
 */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "store/mailbox.h"

#define SQLITE_WRITER_CACHE_KB 2000
#define SQLITE_READER_CACHE_KB 1000
#define SQLITE_BUSY_MS 1000          /* a person's shell may hold the write lock */
#define SQLITE_CHECKPOINT_PAGES 1024 /* 4 MB of log: time to move it into the database */
#define SQLITE_WAL_MAX_PAGES 4096    /* 16 MB: the writer itself waits for the checkpoint */

struct sqlite {
    struct backend backend;
    struct loop *loop; /* borrowed */
    uv_async_t news;   /* something is in to_loop */
    struct mailbox to_loop, to_writer, to_reader;
    uv_thread_t writer, reader;
    unsigned n_threads; /* not joined yet */
    bool is_closing;
    char *dir, *path, *node_name; /* owned; read-only while threads run */
    char boot[UUID_TEXT + 1];
    atomic_bool checkpoint_is_asked; /* one is in to_reader, or running */
};

/* --- sqlite.c --- */

/* From a thread: hands a letter to the loop. */
void sqlite_tell(struct sqlite *s, struct letter *letter);

/* --- sqlite_writer.c, sqlite_reader.c: what the threads run; `arg` is the struct sqlite --- */

void sqlite_write_run(void *arg);
void sqlite_read_run(void *arg);

/* --- sqlite_push.c: webhooks, on the writer's thread, inside its transaction. SQLite result codes. --- */

#define SQLITE_PUSH_STATEMENTS 32

struct sqlite_push {
    sqlite3 *db;
    sqlite3_stmt *stmts[SQLITE_PUSH_STATEMENTS];
};

MUST_CHECK int sqlite_push_prepare(struct sqlite_push *p, sqlite3 *db);
void sqlite_push_release(struct sqlite_push *p);
/* Wakes the webhooks of a task that was written, registers those that came with the row. */
MUST_CHECK int sqlite_push_commit(struct sqlite_push *p, const struct row *row, int64_t at_us,
                                  unsigned *n_woken);
MUST_CHECK int sqlite_push_run(struct sqlite_push *p, struct push_job *job);

/* --- sqlite_file.c: the folder, the lock, connections, migrations --- */

/* Makes the folder, parents included, readable by its owner only. */
MUST_CHECK int sqlite_folder_make(const char *dir, char why[256]);

/* Takes the folder for this process until *fd is closed. ERR_CONFLICT: another process has it, why names
 * it. */
MUST_CHECK int sqlite_lock(const char *dir, int *fd, char why[256]);

/* Opens the database; with `make`, creates it (mode 0600). */
MUST_CHECK int sqlite_connect(const char *path, bool make, unsigned cache_kb, sqlite3 **out,
                              char why[256]);

/* Applies pending migrations, each in a transaction of its own. */
MUST_CHECK int sqlite_migrate(sqlite3 *db, char why[256]);

/* The number of the newest migration applied; 0: none. ERR_STORE if it cannot be read. */
MUST_CHECK int sqlite_applied(sqlite3 *db, int *newest, char why[256]);

MUST_CHECK int sqlite_run(sqlite3 *db, const char *sql); /* a literal; an SQLite result code */

/* What is bound is borrowed until the statement is reset. */
void sqlite_bind_str(sqlite3_stmt *stmt, int at, struct str s); /* absent: NULL */
void sqlite_bind_uuid(sqlite3_stmt *stmt, int at, const struct uuid *u);
void sqlite_bind_u64(sqlite3_stmt *stmt, int at, uint64_t v);
/* NULL: absent. Borrowed until the statement is stepped or reset. */
struct str sqlite_column_str(sqlite3_stmt *stmt, int at);
/* Zero for what is none. */
struct uuid sqlite_column_uuid(sqlite3_stmt *stmt, int at);

#endif
