/* SPDX-License-Identifier: MIT
 *
 * Commands: send, config, db; tasks and agents have files of their own. A client command builds a JSON-RPC request,
 * prints what came back, and ends with an exit code that a script can use: 0 done, 1 the task or call failed,
 * 64 usage, 69 no gateway.
 */
#include "wiring/cli.h"

#include <stdio.h>
#include <unistd.h>

#include "a2a/a2a.h"
#include "lib/id.h"
#include "lib/url.h"
#include "store/store.h"
#include "wiring/cli_http.h"
#include "wiring/cli_show.h"
#include "wiring/cli_stream.h"
#include "wiring/gateway.h"

bool cli_take_flag(int *argc, char **argv, const char *flag)
{
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], flag) != 0)
            continue;
        memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof *argv);
        (*argc)--;
        return true;
    }
    return false;
}

const char *cli_take_value(int *argc, char **argv, const char *flag, bool *bad)
{
    size_t n = strlen(flag);
    const char *value = NULL;

    for (int i = 1; i < *argc; i++) {
        bool has_equals = strncmp(argv[i], flag, n) == 0 && argv[i][n] == '=';
        int taken = has_equals ? 1 : 2;

        if (!has_equals && strcmp(argv[i], flag) != 0)
            continue;
        if (value || (!has_equals && i + 1 == *argc)) {
            *bad = true;
            return value;
        }
        value = has_equals ? argv[i] + n + 1 : argv[i + 1];
        memmove(&argv[i], &argv[i + taken], (size_t)(*argc - i - taken) * sizeof *argv);
        *argc -= taken;
        i--;
    }
    return value;
}

int cli_misused(const char *usage)
{
    fputs(usage, stderr);
    return EXIT_USAGE;
}

/* --- superx send --- */

const char cli_send_usage[] =
    "usage: superx send AGENT \"text\" [TASK-ID] [--stream | --no-wait] [--json]\n"
    "  Sends a message to an agent through the gateway and shows what came of it.\n"
    "  TASK-ID    continue this task (an agent that asked is answered)\n"
    "  --stream   show what happens as it happens; goes on by itself after a broken connection\n"
    "  --no-wait  do not wait for the end of the task; superx tasks watch shows it\n"
    "  --json     what the gateway answers, as it is; with --stream one line per event\n"
    "Exit code: 0 done, 1 the task or the call failed, 69 no gateway.\n";

/* In 1.0, whatever the agent speaks: the gateway translates. */
static void write_send(struct buf *out, enum a2a_method method, const char *text,
                       const char *task, bool no_wait)
{
    struct uuid uuid = id_uuid4();
    char id[UUID_TEXT + 1];

    id_uuid_text(&uuid, id);
    buf_printf(out,
               "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{\"message\":{"
               "\"messageId\":\"%s\",\"role\":\"ROLE_USER\",\"parts\":[{\"text\":",
               a2a_method_name(method, A2A_1_0), id);
    json_write_string(out, str_of(text));
    BUF_LIT(out, "}]");
    if (task) {
        BUF_LIT(out, ",\"taskId\":");
        json_write_string(out, str_of(task));
    }
    BUF_LIT(out, "}");
    if (no_wait)
        BUF_LIT(out, ",\"configuration\":{\"returnImmediately\":true}");
    BUF_LIT(out, "}}");
}

static void print_send_result(struct str result)
{
    struct str task = cli_task_of(result), message = json_get(result, "message");

    if (task.p)
        cli_show_task(task);
    else
        cli_show_parts(json_get(json_type(message) == JSON_OBJECT ? message : result, "parts"));
}

int cli_send(const struct config *config, int argc, char **argv)
{
    bool json = cli_take_flag(&argc, argv, "--json");
    bool no_wait = cli_take_flag(&argc, argv, "--no-wait");
    bool stream = cli_take_flag(&argc, argv, "--stream");
    int exit_code = EXIT_UNAVAILABLE, status;
    struct buf path, body, answer;
    int64_t code;

    if (argc < 3 || argc > 4 || (no_wait && stream) || (argc == 4 && argv[3][0] == '-'))
        return cli_misused(cli_send_usage);
    buf_init(&path, LIMIT_REQUEST_BODY);
    buf_init(&body, LIMIT_REQUEST_BODY);
    buf_init(&answer, 4 * LIMIT_TASK_BYTES);
    BUF_LIT(&path, "/agents/");
    url_encode(&path, str_of(argv[1]));
    write_send(&body, stream ? A2A_STREAM : A2A_SEND, argv[2], argc == 4 ? argv[3] : NULL,
               no_wait);
    if (stream)
        exit_code = cli_stream_run(
            config,
            &(struct cli_stream){
                .path = buf_str(&path), .body = buf_str(&body), .json = json, .is_send = true},
            &code);
    else if (!cli_post(config, buf_str(&path), buf_str(&body), &answer, &status))
        exit_code = cli_show_answer(buf_str(&answer), json, print_send_result);
    buf_release(&path);
    buf_release(&body);
    buf_release(&answer);
    return exit_code;
}

/* --- superx config --- */

const char cli_config_usage[] = "usage: superx config [--json]\n"
                                "  Every setting in force and where its value comes from.\n"
                                "       superx config --sample env|yml|docs\n"
                                "  A file with every setting, as a start for one's own.\n";

int cli_config(const struct config *config, int argc, char **argv)
{
    bool json = cli_take_flag(&argc, argv, "--json");

    if (argc == 3 && strcmp(argv[1], "--sample") == 0 && strcmp(argv[2], "env") == 0)
        config_print_env_sample(stdout);
    else if (argc == 3 && strcmp(argv[1], "--sample") == 0 && strcmp(argv[2], "yml") == 0)
        config_print_yml_sample(stdout);
    else if (argc == 3 && strcmp(argv[1], "--sample") == 0 && strcmp(argv[2], "docs") == 0)
        config_print_docs(stdout);
    else if (argc == 1)
        config_print(config, stdout, json);
    else
        return cli_misused(cli_config_usage);
    return EXIT_OK;
}

/* --- superx db --- */

const char cli_db_usage[] =
    "usage: superx db setup|create|migrate|status|reset|drop [--yes] [--json]\n"
    "  setup    create the database and apply all migrations\n"
    "  create   create the database\n"
    "  migrate  apply pending migrations\n"
    "  status   list migrations, up or down\n"
    "  reset    drop, create, migrate (asks; --yes)\n"
    "  drop     delete the database (asks; --yes)\n";

static const struct {
    const char *name;
    enum store_db_command command;
    bool destroys;
} db_commands[] = {
    {"setup", STORE_DB_SETUP, false},     {"create", STORE_DB_CREATE, false},
    {"migrate", STORE_DB_MIGRATE, false}, {"status", STORE_DB_STATUS, false},
    {"reset", STORE_DB_RESET, true},      {"drop", STORE_DB_DROP, true},
};

/* On a terminal the person is asked; a script must say --yes. */
static bool is_confirmed(const char *name, bool yes)
{
    char answer[16] = "";

    if (yes)
        return true;
    if (!isatty(STDIN_FILENO)) {
        fprintf(stderr, "superx: db %s deletes every task; say --yes to do it\n", name);
        return false;
    }
    fprintf(stderr, "db %s deletes every task in this database. Type yes to go on: ", name);
    if (!fgets(answer, sizeof answer, stdin))
        return false;
    return str_is(str_trim(str_of(answer)), STR("yes"));
}

int cli_db(const struct config *config, int argc, char **argv)
{
    bool json = cli_take_flag(&argc, argv, "--json"), yes = cli_take_flag(&argc, argv, "--yes");
    struct store_config store = {.database_url = config->database_url,
                                 .data_dir = config->data,
                                 .pool_size = (unsigned)config->db_pool_size};

    for (size_t i = 0; argc == 2 && i < sizeof db_commands / sizeof *db_commands; i++) {
        if (strcmp(argv[1], db_commands[i].name) != 0)
            continue;
        if (db_commands[i].destroys && !is_confirmed(argv[1], yes))
            return EXIT_FAILED;
        return store_db_run(db_commands[i].command, &store, stdout, json);
    }
    return cli_misused(cli_db_usage);
}
