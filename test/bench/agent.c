/* SPDX-License-Identifier: MIT
 *
 * The agent of the bench: answers message/send (A2A 0.3) as fast as one thread can, so that what stands in front of
 * it is what is measured.
 *
 *     POST /message    a message, nothing to store
 *     POST /task       a completed task of its own, a document of about 1 KB
 *
 * It trusts its callers, which are the gateway, nginx and wrk on loopback: the head is searched for its
 * Content-Length and the body for its first "id", and nothing else is looked at; a GET gets 404. Requests may come in pieces and
 * pipelined; one that does not fit the buffer ends its connection. It prints `port N` and runs until it is killed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX 16384
#define ANSWER_MAX 4096
#define ID_MAX 128
#define EVENTS 256
#define BACKLOG 1024
#define TASK_PADDING 731 /* brings the task to 1 KB */

struct peer {
    int fd;
    size_t n;
    char in[REQUEST_MAX + 1]; /* always ends in NUL, for strstr */
};

static char padding[TASK_PADDING + 1];
static char run[32]; /* makes task ids differ from those of an earlier run */
static unsigned long long n_answers;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* The JSON-RPC id as it stands in the body; "null" if there is none. */
static void find_id(const char *body, char out[ID_MAX + 1])
{
    const char *at = strstr(body, "\"id\":");
    size_t n;

    at = at ? at + strlen("\"id\":") : "null";
    at += strspn(at, " ");
    n = at[0] == '"' ? strcspn(at + 1, "\"") + 2 : strcspn(at, ",} ");
    if (n > ID_MAX)
        n = ID_MAX;
    memcpy(out, at, n);
    out[n] = '\0';
}

static int write_result(char *out, size_t max, const char *id, bool is_task)
{
    unsigned long long n = ++n_answers;

    if (!is_task)
        return snprintf(out, max,
                        "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"kind\":\"message\","
                        "\"messageId\":\"answer-%010llu\",\"role\":\"agent\","
                        "\"parts\":[{\"kind\":\"text\",\"text\":\"hi\"}]}}",
                        id, n);
    return snprintf(
        out, max,
        "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"kind\":\"task\",\"id\":\"bench-%s-%010llu\","
        "\"contextId\":\"context-%s-%010llu\",\"status\":{\"state\":\"completed\","
        "\"timestamp\":\"2026-01-02T03:04:05.678Z\"},\"artifacts\":[{\"artifactId\":\"1\","
        "\"name\":\"result\",\"parts\":[{\"kind\":\"text\",\"text\":\"%s\"}]}],"
        "\"metadata\":{\"model\":\"none\",\"tokens\":1234}}}",
        id, run, n, run, n, padding);
}

/* The gateway looks for a card; there is none. */
static bool answer_no_card(struct peer *p)
{
    static const char text[] = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";

    return send(p->fd, text, sizeof text - 1, MSG_NOSIGNAL) == (ssize_t)(sizeof text - 1);
}

/* Answers what stands in in[0..length), which is a whole request. */
static bool answer(struct peer *p, const char *body)
{
    char id[ID_MAX + 1], text[ANSWER_MAX], out[2 * ANSWER_MAX];
    bool is_task = strncmp(p->in, "POST /task", strlen("POST /task")) == 0;
    int n_text, n;

    if (strncmp(p->in, "GET ", 4) == 0)
        return answer_no_card(p);
    find_id(body, id);
    n_text = write_result(text, sizeof text, id, is_task);
    n = snprintf(
        out, sizeof out,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s",
        n_text, text);
    /* Answers are far smaller than a socket's buffer, so a short write means a dead peer. */
    return send(p->fd, out, (size_t)n, MSG_NOSIGNAL) == n;
}

/* Answers the requests that are whole. False: the connection is of no more use. */
static bool take_requests(struct peer *p)
{
    while (true) {
        char *end = strstr(p->in, "\r\n\r\n"), *field, *body, after;
        size_t whole;

        if (!end)
            return p->n < REQUEST_MAX;
        body = end + 4;
        field = strcasestr(p->in, "\r\ncontent-length:");
        whole = (size_t)(body - p->in);
        if (field && field < end)
            whole += strtoul(field + strlen("\r\ncontent-length:"), NULL, 10);
        if (whole > REQUEST_MAX)
            return false;
        if (p->n < whole)
            return true;
        after = p->in[whole];
        p->in[whole] = '\0';
        if (!answer(p, body))
            return false;
        p->in[whole] = after;
        p->n -= whole;
        memmove(p->in, p->in + whole, p->n + 1);
    }
}

static void drop(struct peer *p)
{
    close(p->fd);
    free(p);
}

static void on_readable(struct peer *p)
{
    ssize_t n = recv(p->fd, p->in + p->n, REQUEST_MAX - p->n, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop(p);
        return;
    }
    p->n += (size_t)n;
    p->in[p->n] = '\0';
    if (!take_requests(p))
        drop(p);
}

static void on_connection(int listener, int epoll)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), one = 1;
    struct peer *p;
    struct epoll_event event = {.events = EPOLLIN};

    if (fd < 0)
        return;
    p = calloc(1, sizeof *p);
    if (!p)
        die("calloc");
    p->fd = fd;
    event.data.ptr = p;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        drop(p);
}

static int open_listener(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, n) || listen(fd, BACKLOG) ||
        getsockname(fd, (struct sockaddr *)&address, &n))
        die("listen");
    printf("port %u\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(void)
{
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN};
    int listener = open_listener(), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(run, sizeof run, "%llx",
             (unsigned long long)now.tv_sec * 1000 + (unsigned long long)now.tv_nsec / 1000000);
    memset(padding, 'x', TASK_PADDING);
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event))
        die("epoll");
    while (true) {
        int n = epoll_wait(epoll, events, EVENTS, -1);

        /* One event per peer and turn, so that nobody is dropped who still has one waiting. */
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                on_readable(events[i].data.ptr);
            else
                on_connection(listener, epoll);
        }
    }
}
