/* SPDX-License-Identifier: MIT
 *
 * `--demo`: a real A2A agent as a child process, registered under the ids "demo" (A2A 1.0) and "demo-0.3". Which
 * version each speaks, and where, the gateway learns as with any other agent: from its card.
 *
 * The child listens on a free loopback port, says which on its standard output, and dies with us: the kernel sends
 * it SIGKILL when we go, however we go. Demo agents are never stored, and are refused with a database on another
 * machine, because their ids would mean nothing to its other users.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "wiring/gateway.h"

struct demo {
    pid_t pid;
};

static void child(int out, pid_t parent, const sigset_t *mask)
{
    char name[] = "superx", command[] = "demo-agent", flag[] = "--port", any[] = "0";
    char *argv[] = {name, command, flag, any, NULL};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* The parent may have gone before prctl(): then nobody will send the signal. */
    if (getppid() != parent)
        _exit(1);
    dup2(out, STDOUT_FILENO);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    /* A terminal interrupts us both; the gateway then waits for calls that are answered here. */
    signal(SIGINT, SIG_IGN);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execv("/proc/self/exe", argv);
    _exit(127);
}

/* Waits for the child's "port N" line; it comes within milliseconds or the pipe closes. Blocking here is fine:
 * the loop does not run yet. */
static int read_port(int in, uint16_t *port)
{
    char line[64];
    size_t n = 0;
    unsigned value;

    while (n < sizeof line - 1) {
        ssize_t got = read(in, line + n, sizeof line - 1 - n);

        if (got <= 0)
            break;
        n += (size_t)got;
        if (memchr(line, '\n', n))
            break;
    }
    line[n] = '\0';
    if (sscanf(line, "port %5u", &value) != 1 || value == 0 || value > 65535)
        return ERR_IO;
    *port = (uint16_t)value;
    return 0;
}

/* Until the child has its own handlers no signal may run ours in it: they would write to the parent's loop. */
static pid_t start_child(int out)
{
    pid_t parent = getpid(), pid;
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0)
        child(out, parent, &before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid;
}

static void register_agents(struct gateway *g, uint16_t port)
{
    char old_url[64], new_url[64];
    struct agent_defaults d = agents_defaults(g);
    struct agent_spec old = agent_spec_default(&d), new = old;
    struct dispatch_change change;

    old.id = STR("demo-0.3");
    snprintf(old_url, sizeof old_url, "http://127.0.0.1:%u/0.3/", (unsigned)port);
    snprintf(new_url, sizeof new_url, "http://127.0.0.1:%u/1.0/", (unsigned)port);
    old.url = str_of(old_url);
    new.id = STR("demo");
    new.url = str_of(new_url);
    new.next = &old;
    dispatch_put(g->dispatch, "demo", &new, &change);
}

int demo_start(struct gateway *g)
{
    uint16_t port;
    int pipe_fds[2], err;

    if (!store_is_local(g->store)) {
        fprintf(stderr, "superx: --demo is refused with a database on another machine (%s)\n",
                store_describe(g->store));
        g->exit_code = EXIT_CONFIG;
        return ERR_INVALID;
    }
    if (pipe2(pipe_fds, O_CLOEXEC))
        return ERR_IO;
    g->demo = MEM_NEW(struct demo);
    g->demo->pid = start_child(pipe_fds[1]);
    close(pipe_fds[1]);
    err = g->demo->pid < 0 ? ERR_IO : read_port(pipe_fds[0], &port);
    close(pipe_fds[0]);
    if (err) {
        fprintf(stderr, "superx: the demo agent did not start\n");
        demo_stop(g);
        g->exit_code = EXIT_FAILED;
        return err;
    }
    register_agents(g, port);
    log_event(LOG_INFO, "demo agent runs", LOG_U64("pid", g->demo->pid), LOG_U64("port", port));
    return 0;
}

void demo_stop(struct gateway *g)
{
    if (!g->demo)
        return;
    if (g->demo->pid > 0) {
        kill(g->demo->pid, SIGKILL);
        waitpid(g->demo->pid, NULL, 0);
    }
    mem_free(g->demo);
    g->demo = NULL;
}
