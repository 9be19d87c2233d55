/* SPDX-License-Identifier: MIT
 *
 * The files a newcomer copies: docker-compose.yml has what its page promises (it cannot be run everywhere, so its
 * structure is what is checked), agents.yml.example is an agents file, the Dockerfile insists on a database.
 */
#include "check.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "dispatch/dispatch.h"
#include "lib/limits.h"
#include "lib/yaml.h"

static char text[KB(64)];

static struct str read_file(const char *path)
{
    FILE *f = fopen(path, "re");

    CHECK(f);
    size_t n = f ? fread(text, 1, sizeof text, f) : 0;
    CHECK(n > 0 && n < sizeof text);
    if (f)
        fclose(f);
    return str_make(text, n);
}

/* The node at a path such as "services.postgres.image", or NULL. */
static const struct yaml_node *node_at(const struct yaml_node *root, const char *path)
{
    struct str rest = str_of(path);
    char name[64];

    while (root && rest.p) {
        struct str part = str_cut(&rest, '.');

        snprintf(name, sizeof name, "%.*s", STR_ARG(part));
        root = yaml_get(root, name);
    }
    return root;
}

/* The scalar at a path; absent if there is none. */
static struct str text_at(const struct yaml_node *root, const char *path)
{
    const struct yaml_node *node = node_at(root, path);

    return node && node->kind == YAML_KIND_SCALAR ? node->text : STR_NONE;
}

/* The i-th element of the list at a path. */
static struct str item_at(const struct yaml_node *root, const char *path, unsigned i)
{
    const struct yaml_node *node = node_at(root, path);

    if (!node || node->kind != YAML_KIND_LIST)
        return STR_NONE;
    for (node = node->first; node && i > 0; node = node->next)
        i--;
    return node && node->kind == YAML_KIND_SCALAR ? node->text : STR_NONE;
}

static unsigned count_at(const struct yaml_node *root, const char *path)
{
    const struct yaml_node *node = node_at(root, path);
    unsigned n = 0;

    for (node = node ? node->first : NULL; node; node = node->next)
        n++;
    return n;
}

static struct arena arena;

static struct yaml_node *read_compose(void)
{
    struct yaml_node *root = NULL;
    struct yaml_fault why;

    arena_init(&arena, MB(4));
    CHECK_INT(yaml_parse(read_file("docker-compose.yml"), &arena, &root, &why), 0);
    CHECK(root && root->kind == YAML_KIND_MAP);
    return root;
}

static void check_database(const struct yaml_node *service, const char *name, const char *port,
                           const char *volume)
{
    CHECK(service != NULL);
    CHECK_STR(text_at(service, "image"), STR("postgres:15"));
    CHECK_STR(text_at(service, "environment.POSTGRES_USER"), STR("postgres"));
    CHECK_STR(text_at(service, "environment.POSTGRES_PASSWORD"), STR("postgres"));
    CHECK_STR(text_at(service, "environment.POSTGRES_DB"), str_of(name));
    CHECK_INT(count_at(service, "ports"), 1);
    CHECK_STR(item_at(service, "ports", 0), str_of(port));
    CHECK_STR(item_at(service, "volumes", 0), str_of(volume));
    CHECK_STR(item_at(service, "healthcheck.test", 0), STR("CMD"));
    CHECK_STR(item_at(service, "healthcheck.test", 1), STR("pg_isready"));
    CHECK_STR(item_at(service, "healthcheck.test", 5), str_of(name));
    /* Without a profile: `docker-compose up` starts it. */
    CHECK(node_at(service, "profiles") == NULL);
}

TEST(compose_has_two_databases)
{
    const struct yaml_node *root = read_compose();

    CHECK_INT(count_at(root, "services"), 3);
    check_database(node_at(root, "services.postgres"), "orchestrator_dev",
                   "127.0.0.1:5432:5432", "postgres_data:/var/lib/postgresql/data");
    check_database(node_at(root, "services.postgres_test"), "orchestrator_test",
                   "127.0.0.1:5433:5432", "postgres_test_data:/var/lib/postgresql/data");
    CHECK_INT(count_at(root, "volumes"), 2);
    CHECK(node_at(root, "volumes.postgres_data") != NULL);
    CHECK(node_at(root, "volumes.postgres_test_data") != NULL);
    arena_release(&arena);
}

TEST(compose_starts_the_gateway_under_a_profile_only)
{
    const struct yaml_node *root = read_compose();
    const struct yaml_node *gateway = node_at(root, "services.gateway");

    CHECK_INT(count_at(gateway, "profiles"), 1);
    CHECK_STR(item_at(gateway, "profiles", 0), STR("full"));
    CHECK_STR(text_at(gateway, "build"), STR("."));
    CHECK_STR(item_at(gateway, "command", 0), STR("serve"));
    CHECK_STR(item_at(gateway, "command", 1), STR("--migrate"));
    CHECK_STR(text_at(gateway, "environment.DATABASE_URL"),
              STR("postgresql://postgres:postgres@postgres:5432/orchestrator_dev"));
    CHECK_STR(text_at(gateway, "environment.LISTEN"), STR("0.0.0.0"));
    CHECK_STR(text_at(gateway, "environment.PORT"), STR("4000"));
    CHECK_STR(item_at(gateway, "ports", 0), STR("127.0.0.1:4000:4000"));
    CHECK_STR(text_at(gateway, "depends_on.postgres.condition"), STR("service_healthy"));
    arena_release(&arena);
}

static const char *environment_is_empty(const char *name)
{
    (void)name;
    return NULL;
}

TEST(agents_sample_is_an_agents_file)
{
    struct agent_defaults defaults = {.max_in_flight = 10, .timeout_ms = 600000};
    struct agent_spec *spec = NULL;
    struct agents_fault why = {0};
    struct str default_agent = STR_NONE;

    arena_init(&arena, MB(4));
    CHECK_INT(agents_file_read(read_file("agents.yml.example"), &defaults, environment_is_empty,
                               &arena, &spec, &default_agent, &why),
              0);
    CHECK_STR(str_of(why.why), STR(""));
    CHECK_STR(default_agent, STR("weather"));
    CHECK(spec && spec->next && spec->next->next && !spec->next->next->next);
    if (!spec || !spec->next || !spec->next->next)
        return;
    CHECK_STR(spec->id, STR("weather"));
    CHECK(!spec->has_version);
    CHECK_INT(spec->max_in_flight, 10);
    CHECK_INT(spec->timeout_ms, 600000);
    spec = spec->next;
    CHECK_STR(spec->id, STR("translator"));
    CHECK(spec->bearer.n == 0);
    CHECK(spec->ca_file.n > 0);
    CHECK_INT(spec->max_in_flight, 4);
    CHECK_INT(spec->timeout_ms, 120000);
    spec = spec->next;
    CHECK_STR(spec->id, STR("archive"));
    CHECK(spec->has_version);
    CHECK_INT(spec->version, A2A_0_3);
    CHECK(spec->has_card_form);
    CHECK_INT(spec->card_form, A2A_CARD_1_0);
    arena_release(&arena);
}

static bool contains(struct str s, const char *part)
{
    return memmem(s.p, s.n, part, strlen(part)) != NULL;
}

TEST(image_insists_on_a_database)
{
    struct stat st;

    struct str dockerfile = read_file("Dockerfile");
    CHECK(contains(dockerfile, "\nENTRYPOINT [\"container-entry\"]\n"));
    CHECK(contains(dockerfile, "\nCMD [\"serve\"]\n"));
    CHECK(contains(dockerfile, "\nUSER superx\n"));
    CHECK(contains(dockerfile, "CMD [\"container-ready\"]\n"));
    CHECK_INT(stat("tools/container-entry", &st), 0);
    CHECK(st.st_mode & S_IXOTH);
    CHECK_INT(stat("tools/container-ready", &st), 0);
    CHECK(st.st_mode & S_IXOTH);
    /* 78 is EX_CONFIG; the sentence goes to stderr. */
    int status = system("DATABASE_URL= tools/container-entry serve 2>/dev/null");
    CHECK_INT(WEXITSTATUS(status), 78);
    status = system("DATABASE_URL= tools/container-entry 2>/dev/null");
    CHECK_INT(WEXITSTATUS(status), 78);
}

TEST(container_ready_says_no_when_nobody_listens)
{
    /* Port 1 of loopback: nothing that tests start ever listens there. */
    int status = system("PORT=1 tools/container-ready 2>/dev/null");

    CHECK_INT(WEXITSTATUS(status), 1);
}

TEST_MAIN
