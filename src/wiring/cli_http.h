/* SPDX-License-Identifier: MIT
 *
 * One HTTP exchange with the running gateway, for commands: blocking, on a loop of its own.
 */
#ifndef WIRING_CLI_HTTP_H
#define WIRING_CLI_HTTP_H

#include "lib/buf.h"
#include "wiring/config.h"

/* Where a command's request goes. */
struct cli_target {
    struct buf url;
    struct buf token; /* value of Authorization; empty: none */
};

/* SUPERX_URL + path; to /rpc the admin token goes along, if there is one. ERR_ after saying on stderr what is wrong.
 * cli_target_release() in any case. */
MUST_CHECK int cli_target_init(struct cli_target *target, const struct config *config,
                               struct str path);
void cli_target_release(struct cli_target *target);

/* POSTs JSON to SUPERX_URL + path. 0 with the body in `out`; ERR_ otherwise, after saying on stderr what is wrong and
 * what to do. *status is the HTTP status. */
MUST_CHECK int cli_post(const struct config *config, struct str path, struct str body,
                        struct buf *out, int *status);

/* One of the gateway's own methods; `params` is a JSON object. `out` gets the JSON-RPC answer, success or error. */
MUST_CHECK int cli_rpc(const struct config *config, const char *method, struct str params,
                       struct buf *out);

#endif
