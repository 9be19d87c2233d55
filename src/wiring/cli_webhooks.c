/* SPDX-License-Identifier: MIT
 *
 * superx webhooks: what receivers have been told, over the gateway's own methods. A webhook is named by the id of its
 * configuration; where tasks share one, --task says whose.
 */
#include <stdio.h>

#include "lib/json.h"
#include "lib/limits.h"
#include "wiring/cli.h"
#include "wiring/cli_http.h"
#include "wiring/cli_show.h"
#include "wiring/gateway.h"

const char cli_webhooks_usage[] =
    "usage: superx webhooks list [--failed] [--agent AGENT] [--limit N] [--after PLACE] [--json]\n"
    "  Webhooks, newest first; --failed: those that are disabled or have left out events.\n"
    "       superx webhooks show ID [--task TASK-ID] [--agent AGENT] [--json]\n"
    "       superx webhooks attempts ID [--task TASK-ID] [--agent AGENT] [--limit N] [--json]\n"
    "  The newest attempts to call it, and what its receiver answered.\n"
    "       superx webhooks retry ID [--task TASK-ID] [--agent AGENT] | --all  [--json]\n"
    "  Enables it again and sends what failed, in order; --all: every webhook that failed.\n"
    "       superx webhooks test ID [--task TASK-ID] [--agent AGENT] [--json]\n"
    "  Calls it once with a made-up event.\n"
    "Exit code: 0 done, 1 it failed, 69 no gateway.\n";

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

static void write_text(struct buf *out, const char *key, const char *value)
{
    if (!value)
        return;
    buf_printf(out, "%s\"%s\":", out->n > 1 ? "," : "", key);
    json_write_string(out, str_of(value));
}

/* --- showing -------------------------------------------------------------------------------------- */

static void show_number(struct str raw, int width)
{
    printf("%*.*s  ", width, (int)raw.n, raw.p ? raw.p : "");
}

static void print_row(struct str row)
{
    cli_show_column(json_get(row, "id"), 36);
    cli_show_column(json_get(row, "state"), 12);
    show_number(json_get(row, "deliveredSeq"), 5);
    show_number(json_get(row, "headSeq"), 5);
    cli_show_column(json_get(row, "agentId"), 12);
    cli_show_string(stdout, json_get(row, "url"));
    fputc('\n', stdout);
}

static void print_rows(struct str result)
{
    struct str next = json_get(result, "next"), row;
    struct json_cursor c;

    printf("%-36s  %-12s  %5s  %5s  %-12s  %s\n", "WEBHOOK", "STATE", "TOLD", "OF", "AGENT",
           "URL");
    JSON_EACH_ELEMENT (&c, json_get(result, "webhooks"), &row)
        print_row(row);
    if (json_string_length(next) > 0) {
        fputs("more with --after ", stdout);
        cli_show_string(stdout, next);
        fputc('\n', stdout);
    }
}

static void print_one(struct str result)
{
    struct json_cursor c;
    struct str key, value;

    JSON_EACH_MEMBER (&c, result, &key, &value) {
        printf("%-16.*s", STR_ARG(key));
        if (json_type(value) == JSON_STRING)
            cli_show_string(stdout, value);
        else
            cli_show(stdout, json_type(value) == JSON_NULL ? STR("-") : value);
        fputc('\n', stdout);
    }
}

static void print_attempts(struct str result)
{
    struct json_cursor c;
    struct str row;

    printf("%-24s  %5s  %3s  %6s  %6s  %s\n", "TIME", "EVENT", "TRY", "STATUS", "MS", "SAID");
    JSON_EACH_ELEMENT (&c, result, &row) {
        struct str error = json_get(row, "error");

        cli_show_column(json_get(row, "at"), 24);
        show_number(json_get(row, "seq"), 5);
        show_number(json_get(row, "attempt"), 3);
        show_number(json_get(row, "status"), 6);
        show_number(json_get(row, "ms"), 6);
        cli_show_string(stdout,
                        json_type(error) == JSON_STRING ? error : json_get(row, "answer"));
        fputc('\n', stdout);
    }
}

static void print_retried(struct str result)
{
    cli_show(stdout, json_get(result, "retried"));
    fputs(" webhooks are tried again\n", stdout);
}

static void print_tested(struct str result)
{
    struct str error = json_get(result, "error");

    if (json_type(error) == JSON_STRING) {
        fputs("the receiver ", stdout);
        cli_show_string(stdout, error);
    } else {
        fputs("HTTP ", stdout);
        cli_show(stdout, json_get(result, "status"));
        fputs(" in ", stdout);
        cli_show(stdout, json_get(result, "ms"));
        fputs(" ms: ", stdout);
        cli_show_string(stdout, json_get(result, "answer"));
    }
    fputc('\n', stdout);
}

/* --- commands ------------------------------------------------------------------------------------- */

static const struct command {
    const char *name, *method;
    void (*print)(struct str result);
    bool is_of_one;
} commands[] = {
    {"list", "webhooks.list", print_rows, false},
    {"show", "webhooks.show", print_one, true},
    {"attempts", "webhooks.attempts", print_attempts, true},
    {"retry", "webhooks.retry", print_retried, true},
    {"test", "webhooks.test", print_tested, true},
};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

int cli_webhooks(const struct config *config, int argc, char **argv)
{
    const struct command *command = argc > 1 ? find(argv[1]) : NULL;
    bool json = cli_take_flag(&argc, argv, "--json"), bad = false;
    bool failed = cli_take_flag(&argc, argv, "--failed");
    bool all = cli_take_flag(&argc, argv, "--all");
    static const char *const flags[][2] = {{"--agent", "agentId"},
                                           {"--task", "taskId"},
                                           {"--limit", "limit"},
                                           {"--after", "after"}};
    struct buf params;
    bool is_of_one;
    int exit_code;

    if (!command)
        return cli_misused(cli_webhooks_usage);
    buf_init(&params, KB(16));
    buf_add_char(&params, '{');
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        write_text(&params, flags[i][1], cli_take_value(&argc, argv, flags[i][0], &bad));
    if (failed)
        buf_printf(&params, "%s\"failed\":true", params.n > 1 ? "," : "");
    is_of_one = command->is_of_one && !all;
    if (argc == 3 && is_of_one)
        write_text(&params, "id", argv[2]);
    if (bad || argc != (is_of_one ? 3 : 2) || (all && strcmp(command->name, "retry") != 0))
        exit_code = cli_misused(cli_webhooks_usage);
    else
        exit_code = ask(config, json, command->method, &params, command->print);
    buf_release(&params);
    return exit_code;
}
