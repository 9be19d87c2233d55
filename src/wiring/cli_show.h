/* SPDX-License-Identifier: MIT
 *
 * What commands print of a gateway's answers. What an agent or another caller said must not steer a terminal, so
 * nothing from outside is printed but through here.
 */
#ifndef WIRING_CLI_SHOW_H
#define WIRING_CLI_SHOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "lib/str.h"

/* Control characters, the C1 ones (U+0080 to U+009F) included, are shown as '?', and so is every byte beyond ASCII of
 * what is not UTF-8. */
void cli_show(FILE *out, struct str text);

/* A JSON string, decoded; nothing for what is none. Returns how many bytes it has. */
size_t cli_show_string(FILE *out, struct str raw);

/* The same, filled up with spaces to `width` and two more. */
void cli_show_column(struct str raw, size_t width);

/* A task, with what it says and made; a message's parts. */
void cli_show_task(struct str task);
void cli_show_parts(struct str parts);

/* The task in a result, wrapped (1.0's send) or bare; absent if it is something else. */
struct str cli_task_of(struct str result);

/* The result of a JSON-RPC answer, or absent after its error has been told on stderr. */
struct str cli_result_of(struct str body);

/* Shows what the gateway answered: with `json` as it is, else its result by `print`, or its error on stderr. The exit
 * code is the same in both cases: a task that failed is a failure. */
int cli_show_answer(struct str body, bool json, void (*print)(struct str result));

#endif
