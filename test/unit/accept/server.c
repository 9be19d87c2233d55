/* SPDX-License-Identifier: MIT
 *
 * The listener and its limits, the drain, the end.
 */
#include <fcntl.h>
#include <sys/resource.h>

#include "rig.h"

static int try_open(struct rig *rig, const char *host, uint16_t port, char why[256])
{
    struct server_config config = rig_config;
    struct server *s = NULL;
    int err;

    config.host = host;
    config.port = port;
    why[0] = '\0';
    err = server_open(rig->loop, &config, rig_on_request, rig, &s, why);
    server_close(s);
    rig_rest(rig);
    return err;
}

TEST(what_cannot_be_listened_on_is_explained)
{
    struct rig rig;
    char why[256], want[64];

    rig_open(&rig);
    CHECK_INT(try_open(&rig, "127.0.0.1", server_port(rig.server), why), ERR_CONFLICT);
    snprintf(want, sizeof want, "port %u is in use: set PORT", server_port(rig.server));
    CHECK(strstr(why, want) == why);
    CHECK(strstr(why, "ss -ltnp") != NULL);
    CHECK_INT(try_open(&rig, "localhost", 0, why), ERR_INVALID);
    CHECK(strstr(why, "'localhost'") && strstr(why, "LISTEN"));
    CHECK_INT(try_open(&rig, "", 0, why), ERR_INVALID);
    CHECK_INT(try_open(&rig, "192.0.2.1", 0, why), ERR_INVALID); /* RFC 5737: nobody's */
    CHECK(strstr(why, "not an address of this machine"));
    rig_close(&rig);
}

TEST(a_port_is_free_again_at_once)
{
    struct rig rig;
    struct client c;
    uint16_t port;
    char why[256];

    rig_open(&rig);
    client_open(&c, &rig);
    client_send(&c, STR("GET / HTTP/1.0\r\n\r\n")); /* we close first: TIME_WAIT is ours */
    CHECK(client_until_eof(&c));
    client_close(&c);
    port = server_port(rig.server);
    server_close(rig.server);
    rig.server = NULL;
    rig_rest(&rig);
    CHECK_INT(try_open(&rig, "127.0.0.1", port, why), 0);
    CHECK_STR(str_of(why), STR(""));
    rig_close(&rig);
}

TEST(ipv6_any_takes_both)
{
    struct server_config config = rig_config;
    struct rig rig;
    struct client c;
    char why[256];

    rig_open(&rig);
    if (try_open(&rig, "::", 0, why)) { /* a machine without IPv6 */
        CHECK(strstr(why, "LISTEN") || strstr(why, "cannot listen"));
        rig_close(&rig);
        return;
    }
    rig_close(&rig);
    config.host = "::";
    rig_open_with(&rig, &config);
    client_open(&c, &rig);
    client_send(&c, GET("/by-ipv4"));
    CHECK(client_until(&c, "GET /by-ipv4 \n", 1));
    client_close(&c);
    rig_close(&rig);
}

/* --- limits --------------------------------------------------------------------------------------- */

TEST(one_connection_too_many)
{
    struct server_config config = rig_config;
    struct server_figures figures;
    struct client c[3];
    struct rig rig;

    config.max_connections = 2;
    rig_open_with(&rig, &config);
    for (int i = 0; i < 2; i++) {
        client_open(&c[i], &rig);
        client_send(&c[i], GET("/in"));
        CHECK(client_until(&c[i], "GET /in \n", 1));
    }
    client_open(&c[2], &rig);
    client_send(&c[2], GET("/out"));
    CHECK(client_until_eof(&c[2]) && !c[2].is_reset);
    CHECK(client_has(&c[2], "HTTP/1.1 503 Service Unavailable\r\n"));
    CHECK(client_has(&c[2], "\r\nretry-after: 1\r\n") &&
          client_has(&c[2], "\r\nconnection: close\r\n"));
    CHECK(client_has(&c[2], "\r\ncontent-length: 42\r\n") &&
          client_has(&c[2], "connections\n"));
    server_figures(rig.server, &figures);
    CHECK_INT(figures.connections, 2);
    CHECK_INT(figures.accepted, 3);
    CHECK_INT(figures.refused, 1);
    CHECK_INT(rig.n_requests, 2);
    client_close(&c[2]);
    client_close(&c[0]);
    rig_rest(&rig);
    client_open(&c[0], &rig);
    client_send(&c[0], GET("/again"));
    CHECK(client_until(&c[0], "GET /again \n", 1));
    client_close(&c[0]);
    client_close(&c[1]);
    rig_close(&rig);
}

/* What lingers is bounded: the 257th of one second is closed at once. */
TEST(lingering_is_bounded)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    for (int i = 0; i < 260; i++) {
        client_open(&c, &rig);
        client_send(&c, STR("GET /n HTTP/1.0\r\n\r\n"));
        CHECK(client_until(&c, "GET /n \n", 1));
        if (i == 255)
            CHECK_INT(rig.server->n_lingering, 256);
        CHECK(client_until_eof(&c));
        client_close(&c);
    }
    CHECK_INT(rig.server->n_lingering, 260); /* asked for, that is */
    rig_close(&rig);
}

/* Takes all descriptors up to a low limit; returns the limit to put back. */
static struct rlimit use_up_descriptors(int fds[64], int *n)
{
    struct rlimit old, low;

    getrlimit(RLIMIT_NOFILE, &old);
    low = old;
    low.rlim_cur = 60;
    setrlimit(RLIMIT_NOFILE, &low);
    for (*n = 0; *n < 64; (*n)++) {
        fds[*n] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fds[*n] < 0)
            break;
    }
    return old;
}

static void run_out_of_descriptors(bool with_spare)
{
    int fds[64], n = 0;
    struct rlimit old;
    struct rig rig;
    struct client before, during, after;

    rig_open(&rig);
    client_open(&before, &rig);
    rig_rest(&rig);
    client_open(&during, &rig);
    if (!with_spare) { /* as if another thread had taken the one libuv keeps in reserve */
        close(loop_uv(rig.loop)->emfile_fd);
        loop_uv(rig.loop)->emfile_fd = -1;
    }
    old = use_up_descriptors(fds, &n);
    CHECK(n > 0);
    client_send(&before, GET("/goes-on"));
    CHECK(client_until(&before, "GET /goes-on \n", 1));
    CHECK(timer_is_on(&rig.server->resume) == !with_spare);
    rig_pass(&rig, 100); /* tries again, in vain */
    while (n > 0)
        close(fds[--n]);
    setrlimit(RLIMIT_NOFILE, &old);
    rig_pass(&rig, 100);
    client_open(&after, &rig);
    client_send(&after, GET("/recovered"));
    CHECK(client_until(&after, "GET /recovered \n", 1));
    if (!with_spare) { /* who came meanwhile has only waited */
        client_send(&during, GET("/patient"));
        CHECK(client_until(&during, "GET /patient \n", 1));
    }
    client_close(&before);
    client_close(&during);
    client_close(&after);
    rig_close(&rig);
}

TEST(running_out_of_descriptors_is_survived)
{
    run_out_of_descriptors(true);
    run_out_of_descriptors(false);
}

TEST(opening_without_descriptors_is_explained)
{
    int fds[64], n = 0;
    struct rlimit old;
    struct rig rig;
    char why[256];

    rig_open(&rig);
    rig_rest(&rig);
    old = use_up_descriptors(fds, &n);
    CHECK_INT(try_open(&rig, "127.0.0.1", 0, why), ERR_IO);
    CHECK(strstr(why, "Too many open files") != NULL);
    close(fds[--n]); /* enough for the socket, not for the duplicate */
    CHECK_INT(try_open(&rig, "127.0.0.1", 0, why), ERR_IO);
    CHECK(strstr(why, "raise 'ulimit -n'") != NULL);
    while (n > 0)
        close(fds[--n]);
    setrlimit(RLIMIT_NOFILE, &old);
    CHECK_INT(try_open(&rig, "127.0.0.1", 0, why), 0);
    rig_close(&rig);
}

/* An idle connection owns no parser, and all share a few. */
TEST(parsers_are_shared)
{
    struct client c[20];
    struct rig rig;

    rig_open(&rig);
    for (int i = 0; i < 20; i++) {
        client_open(&c[i], &rig);
        client_send(&c[i], GET("/"));
        CHECK(client_until(&c[i], "GET / \n", 1));
    }
    CHECK_INT(rig.server->n_peers, 20);
    CHECK_INT(rig.server->n_spare, 1);
    for (int i = 0; i < 20; i++) {
        client_send(&c[i], STR("GET /half"));
        rig_rest(&rig);
    }
    CHECK_INT(rig.server->n_spare, 0);
    for (int i = 0; i < 20; i++) {
        client_reset(&c[i]); /* in the middle of a head: the parser comes back reset */
        rig_rest(&rig);
    }
    CHECK_INT(rig.server->n_spare, 20);
    client_open(&c[0], &rig);
    client_send(&c[0], GET("/fresh"));
    CHECK(client_until(&c[0], "GET /fresh \n", 1));
    client_close(&c[0]);
    rig_close(&rig);
}

/* --- drain ---------------------------------------------------------------------------------------- */

TEST(draining_an_empty_server)
{
    struct rig rig;

    rig_open(&rig);
    server_drain(rig.server, 1000, rig_on_drained, &rig);
    CHECK_INT(rig.n_drained, 0); /* never from inside */
    rig_rest(&rig);
    CHECK_INT(rig.n_drained, 1);
    rig_pass(&rig, 2000);
    CHECK_INT(rig.n_drained, 1);
    rig_close(&rig);
}

TEST(a_drain_closes_the_idle_and_waits_for_the_rest)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct client idle, busy, half;
    struct rig rig;
    int fd;

    rig_open(&rig);
    rig.mode = RIG_HOLD;
    to.sin_port = htons(server_port(rig.server));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client_open(&idle, &rig);
    client_open(&busy, &rig);
    client_send(&busy, GET("/busy"));
    client_open(&half, &rig);
    client_send(&half, STR("GET /half HTTP/1.1\r\n"));
    CHECK(rig_until_requests(&rig, 1));
    rig_rest(&rig);
    server_drain(rig.server, 5000, rig_on_drained, &rig);
    CHECK(client_until_eof(&idle) && idle.got.n == 0 && !idle.is_reset);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno == ECONNREFUSED);
    close(fd);
    client_send(&half, STR("Host: h\r\n\r\n"));
    CHECK(rig_until_requests(&rig, 2));
    rig_echo(rig.held[1]);
    CHECK(client_until_eof(&half) && client_has(&half, "GET /half \n"));
    CHECK(client_has(&half, "connection: close\r\n"));
    CHECK_INT(rig.n_drained, 0);
    rig_echo(rig.held[0]);
    CHECK(client_until_eof(&busy) && client_has(&busy, "GET /busy \n"));
    CHECK(client_has(&busy, "connection: close\r\n"));
    CHECK_INT(rig.n_drained, 1);
    client_close(&idle);
    client_close(&busy);
    client_close(&half);
    rig_close(&rig);
}

TEST(a_drain_has_an_end)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    rig.mode = RIG_HOLD;
    client_open(&c, &rig);
    client_send(&c, GET("/"));
    CHECK(rig_until_requests(&rig, 1));
    server_drain(rig.server, 5000, rig_on_drained, &rig);
    rig_pass(&rig, 4999);
    CHECK_INT(rig.n_drained, 0);
    rig_pass(&rig, 1);
    CHECK_INT(rig.n_drained, 1);
    CHECK_INT(rig.n_gone, 0);
    server_close(rig.server);
    CHECK_INT(rig.n_gone, 1);
    rig.server = NULL;
    CHECK(client_until_eof(&c));
    client_close(&c);
    rig_close(&rig);
    CHECK_INT(rig.n_drained, 1);
}

TEST(a_drain_waits_until_the_bytes_have_left)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    rig.mode = RIG_BIG;
    rig.big = MB(16);
    client_open(&c, &rig);
    client_send(&c, GET("/"));
    CHECK(rig_until_requests(&rig, 1));
    rig_rest(&rig);
    server_drain(rig.server, 50000, rig_on_drained, &rig);
    rig_pass(&rig, 1000);
    CHECK_INT(rig.n_drained, 0);
    for (int i = 0; i < 100000 && !rig.n_drained; i++) {
        client_take(&c);
        /* the answer was written before the drain: somebody has to look from time to time */
        rig_ms++;
        rig_turn(&rig);
    }
    CHECK_INT(rig.n_drained, 1);
    CHECK(client_until_eof(&c) && c.got.n > MB(16));
    client_close(&c);
    rig_close(&rig);
}

static void close_on_drained(void *arg)
{
    struct rig *rig = arg;

    rig->n_drained++;
    server_close(rig->server);
    rig->server = NULL;
}

TEST(on_drained_may_close_the_server)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    rig.mode = RIG_HOLD;
    client_open(&c, &rig);
    client_send(&c, GET("/"));
    CHECK(rig_until_requests(&rig, 1));
    server_drain(rig.server, 5000, close_on_drained, &rig);
    rig_echo(rig.held[0]);
    CHECK(client_until_eof(&c) && client_has(&c, "GET / \n"));
    CHECK_INT(rig.n_drained, 1);
    client_close(&c);
    rig_close(&rig);
}

TEST_MAIN
