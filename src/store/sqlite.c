/* SPDX-License-Identifier: MIT
 *
 * The embedded backend, seen from the loop thread: it only passes letters on. SQLite blocks, so it lives on
 * two threads: a writer that makes batches durable and a reader that looks things up and moves the log into
 * the database, off the commit's path. One node only: a lock on the folder sees to that.
 *
 *     commit  --> to_writer .. BEGIN IMMEDIATE, rows, COMMIT (one fsync) .. to_loop --> store_batch_done
 *     load    --> to_reader ..                                           .. to_loop --> store_load_done
 *
 * A thread's last letter is ENDED; when both have come, the handle is closed and the store told.
 */
#include "lib/crash.h"
#include "lib/mem.h"
#include "store/sqlite.h"

/* SQLite's deepest calls need under 64 KB; the default of 8 MB would only make core dumps large. */
#define THREAD_STACK KB(256)

static struct sqlite *sqlite_of(struct backend *b)
{
    return CONTAINER_OF(b, struct sqlite, backend);
}

void sqlite_tell(struct sqlite *s, struct letter *letter)
{
    mailbox_post(&s->to_loop, letter);
    uv_async_send(&s->news);
}

/* --- what the core asks --------------------------------------------------------------------------- */

static void commit_batch(struct backend *b, struct batch *batch)
{
    struct letter *letter = letter_new(LETTER_BATCH);

    letter->batch = batch;
    mailbox_post(&sqlite_of(b)->to_writer, letter);
    CRASH_POINT(batch_sent);
}

static void load(struct backend *b, struct load_batch *loads)
{
    struct letter *letter = letter_new(LETTER_LOADS);

    letter->loads = loads;
    mailbox_post(&sqlite_of(b)->to_reader, letter);
}

static void list(struct backend *b, struct list_query *query)
{
    struct letter *letter = letter_new(LETTER_LIST);

    letter->query = query;
    mailbox_post(&sqlite_of(b)->to_reader, letter);
}

static void read_log(struct backend *b, struct log_query *query)
{
    struct letter *letter = letter_new(LETTER_LOG);

    letter->log = query;
    mailbox_post(&sqlite_of(b)->to_reader, letter);
}

static void put_agents(struct backend *b, struct agents_put *put)
{
    struct letter *letter = letter_new(LETTER_AGENTS);

    letter->put = put;
    mailbox_post(&sqlite_of(b)->to_writer, letter);
}

static void errand(struct backend *b, struct errand *e)
{
    struct letter *letter = letter_new(LETTER_ERRAND);

    letter->errand = e;
    mailbox_post(&sqlite_of(b)->to_writer, letter);
}

static void push(struct backend *b, struct push_job *job)
{
    struct letter *letter = letter_new(LETTER_PUSH);

    letter->push = job;
    mailbox_post(&sqlite_of(b)->to_writer, letter);
}

static void start_closing(struct backend *b)
{
    struct sqlite *s = sqlite_of(b);

    BUG_ON(s->is_closing);
    s->is_closing = true;
    mailbox_close(&s->to_writer);
    mailbox_close(&s->to_reader);
}

static const struct backend_ops ops = {
    .commit = commit_batch,
    .load = load,
    .list = list,
    .log = read_log,
    .agents = put_agents,
    .errand = errand,
    .push = push,
    .close = start_closing,
};

/* --- what the threads answer ---------------------------------------------------------------------- */

/* Frees letters that nobody will read. They carry nothing that belongs to the core. */
static void throw_away(struct mailbox *m)
{
    struct list letters, *first;

    list_init(&letters);
    mailbox_empty(m, &letters);
    while ((first = list_first(&letters))) {
        struct letter *letter = CONTAINER_OF(first, struct letter, link);

        BUG_ON(letter->kind != LETTER_CHECKPOINT && letter->kind != LETTER_STATE &&
               letter->kind != LETTER_SPECS && letter->kind != LETTER_ENDED);
        list_remove(first);
        if (letter->kind == LETTER_SPECS)
            specs_free(letter->specs);
        mem_free(letter);
    }
}

static void free_sqlite(struct sqlite *s)
{
    throw_away(&s->to_reader); /* the writer's last commit may have asked for a checkpoint */
    mailbox_release(&s->to_loop);
    mailbox_release(&s->to_writer);
    mailbox_release(&s->to_reader);
    mem_free(s->dir);
    mem_free(s->path);
    mem_free(s->node_name);
    mem_free(s);
}

static void on_news_closed(uv_handle_t *handle)
{
    struct sqlite *s = CONTAINER_OF(handle, struct sqlite, news);
    struct store *store = s->backend.store;

    free_sqlite(s);
    store_backend_closed(store);
}

/* The thread has nothing left to do but to return, so that joining it does not block. */
static void thread_ended(struct sqlite *s, uv_thread_t *thread)
{
    BUG_ON(!s->is_closing || uv_thread_join(thread));
    if (--s->n_threads == 0)
        uv_close((uv_handle_t *)&s->news, on_news_closed);
}

static void read_letter(struct sqlite *s, struct letter *letter)
{
    switch (letter->kind) {
    case LETTER_BATCH:
        store_batch_done(s->backend.store, letter->batch);
        break;
    case LETTER_ABANDONED:
        store_batch_abandoned(s->backend.store, letter->batch);
        break;
    case LETTER_LOADS:
        store_load_done(s->backend.store, letter->loads);
        break;
    case LETTER_LIST:
        store_list_done(s->backend.store, letter->query);
        break;
    case LETTER_LOG:
        store_log_done(s->backend.store, letter->log);
        break;
    case LETTER_ERRAND:
        store_errand_done(s->backend.store, letter->errand);
        break;
    case LETTER_PUSH:
        store_push_done(s->backend.store, letter->push);
        break;
    case LETTER_SPECS:
        store_specs(s->backend.store, letter->specs);
        break;
    case LETTER_STATE:
        store_backend_state(s->backend.store, letter->state, letter->why);
        break;
    case LETTER_ENDED:
        thread_ended(s, letter->thread);
        break;
    case LETTER_AGENTS:
    case LETTER_CHECKPOINT:
        BUG_ON(true); /* these are never sent to the loop */
    }
}

static void on_news(uv_async_t *news)
{
    struct sqlite *s = CONTAINER_OF(news, struct sqlite, news);
    struct list letters, *first;

    list_init(&letters);
    mailbox_empty(&s->to_loop, &letters);
    while ((first = list_first(&letters))) {
        struct letter *letter = CONTAINER_OF(first, struct letter, link);

        list_remove(first);
        read_letter(s, letter);
        mem_free(letter);
    }
}

/* --- opening -------------------------------------------------------------------------------------- */

/* One process, few connections, each used by one thread: SQLite needs no locks or statistics of its own. The
 * call has no effect if a test has used SQLite before. */
static void tune_library(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static int start_threads(struct sqlite *s, char why[256])
{
    uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE,
                                   .stack_size = THREAD_STACK};
    int err;

    err = uv_thread_create_ex(&s->writer, &options, sqlite_write_run, s);
    if (!err) {
        s->n_threads++;
        err = uv_thread_create_ex(&s->reader, &options, sqlite_read_run, s);
        s->n_threads += !err;
    }
    if (!err)
        return 0;
    snprintf(why, 256, "a thread for the embedded database cannot be started: %s",
             uv_strerror(err));
    return ERR_NOMEM;
}

static void on_half_open_closed(uv_handle_t *handle)
{
    free_sqlite(CONTAINER_OF(handle, struct sqlite, news));
}

/* Undoes an opening that came to nothing; the store never hears of it. */
static void discard(struct sqlite *s)
{
    mailbox_close(&s->to_writer);
    if (s->n_threads)
        uv_thread_join(&s->writer);
    throw_away(&s->to_loop);
    uv_close((uv_handle_t *)&s->news, on_half_open_closed);
}

int sqlite_open(struct store *store, struct loop *loop, const struct store_config *config,
                const char *boot, struct backend **out, char why[256])
{
    const char *dir = config->data_dir && *config->data_dir ? config->data_dir : "./data";
    const char *name = config->node_name ? config->node_name : "";
    struct sqlite *s;
    size_t n = strlen(dir) + sizeof "/superx.db";
    int err = sqlite_folder_make(dir, why);

    if (err)
        return err;
    tune_library();
    s = MEM_NEW(struct sqlite);
    s->loop = loop;
    s->backend = (struct backend){.ops = &ops,
                                  .store = store,
                                  .n_lanes = 1,
                                  .n_nodes = 1,
                                  .is_embedded = true,
                                  .is_local = true};
    s->dir = mem_str(dir, strlen(dir));
    s->node_name = mem_str(name, strlen(name));
    s->path = mem_zero(n, 1);
    snprintf(s->path, n, "%s/superx.db", dir);
    snprintf(s->backend.description, sizeof s->backend.description, "sqlite %s", s->path);
    snprintf(s->boot, sizeof s->boot, "%s", boot);
    mailbox_init(&s->to_loop);
    mailbox_init(&s->to_writer);
    mailbox_init(&s->to_reader);
    BUG_ON(uv_async_init(loop_uv(loop), &s->news, on_news));
    err = start_threads(s, why);
    if (err) {
        discard(s);
        return err;
    }
    *out = &s->backend;
    return 0;
}
