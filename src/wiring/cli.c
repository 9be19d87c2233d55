/* SPDX-License-Identifier: MIT
 *
 * Client commands. Each builds one JSON-RPC request, prints what came back, and ends with an exit code that a
 * script can use: 0 done, 1 the task or call failed, 64 usage, 69 no gateway.
 */
#include "wiring/cli.h"

#include <stdio.h>
#include <unistd.h>

#include "a2a/a2a.h"
#include "lib/id.h"
#include "lib/url.h"
#include "store/store.h"
#include "wiring/cli_http.h"
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

static void print_line(struct str text)
{
    fwrite(text.p, 1, text.n, stdout);
    fputc('\n', stdout);
}

/* Text from outside. What an agent says must not steer a terminal: control characters, the C1 ones (U+0080 to
 * U+009F) included, are shown as '?', and so is every byte beyond ASCII of what is not UTF-8. */
static void show(FILE *out, struct str text)
{
    bool clean = str_is_utf8(text);

    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool is_c1 = clean && c == 0xc2 && (unsigned char)text.p[i + 1] < 0xa0;

        i += is_c1;
        fputc(is_c1 || (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ||
                      (c >= 0x80 && !clean)
                  ? '?'
                  : c,
              out);
    }
}

/* A JSON string, decoded; nothing for what is none. Returns how many bytes it has. */
static size_t print_string(struct str raw)
{
    struct buf text;
    size_t n;

    buf_init(&text, 2 * LIMIT_TASK_BYTES);
    if (json_string_decode(raw, &text))
        buf_clear(&text);
    show(stdout, buf_str(&text));
    n = text.n;
    buf_release(&text);
    return n;
}

/* --- superx send --- */

static void write_send(struct buf *out, enum a2a_version v, const char *text, const char *task)
{
    struct uuid uuid = id_uuid4();
    char id[UUID_TEXT + 1];

    id_uuid_text(&uuid, id);
    buf_printf(out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{\"message\":{",
               a2a_method_name(A2A_SEND, v));
    if (v == A2A_0_3)
        BUF_LIT(out, "\"kind\":\"message\",");
    buf_printf(out, "\"messageId\":\"%s\",\"role\":\"%s\",\"parts\":[{", id,
               v == A2A_1_0 ? "ROLE_USER" : "user");
    if (v == A2A_0_3)
        BUF_LIT(out, "\"kind\":\"text\",");
    BUF_LIT(out, "\"text\":");
    json_write_string(out, str_of(text));
    BUF_LIT(out, "}]");
    if (task) {
        BUF_LIT(out, ",\"taskId\":");
        json_write_string(out, str_of(task));
    }
    BUF_LIT(out, "}}}");
}

static void agent_path(struct buf *path, const char *agent)
{
    BUF_LIT(path, "/agents/");
    url_encode(path, str_of(agent));
}

/* Says an error answer on stderr. */
static void complain(struct str error)
{
    struct buf text;

    buf_init(&text, MB(1));
    if (json_string_decode(json_get(error, "message"), &text))
        BUF_LIT(&text, "the gateway answered with something that is not JSON-RPC");
    fputs("superx: ", stderr);
    show(stderr, buf_str(&text));
    fputs(" (", stderr);
    show(stderr, json_get(error, "code"));
    fputs(")\n", stderr);
    buf_release(&text);
}

static void print_parts(struct str parts)
{
    struct json_cursor c;
    struct str part;

    if (json_type(parts) != JSON_ARRAY)
        return;
    json_enter(&c, parts);
    while (json_next_element(&c, &part)) {
        struct str text = json_get(part, "text");

        if (json_type(text) == JSON_STRING) {
            print_string(text);
        } else {
            fputc('[', stdout);
            show(stdout, part);
            fputc(']', stdout);
        }
        fputc('\n', stdout);
    }
}

static void print_task(struct str task)
{
    struct str status = json_get(task, "status"), artifacts = json_get(task, "artifacts"),
               artifact;
    enum a2a_state state = a2a_state_read(json_get(status, "state"));
    struct json_cursor c;

    printf("task ");
    print_string(json_get(task, "id"));
    printf("\nstate %s\n", a2a_state_name(state, A2A_0_3));
    if (json_type(json_get(status, "message")) == JSON_OBJECT)
        print_parts(json_get(json_get(status, "message"), "parts"));
    if (json_type(artifacts) == JSON_ARRAY) {
        json_enter(&c, artifacts);
        while (json_next_element(&c, &artifact))
            print_parts(json_get(artifact, "parts"));
    }
}

/* The task in a result, wrapped (1.0's send) or bare; absent if it is something else. */
static struct str task_of(struct str result)
{
    struct str wrapped = json_get(result, "task");

    if (json_type(wrapped) == JSON_OBJECT)
        return wrapped;
    return json_get(result, "status").p ? result : STR_NONE;
}

static int exit_code_of(struct str result)
{
    enum a2a_state state =
        a2a_state_read(json_get(json_get(task_of(result), "status"), "state"));

    return state == A2A_STATE_FAILED || state == A2A_STATE_REJECTED ? EXIT_FAILED : EXIT_OK;
}

#define SHOWN_MAX 1000 /* bytes of an answer that is none */

static bool is_json_object(struct str body)
{
    return json_scan(body, NULL, NULL, 0, NULL) == 0 && json_type(body) == JSON_OBJECT;
}

/* Shows what the gateway answered: with `json` as it is, else its result by `print`, or its error on stderr. The exit
 * code is the same in both cases. */
static int show_answer(struct str body, bool json, void (*print)(struct str result))
{
    struct str result;

    if (!is_json_object(body)) {
        fputs("superx: the gateway's answer is not JSON: ", stderr);
        show(stderr, str_make(body.p, body.n < SHOWN_MAX ? body.n : SHOWN_MAX));
        fputc('\n', stderr);
        return EXIT_FAILED;
    }
    result = json_get(body, "result");
    if (json)
        print_line(body);
    else if (result.p)
        print(result);
    else
        complain(json_get(body, "error"));
    return result.p ? exit_code_of(result) : EXIT_FAILED;
}

static bool is_wrong_version(struct str body)
{
    int64_t code;

    return is_json_object(body) &&
           json_to_i64(json_get(json_get(body, "error"), "code"), &code) == 0 && code == -32009;
}

/* Sends in 1.0, and again in 0.3 if the agent speaks that: nothing reached the agent the first time. */
static int post_send(const struct config *config, const char *agent, const char *text,
                     const char *task, struct buf *answer)
{
    static const enum a2a_version versions[] = {A2A_1_0, A2A_0_3};
    struct buf path, body;
    int err = 0, status;

    buf_init(&path, LIMIT_REQUEST_BODY);
    buf_init(&body, LIMIT_REQUEST_BODY);
    agent_path(&path, agent);
    for (size_t i = 0; i < 2 && !err; i++) {
        buf_clear(&body);
        buf_clear(answer);
        write_send(&body, versions[i], text, task);
        err = cli_post(config, buf_str(&path), buf_str(&body), answer, &status);
        if (!err && !is_wrong_version(buf_str(answer)))
            break;
    }
    buf_release(&path);
    buf_release(&body);
    return err;
}

static void print_send_result(struct str result)
{
    struct str task = task_of(result), message = json_get(result, "message");

    if (task.p)
        print_task(task);
    else
        print_parts(json_get(json_type(message) == JSON_OBJECT ? message : result, "parts"));
}

int cli_send(const struct config *config, int argc, char **argv)
{
    bool json = cli_take_flag(&argc, argv, "--json");
    int exit_code = EXIT_UNAVAILABLE;
    struct buf answer;

    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: superx send AGENT \"text\" [TASK-ID] [--json]\n");
        return EXIT_USAGE;
    }
    buf_init(&answer, 4 * LIMIT_TASK_BYTES);
    if (!post_send(config, argv[1], argv[2], argc == 4 ? argv[3] : NULL, &answer))
        exit_code = show_answer(buf_str(&answer), json, print_send_result);
    buf_release(&answer);
    return exit_code;
}

/* --- superx tasks --- */

static void print_column(struct str raw, size_t width)
{
    for (size_t n = print_string(raw); n < width; n++)
        fputc(' ', stdout);
    fputs("  ", stdout);
}

static void print_rows(struct str result)
{
    struct str tasks = json_get(result, "tasks"), row;
    struct json_cursor c;

    printf("%-24s  %-15s  %-16s  %s\n", "TIME", "STATE", "AGENT", "TASK");
    json_enter(&c, tasks);
    while (json_next_element(&c, &row)) {
        struct str status = json_get(row, "status");

        print_column(json_get(status, "timestamp"), 24);
        print_column(json_get(status, "state"), 15);
        print_column(json_get(row, "agentId"), 16);
        print_string(json_get(row, "id"));
        fputc('\n', stdout);
    }
    show(stdout, json_get(result, "totalSize"));
    fputs(" in all\n", stdout);
}

static int list_tasks(const struct config *config, bool json, const char *agent)
{
    int exit_code = EXIT_UNAVAILABLE, status;
    struct buf body, answer;

    buf_init(&body, LIMIT_REQUEST_BODY);
    buf_init(&answer, MB(8));
    BUF_LIT(&body, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tasks.list\",\"params\":{");
    if (agent) {
        BUF_LIT(&body, "\"agentId\":");
        json_write_string(&body, str_of(agent));
    }
    BUF_LIT(&body, "}}");
    if (!cli_post(config, STR("/rpc"), buf_str(&body), &answer, &status))
        exit_code = show_answer(buf_str(&answer), json, print_rows);
    buf_release(&body);
    buf_release(&answer);
    return exit_code;
}

static int get_task(const struct config *config, bool json, const char *agent, const char *task)
{
    static const enum a2a_version versions[] = {A2A_1_0, A2A_0_3};
    int status, err = 0, exit_code = EXIT_UNAVAILABLE;
    struct buf path, body, answer;

    buf_init(&path, LIMIT_REQUEST_BODY);
    buf_init(&body, LIMIT_REQUEST_BODY);
    buf_init(&answer, 4 * LIMIT_TASK_BYTES);
    agent_path(&path, agent);
    for (size_t i = 0; i < 2 && !err; i++) {
        buf_clear(&body);
        buf_clear(&answer);
        a2a_request_write_get(&body, versions[i], 1, str_of(task));
        err = cli_post(config, buf_str(&path), buf_str(&body), &answer, &status);
        if (!err && !is_wrong_version(buf_str(&answer)))
            break;
    }
    if (!err)
        exit_code = show_answer(buf_str(&answer), json, print_task);
    buf_release(&path);
    buf_release(&body);
    buf_release(&answer);
    return exit_code;
}

int cli_tasks(const struct config *config, int argc, char **argv)
{
    bool json = cli_take_flag(&argc, argv, "--json");

    if (argc >= 2 && argc <= 3 && strcmp(argv[1], "list") == 0)
        return list_tasks(config, json, argc == 3 ? argv[2] : NULL);
    if (argc == 4 && strcmp(argv[1], "get") == 0)
        return get_task(config, json, argv[2], argv[3]);
    fprintf(stderr, "usage: superx tasks list [AGENT] [--json]\n"
                    "       superx tasks get AGENT TASK-ID [--json]\n");
    return EXIT_USAGE;
}

/* --- superx config --- */

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
    else {
        fprintf(stderr,
                "usage: superx config [--json]\n       superx config --sample env|yml|docs\n");
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

/* --- superx db --- */

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
    fprintf(stderr, "usage: superx db setup|create|migrate|status|reset|drop [--yes] [--json]\n"
                    "  setup    create the database and apply all migrations\n"
                    "  create   create the database\n"
                    "  migrate  apply pending migrations\n"
                    "  status   list migrations, up or down\n"
                    "  reset    drop, create, migrate (asks; --yes)\n"
                    "  drop     delete the database (asks; --yes)\n");
    return EXIT_USAGE;
}
