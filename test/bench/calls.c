/* SPDX-License-Identifier: MIT
 *
 * Raw calls of the egress client, for what webhooks are measured against: calls PORT CLIENTS SECONDS BYTES
 *
 * As many POSTs of BYTES at a time as there are CLIENTS, each begun when the one before is answered, over the pooled
 * connections that webhooks use. Prints "calls N ns CPU_NS".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "egress/egress.h"
#include "lib/log.h"

static struct loop *loop;
static struct egress *egress;
static char url[64], *bytes;
static size_t n_bytes;
static unsigned long n_calls;
static uint64_t until_ms;
static unsigned n_open;

static void start(void);

static void on_answer(void *arg, const struct egress_answer *answer)
{
    (void)arg;
    if (answer->err || answer->status != 200) {
        fprintf(stderr, "calls: %d %s\n", answer->status, answer->why ? answer->why : "");
        exit(1);
    }
    n_calls++;
    n_open--;
    if (loop_now_ms(loop) < until_ms)
        start();
    else if (n_open == 0)
        loop_stop(loop);
}

static void start(void)
{
    static const struct egress_header headers[] = {
        {"Content-Type", {"application/json", 16}},
        {"webhook-id", {"wh_012345678901234567890123", 27}},
        {"webhook-timestamp", {"1700000000", 10}},
    };
    struct str body = {bytes, n_bytes};
    struct egress_call call = {.verb = "POST",
                               .url = str_of(url),
                               .headers = headers,
                               .n_headers = 3,
                               .parts = &body,
                               .n_parts = 1,
                               .max_body = 65536,
                               .connect_timeout_ms = 5000,
                               .timeout_ms = 15000};
    struct egress_request *request;

    n_open++;
    if (egress_start(egress, &call, on_answer, NULL, &request))
        exit(1);
}

int main(int argc, char **argv)
{
    struct egress_config config = {.idle_timeout_ms = 60000, .reuse_within_ms = 4000};
    struct timespec cpu;

    if (argc != 5)
        return 64;
    n_bytes = (size_t)atol(argv[4]);
    bytes = malloc(n_bytes + 1);
    memset(bytes, 'x', n_bytes);
    snprintf(url, sizeof url, "http://127.0.0.1:%s/message", argv[1]);
    config.pool_per_host = (unsigned)atoi(argv[2]);
    log_setup(LOG_ERROR, false);
    loop = loop_new();
    egress = egress_new(loop, &config);
    until_ms = loop_now_ms(loop) + (uint64_t)(atof(argv[3]) * 1000);
    for (int i = atoi(argv[2]); i > 0; i--)
        start();
    loop_run(loop);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    printf("calls %lu ns %lld\n", n_calls, (long long)cpu.tv_sec * 1000000000 + cpu.tv_nsec);
    return 0;
}
