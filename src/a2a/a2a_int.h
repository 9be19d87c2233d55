/* SPDX-License-Identifier: MIT
 *
 * What the rooms of this folder share and nobody else needs: reading single values in any spelling, and the
 * object of an error.
 */
#ifndef A2A_A2A_INT_H
#define A2A_A2A_INT_H

#include "a2a/a2a.h"

/* ProtoJSON writes a string that is not set as the empty one, or not at all. */
static inline bool a2a_is_empty_string(struct str raw)
{
    return raw.n == 2 && raw.p[0] == '"';
}

/* A JSON null means the same as not giving the member at all (A2A 1.0 section 5.7). */
static inline struct str a2a_given(struct str value)
{
    return json_type(value) == JSON_NULL ? STR_NONE : value;
}

enum a2a_role { A2A_ROLE_NONE = 0, A2A_ROLE_USER = 1, A2A_ROLE_AGENT = 2 };

/* "user", "ROLE_USER" or its number, any case; likewise the agent. ERR_INVALID for anything else, except that
 * ROLE_UNSPECIFIED (0) is A2A_ROLE_NONE. */
MUST_CHECK int a2a_role_read(struct str raw, enum a2a_role *out);

/* As a2a_state_read(), but ERR_INVALID for what is no state. */
MUST_CHECK int a2a_state_find(struct str raw, enum a2a_state *out);

/* In whose words the state is said: 1.0's prefix or number, or a 0.3 name. ERR_ABSENT: in nobody's. */
MUST_CHECK int a2a_state_dialect(struct str raw, enum a2a_version *out);

/* A raw string with an RFC 3339 date-time, the zone optional (0.3: UTC). ERR_INVALID if it is none. */
MUST_CHECK int a2a_timestamp_read(struct str raw, int64_t *us);

/* Translates a JSON-RPC error object; this cannot fail. */
void a2a_error_translate(struct buf *out, const struct a2a_translation *t, struct str error);

#endif
