/* SPDX-License-Identifier: MIT
 *
 * The agents a gateway knows: from AGENTS_FILE, from A2A_REMOTE_URL, and those registered through the API, which the
 * store keeps and tells, whichever node took them.
 *
 * The file is read at start, on SIGHUP and when it changes. What is watched is its folder, because editors and
 * orchestrators replace files instead of writing into them; whether anything really changed is decided by the
 * bytes. A file that does not hold up is refused whole: at the first start the program exits 78, later the agents
 * stay as they are and the error says where it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/map.h"
#include "lib/mem.h"
#include "wiring/gateway.h"

#define SETTLE_MS 50 /* an editor's save is several events */

struct agents_watch {
    struct gateway *gateway; /* borrowed: we live inside it */
    const char *path;        /* borrowed from the configuration */
    uv_fs_event_t event;
    struct timer settle;
    uint64_t seen; /* hash of the bytes in force */
};

static const char *env_lookup(const char *name)
{
    return getenv(name);
}

struct agent_defaults agents_defaults(const struct gateway *g)
{
    return (struct agent_defaults){.max_in_flight = (unsigned)g->config->agent_max_in_flight,
                                   .max_streams = (unsigned)g->config->agent_max_streams,
                                   .timeout_ms =
                                       g->config->agent_call_timeout < g->config->http_timeout
                                           ? g->config->agent_call_timeout
                                           : g->config->http_timeout};
}

/* Reads the whole file, at most one byte more than is allowed (the reader of the text refuses that). */
static int read_file(const char *path, struct buf *out, char why[200])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = 1;
    char *at;

    if (fd < 0) {
        snprintf(why, 200, "%s", strerror(errno));
        return ERR_IO;
    }
    while (n > 0 && out->n <= LIMIT_AGENTS_FILE && (at = buf_reserve(out, KB(16)))) {
        n = read(fd, at, KB(16));
        if (n > 0)
            buf_commit(out, (size_t)n);
    }
    if (n < 0)
        snprintf(why, 200, "%s", strerror(errno));
    close(fd);
    return n < 0 ? ERR_IO : buf_error(out);
}

/* The stored list of agents is for people and other nodes; it carries no credentials. */
static void remember(struct gateway *g, const char *source, const struct agent_spec *specs)
{
    struct store_agent *agents;
    size_t n = 0, i = 0;

    for (const struct agent_spec *s = specs; s; s = s->next)
        n++;
    agents = mem_zero(n, sizeof *agents);
    for (const struct agent_spec *s = specs; s; s = s->next)
        agents[i++] = (struct store_agent){
            s->id, s->url, s->has_version ? str_of(a2a_version_text(s->version)) : STR_NONE,
            str_of(source)};
    store_agents_put(g->store, str_of(source), agents, n);
    mem_free(agents);
}

static void take_specs(struct gateway *g, const char *source, const struct agent_spec *specs)
{
    struct dispatch_change change;

    dispatch_put(g->dispatch, source, specs, &change);
    remember(g, source, specs);
    log_event(LOG_INFO, "agents read", LOG_Z("source", source), LOG_U64("added", change.added),
              LOG_U64("changed", change.changed), LOG_U64("removed", change.removed),
              LOG_U64("kept", change.kept));
}

/* Says where and why, in the form editors and people know: file:line:column: what. */
static void complain(const char *path, const struct agents_fault *fault, bool at_start)
{
    char place[64] = "";

    if (fault->line)
        snprintf(place, sizeof place, ":%u:%u", fault->line, fault->column);
    if (at_start)
        fprintf(stderr, "superx: %s%s: %s\n", path, place, fault->why);
    else
        log_event(LOG_ERROR, "agents file refused, the agents stay as they were",
                  LOG_Z("file", path), LOG_U64("line", fault->line),
                  LOG_U64("column", fault->column), LOG_Z("cause", fault->why));
}

static int load(struct agents_watch *w, bool at_start)
{
    struct agent_defaults d = agents_defaults(w->gateway);
    struct agents_fault fault = {0};
    struct agent_spec *specs = NULL;
    struct str default_agent = STR_NONE;
    struct arena arena;
    struct buf text;
    uint64_t hash;
    int err;

    buf_init(&text, LIMIT_AGENTS_FILE + KB(32));
    arena_init(&arena, MB(64));
    err = read_file(w->path, &text, fault.why);
    hash = err ? 0 : map_hash(buf_str(&text));
    if (!err && hash == w->seen)
        goto out;
    if (!err)
        err = agents_file_read(buf_str(&text), &d, env_lookup, &arena, &specs, &default_agent,
                               &fault);
    if (err) {
        complain(w->path, &fault, at_start);
    } else {
        w->seen = hash;
        take_specs(w->gateway, "file", specs);
        dispatch_set_default(w->gateway->dispatch, default_agent);
    }
out:
    arena_release(&arena);
    buf_release(&text);
    return err ? ERR_INVALID : 0;
}

static void on_settled(struct timer *t, void *arg)
{
    (void)t;
    if (load(arg, false)) {
        /* said by load(); the agents stay as they were */
    }
}

static void on_folder_event(uv_fs_event_t *handle, const char *name, int events, int status)
{
    struct agents_watch *w = handle->data;

    (void)name;
    (void)events;
    (void)status;
    timer_start(w->gateway->loop, &w->settle, SETTLE_MS);
}

static void watch_folder(struct agents_watch *w)
{
    char *copy = mem_str(w->path, strlen(w->path));
    int err;

    uv_fs_event_init(loop_uv(w->gateway->loop), &w->event);
    w->event.data = w;
    err = uv_fs_event_start(&w->event, on_folder_event, dirname(copy), 0);
    if (err)
        log_event(LOG_WARN, "agents file is not watched, send SIGHUP after a change",
                  LOG_Z("file", w->path), LOG_Z("cause", uv_strerror(err)));
    uv_unref((uv_handle_t *)&w->event);
    mem_free(copy);
}

/* A2A_REMOTE_URL is one agent without a file, under the id the first SuperX gave it. */
static int take_remote(struct gateway *g)
{
    struct agent_defaults d = agents_defaults(g);
    struct agent_spec spec = agent_spec_default(&d);
    const char *why;

    spec.id = STR("default");
    spec.url = str_of(g->config->a2a_remote_url);
    spec.bearer = str_of(g->config->a2a_remote_bearer);
    if (spec.url.n == 0)
        return 0;
    if (spec.bearer.n == 0)
        spec.bearer = STR_NONE;
    if (egress_url_check(spec.url, &why)) {
        fprintf(stderr, "superx: A2A_REMOTE_URL: %s\n", why);
        return ERR_INVALID;
    }
    take_specs(g, "env", &spec);
    return 0;
}

/* One agent of the store's, or false: an older or newer SuperX may have written what this one cannot read. */
static bool read_stored(const struct store_agent_spec *stored, const struct agent_defaults *d,
                        struct arena *arena, struct agent_spec *out)
{
    char why[200] = "it is not JSON";

    if (json_scan(stored->spec, NULL, NULL, 0, NULL) == 0 &&
        agent_spec_read(stored->spec, d, arena, out, why) == 0)
        return true;
    log_event(LOG_ERROR, "stored agent cannot be read, the others are taken",
              LOG_STR("agent", stored->id), LOG_Z("cause", why));
    return false;
}

static void on_stored_agents(void *arg, const struct store_agent_spec *stored, size_t n)
{
    struct gateway *g = arg;
    struct agent_defaults d = agents_defaults(g);
    struct agent_spec *first = NULL, **last = &first;
    struct dispatch_change change;
    struct arena arena;

    arena_init(&arena, MB(64));
    for (size_t i = 0; i < n; i++) {
        struct agent_spec *spec = arena_take(&arena, sizeof *spec);

        if (!spec || !read_stored(&stored[i], &d, &arena, spec))
            continue;
        spec->next = NULL;
        *last = spec;
        last = &spec->next;
    }
    dispatch_put(g->dispatch, "api", first, &change);
    arena_release(&arena);
    if (change.added || change.changed || change.removed)
        log_event(LOG_INFO, "agents read", LOG_Z("source", "api"),
                  LOG_U64("added", change.added), LOG_U64("changed", change.changed),
                  LOG_U64("removed", change.removed), LOG_U64("kept", change.kept));
}

int agents_start(struct gateway *g)
{
    struct agents_watch *w;

    g->exit_code = EXIT_CONFIG;
    store_on_agents(g->store, on_stored_agents, g);
    if (take_remote(g))
        return ERR_INVALID;
    if (g->config->agents_file[0]) {
        w = MEM_NEW(struct agents_watch);
        w->gateway = g;
        w->path = g->config->agents_file;
        timer_init(&w->settle, on_settled, w);
        if (load(w, true)) {
            mem_free(w);
            return ERR_INVALID;
        }
        g->agents = w;
        watch_folder(w);
    }
    g->exit_code = EXIT_OK;
    return 0;
}

void agents_reload(struct gateway *g)
{
    if (!g->agents) {
        log_event(LOG_INFO, "SIGHUP: no agents file to read again");
        return;
    }
    log_event(LOG_INFO, "reading the agents file again", LOG_Z("file", g->agents->path));
    on_settled(NULL, g->agents);
}

static void on_event_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void agents_stop(struct gateway *g)
{
    if (!g->agents)
        return;
    timer_stop(g->loop, &g->agents->settle);
    uv_close((uv_handle_t *)&g->agents->event, on_event_closed);
    g->agents = NULL;
}
