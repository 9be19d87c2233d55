/* SPDX-License-Identifier: MIT
 *
 * Configuration: precedence, every kind of error by its words, masking, and the generated files in the tree.
 */
#include "check.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "wiring/config.h"

static const char *const env_names[] = {
#define X(name, env, type, default, min, max, flag, fits, text) env,
#include "wiring/config.def"
#undef X
    "SUPERX_AGENTS_FILE", "CLUSTER_STRATEGY",  "CLUSTER_PORT", "RELEASE_COOKIE",
    "ERL_AFLAGS",         "AGENT_COOLDOWN_MS", "SUPERX_HOST",
};

/* What the last load() said on stderr. */
static char *said;
static size_t said_n;

static struct config config;

/* A file of its own in a temporary folder; the name is the one errors show. */
static char folder[64], path[128];

static void write_file(const char *text)
{
    if (!*folder) {
        snprintf(folder, sizeof folder, "/tmp/superx-config-XXXXXX");
        if (!mkdtemp(folder))
            abort();
    }
    snprintf(path, sizeof path, "%s/superx.yml", folder);
    FILE *f = fopen(path, "we");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0)
        abort();
}

static void remove_file(void)
{
    unlink(path);
    rmdir(folder);
    *folder = '\0';
}

static void clear_environment(void)
{
    extern char **environ;

    for (size_t i = 0; i < sizeof env_names / sizeof *env_names; i++)
        unsetenv(env_names[i]);
    /* A runner may have set others of the families that are told about. */
    for (char **at = environ; *at;) {
        struct str rest = str_of(*at), name = str_cut(&rest, '=');
        bool is_family =
            str_has_prefix(name, STR("CLUSTER_")) || str_has_prefix(name, STR("RELEASE_")) ||
            str_has_prefix(name, STR("ERL_")) || str_has_prefix(name, STR("AGENT_FAILURE_"));
        char z[256];

        if (is_family && name.n < sizeof z) {
            snprintf(z, sizeof z, "%.*s", STR_ARG(name));
            unsetenv(z);
            at = environ;
        } else {
            at++;
        }
    }
}

/* What is left of the arguments of the last load(). */
static char *args[16];
static int n_args;

#define ARGS(...) ((const char *const[]){"superx", __VA_ARGS__, NULL})

/* config_load() with stderr caught in `said`. `argv` NULL: no arguments. */
static int load(const char *file, const char *const *argv)
{
    FILE *real = stderr;

    memset(args, 0, sizeof args);
    args[0] = (char *)(uintptr_t) "superx";
    for (n_args = 1; argv && argv[n_args]; n_args++)
        args[n_args] = (char *)(uintptr_t)argv[n_args];
    free(said);
    said = NULL;
    stderr = open_memstream(&said, &said_n);
    int err = config_load(&config, file, &n_args, args);
    fclose(stderr);
    stderr = real;
    return err;
}

static int load_plain(void)
{
    return load(NULL, NULL);
}

static int load_yml(const char *text)
{
    write_file(text);
    int err = load(path, NULL);
    remove_file();
    return err;
}

/* Checks that the last load said one line: "superx: ", `place`, `text`. */
static void check_line(const char *place, const char *text, int line)
{
    char want[1024];

    snprintf(want, sizeof want, "superx: %s%s\n", place, text);
    if (!str_is(str_of(said), str_of(want)))
        printf("    line %d:\n", line);
    CHECK_STR(str_of(said), str_of(want));
}

#define CHECK_SAID(text) check_line("", (text), __LINE__)
/* A fault in the file of load_yml(): what stands behind its name. */
#define CHECK_SAID_IN_FILE(text) check_line(path, (text), __LINE__)

static void check_defaults(void)
{
#define CHECK_STRING(name, d) CHECK_STR(str_of(config.name), str_of(d))
#define CHECK_SECRET CHECK_STRING
#define CHECK_URL CHECK_STRING
#define CHECK_WORD CHECK_STRING
#define CHECK_ADDRESS CHECK_STRING
#define CHECK_NUMBER(name, d) CHECK_INT(config.name, d)
#define CHECK_BOOL CHECK_NUMBER
#define X(name, env, type, default, min, max, flag, fits, text) CHECK_##type(name, default);
#include "wiring/config.def"
#undef X
}

TEST(nothing_set_gives_defaults)
{
    clear_environment();
    CHECK_INT(load_plain(), 0);
    CHECK_STR(str_of(said), STR(""));
    check_defaults();
    CHECK(config.file == NULL);
    for (int i = 0; i < CONFIG_ID_MAX; i++)
        CHECK_INT(config.from[i].source, CONFIG_FROM_DEFAULT);
    config_release(&config);
}

TEST(defaults_fit_their_own_rules)
{
#define X(name, env, type, default, min, max, flag, fits, text)                                \
    CHECK((min) <= (max));                                                                     \
    CHECK(CONFIG_##type != CONFIG_NUMBER || (max) > 0);                                        \
    CHECK(sizeof(flag) == 1 || strncmp(flag, "--", 2) == 0);
#include "wiring/config.def"
#undef X
}

TEST(each_source_is_stronger_than_the_one_before)
{
    clear_environment();
    write_file("port: 4001\nlisten: 0.0.0.0\ncache_bytes: '2000000'\nmigrate: yes\n");
    setenv("PORT", "4002", 1);
    setenv("LISTEN", "::1", 1);
    setenv("LOG_LEVEL", "warn", 1);
    CHECK_INT(load(path, ARGS("serve", "--port", "4003", "--log-level=TRACE")), 0);
    CHECK_INT(config.port, 4003);
    CHECK_STR(str_of(config.listen), STR("::1"));
    CHECK_INT(config.cache_bytes, 2000000);
    CHECK(config.migrate);
    CHECK_STR(str_of(config.log_level), STR("trace"));
    CHECK_INT(config.from[CONFIG_ID_port].source, CONFIG_FROM_FLAG);
    CHECK_INT(config.from[CONFIG_ID_listen].source, CONFIG_FROM_ENV);
    CHECK_INT(config.from[CONFIG_ID_cache_bytes].source, CONFIG_FROM_FILE);
    CHECK_INT(config.from[CONFIG_ID_cache_bytes].line, 3);
    CHECK_INT(config.from[CONFIG_ID_data].source, CONFIG_FROM_DEFAULT);
    CHECK_STR(str_of(config.file), str_of(path));
    CHECK_INT(n_args, 2);
    CHECK_STR(str_of(args[1]), STR("serve"));
    CHECK(args[2] == NULL);
    config_release(&config);
    remove_file();
}

TEST(every_level_sets_up_the_log)
{
    static const char *const words[] = {"error", "WARN", "warning", "info", "debug", "trace"};
    static const enum log_level levels[] = {LOG_ERROR, LOG_WARN,  LOG_WARN,
                                            LOG_INFO,  LOG_DEBUG, LOG_TRACE};

    clear_environment();
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        setenv("LOG_LEVEL", words[i], 1);
        CHECK_INT(load_plain(), 0);
        CHECK(log_is_on(levels[i]));
        CHECK(levels[i] == LOG_TRACE || !log_is_on(levels[i] + 1));
        config_release(&config);
    }
}

TEST(only_settings_are_taken_from_the_arguments)
{
    clear_environment();
    setenv("SUPERX_MIGRATE", "1", 1);
    CHECK_INT(load(NULL, ARGS("--demo", "send", "--json", "demo", "--migrate=off", "--",
                              "--port", "1")),
              0);
    CHECK(config.demo);
    CHECK(!config.migrate);
    CHECK_INT(config.port, 4000);
    CHECK_INT(n_args, 7);
    CHECK_STR(str_of(args[1]), STR("send"));
    CHECK_STR(str_of(args[2]), STR("--json"));
    CHECK_STR(str_of(args[3]), STR("demo"));
    CHECK_STR(str_of(args[4]), STR("--"));
    CHECK_STR(str_of(args[6]), STR("1"));
    CHECK(args[7] == NULL);
    config_release(&config);
}

TEST(config_flag_names_the_file)
{
    clear_environment();
    write_file("port: 5\n");
    CHECK_INT(load(NULL, ARGS("--config", path, "config")), 0);
    CHECK_INT(config.port, 5);
    CHECK_INT(n_args, 2);
    config_release(&config);
    remove_file();
}

TEST(a_named_file_must_exist)
{
    clear_environment();
    CHECK_INT(load(NULL, ARGS("--config=/nonexistent/superx.yml")), ERR_INVALID);
    CHECK_SAID("/nonexistent/superx.yml: No such file or directory");
    CHECK_INT(load("/", NULL), ERR_INVALID);
    CHECK_SAID("/: Is a directory");
}

TEST(empty_variable_is_unset_but_empty_flag_is_empty)
{
    clear_environment();
    setenv("PORT", "", 1);
    setenv("DATABASE_URL", "postgres://localhost/a", 1);
    CHECK_INT(load(NULL, ARGS("--database-url=")), 0);
    CHECK_INT(config.port, 4000);
    CHECK_STR(str_of(config.database_url), STR(""));
    CHECK_INT(config.from[CONFIG_ID_database_url].source, CONFIG_FROM_FLAG);
    config_release(&config);
}

TEST(numbers_that_do_not_fit)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"abc", "PORT=abc: not a number; expected 0 to 65535"},
        {"65536", "PORT=65536: out of range; expected 0 to 65535"},
        {"-1", "PORT=-1: out of range; expected 0 to 65535"},
        {" 80", "PORT= 80: not a number; expected 0 to 65535"},
        {"80 ", "PORT=80 : not a number; expected 0 to 65535"},
        {"0x50", "PORT=0x50: not a number; expected 0 to 65535"},
        {"4e3", "PORT=4e3: not a number; expected 0 to 65535"},
        {"99999999999999999999999",
         "PORT=99999999999999999999999: out of range; expected 0 to 65535"},
        {"4\n0", "PORT=4?0: not a number; expected 0 to 65535"},
    };

    clear_environment();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("PORT", cases[i].text, 1);
        CHECK_INT(load_plain(), ERR_INVALID);
        CHECK_SAID(cases[i].want);
    }
    clear_environment();
    setenv("DB_POOL_SIZE", "2", 1);
    CHECK_INT(load_plain(), ERR_INVALID);
    CHECK_SAID("DB_POOL_SIZE=2: out of range; expected 3 to 1000");
}

TEST(texts_that_do_not_fit)
{
    static const struct {
        const char *env, *text, *want;
    } cases[] = {
        {"LISTEN", "localhost",
         "LISTEN=localhost: not an address; expected one in numbers, such as 127.0.0.1, "
         "0.0.0.0 or ::"},
        {"LISTEN", "1.2.3.4:80",
         "LISTEN=1.2.3.4:80: not an address; expected one in numbers, such as 127.0.0.1, "
         "0.0.0.0 or ::"},
        {"LOG_LEVEL", "loud",
         "LOG_LEVEL=loud: not known; expected error, warn, warning, info, debug or trace"},
        {"LOG_FORMAT", "", NULL},
        {"SUPERX_DEMO", "maybe", "SUPERX_DEMO=maybe: neither true nor false"},
        {"DATABASE_URL", "mysql://root:secret@db/x",
         "DATABASE_URL=mysql://root:***@db/x: not a URL that fits here; expected a URL that begins "
         "with postgresql, postgres or ecto, then ://"},
        {"A2A_REMOTE_URL", "localhost:9999",
         "A2A_REMOTE_URL=localhost:9999: not a URL that fits here; expected a URL that begins with "
         "http or https, then ://"},
        {"A2A_REMOTE_BEARER", "secret\n",
         "A2A_REMOTE_BEARER=***: holds a control character (a line end, perhaps)"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clear_environment();
        setenv(cases[i].env, cases[i].text, 1);
        if (!cases[i].want) {
            CHECK_INT(load_plain(), 0);
            config_release(&config);
            continue;
        }
        CHECK_INT(load_plain(), ERR_INVALID);
        CHECK_SAID(cases[i].want);
    }
}

TEST(a_value_has_a_maximum)
{
    static char text[KB(8)];

    clear_environment();
    memset(text, 'x', sizeof text - 1);
    setenv("SUPERX_DATA", text, 1);
    CHECK_INT(load_plain(), ERR_INVALID);
    CHECK(strstr(said, "xxx...: longer than 4096 bytes\n"));
    CHECK(strlen(said) < 160);
}

TEST(all_faults_of_a_start_are_told)
{
    clear_environment();
    setenv("CACHE_BYTES", "1", 1);
    CHECK_INT(load(NULL, ARGS("--port", "--demo", "--log-level", "x")), ERR_INVALID);
    CHECK_STR(
        str_of(said),
        STR("superx: CACHE_BYTES=1: out of range; expected 1048576 to 68719476736\n"
            "superx: --port: needs a value\n"
            "superx: --log-level=x: not known; expected error, warn, warning, info, debug or "
            "trace\n"));
}

TEST(faults_in_the_file_have_a_place)
{
    clear_environment();
    CHECK_INT(load_yml("listen: ::1\nport:  abc\n"), ERR_INVALID);
    CHECK_SAID_IN_FILE(":2:8: port: abc: not a number; expected 0 to 65535");
    CHECK_INT(load_yml("prot: 4000\n"), ERR_INVALID);
    CHECK_SAID_IN_FILE(":1:1: prot: no such setting; did you mean port?");
    CHECK_INT(load_yml("\nDATABASE_URL: x\n"), ERR_INVALID);
    CHECK_SAID_IN_FILE(":2:1: DATABASE_URL: no such setting; did you mean database_url?");
    CHECK_INT(load_yml("agent_max_inflight: 3\n"), ERR_INVALID);
    CHECK_SAID_IN_FILE(
        ":1:1: agent_max_inflight: no such setting; did you mean agent_max_in_flight?");
    CHECK_INT(load_yml("colour: red\n"), ERR_INVALID);
    CHECK_SAID_IN_FILE(":1:1: colour: no such setting");
    CHECK_INT(load_yml("port: [1, 2]\n"), ERR_INVALID);
    CHECK_SAID_IN_FILE(":1:7: port: [...]: expected one value");
    CHECK_INT(load_yml("- port\n"), ERR_INVALID);
    CHECK_SAID_IN_FILE(":1:1: expected settings, one `name: value` a line");
    CHECK_INT(load_yml("port: 1\n bad: [\n"), ERR_INVALID);
    CHECK(said && strstr(said, "superx.yml:2:"));
    CHECK_INT(load_yml("port: 1\nport: 2\n"), ERR_INVALID);
    CHECK(said && strstr(said, "superx.yml:2:"));
}

TEST(an_empty_file_changes_nothing)
{
    clear_environment();
    CHECK_INT(load_yml(""), 0);
    check_defaults();
    config_release(&config);
    CHECK_INT(load_yml("# only a comment\nport:\ndata: ~\n"), 0);
    check_defaults();
    config_release(&config);
}

TEST(variables_of_the_first_superx)
{
    clear_environment();
    setenv("CLUSTER_STRATEGY", "gossip", 1);
    setenv("CLUSTER_PORT", "", 1);
    setenv("SUPERX_AGENTS_FILE", "a.yml", 1);
    CHECK_INT(load_plain(), 0);
    CHECK_SAID(
        "CLUSTER_STRATEGY: not needed any more; nodes share the database and nothing else");
    CHECK_STR(str_of(config.agents_file), STR("a.yml"));
    config_release(&config);
    clear_environment();
    setenv("AGENTS_FILE", "b.yml", 1);
    setenv("SUPERX_AGENTS_FILE", "a.yml", 1);
    setenv("SUPERX_HOST", "hush", 1);
    CHECK_INT(load_plain(), 0);
    CHECK_SAID("SUPERX_HOST: no effect in this version");
    CHECK_STR(str_of(config.agents_file), STR("b.yml"));
    config_release(&config);
    clear_environment();
    for (int i = 0; i < 10; i++) {
        char name[32];

        snprintf(name, sizeof name, "AGENT_FAILURE_N%d", i);
        setenv(name, "1", 1);
    }
    CHECK_INT(load_plain(), 0);
    CHECK(strstr(said, " and 2 more: no effect in this version\n"));
    config_release(&config);
    clear_environment();
}

/* What config_print() writes; the caller frees it. */
static char *printed(bool json)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    config_print(&config, out, json);
    fclose(out);
    return text;
}

TEST(print_shows_value_and_source)
{
    clear_environment();
    write_file("task_fresh_ms: 7\n");
    setenv("SUPERX_DATA", "/srv/\"data\"", 1);
    CHECK_INT(load(path, ARGS("--port=1")), 0);
    char *text = printed(false);
    CHECK(
        strstr(text, "port                  1                                 flag --port\n"));
    CHECK(strstr(text, "\"data\"                       environment SUPERX_DATA\n"));
    CHECK(strstr(text, "superx.yml:1\n"));
    CHECK(strstr(text, "agents_file           -                                 default\n"));
    free(text);
    text = printed(true);
    CHECK(strstr(text, "{\"port\":{\"value\":1,\"source\":\"flag --port\"},"));
    CHECK(strstr(text, "\"data\":{\"value\":\"/srv/\\\"data\\\"\",\"source\":"));
    CHECK(strstr(text, "\"demo\":{\"value\":false,\"source\":\"default\"}"));
    free(text);
    config_release(&config);
    remove_file();
}

TEST(print_never_shows_hushhushs)
{
    static const struct {
        const char *env, *url, *shown;
    } cases[] = {
        {"DATABASE_URL", "postgres://u:hushhush@h/d", "postgres://u:***@h/d"},
        {"DATABASE_URL", "postgres://u@h/d?sslmode=disable",
         "postgres://u@h/d?sslmode=disable"},
        {"DATABASE_URL", "ecto://u:hush/hush@h/d", "ecto://u:***@h/d"},
        {"DATABASE_URL", "ecto://u:hush@hush@h/d", "ecto://u:***@h/d"},
        {"DATABASE_URL", "postgres://u:hush?hush@h/d", "postgres://u:***@h/d"},
        {"DATABASE_URL", "postgresql:///d?user=u&password=hushhush&sslmode=require",
         "postgresql:///d?user=u&password=***&sslmode=require"},
        {"DATABASE_URL", "postgresql:///d?password=hush@hush", "postgresql://***@hush"},
        {"DATABASE_URL", "postgresql://", "postgresql://"},
        {"A2A_REMOTE_URL", "http://hushhush@h/p", "http://***@h/p"},
        {"A2A_REMOTE_URL", "https://u:hushhush@h/p", "https://***@h/p"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clear_environment();
        setenv(cases[i].env, cases[i].url, 1);
        setenv("A2A_REMOTE_BEARER", "hushhush", 1);
        CHECK_INT(load_plain(), 0);
        for (int json = 0; json <= 1; json++) {
            char *text = printed(json != 0);

            CHECK(!strstr(text, "hushhush"));
            CHECK(strstr(text, cases[i].shown));
            CHECK(strstr(text, "***"));
            free(text);
        }
        config_release(&config);
    }
    clear_environment();
}

/* --- the files in the tree ------------------------------------------------------------------------------ */

/* `sample` is what makes `superx config --sample` write the file. */
static void check_generated(const char *file, const char *sample, void (*print)(FILE *out))
{
    static char have[KB(64)];
    size_t want_n;
    char *want = NULL;
    FILE *out = open_memstream(&want, &want_n);

    print(out);
    fclose(out);
    FILE *in = fopen(file, "re");
    CHECK(in);
    size_t n = in ? fread(have, 1, sizeof have, in) : 0;
    if (in)
        fclose(in);
    if (!str_is(str_make(have, n), str_make(want, want_n)))
        printf("    stale: superx config --sample %s >%s\n", sample, file);
    CHECK(str_is(str_make(have, n), str_make(want, want_n)));
    free(want);
}

TEST(generated_files_are_up_to_date)
{
    check_generated(".env.example", "env", config_print_env_sample);
    check_generated("superx.yml.example", "yml", config_print_yml_sample);
    check_generated("docs/configuration.md", "docs", config_print_docs);
}

TEST(env_sample_gives_the_defaults)
{
    static char line[KB(1)];
    unsigned n = 0;

    clear_environment();
    FILE *in = fopen(".env.example", "re");
    CHECK(in);
    while (in && fgets(line, sizeof line, in)) {
        struct str value = str_trim(str_of(line)), name = str_cut(&value, '=');
        char name_z[64], value_z[256];

        if (!name.n || name.p[0] == '#')
            continue;
        CHECK(value.p != NULL);
        snprintf(name_z, sizeof name_z, "%.*s", STR_ARG(name));
        snprintf(value_z, sizeof value_z, "%.*s", STR_ARG(value));
        setenv(name_z, value_z, 1);
        n++;
    }
    if (in)
        fclose(in);
    CHECK_INT(n, CONFIG_ID_MAX);
    CHECK_INT(load_plain(), 0);
    CHECK_STR(str_of(said), STR(""));
    check_defaults();
    CHECK_INT(config.from[CONFIG_ID_port].source, CONFIG_FROM_ENV);
    config_release(&config);
    clear_environment();
}

TEST(yml_sample_gives_the_defaults)
{
    clear_environment();
    CHECK_INT(load("superx.yml.example", NULL), 0);
    CHECK_STR(str_of(said), STR(""));
    check_defaults();
    for (int i = 0; i < CONFIG_ID_MAX; i++)
        CHECK(config.from[i].source == CONFIG_FROM_FILE || !config.from[i].line);
    CHECK_INT(config.from[CONFIG_ID_port].source, CONFIG_FROM_FILE);
    config_release(&config);
}

TEST_MAIN
