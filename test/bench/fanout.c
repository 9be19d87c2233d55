/* SPDX-License-Identifier: MIT
 *
 * What a gateway's fan-out is measured against: the least a libuv program can do to tell many readers of one thing.
 *
 *     fanout RATE SECONDS READERS BYTES
 *
 * Waits for so many connections, answers each request with the head of an event stream, then writes one event of
 * BYTES to all of them, RATE times a second: one uv_try_write per reader and event. No parsing, no store, no
 * translation, no slow readers: who does not take an event at once is an error. Prints `port N`, and at the end
 * `told EVENTS`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                           "transfer-encoding: chunked\r\n\r\n";

static uv_loop_t *loop;
static uv_timer_t ticker;
static uv_tcp_t *readers;
static long rate, seconds, n_wanted, n_readers, n_bytes, n_events;
static unsigned long long n_told;

static void die(const char *what, int err)
{
    fprintf(stderr, "fanout: %s: %s\n", what, uv_strerror(err));
    exit(1);
}

static void make_room(uv_handle_t *handle, size_t size, uv_buf_t *out)
{
    static char room[65536];

    (void)handle;
    (void)size;
    *out = uv_buf_init(room, sizeof room);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
    (void)bytes;
    if (n < 0)
        uv_read_stop(stream);
}

/* The event carries the time, so that its readers can say how old it is. */
static size_t write_event(char *out, size_t max)
{
    struct timespec now;
    int n, size;
    char text[8192];

    clock_gettime(CLOCK_MONOTONIC, &now);
    n = snprintf(text, sizeof text, "id: %ld\ndata: {\"t\":\"@%lld@\",\"x\":\"", n_events,
                 (long long)now.tv_sec * 1000000000 + now.tv_nsec);
    while (n < n_bytes - 4 && n < (int)sizeof text - 8)
        text[n++] = 'x';
    n += snprintf(text + n, sizeof text - (size_t)n, "\"}\n\n");
    size = snprintf(out, max, "%x\r\n%.*s\r\n", (unsigned)n, n, text);
    return (size_t)size;
}

static void on_tick(uv_timer_t *timer)
{
    static uint64_t begun;
    static char event[16384];
    uint64_t now = uv_hrtime();

    if (!begun)
        begun = now;
    while ((double)n_events < (double)(now - begun) / 1e9 * (double)rate) {
        uv_buf_t bytes;

        n_events++;
        bytes = uv_buf_init(event, (unsigned)write_event(event, sizeof event));
        for (long i = 0; i < n_readers; i++) {
            int n = uv_try_write((uv_stream_t *)&readers[i], &bytes, 1);

            if (n != (int)bytes.len)
                die("a reader does not keep up", n < 0 ? n : UV_EAGAIN);
            n_told++;
        }
    }
    if (now - begun > (uint64_t)seconds * 1000000000u) {
        printf("told %llu\n", n_told);
        fflush(stdout);
        uv_timer_stop(timer);
        exit(0);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    uv_buf_t bytes = uv_buf_init((char *)head, sizeof head - 1);
    uv_tcp_t *reader;
    int err;

    if (status || n_readers == n_wanted)
        return;
    reader = &readers[n_readers];
    uv_tcp_init(loop, reader);
    if ((err = uv_accept(listener, (uv_stream_t *)reader)))
        die("accept", err);
    uv_tcp_nodelay(reader, 1);
    uv_read_start((uv_stream_t *)reader, make_room, on_read);
    if (uv_try_write((uv_stream_t *)reader, &bytes, 1) != (int)bytes.len)
        die("head", UV_EAGAIN);
    if (++n_readers == n_wanted)
        uv_timer_start(&ticker, on_tick, 500, 1);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address;
    struct sockaddr_storage bound;
    int n = sizeof bound, err;
    uv_tcp_t listener;

    if (argc != 5)
        return 64;
    rate = atol(argv[1]);
    seconds = atol(argv[2]);
    n_wanted = atol(argv[3]);
    n_bytes = atol(argv[4]);
    readers = calloc((size_t)n_wanted, sizeof *readers);
    loop = uv_default_loop();
    uv_timer_init(loop, &ticker);
    uv_tcp_init(loop, &listener);
    uv_ip4_addr("127.0.0.1", 0, &address);
    if ((err = uv_tcp_bind(&listener, (struct sockaddr *)&address, 0)) ||
        (err = uv_listen((uv_stream_t *)&listener, 4096, on_connection)) ||
        (err = uv_tcp_getsockname(&listener, (struct sockaddr *)&bound, &n)))
        die("listen", err);
    printf("port %u\n", (unsigned)ntohs(((struct sockaddr_in *)&bound)->sin_port));
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
