/* SPDX-License-Identifier: MIT
 *
 * Push notification configurations (A2A 1.0 section 4.3.1, 0.3 section 6.8), and what their receivers are sent. Included
 * by a2a/a2a.h.
 *
 * A configuration is kept in two halves, both JSON: what anybody may see, and what nobody is told again.
 *
 *     doc     {"url", "scheme", "payload", "jwtIssuer", "jwtAudience", "jwtKid", "jwtClaims"}
 *     secret  {"token", "credentials", "hmacSecret", "jwtSecret"}
 *
 * Beside A2A's members url, id, token and authentication a configuration may have those that the first SuperX knew
 * (hmacSecret, jwtSecret, ...) and `payload`: "task" or "event", for receivers in 0.3.
 */
#ifndef A2A_PUSH_H
#define A2A_PUSH_H

#include "a2a/a2a.h"

/* Raw values, absent when not given. */
struct a2a_push {
    struct str id, url, token, scheme, credentials;
    struct str hmac_secret, jwt_secret, jwt_issuer, jwt_audience, jwt_kid, jwt_claims;
    struct str payload;
};

/* Reads a configuration object in any version's words. ERR_INVALID with *fault (INVALID_PARAMS and why): not an object,
 * no url, a wrong type, something too long, what cannot be a header's value, ... Whether the url may be called is not
 * judged here. */
MUST_CHECK int a2a_push_read(struct str object, struct a2a_push *out, struct a2a_fault *fault);

void a2a_push_write_doc(struct buf *out, const struct a2a_push *push);
/* Nothing if there are no secrets. */
void a2a_push_write_secret(struct buf *out, const struct a2a_push *push);

/* What a caller asks about configurations: PUSH_SET, _GET, _LIST, _DELETE. */
struct a2a_push_params {
    struct str task_id;   /* raw; never absent */
    struct str config_id; /* raw; absent: none given */
    struct str agent;     /* raw; of /rpc; absent: none given */
    struct a2a_push push; /* PUSH_SET */
};
/* `params` has passed json_scan(); every spelling that either version or the first SuperX has for a member is read, in
 * any of them. Errors as above. */
MUST_CHECK int a2a_push_params_read(struct str params, enum a2a_method method,
                                    struct a2a_push_params *out, struct a2a_fault *fault);

/* A stored configuration as it is told: A2A 1.0, 0.3, or the first SuperX's map (`superx`: both at once). `id` and
 * `task_id` decoded. */
void a2a_push_write(struct buf *out, enum a2a_version version, bool superx, struct str task_id,
                    struct str id, struct str doc);

#endif
