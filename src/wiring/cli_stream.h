/* SPDX-License-Identifier: MIT
 *
 * Streams from the running gateway, for commands: printed as they come, and taken up again by themselves when the
 * connection breaks or the gateway restarts.
 */
#ifndef WIRING_CLI_STREAM_H
#define WIRING_CLI_STREAM_H

#include <stdbool.h>

#include "lib/str.h"
#include "wiring/config.h"

struct cli_stream {
    struct str path, body; /* what is POSTed, each time it has to be */
    bool json;             /* results as they are, one a line; else words for people */
    /* A message must not be sent twice: without a cursor there is no second try. */
    bool is_send;
};

/* Runs the stream to its end. Returns the exit code. `*code` is the JSON-RPC error with which the gateway refused to
 * begin it, 0 if it did begin (nothing is printed of a refusal with -32004: the task is over). */
int cli_stream_run(const struct config *config, const struct cli_stream *what, int64_t *code);

#endif
