/* SPDX-License-Identifier: MIT
 *
 * superx tasks: what the gateway knows, over its own methods. A task may be named by its id alone; when two agents have
 * one of that id the gateway names them, and --agent chooses.
 */
#include <stdio.h>

#include "a2a/a2a.h"
#include "lib/limits.h"
#include "wiring/cli.h"
#include "wiring/cli_http.h"
#include "wiring/cli_show.h"
#include "wiring/cli_stream.h"
#include "wiring/gateway.h"

const char cli_tasks_usage[] =
    "usage: superx tasks list [AGENT] [--context ID] [--state STATE] [--since TIME]\n"
    "                         [--limit N] [--page TOKEN] [--json]\n"
    "  Tasks, newest first. STATE: submitted, working, input-required, completed, ...;\n"
    "  TIME: 2026-01-31T12:00:00Z; N: 1 to 100 (50).\n"
    "       superx tasks get TASK-ID [--agent AGENT] [--json]\n"
    "       superx tasks cancel TASK-ID [--agent AGENT] [--json]\n"
    "       superx tasks watch TASK-ID [--agent AGENT] [--json]\n"
    "  Shows the task and what happens to it as it happens, to its end; goes on by itself after a\n"
    "  broken connection or a restart of the gateway.\n"
    "Exit code: 0 done, 1 the task or the call failed, 69 no gateway.\n";

static void write_text(struct buf *out, const char *key, const char *value)
{
    if (!value)
        return;
    buf_printf(out, "%s\"%s\":", out->n > 1 ? "," : "", key);
    json_write_string(out, str_of(value));
}

static int ask(const struct config *config, bool json, const char *method, struct buf *params,
               void (*print)(struct str result))
{
    int exit_code = EXIT_UNAVAILABLE;
    struct buf answer;

    buf_add_char(params, '}');
    buf_init(&answer, 4 * LIMIT_TASK_BYTES);
    if (!cli_rpc(config, method, buf_str(params), &answer))
        exit_code = cli_show_answer(buf_str(&answer), json, print);
    buf_release(&answer);
    return exit_code;
}

static void print_rows(struct str result)
{
    struct str next = json_get(result, "nextPageToken"), row;
    struct json_cursor c;

    printf("%-24s  %-15s  %-16s  %s\n", "TIME", "STATE", "AGENT", "TASK");
    JSON_EACH_ELEMENT (&c, json_get(result, "tasks"), &row) {
        struct str status = json_get(row, "status");

        cli_show_column(json_get(status, "timestamp"), 24);
        cli_show_column(json_get(status, "state"), 15);
        cli_show_column(json_get(row, "agentId"), 16);
        cli_show_string(stdout, json_get(row, "id"));
        fputc('\n', stdout);
    }
    cli_show(stdout, json_get(result, "totalSize"));
    fputs(" in all\n", stdout);
    if (json_string_length(next) > 0) {
        fputs("more with --page ", stdout);
        cli_show_string(stdout, next);
        fputc('\n', stdout);
    }
}

static int list(const struct config *config, int argc, char **argv)
{
    static const struct {
        const char *flag, *key;
    } filters[] = {
        {"--context", "contextId"},
        {"--state", "status"},
        {"--since", "statusTimestampAfter"},
        {"--limit", "pageSize"},
        {"--page", "pageToken"},
        {"--agent", "agentId"},
    };
    bool json = cli_take_flag(&argc, argv, "--json"), bad = false;
    struct buf params;
    int exit_code;

    buf_init(&params, LIMIT_REQUEST_BODY);
    buf_add_char(&params, '{');
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        write_text(&params, filters[i].key, cli_take_value(&argc, argv, filters[i].flag, &bad));
    if (argc == 3)
        write_text(&params, "agentId", argv[2]);
    exit_code = bad || argc > 3 ? cli_misused(cli_tasks_usage)
                                : ask(config, json, "tasks.list", &params, print_rows);
    buf_release(&params);
    return exit_code;
}

/* TASK-ID, or as the first release had it, AGENT TASK-ID. */
static int one_task(const struct config *config, const char *method, int argc, char **argv)
{
    bool json = cli_take_flag(&argc, argv, "--json"), bad = false;
    const char *agent = cli_take_value(&argc, argv, "--agent", &bad);
    struct buf params;
    int exit_code;

    if (bad || argc < 3 || argc > 4 || (agent && argc == 4))
        return cli_misused(cli_tasks_usage);
    buf_init(&params, LIMIT_REQUEST_BODY);
    buf_add_char(&params, '{');
    write_text(&params, "taskId", argv[argc - 1]);
    write_text(&params, "agentId", argc == 4 ? argv[2] : agent);
    exit_code = ask(config, json, method, &params, cli_show_task);
    buf_release(&params);
    return exit_code;
}

/* The events of A2A 1.0 rather than the whole task each time, which the gateway's own method tells. */
static int watch(const struct config *config, int argc, char **argv)
{
    bool json = cli_take_flag(&argc, argv, "--json"), bad = false;
    const char *agent = cli_take_value(&argc, argv, "--agent", &bad);
    struct cli_stream what = {.path = STR("/rpc"), .json = json};
    struct buf body, params;
    int64_t code;
    int exit_code;

    if (bad || argc < 3 || argc > 4 || (agent && argc == 4))
        return cli_misused(cli_tasks_usage);
    buf_init(&body, LIMIT_REQUEST_BODY);
    buf_init(&params, LIMIT_REQUEST_BODY);
    buf_add_char(&params, '{');
    write_text(&params, "taskId", argv[argc - 1]);
    write_text(&params, "agentId", argc == 4 ? argv[2] : agent);
    buf_printf(&body, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%.*s}}",
               a2a_method_name(A2A_SUBSCRIBE, A2A_1_0), STR_ARG(buf_str(&params)));
    what.body = buf_str(&body);
    exit_code = cli_stream_run(config, &what, &code);
    if (code ==
        a2a_error_row(A2A_ERROR_UNSUPPORTED)->code) /* over: there is nothing to wait for */
        exit_code = ask(config, json, "tasks.get", &params, cli_show_task);
    buf_release(&params);
    buf_release(&body);
    return exit_code;
}

int cli_tasks(const struct config *config, int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (strcmp(what, "list") == 0)
        return list(config, argc, argv);
    if (strcmp(what, "get") == 0)
        return one_task(config, "tasks.get", argc, argv);
    if (strcmp(what, "cancel") == 0)
        return one_task(config, "tasks.cancel", argc, argv);
    if (strcmp(what, "watch") == 0)
        return watch(config, argc, argv);
    return cli_misused(cli_tasks_usage);
}
