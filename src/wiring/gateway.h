/* SPDX-License-Identifier: MIT
 *
 * The gateway: all stations of one process, joined. Everything that lives hangs from here; nothing is global.
 */
#ifndef WIRING_GATEWAY_H
#define WIRING_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>

#include "accept/accept.h"
#include "binding/binding.h"
#include "call/call.h"
#include "dispatch/dispatch.h"
#include "egress/egress.h"
#include "follow/follow.h"
#include "lib/loop.h"
#include "store/store.h"
#include "wiring/config.h"

/* Exit codes of the program (sysexits.h where one fits). */
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 64,
    EXIT_UNAVAILABLE = 69,
    EXIT_CONFIG = 78,
};

struct demo;
struct agents_watch;

struct gateway {
    const struct config *config; /* borrowed from main */
    struct loop *loop;           /* all owned from here on */
    struct egress *egress;
    struct dispatch *dispatch;
    struct store *store;
    struct follow *follow;
    struct feeds *feeds;
    struct webhooks *webhooks;
    struct calls *calls;
    struct binding *binding;
    struct server *server;
    struct demo *demo;           /* NULL without --demo */
    struct agents_watch *agents; /* NULL without an agents file */
    uv_signal_t signals[3];      /* SIGTERM, SIGINT, SIGHUP */
    struct timer lag_report;
    struct timer give_up; /* stopping: the end of patience with calls in flight */
    uint64_t started_ms;
    int exit_code;
    bool store_was_up, is_stopping;
    bool server_drained, calls_drained, webhooks_drained, store_is_closing, store_closed;
};

/* Runs a gateway until it is told to stop; returns the process's exit code. */
int gateway_run(const struct config *config);

/* Pages for people and machines: /, /health, /health/live, /health/ready (pages.c). */
void pages_add(struct gateway *g);

/* The agents that the configuration names, from AGENTS_FILE and A2A_REMOTE_URL (agents_watch.c). */
MUST_CHECK int agents_start(struct gateway *g); /* ERR_INVALID: said on stderr, exit 78 */
void agents_reload(struct gateway *g);          /* SIGHUP, or the file changed */
void agents_stop(struct gateway *g);
struct agent_defaults agents_defaults(const struct gateway *g);

/* The demo agent as a child process (demo.c). */
MUST_CHECK int demo_start(struct gateway *g);
void demo_stop(struct gateway *g);

/* `superx demo-agent`: a scripted A2A agent (demo_agent.c). */
int demo_agent_run(int argc, char **argv);

#endif
