/* SPDX-License-Identifier: MIT
 *
 * superx: the program. Finds the command, reads the configuration, runs it.
 */
#include <stdio.h>
#include <string.h>

#include "wiring/cli.h"
#include "wiring/gateway.h"

static const char usage[] =
    "SuperX " SUPERX_VERSION ", a gateway in front of many A2A agents.\n"
    "\n"
    "  superx serve [--demo] [--migrate]   run the gateway\n"
    "  superx send AGENT \"text\" [TASK-ID]  send a message through it\n"
    "  superx tasks list [AGENT]           tasks it knows, newest first\n"
    "  superx tasks get AGENT TASK-ID      one of them\n"
    "  superx db setup|create|migrate|status|reset|drop\n"
    "  superx config                       settings in force and where they come from\n"
    "  superx demo-agent [--port N]        a scripted A2A agent to try things with\n"
    "  superx version\n"
    "\n"
    "--json gives output for programs. Settings: superx config, or docs/configuration.md.\n"
    "Client commands talk to SUPERX_URL (default http://localhost:$PORT).\n";

static int serve(const struct config *config, int argc, char **argv)
{
    if (argc != 1) {
        fprintf(
            stderr,
            "superx: serve does not know \"%s\"\nusage: superx serve [--demo] [--migrate]\n",
            argv[1]);
        return EXIT_USAGE;
    }
    return gateway_run(config);
}

static const struct {
    const char *name;
    int (*run)(const struct config *config, int argc, char **argv);
} commands[] = {
    {"serve", serve}, {"send", cli_send},     {"tasks", cli_tasks},
    {"db", cli_db},   {"config", cli_config},
};

static int run_command(int argc, char **argv)
{
    struct config config;
    int exit_code;

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[0], commands[i].name) != 0)
            continue;
        if (config_load(&config, NULL, &argc, argv))
            return EXIT_CONFIG;
        exit_code = commands[i].run(&config, argc, argv);
        config_release(&config);
        return exit_code;
    }
    fprintf(stderr, "superx: there is no command \"%s\"\n\n%s", argv[0], usage);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0 ||
            (i == 1 && strcmp(argv[i], "help") == 0)) {
            fputs(usage, stdout);
            return EXIT_OK;
        }
    }
    if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0) {
        puts("superx " SUPERX_VERSION);
        return EXIT_OK;
    }
    if (strcmp(argv[1], "demo-agent") == 0)
        return demo_agent_run(argc - 1, argv + 1);
    return run_command(argc - 1, argv + 1);
}
