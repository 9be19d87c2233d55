/* SPDX-License-Identifier: MIT
 *
 * The command line: everything but `serve` and `demo-agent`. The client commands talk HTTP to a running gateway;
 * only `db` opens the store.
 *
 * Output is for people on a terminal and JSON with --json; exit codes mean something (gateway.h).
 */
#ifndef WIRING_CLI_H
#define WIRING_CLI_H

#include "wiring/config.h"

int cli_db(const struct config *config, int argc, char **argv);
int cli_send(const struct config *config, int argc, char **argv);
int cli_tasks(const struct config *config, int argc, char **argv);
int cli_config(const struct config *config, int argc, char **argv);

/* Whether `flag` stands in argv; if so it is taken out. */
#include <stdbool.h>
bool cli_take_flag(int *argc, char **argv, const char *flag);

#endif
