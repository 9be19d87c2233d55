/* SPDX-License-Identifier: MIT
 *
 * The command line: everything but `serve` and `demo-agent`. The client commands talk HTTP to a running gateway;
 * only `db` opens the store.
 *
 * Output is for people on a terminal and JSON with --json; exit codes mean something (gateway.h). Each command has
 * its usage text, shown by --help and, on stderr, when it is not understood.
 */
#ifndef WIRING_CLI_H
#define WIRING_CLI_H

#include <stdbool.h>

#include "wiring/config.h"

#define CLI_COMMANDS(X)                                                                        \
    X(send)                                                                                    \
    X(tasks)                                                                                   \
    X(agents)                                                                                  \
    X(webhooks)                                                                                \
    X(db)                                                                                      \
    X(config)

#define X(name)                                                                                \
    extern const char cli_##name##_usage[];                                                    \
    int cli_##name(const struct config *config, int argc, char **argv);
CLI_COMMANDS(X)
#undef X

/* Whether `flag` stands in argv; if so it is taken out. */
bool cli_take_flag(int *argc, char **argv, const char *flag);

/* The value of "--flag VALUE" or "--flag=VALUE", which is taken out; NULL if the flag is not there. Without a value, or
 * given twice, it is left where it is and *bad is set: the command then does not understand its arguments. */
const char *cli_take_value(int *argc, char **argv, const char *flag, bool *bad);

/* Says on stderr what the command takes; EXIT_USAGE. */
int cli_misused(const char *usage);

#endif
