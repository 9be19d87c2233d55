/* SPDX-License-Identifier: MIT
 *
 * superx: the program. Finds the command, reads the configuration, runs it.
 */
#include <stdio.h>
#include <string.h>

#include "wiring/cli.h"
#include "wiring/gateway.h"

static const char serve_usage[] =
    "usage: superx serve [--demo] [--migrate] [--port N] [--listen ADDRESS] [--agents FILE]\n"
    "  Runs the gateway in the foreground until SIGTERM or Ctrl-C.\n"
    "  --demo     also start a demo agent, to try things with: superx send demo \"hello\"\n"
    "  --migrate  apply pending migrations of the database first\n"
    "Every setting has an environment variable, too: superx config.\n";

static const char demo_agent_usage[] =
    "usage: superx demo-agent [--port N]\n"
    "  A scripted A2A agent on 127.0.0.1 that speaks 0.3 and 1.0. The first word of a message says what\n"
    "  it does: hello; sleep SECONDS; count to N; ask QUESTION; fail REASON; reject REASON; artifacts N;\n"
    "  message TEXT; error; garbage; hang.\n";

static const char usage[] =
    "SuperX " SUPERX_VERSION ", a gateway in front of many A2A agents.\n"
    "\n"
    "  superx serve [--demo] [--migrate]   run the gateway\n"
    "  superx agents list|show|add|rm|check  the agents behind it\n"
    "  superx send AGENT \"text\" [TASK-ID]  send a message through it\n"
    "  superx tasks list|get|cancel|watch  the tasks it knows\n"
    "  superx webhooks list|show|attempts|retry|test\n"
    "  superx db setup|create|migrate|status|reset|drop\n"
    "  superx config                       settings in force and where they come from\n"
    "  superx demo-agent [--port N]        a scripted A2A agent to try things with\n"
    "  superx version\n"
    "\n"
    "superx COMMAND --help says more. --json gives output for programs. Settings: superx config,\n"
    "or docs/configuration.md.\n"
    "Client commands talk to SUPERX_URL (default http://localhost:$PORT).\n";

static int serve(const struct config *config, int argc, char **argv)
{
    if (argc != 1) {
        fprintf(stderr, "superx: serve does not know \"%s\"\n", argv[1]);
        return cli_misused(serve_usage);
    }
    return gateway_run(config);
}

static const struct command {
    const char *name;
    int (*run)(const struct config *config, int argc, char **argv);
    const char *usage;
} commands[] = {
    {"serve", serve, serve_usage},
#define X(name) {#name, cli_##name, cli_##name##_usage},
    CLI_COMMANDS(X)
#undef X
    /* run by main(): it needs no configuration */
    {"demo-agent", NULL, demo_agent_usage},
};

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    struct config config;
    int exit_code;

    if (!command->run)
        return demo_agent_run(argc, argv);
    if (config_load(&config, NULL, &argc, argv))
        return EXIT_CONFIG;
    exit_code = command->run(&config, argc, argv);
    config_release(&config);
    return exit_code;
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return argc > 1 && strcmp(argv[1], "help") == 0;
}

int main(int argc, char **argv)
{
    const struct command *command = argc > 1 ? find_command(argv[1]) : NULL;

    if (wants_help(argc, argv)) {
        fputs(command ? command->usage : usage, stdout);
        return EXIT_OK;
    }
    if (argc > 1 && (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0)) {
        puts("superx " SUPERX_VERSION);
        return EXIT_OK;
    }
    if (command)
        return run_command(command, argc - 1, argv + 1);
    if (argc > 1)
        fprintf(stderr, "superx: there is no command \"%s\"\n\n", argv[1]);
    return cli_misused(usage);
}
