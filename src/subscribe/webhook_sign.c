/* SPDX-License-Identifier: MIT
 *
 * What proves to a receiver that a POST is from us, and lets it tell a repetition. Everything that is configured is said,
 * side by side:
 *
 *     Authorization               scheme and credentials of an A2A configuration, or a JWT (HS256)
 *     X-A2A-Notification-Token    the configuration's token, under the names of all SDKs
 *     X-A2A-Signature             the first SuperX's: hex HMAC-SHA256 of "timestamp.body"
 *     webhook-id, -timestamp, -signature   Standard Webhooks 1.0: base64 HMAC-SHA256 of "id.timestamp.body"
 *
 * The secret of a Standard Webhook may be written as "whsec_" and base64; without the prefix its bytes are the key, for
 * both signatures.
 */
#include "lib/base64.h"
#include "lib/json.h"
#include "subscribe/webhook_int.h"

#define TEXT_MAX KB(64)
#define KEY_MAX 512

void webhook_write_id(char out[WEBHOOK_ID_MAX], const struct uuid *key, struct str id,
                      uint64_t seq)
{
    unsigned char mac[DIGEST_BYTES];
    char number[24];
    int n = snprintf(number, sizeof number, "%llu", (unsigned long long)seq);
    struct str parts[] = {
        {(const char *)key->b, sizeof key->b}, id, STR("/"), str_make(number, (size_t)n)};

    digest_hmac_sha256(STR("superx webhook id"), parts, 4, mac);
    memcpy(out, "wh_", 3);
    out[3 + base64url_encode(out + 3, mac, 18)] = '\0';
}

/* --- building ------------------------------------------------------------------------------------- */

/* Headers point into the text, which does not move: it was reserved whole. */
static void add(struct signed_headers *s, const char *name, size_t from)
{
    BUG_ON(s->n == SIGN_HEADERS_MAX);
    s->headers[s->n++] = (struct egress_header){name, {s->text.p + from, s->text.n - from}};
}

static void add_str(struct signed_headers *s, const char *name, struct str value)
{
    size_t from = s->text.n;

    buf_add_str(&s->text, value);
    add(s, name, from);
}

static void mac_of(struct str key, const struct str *parts, size_t n,
                   unsigned char mac[DIGEST_BYTES])
{
    digest_hmac_sha256(key, parts, n, mac);
}

/* --- the first SuperX's --------------------------------------------------------------------------- */

static void add_superx_signature(struct signed_headers *s, struct str secret,
                                 struct str seconds, struct str body)
{
    struct str parts[] = {seconds, STR("."), body};
    unsigned char mac[DIGEST_BYTES];
    char hex[DIGEST_HEX + 1];

    mac_of(secret, parts, 3, mac);
    digest_write_hex(mac, hex);
    add_str(s, "X-A2A-Timestamp", seconds);
    add_str(s, "X-A2A-Signature", str_of(hex));
}

/* --- Standard Webhooks ---------------------------------------------------------------------------- */

static struct str key_of(struct str secret, unsigned char room[KEY_MAX])
{
    const struct str prefix = STR("whsec_");
    size_t n;

    if (!str_has_prefix(secret, prefix) ||
        base64_decode(room, KEY_MAX, str_make(secret.p + prefix.n, secret.n - prefix.n), &n))
        return secret;
    return str_make((char *)room, n);
}

static void add_standard_signature(struct signed_headers *s, struct str secret, struct str id,
                                   struct str seconds, struct str body)
{
    struct str parts[] = {id, STR("."), seconds, STR("."), body};
    unsigned char mac[DIGEST_BYTES], room[KEY_MAX];
    char text[3 + BASE64_LENGTH(DIGEST_BYTES)] = "v1,";

    mac_of(key_of(secret, room), parts, 5, mac);
    add_str(s, "webhook-signature",
            str_make(text, 3 + base64_encode(text + 3, mac, sizeof mac)));
}

/* --- JWT (RFC 7519) ------------------------------------------------------------------------------- */

static void write_encoded(struct buf *out, struct str text)
{
    char *to = buf_reserve(out, BASE64URL_LENGTH(text.n));

    if (to)
        buf_commit(out, base64url_encode(to, text.p, text.n));
}

static void write_claim(struct buf *out, const char *name, struct str value)
{
    if (!value.p)
        return;
    buf_printf(out, ",\"%s\":", name);
    json_write_string(out, value);
}

static bool is_ours(struct str key)
{
    static const char *const names[] = {"iat", "exp", "nbf", "hash", "iss", "aud", "taskId"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_key_is(key, str_of(names[i])))
            return true;
    return false;
}

static void write_claims(struct buf *out, const struct webhooks_config *config,
                         const struct hook_config *c, struct str task_id, int64_t now_s,
                         struct str body)
{
    char hash[DIGEST_HEX + 1];
    struct json_cursor cursor;
    struct str key, value;

    digest_sha256(body, hash);
    buf_printf(out, "{\"iat\":%lld,\"exp\":%lld,\"nbf\":%lld,\"hash\":\"%s\"", (long long)now_s,
               (long long)(now_s + (int64_t)config->jwt_ttl_s),
               (long long)(now_s - (int64_t)config->jwt_skew_s), hash);
    write_claim(out, "iss", c->jwt_issuer);
    write_claim(out, "aud", c->jwt_audience);
    write_claim(out, "taskId", task_id);
    JSON_EACH_MEMBER (&cursor, c->jwt_claims, &key, &value) {
        if (is_ours(key))
            continue;
        BUF_LIT(out, ",\"");
        buf_add_str(out, key);
        BUF_LIT(out, "\":");
        buf_add_str(out, value);
    }
    buf_add_char(out, '}');
}

static void add_jwt(struct signed_headers *s, const struct webhooks_config *config,
                    const struct hook_config *c, struct str task_id, int64_t now_s,
                    struct str body)
{
    size_t from = s->text.n, signed_from;
    unsigned char mac[DIGEST_BYTES];
    struct buf part;
    struct str text;

    buf_init(&part, TEXT_MAX);
    BUF_LIT(&part, "{\"alg\":\"HS256\",\"typ\":\"JWT\"");
    write_claim(&part, "kid", c->jwt_kid);
    buf_add_char(&part, '}');
    BUF_LIT(&s->text, "Bearer ");
    signed_from = s->text.n;
    write_encoded(&s->text, buf_str(&part));
    buf_clear(&part);
    write_claims(&part, config, c, task_id, now_s, body);
    buf_add_char(&s->text, '.');
    write_encoded(&s->text, buf_str(&part));
    text = str_make(s->text.p + signed_from, s->text.n - signed_from);
    mac_of(c->jwt_secret, &text, 1, mac);
    buf_add_char(&s->text, '.');
    write_encoded(&s->text, str_make((char *)mac, sizeof mac));
    if (buf_error(&part))
        s->text.n = from; /* no half of a proof */
    else
        add(s, "Authorization", from);
    buf_release(&part);
}

/* --- all together --------------------------------------------------------------------------------- */

static void add_authorization(struct signed_headers *s, const struct webhooks_config *config,
                              const struct hook_config *c, struct str task_id, int64_t now_s,
                              struct str body)
{
    size_t from = s->text.n;

    if (c->jwt_secret.p) {
        add_jwt(s, config, c, task_id, now_s, body);
    } else if (c->scheme.p) {
        buf_add_str(&s->text, c->scheme);
        if (c->credentials.p)
            buf_add_char(&s->text, ' ');
        buf_add_str(&s->text, c->credentials);
        add(s, "Authorization", from);
    }
}

static void add_token(struct signed_headers *s, enum push_form form, struct str token)
{
    if (!token.p)
        return;
    add_str(s, "X-A2A-Notification-Token", token);
    add_str(s, "A2A-Notification-Token", token);
    if (form == PUSH_SUPERX)
        add_str(s, "X-A2A-Token", token);
}

int webhook_sign(struct signed_headers *out, const struct webhooks_config *config,
                 enum push_form form, const struct hook_config *c, struct str task_id,
                 const char *webhook_id, int64_t now_us, struct str body)
{
    struct str standard = c->hmac_secret, seconds;
    char number[24];

    out->n = 0;
    buf_init(&out->text, TEXT_MAX);
    if (!buf_reserve(&out->text, TEXT_MAX))
        return ERR_NOMEM;
    seconds = str_make(
        number, (size_t)snprintf(number, sizeof number, "%lld", (long long)(now_us / 1000000)));
    add_str(out, "Content-Type",
            form == PUSH_1_0 ? STR("application/a2a+json") : STR("application/json"));
    if (form == PUSH_1_0)
        add_str(out, "A2A-Version", STR("1.0"));
    add_authorization(out, config, c, task_id, now_us / 1000000, body);
    add_token(out, form, c->token);
    if (c->hmac_secret.p)
        add_superx_signature(out, c->hmac_secret, seconds, body);
    add_str(out, "webhook-id", str_of(webhook_id));
    add_str(out, "webhook-timestamp", seconds);
    if (!standard.p && config->signing_secret && config->signing_secret[0])
        standard = str_of(config->signing_secret);
    if (standard.p)
        add_standard_signature(out, standard, str_of(webhook_id), seconds, body);
    return buf_error(&out->text) ? ERR_NOMEM : 0;
}
