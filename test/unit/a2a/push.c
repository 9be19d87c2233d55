/* SPDX-License-Identifier: MIT
 *
 * Push notification configurations: every spelling is read, what is secret stays in its half, and what cannot be is
 * refused with its name.
 */
#include "check.h"

#include "a2a/a2a.h"
#include "lib/json.h"
#include "lib/limits.h"
#include "lib/mem.h"

static struct a2a_fault fault;
static struct buf out;

static int read_one(const char *text, struct a2a_push *push)
{
    fault = (struct a2a_fault){0};
    BUG_ON(json_scan(str_of(text), NULL, NULL, 0, NULL));
    return a2a_push_read(str_of(text), push, &fault);
}

static struct str written(void (*write)(struct buf *out, const struct a2a_push *push),
                          const struct a2a_push *push)
{
    buf_release(&out);
    buf_init(&out, KB(64));
    write(&out, push);
    return out.n ? buf_str(&out) : STR("");
}

TEST(a_configuration_has_two_halves)
{
    struct a2a_push push;

    CHECK_INT(
        read_one(
            "{\"url\":\"https://x/\",\"id\":\"i\",\"token\":\"t\",\"authentication\":{"
            "\"schemes\":[\"Bearer\",\"Basic\"],\"credentials\":\"c\"},\"hmac_secret\":\"h\","
            "\"payload\":\"event\"}",
            &push),
        0);
    CHECK_STR(written(a2a_push_write_doc, &push),
              STR("{\"url\":\"https://x/\",\"scheme\":\"Bearer\",\"payload\":\"event\"}"));
    CHECK_STR(written(a2a_push_write_secret, &push),
              STR("{\"token\":\"t\",\"credentials\":\"c\",\"hmacSecret\":\"h\"}"));
    CHECK_STR(push.id, STR("\"i\""));
    CHECK_INT(
        read_one("{\"url\":\"https://x/\",\"token\":\"\",\"authentication\":null,\"id\":null}",
                 &push),
        0);
    CHECK_STR(written(a2a_push_write_doc, &push), STR("{\"url\":\"https://x/\"}"));
    CHECK_STR(written(a2a_push_write_secret, &push), STR(""));
    CHECK(!push.id.p);
}

TEST(what_cannot_be_is_refused_by_name)
{
    static const char *const cases[][2] = {
        {"[]", "object"},
        {"{}", "url"},
        {"{\"url\":\"\"}", "url"},
        {"{\"url\":7}", "url"},
        {"{\"url\":\"u\",\"token\":1}", "token"},
        {"{\"url\":\"u\",\"token\":\"a\\nb\"}", "token"},
        {"{\"url\":\"u\",\"token\":\"a\\u0000b\"}", "token"},
        {"{\"url\":\"u\",\"authentication\":\"Bearer\"}", "authentication"},
        {"{\"url\":\"u\",\"authentication\":{\"credentials\":\"c\"}}", "authentication"},
        {"{\"url\":\"u\",\"authentication\":{\"scheme\":\"a b\"}}", "scheme"},
        {"{\"url\":\"u\",\"authentication\":{\"scheme\":\"a\",\"credentials\":\"x\\r\\nX: y\"}}",
         "credentials"},
        {"{\"url\":\"u\",\"authentication\":{\"scheme\":\"Bearer\"},\"jwtSecret\":\"j\"}",
         "jwtSecret"},
        {"{\"url\":\"u\",\"jwtClaims\":\"x\"}", "jwtClaims"},
        {"{\"url\":\"u\",\"payload\":\"all\"}", "payload"},
    };
    struct a2a_push push;
    char *large = mem_zero(KB(8), 1);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_INT(read_one(cases[i][0], &push), ERR_INVALID);
        CHECK_INT(fault.error, A2A_ERROR_INVALID_PARAMS);
        if (!strstr(fault.detail, cases[i][1]))
            CHECK_STR(str_of(fault.detail), str_of(cases[i][1]));
    }
    snprintf(large, KB(8), "{\"url\":\"%05000d\"}", 0);
    CHECK_INT(read_one(large, &push), ERR_INVALID);
    mem_free(large);
}

static int params(enum a2a_method method, const char *text, struct a2a_push_params *p)
{
    fault = (struct a2a_fault){0};
    BUG_ON(json_scan(str_of(text), NULL, NULL, 0, NULL));
    return a2a_push_params_read(str_of(text), method, p, &fault);
}

TEST(params_in_every_spelling)
{
    static const char *const sets[] = {
        "{\"taskId\":\"t\",\"id\":\"c\",\"url\":\"u\"}",
        "{\"task_id\":\"t\",\"id\":\"c\",\"url\":\"u\"}",
        "{\"taskId\":\"t\",\"pushNotificationConfig\":{\"id\":\"c\",\"url\":\"u\"}}",
        "{\"id\":\"t\",\"push_notification_config\":{\"id\":\"c\",\"url\":\"u\"}}",
        "{\"taskId\":\"t\",\"config\":{\"id\":\"c\",\"url\":\"u\"}}",
    };
    static const char *const gets[] = {
        "{\"taskId\":\"t\",\"id\":\"c\"}",
        "{\"id\":\"t\",\"pushNotificationConfigId\":\"c\"}",
        "{\"id\":\"t\",\"push_notification_config_id\":\"c\"}",
        "{\"taskId\":\"t\",\"configId\":\"c\"}",
        "{\"task_id\":\"t\",\"config_id\":\"c\",\"agent\":\"a\"}",
    };
    struct a2a_push_params p;

    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        CHECK_INT(params(A2A_PUSH_SET, sets[i], &p), 0);
        CHECK_STR(p.task_id, STR("\"t\""));
        CHECK_STR(p.config_id, STR("\"c\""));
        CHECK_STR(p.push.url, STR("\"u\""));
    }
    for (size_t i = 0; i < sizeof gets / sizeof *gets; i++) {
        CHECK_INT(params(A2A_PUSH_GET, gets[i], &p), 0);
        CHECK_STR(p.task_id, STR("\"t\""));
        CHECK_STR(p.config_id, STR("\"c\""));
    }
    CHECK_STR(p.agent, STR("\"a\""));
    CHECK_INT(params(A2A_PUSH_LIST, "{\"id\":\"t\"}", &p), 0);
    CHECK(!p.config_id.p);
    CHECK_INT(params(A2A_PUSH_LIST, "{}", &p), ERR_INVALID);
    CHECK_INT(params(A2A_PUSH_LIST, "{\"id\":7}", &p), ERR_INVALID);
    CHECK_INT(params(A2A_PUSH_GET, "{\"id\":\"t\",\"pushNotificationConfigId\":7}", &p),
              ERR_INVALID);
    CHECK_INT(params(A2A_PUSH_SET, "{\"url\":\"u\"}", &p), ERR_INVALID);
}

TEST(what_is_told_in_each_version)
{
    const struct str doc = STR("{\"url\":\"https://x/\",\"scheme\":\"Bearer\"}");

    buf_release(&out);
    buf_init(&out, KB(4));
    a2a_push_write(&out, A2A_1_0, false, STR("t"), STR("c"), doc);
    CHECK_STR(buf_str(&out), STR("{\"taskId\":\"t\",\"id\":\"c\",\"url\":\"https://x/\","
                                 "\"authentication\":{\"scheme\":\"Bearer\"}}"));
    buf_clear(&out);
    a2a_push_write(&out, A2A_0_3, false, STR("t"), STR("c"), doc);
    CHECK_STR(
        buf_str(&out),
        STR("{\"taskId\":\"t\",\"pushNotificationConfig\":{\"id\":\"c\",\"url\":\"https://x/\","
            "\"authentication\":{\"schemes\":[\"Bearer\"]}}}"));
    buf_release(&out);
}

TEST_MAIN
