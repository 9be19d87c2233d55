/* SPDX-License-Identifier: MIT
 *
 * Many readers of event streams in one thread.
 *
 *     readers PORT PATH COUNT STALLED SECONDS <request body
 *
 * Opens COUNT streams with the same request, and STALLED more that read only the head and then nothing. Prints `open` when
 * all heads have come, and SECONDS after it, or when all streams have ended, one line of JSON: how many events have come
 * since then, and how old they were, from the "@nanoseconds@" of the monotonic clock that an event carries. Events without
 * one are only counted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 512
#define AGES_MAX 8000000u

struct reader {
    int fd;
    bool is_stalled, has_head;
    unsigned char newlines; /* in a row */
    unsigned char at_state; /* inside @...@ */
    uint64_t stamp;
};

static struct reader *readers;
static uint32_t *ages_us;
static size_t n_ages, n_events, n_open, n_heads;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void note_age(uint64_t stamp, uint64_t now)
{
    if (n_ages < AGES_MAX && stamp < now)
        ages_us[n_ages++] = (uint32_t)((now - stamp) / 1000);
}

/* Counts what begins with "data:" behind a line's end, and reads stamps. */
static void take(struct reader *r, const char *p, size_t n, uint64_t now)
{
    for (size_t i = 0; i < n; i++) {
        char c = p[i];

        if (c == '@') {
            if (r->at_state)
                note_age(r->stamp, now);
            r->at_state = !r->at_state;
            r->stamp = 0;
        } else if (r->at_state && c >= '0' && c <= '9') {
            r->stamp = r->stamp * 10 + (uint64_t)(c - '0');
        } else {
            r->at_state = 0;
        }
        if (c == '\n')
            r->newlines++;
        else
            r->newlines = 0;
        if (r->newlines == 2)
            n_events++;
    }
}

static void on_readable(struct reader *r, int epoll)
{
    char room[65536];
    ssize_t n = recv(r->fd, room, r->is_stalled ? 512 : sizeof room, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        close(r->fd);
        r->fd = -1;
        n_open--;
        return;
    }
    if (!r->has_head) {
        r->has_head = true; /* the head comes in one piece */
        n_heads++;
        if (strncmp(room, "HTTP/1.1 200", 12) != 0) {
            fprintf(stderr, "readers: %.*s\n", (int)n, room);
            exit(1);
        }
    }
    if (r->is_stalled)
        epoll_ctl(epoll, EPOLL_CTL_DEL, r->fd, NULL);
    else
        take(r, room, (size_t)n, now_ns());
}

static void open_reader(struct reader *r, int epoll, int port, const char *request, size_t n)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = r};
    int one = 1, small = 4096;

    r->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (r->fd < 0)
        die("socket");
    if (r->is_stalled)
        setsockopt(r->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (connect(r->fd, (struct sockaddr *)&to, sizeof to))
        die("connect");
    setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (send(r->fd, request, n, 0) != (ssize_t)n)
        die("send");
    fcntl(r->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, r->fd, &event))
        die("epoll_ctl");
    n_open++;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static double age_ms(double share)
{
    return n_ages ? ages_us[(size_t)((double)(n_ages - 1) * share)] / 1e3 : 0;
}

static void report(void)
{
    qsort(ages_us, n_ages, sizeof *ages_us, compare);
    printf(
        "{\"events\":%zu,\"timed\":%zu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"open\":%zu}\n",
        n_events, n_ages, age_ms(0.5), age_ms(0.99), age_ms(1), n_open);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char body[65536], request[70000];
    struct epoll_event events[BATCH];
    struct rlimit files;
    size_t n_body, n_readers, n_stalled;
    uint64_t until = UINT64_MAX;
    int epoll = epoll_create1(0), n, seconds;
    bool told_open = false;

    if (argc != 6 || epoll < 0)
        return 64;
    n_readers = (size_t)atol(argv[3]);
    n_stalled = (size_t)atol(argv[4]);
    seconds = atoi(argv[5]);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    n_body = fread(body, 1, sizeof body, stdin);
    n = snprintf(request, sizeof request,
                 "POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                 "accept: text/event-stream\r\ncontent-length: %zu\r\n\r\n%.*s",
                 argv[2], n_body, (int)n_body, body);
    readers = calloc(n_readers + n_stalled, sizeof *readers);
    ages_us = malloc(AGES_MAX * sizeof *ages_us);
    for (size_t i = 0; i < n_readers + n_stalled; i++) {
        readers[i].is_stalled = i >= n_readers;
        open_reader(&readers[i], epoll, atoi(argv[1]), request, (size_t)n);
    }
    while (n_open && now_ns() < until) {
        int got = epoll_wait(epoll, events, BATCH, 100);

        for (int i = 0; i < got; i++)
            on_readable(events[i].data.ptr, epoll);
        if (!told_open && n_heads == n_readers + n_stalled) {
            told_open = true;
            n_events = n_ages = 0; /* snapshots, whose events are old */
            printf("open\n");
            fflush(stdout);
            until = now_ns() + (uint64_t)seconds * 1000000000u;
        }
    }
    report();
    return 0;
}
