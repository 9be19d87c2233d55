/* SPDX-License-Identifier: MIT
 *
 * What goes with a webhook's body, against values computed elsewhere (Python's hmac and base64).
 */
#include "check.h"

#include "subscribe/webhook_int.h"

static const struct webhooks_config config = {.jwt_ttl_s = 300, .jwt_skew_s = 120};
static struct signed_headers s;

static struct str header(const char *name)
{
    for (size_t i = 0; i < s.n; i++)
        if (strcmp(s.headers[i].name, name) == 0)
            return s.headers[i].value;
    return STR_NONE;
}

static void sign(const struct webhooks_config *with, enum push_form form,
                 const struct hook_config *c)
{
    buf_release(&s.text);
    CHECK_INT(webhook_sign(&s, with, form, c, STR("t1"), "wh_id", INT64_C(1700000000000000),
                           STR("{\"x\":1}")),
              0);
}

TEST(what_is_said_in_every_form)
{
    struct hook_config c = {
        .token = STR("tok"), .scheme = STR("Basic"), .credentials = STR("cr")};

    sign(&config, PUSH_1_0, &c);
    CHECK_STR(header("Content-Type"), STR("application/a2a+json"));
    CHECK_STR(header("A2A-Version"), STR("1.0"));
    CHECK_STR(header("Authorization"), STR("Basic cr"));
    CHECK_STR(header("X-A2A-Notification-Token"), STR("tok"));
    CHECK_STR(header("A2A-Notification-Token"), STR("tok"));
    CHECK_STR(header("X-A2A-Token"), STR_NONE);
    CHECK_STR(header("webhook-id"), STR("wh_id"));
    CHECK_STR(header("webhook-timestamp"), STR("1700000000"));
    CHECK_STR(header("webhook-signature"), STR_NONE);
    CHECK_STR(header("X-A2A-Signature"), STR_NONE);
    c.credentials = STR_NONE;
    sign(&config, PUSH_0_3, &c);
    CHECK_STR(header("Content-Type"), STR("application/json"));
    CHECK_STR(header("A2A-Version"), STR_NONE);
    CHECK_STR(header("Authorization"), STR("Basic"));
    sign(&config, PUSH_SUPERX, &c);
    CHECK_STR(header("X-A2A-Token"), STR("tok"));
    sign(&config, PUSH_1_0, &(struct hook_config){.wants_events = false});
    CHECK_INT(s.n, 4);
}

TEST(signatures)
{
    struct webhooks_config ours = config;

    sign(&config, PUSH_SUPERX, &(struct hook_config){.hmac_secret = STR("s3cret")});
    CHECK_STR(header("X-A2A-Timestamp"), STR("1700000000"));
    CHECK_STR(header("X-A2A-Signature"),
              STR("53d22a53a449c8eab33f527b26c0b13af91a3b37fce85ffe71404534449f336d"));
    CHECK_STR(header("webhook-signature"),
              STR("v1,nqApvyYtvwktwxMKRgYNgpkNubrv0JICf41wfSOYvlY="));
    sign(&config, PUSH_SUPERX,
         &(struct hook_config){.hmac_secret = STR("whsec_MDEyMzQ1Njc4OWFiY2RlZg==")});
    CHECK_STR(header("webhook-signature"),
              STR("v1,MqVJNjzTTqyJHNIgNYqvz6gCbtbhoPL87hPfd/3+gR8="));
    ours.signing_secret = "s3cret"; /* for those who have none */
    sign(&ours, PUSH_1_0, &(struct hook_config){.wants_events = false});
    CHECK_STR(header("webhook-signature"),
              STR("v1,nqApvyYtvwktwxMKRgYNgpkNubrv0JICf41wfSOYvlY="));
    CHECK_STR(header("X-A2A-Signature"), STR_NONE);
    sign(&ours, PUSH_1_0,
         &(struct hook_config){.hmac_secret = STR("whsec_MDEyMzQ1Njc4OWFiY2RlZg==")});
    CHECK_STR(header("webhook-signature"),
              STR("v1,MqVJNjzTTqyJHNIgNYqvz6gCbtbhoPL87hPfd/3+gR8="));
}

TEST(a_jwt)
{
    struct hook_config c = {.jwt_secret = STR("jot"),
                            .jwt_issuer = STR("me"),
                            .jwt_audience = STR("you"),
                            .jwt_kid = STR("k1"),
                            .jwt_claims =
                                STR("{\"iat\":5,\"role\":\"admin\",\"ha\\u0073h\":\"x\"}")};

    sign(&config, PUSH_SUPERX, &c);
    CHECK_STR(
        header("Authorization"),
        STR("Bearer "
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImsxIn0."
            "eyJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMDMwMCwibmJmIjoxNjk5OTk5ODgwLCJoYXNoIjoiNT"
            "A0MWJmMWY3MTNkZjIwNDc4NDM1M2U4MmY2YTRhNTM1OTMxY2I2NGYxZjRiNGE1YWVhZmZjYjcyMDkxOGIy"
            "MiIsImlzcyI6Im1lIiwiYXVkIjoieW91IiwidGFza0lkIjoidDEiLCJyb2xlIjoiYWRtaW4ifQ."
            "Y8q6vSKF0hcpXUkbGY2lfESWWbYkWDeTN1xJO-Wtq8I"));
}

TEST(ids_are_of_one_event)
{
    struct uuid a = id_uuid4(), b = id_uuid4();
    char ids[5][WEBHOOK_ID_MAX];

    webhook_write_id(ids[0], &a, STR("w"), 1);
    webhook_write_id(ids[1], &a, STR("w"), 2);
    webhook_write_id(ids[2], &a, STR("w/1"), 2);
    webhook_write_id(ids[3], &b, STR("w"), 1);
    webhook_write_id(ids[4], &a, STR("w"), 1);
    CHECK_INT(strlen(ids[0]), 27);
    CHECK_STR(str_of(ids[0]), str_of(ids[4]));
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++)
            CHECK(strcmp(ids[i], ids[k]) != 0);
    buf_release(&s.text);
}

TEST(pauses_between_attempts)
{
    static const uint64_t standard[] = {5, 30, 120, 600, 1800, 3600, 7200, 18000, 36000, 0};
    struct webhooks_config c = {.timeout_ms = 1};

    for (unsigned n = 1; n <= 10; n++)
        CHECK_INT(hook_pause_ms(&c, n), standard[n - 1] * 1000);
    c.max_attempts = 12;
    CHECK_INT(hook_pause_ms(&c, 11), 36000000);
    CHECK_INT(hook_pause_ms(&c, 12), 0);
    c = (struct webhooks_config){.retry_base_ms = 200, .max_attempts = 3};
    CHECK_INT(hook_pause_ms(&c, 1), 200);
    CHECK_INT(hook_pause_ms(&c, 2), 400);
    CHECK_INT(hook_pause_ms(&c, 3), 0);
    c.max_attempts = 1000;
    CHECK_INT(hook_pause_ms(&c, 18), 26214400);
    CHECK_INT(hook_pause_ms(&c, 19), 36000000);
    CHECK_INT(hook_pause_ms(&c, 999), 36000000);
}

TEST_MAIN
