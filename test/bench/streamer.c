/* SPDX-License-Identifier: MIT
 *
 * The streaming agent of the bench (A2A 0.3): every message/stream becomes a task that tells what its text says,
 *
 *     RATE SECONDS BYTES     artifact updates of about BYTES, RATE a second, for SECONDS; then completed
 *     0 0 0                  the task, and nothing more
 *
 * Each update carries the time it was written ("@nanoseconds@" of the monotonic clock). It trusts its callers, as
 * agent.c does. Prints `port N` and runs until it is killed.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#define REQUEST_MAX 16384
#define EVENT_MAX 65536

struct peer {
    uv_tcp_t tcp;
    uv_timer_t timer;
    size_t n;
    char in[REQUEST_MAX + 1];
    char id[128]; /* of the request */
    unsigned long long task;
    double rate;
    long seconds, bytes, n_told;
    uint64_t begun;
    int n_open; /* handles */
};

static uv_loop_t *loop;
static unsigned long long n_tasks;

static void on_closed(uv_handle_t *handle)
{
    struct peer *p = handle->data;

    if (--p->n_open == 0)
        free(p);
}

static void drop(struct peer *p)
{
    if (uv_is_closing((uv_handle_t *)&p->tcp))
        return;
    uv_close((uv_handle_t *)&p->tcp, on_closed);
    uv_close((uv_handle_t *)&p->timer, on_closed);
}

static bool put(struct peer *p, const char *text, size_t n)
{
    uv_buf_t bytes = uv_buf_init((char *)text, (unsigned)n);

    if (uv_try_write((uv_stream_t *)&p->tcp, &bytes, 1) == (int)n)
        return true;
    fprintf(stderr, "streamer: the gateway does not keep up\n");
    drop(p);
    return false;
}

static bool put_event(struct peer *p, const char *result)
{
    static char event[EVENT_MAX + 512], chunk[EVENT_MAX + 1024];
    int n = snprintf(event, sizeof event,
                     "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s}\n\n", p->id, result);

    n = snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n", (unsigned)n, event);
    return put(p, chunk, (size_t)n);
}

static bool put_update(struct peer *p)
{
    static char result[EVENT_MAX];
    struct timespec now;
    int n;

    clock_gettime(CLOCK_MONOTONIC, &now);
    n = snprintf(
        result, sizeof result,
        "{\"kind\":\"artifact-update\",\"taskId\":\"t-%llu\",\"contextId\":\"c-%llu\","
        "\"append\":%s,\"lastChunk\":false,\"artifact\":{\"artifactId\":\"a\",\"parts\":"
        "[{\"kind\":\"text\",\"text\":\"@%lld@",
        p->task, p->task, p->n_told ? "true" : "false",
        (long long)now.tv_sec * 1000000000 + now.tv_nsec);
    while (n < p->bytes && n < EVENT_MAX - 16)
        result[n++] = 'x';
    snprintf(result + n, sizeof result - (size_t)n, "\"}]}}");
    p->n_told++;
    return put_event(p, result);
}

static void finish(struct peer *p)
{
    static const char end[] = "0\r\n\r\n";
    char result[512];

    snprintf(result, sizeof result,
             "{\"kind\":\"status-update\",\"taskId\":\"t-%llu\",\"contextId\":\"c-%llu\","
             "\"status\":{\"state\":\"completed\"},\"final\":true}",
             p->task, p->task);
    if (put_event(p, result) && put(p, end, sizeof end - 1))
        drop(p);
}

static void on_tick(uv_timer_t *timer)
{
    struct peer *p = timer->data;
    uint64_t age = uv_hrtime() - p->begun;

    while ((double)p->n_told < (double)age / 1e9 * p->rate)
        if (!put_update(p))
            return;
    if (age > (uint64_t)p->seconds * 1000000000u)
        finish(p);
}

static void begin(struct peer *p, const char *text)
{
    static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                               "transfer-encoding: chunked\r\n\r\n";
    char result[512];

    p->task = ++n_tasks;
    if (sscanf(text, "%lf %ld %ld", &p->rate, &p->seconds, &p->bytes) != 3)
        p->rate = 0;
    snprintf(result, sizeof result,
             "{\"kind\":\"task\",\"id\":\"t-%llu\",\"contextId\":\"c-%llu\","
             "\"status\":{\"state\":\"working\"}}",
             p->task, p->task);
    if (!put(p, head, sizeof head - 1) || !put_event(p, result) || !p->rate)
        return;
    p->begun = uv_hrtime();
    uv_timer_start(&p->timer, on_tick, 1, 1);
}

static void refuse(struct peer *p, bool is_call)
{
    char answer[512], body[256];
    int n = snprintf(
        body, sizeof body,
        "{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":-32004,\"message\":\"no\"}}",
        p->id);

    if (!is_call)
        n = snprintf(body, sizeof body, "none");
    n = snprintf(answer, sizeof answer,
                 "HTTP/1.1 %s\r\ncontent-type: application/json\r\n"
                 "content-length: %d\r\n\r\n%s",
                 is_call ? "200 OK" : "404 Not Found", n, body);
    put(p, answer, (size_t)n);
}

/* One request at a time; what its length is, is said in its head. */
static void take_request(struct peer *p)
{
    char *end = strstr(p->in, "\r\n\r\n"), *length, *id, *text;
    size_t whole;

    if (!end)
        return;
    length = strcasestr(p->in, "\r\ncontent-length:");
    whole = (size_t)(end + 4 - p->in) +
            (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
    if (p->n < whole)
        return;
    id = strstr(end, "\"id\":");
    snprintf(p->id, sizeof p->id, "%.*s", id ? (int)strcspn(id + 5, ",} ") : 4,
             id ? id + 5 : "null");
    text = strstr(end, "\"text\":\"");
    if (strncmp(p->in, "GET ", 4) == 0)
        refuse(p, false);
    else if (strstr(end, "\"message/stream\""))
        begin(p, text ? text + 8 : "");
    else
        refuse(p, true);
    p->n = 0;
}

static void make_room(uv_handle_t *handle, size_t size, uv_buf_t *out)
{
    struct peer *p = handle->data;

    (void)size;
    *out = uv_buf_init(p->in + p->n, (unsigned)(REQUEST_MAX - p->n));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
    struct peer *p = stream->data;

    (void)bytes;
    if (n < 0) {
        drop(p);
        return;
    }
    p->n += (size_t)n;
    p->in[p->n] = '\0';
    take_request(p);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct peer *p = calloc(1, sizeof *p);

    if (status || !p)
        return;
    p->n_open = 2;
    p->tcp.data = p->timer.data = p;
    uv_tcp_init(loop, &p->tcp);
    uv_timer_init(loop, &p->timer);
    if (uv_accept(listener, (uv_stream_t *)&p->tcp)) {
        drop(p);
        return;
    }
    uv_tcp_nodelay(&p->tcp, 1);
    uv_read_start((uv_stream_t *)&p->tcp, make_room, on_read);
}

int main(void)
{
    struct sockaddr_in address;
    struct sockaddr_storage bound;
    int n = sizeof bound;
    uv_tcp_t listener;

    loop = uv_default_loop();
    uv_tcp_init(loop, &listener);
    uv_ip4_addr("127.0.0.1", 0, &address);
    if (uv_tcp_bind(&listener, (struct sockaddr *)&address, 0) ||
        uv_listen((uv_stream_t *)&listener, 4096, on_connection) ||
        uv_tcp_getsockname(&listener, (struct sockaddr *)&bound, &n))
        return 1;
    printf("port %u\n", (unsigned)ntohs(((struct sockaddr_in *)&bound)->sin_port));
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
