/* SPDX-License-Identifier: MIT
 *
 * superx agents: the agents behind a running gateway.
 *
 * `add` lets the gateway try the agent first, because it is the gateway that will call it, and says what it found like
 * a compiler: "weather: error: card: ...". An agent with errors is registered only with --force. What is found goes to
 * stderr, so that stdout has the answer alone.
 *
 * Bearers come from the environment or a file, never from the command line, which every user of a machine may read.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/limits.h"
#include "wiring/cli.h"
#include "wiring/cli_http.h"
#include "wiring/cli_show.h"
#include "wiring/gateway.h"

const char cli_agents_usage[] =
    "usage: superx agents list [--json]\n"
    "       superx agents show ID [--json]\n"
    "       superx agents add ID URL [OPTION ...] [--force] [--json]\n"
    "       superx agents rm ID\n"
    "       superx agents check ID | URL [OPTION ...] [--json]\n"
    "  add tries the agent first: it fetches its card, works out endpoint and version, calls it;\n"
    "  with errors it is registered only with --force. check does the same and registers nothing.\n"
    "OPTIONs:\n"
    "  --bearer-env NAME        bearer token from this environment variable\n"
    "  --bearer-file FILE       bearer token from this file\n"
    "  --protocol-version V     0.3 or 1.0, whatever the card says\n"
    "  --card-url URL           where the card is, if not below URL\n"
    "  --endpoint URL           where JSON-RPC is spoken, whatever the card says\n"
    "  --ca-file FILE           CA of the agent's certificate (a file of the gateway's machine, as the next)\n"
    "  --cert-file FILE, --key-file FILE   client certificate\n"
    "  --max-in-flight N        calls that may run at the agent at a time\n"
    "  --timeout-ms N           how long the agent may take to answer one call\n"
    "Changing agents needs SUPERX_ADMIN_TOKEN, if the gateway has one.\n"
    "Exit code: 0 done, 1 refused or found wrong, 69 no gateway.\n";

/* --- what is sent --- */

static const struct {
    const char *flag, *key;
    bool is_number;
} options[] = {
    {"--protocol-version", "protocolVersion", false},
    {"--card-url", "cardUrl", false},
    {"--endpoint", "endpoint", false},
    {"--ca-file", "caFile", false},
    {"--cert-file", "certFile", false},
    {"--key-file", "keyFile", false},
    {"--max-in-flight", "maxInFlight", true},
    {"--timeout-ms", "timeoutMs", true},
};

static void write_text(struct buf *out, const char *key, struct str value)
{
    buf_printf(out, "%s\"%s\":", out->n > 0 && out->p[out->n - 1] == '{' ? "" : ",", key);
    json_write_string(out, value);
}

/* One line of a file, without its end. */
static int read_secret(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *at = buf_reserve(out, LIMIT_HTTP_HEAD);
    ssize_t n = fd >= 0 && at ? read(fd, at, LIMIT_HTTP_HEAD) : -1;

    if (n > 0)
        buf_commit(out, (size_t)n);
    if (fd >= 0)
        close(fd);
    if (n > 0)
        return 0;
    fprintf(stderr, "superx: no bearer can be read from %s\n", path);
    return ERR_IO;
}

static int write_bearer(struct buf *out, const char *env, const char *file)
{
    struct buf secret;
    int err = 0;

    buf_init(&secret, 2 * LIMIT_HTTP_HEAD);
    if (env && !getenv(env)) {
        fprintf(stderr, "superx: there is no environment variable %s\n", env);
        err = ERR_ABSENT;
    } else if (env) {
        write_text(out, "bearer", str_of(getenv(env)));
    } else if (file) {
        err = read_secret(file, &secret);
        if (!err)
            write_text(out, "bearer", str_trim(buf_str(&secret)));
    }
    buf_release(&secret);
    return err;
}

/* Writes {"agent":{...}} without the two closing braces, from the options, which are taken out of argv.
 * ERR_INVALID: they are not understood; other errors have been told. */
static int write_record(struct buf *out, int *argc, char **argv)
{
    bool bad = false;
    const char *env = cli_take_value(argc, argv, "--bearer-env", &bad);
    const char *file = cli_take_value(argc, argv, "--bearer-file", &bad);
    int64_t number;

    BUF_LIT(out, "{\"agent\":{");
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        const char *value = cli_take_value(argc, argv, options[i].flag, &bad);

        if (!value)
            continue;
        if (!options[i].is_number)
            write_text(out, options[i].key, str_of(value));
        else if (str_to_i64(str_of(value), &number) == 0)
            buf_printf(out, "%s\"%s\":%lld", out->p[out->n - 1] == '{' ? "" : ",",
                       options[i].key, (long long)number);
        else
            bad = true;
    }
    if (bad || (env && file))
        return ERR_INVALID;
    return write_bearer(out, env, file);
}

static void write_id(struct buf *out, const char *id)
{
    BUF_LIT(out, "{");
    write_text(out, "id", str_of(id));
    BUF_LIT(out, "}");
}

/* Asks and shows. */
static int ask(const struct config *config, bool json, const char *method, struct str params,
               void (*print)(struct str result))
{
    int exit_code = EXIT_UNAVAILABLE;
    struct buf answer;

    buf_init(&answer, 4 * LIMIT_TASK_BYTES);
    if (!cli_rpc(config, method, params, &answer))
        exit_code = cli_show_answer(buf_str(&answer), json, print);
    buf_release(&answer);
    return exit_code;
}

/* --- what is shown --- */

static void print_agents(struct str result)
{
    struct json_cursor c;
    struct str agent;

    printf("%-20s  %-4s  %-6s  %-24s  %s\n", "ID", "A2A", "SOURCE", "CARD", "URL");
    JSON_EACH_ELEMENT (&c, result, &agent) {
        cli_show_column(json_get(agent, "id"), 20);
        cli_show_column(json_get(agent, "protocolVersion"), 4);
        cli_show_column(json_get(agent, "source"), 6);
        cli_show_column(json_get(json_get(agent, "card"), "name"), 24);
        cli_show_string(stdout, json_get(agent, "url"));
        fputc('\n', stdout);
    }
}

static void print_line(const char *name, struct str value)
{
    if (!value.p)
        return;
    printf("%-14s", name);
    if (json_type(value) == JSON_STRING)
        cli_show_string(stdout, value);
    else
        cli_show(stdout, value);
    fputc('\n', stdout);
}

static void print_agent(struct str agent)
{
    struct str card = json_get(agent, "card");

    print_line("id", json_get(agent, "id"));
    print_line("url", json_get(agent, "url"));
    print_line("endpoint", json_get(agent, "endpoint"));
    print_line("A2A", json_get(agent, "protocolVersion"));
    print_line("  said by", json_get(agent, "protocolVersionFrom"));
    print_line("source", json_get(agent, "source"));
    print_line("card", json_get(card, "name"));
    print_line("  version", json_get(card, "version"));
    print_line("card problem", json_get(agent, "cardProblem"));
    print_line("bearer",
               json_type(json_get(agent, "hasBearer")) == JSON_TRUE ? STR("set") : STR("none"));
    print_line("max in flight", json_get(agent, "maxInFlight"));
    print_line("timeout ms", json_get(agent, "timeoutMs"));
}

/* Where it is called has been said by the check; the gateway itself knows it when it has read the card. */
static void print_registered(struct str agent)
{
    cli_show_string(stdout, json_get(agent, "id"));
    fputs(" is registered\n", stdout);
}

static void print_nothing(struct str result)
{
    (void)result;
}

/* "weather: warning: card: ..."; what is in order has no grade, as with a compiler's notes. */
static void print_findings(FILE *out, const char *name, struct str result)
{
    struct json_cursor c;
    struct str finding;

    JSON_EACH_ELEMENT (&c, json_get(result, "findings"), &finding) {
        struct str grade = json_get(finding, "grade");

        cli_show(out, str_of(name));
        fputs(": ", out);
        if (!json_string_is(grade, STR("ok"))) {
            cli_show_string(out, grade);
            fputs(": ", out);
        }
        cli_show_string(out, json_get(finding, "what"));
        fputc('\n', out);
    }
}

/* --- check and add --- */

static bool is_usable(struct str result)
{
    return json_type(json_get(result, "usable")) == JSON_TRUE;
}

static int check(const struct config *config, const char *name, struct str params, bool json)
{
    int exit_code = EXIT_UNAVAILABLE;
    struct buf answer;
    struct str result;

    buf_init(&answer, MB(4));
    if (!cli_rpc(config, "agents.check", params, &answer)) {
        exit_code = cli_show_answer(buf_str(&answer), json, print_nothing);
        result = exit_code == EXIT_OK ? json_get(buf_str(&answer), "result") : STR_NONE;
        if (!json)
            print_findings(stdout, name, result);
        if (!is_usable(result))
            exit_code = EXIT_FAILED;
    }
    buf_release(&answer);
    return exit_code;
}

static int cli_check(const struct config *config, int argc, char **argv)
{
    bool json = cli_take_flag(&argc, argv, "--json");
    int exit_code = EXIT_FAILED, err;
    struct buf params;

    buf_init(&params, LIMIT_REQUEST_BODY);
    err = write_record(&params, &argc, argv);
    if (err == ERR_INVALID || (!err && argc != 3)) {
        exit_code = cli_misused(cli_agents_usage);
    } else if (!err && strstr(argv[2], "://")) {
        write_text(&params, "id", STR("unnamed"));
        write_text(&params, "url", str_of(argv[2]));
        BUF_LIT(&params, "}}");
        exit_code = check(config, argv[2], buf_str(&params), json);
    } else if (!err) {
        buf_clear(&params);
        write_id(&params, argv[2]);
        exit_code = check(config, argv[2], buf_str(&params), json);
    }
    buf_release(&params);
    return exit_code;
}

/* Whether the agent may be registered; what was found has been said. *exit_code is set if not. */
static bool passes_check(const struct config *config, const char *id, struct str params,
                         bool force, int *exit_code)
{
    struct buf answer;
    struct str result = STR_NONE;
    bool passes = false;

    buf_init(&answer, MB(4));
    *exit_code = EXIT_UNAVAILABLE;
    if (!cli_rpc(config, "agents.check", params, &answer)) {
        *exit_code = EXIT_FAILED;
        result = cli_result_of(buf_str(&answer));
        print_findings(stderr, id, result);
        passes = result.p && (force || is_usable(result));
        if (result.p && !passes)
            fprintf(stderr, "superx: not registered; --force does it all the same\n");
    }
    buf_release(&answer);
    return passes;
}

static int cli_add(const struct config *config, int argc, char **argv)
{
    bool json = cli_take_flag(&argc, argv, "--json");
    bool force = cli_take_flag(&argc, argv, "--force");
    int exit_code = EXIT_FAILED, err;
    struct buf params;

    buf_init(&params, LIMIT_REQUEST_BODY);
    err = write_record(&params, &argc, argv);
    if (err == ERR_INVALID || (!err && argc != 4)) {
        exit_code = cli_misused(cli_agents_usage);
    } else if (!err) {
        write_text(&params, "id", str_of(argv[2]));
        write_text(&params, "url", str_of(argv[3]));
        BUF_LIT(&params, "}}");
        if (passes_check(config, argv[2], buf_str(&params), force, &exit_code))
            exit_code = ask(config, json, "agents.upsert", buf_str(&params), print_registered);
    }
    buf_release(&params);
    return exit_code;
}

/* --- the rest --- */

static int cli_one(const struct config *config, const char *method, int argc, char **argv,
                   void (*print)(struct str result))
{
    bool json = cli_take_flag(&argc, argv, "--json");
    struct buf params;
    int exit_code;

    if (argc != 3)
        return cli_misused(cli_agents_usage);
    buf_init(&params, LIMIT_REQUEST_BODY);
    write_id(&params, argv[2]);
    exit_code = ask(config, json, method, buf_str(&params), print);
    buf_release(&params);
    return exit_code;
}

static void print_removed(struct str result)
{
    (void)result;
    puts("removed; its tasks stay readable");
}

int cli_agents(const struct config *config, int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (strcmp(what, "list") == 0) {
        bool json = cli_take_flag(&argc, argv, "--json");

        return argc == 2 ? ask(config, json, "agents.list", STR("{}"), print_agents)
                         : cli_misused(cli_agents_usage);
    }
    if (strcmp(what, "show") == 0)
        return cli_one(config, "agents.get", argc, argv, print_agent);
    if (strcmp(what, "rm") == 0)
        return cli_one(config, "agents.delete", argc, argv, print_removed);
    if (strcmp(what, "add") == 0)
        return cli_add(config, argc, argv);
    if (strcmp(what, "check") == 0)
        return cli_check(config, argc, argv);
    return cli_misused(cli_agents_usage);
}
