/* SPDX-License-Identifier: MIT
 *
 * What the rooms of this folder share and nobody else needs: reading single values in any spelling, tasks and updates
 * as raw spans, and the object of an error.
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

/* --- tasks and updates as they stand ----------------------------------------------------------------- */

/* Values as they stand in a task's document, nulls included. */
struct a2a_task_spans {
    struct str id, context_id, status, state, timestamp, status_message, history, artifacts;
};

/* ERR_INVALID with *why (literal) when a member is given twice, or there is no id or no status with a state. What may
 * be an id is a2a_task_read()'s to judge. */
MUST_CHECK int a2a_task_scan(struct str doc, struct a2a_task_spans *out, const char **why);

/* Whether a raw string can be the id of a task or context: 1 to 512 bytes when decoded, no control characters. */
bool a2a_is_id(struct str raw);

/* Whether two raw strings say the same. */
bool a2a_is_same_string(struct str a, struct str b);

/* In whose words an object is said: its state (raw, may be absent) counts for more than a `kind`; where neither says,
 * `otherwise`. */
enum a2a_version a2a_object_dialect(struct str object, struct str state,
                                    enum a2a_version otherwise);

/* A status update or artifact update. Raw spans; nulls count as absent. */
struct a2a_update {
    struct str task_id, context_id; /* the latter absent if empty, too */
    struct str status, state;       /* of a status update */
    struct str artifact, artifact_id,
        parts; /* of an artifact update; parts absent or an array */
    struct str kind, final;
    bool appends;
};

/* Reads an update of `kind` (STATUS_UPDATE, ARTIFACT_UPDATE). ERR_INVALID with *why (literal) when it has no usable
 * taskId, no status with a state, no artifact with an artifactId, or a member twice. */
MUST_CHECK int a2a_update_read(struct str object, enum a2a_event_kind kind,
                               struct a2a_update *out, const char **why);

/* The id of an artifact, raw, under either of its names: the first that is a string. Absent if it has none. */
struct str a2a_artifact_id(struct str artifact);
bool a2a_is_artifact_id_key(struct str key, struct str value);

/* The parts of an artifact are under `parts`; 0.3's proto called them `content`. */
bool a2a_is_parts_key(struct str key, struct str value);

/* Begins an update in `version`: kind (0.3), taskId, contextId (absent: none), both raw. What is the update's own, and
 * the closing brace, are the caller's to write. */
void a2a_update_write_head(struct buf *out, enum a2a_version version, enum a2a_event_kind kind,
                           struct str task_id, struct str context_id);

/* --- finding by name among many ---------------------------------------------------------------------- */

/* Members of an object by key, or artifacts by id. Peers choose how many there are and how they are called: looking one
 * up is a binary search. */
struct a2a_named {
    struct str raw;  /* the key as a cursor gives it; the id with its quotes, absent: none */
    struct str name; /* decoded, in the arena if it had escapes; never found if raw is absent */
    struct str value;
};

struct a2a_names {
    struct a2a_named *items; /* arena; as they stand in the text */
    const struct a2a_named *
        *sorted; /* arena; by name, then as they stand; only those with a name */
    size_t n, n_sorted;
};

/* What is no object (no array) has none. ERR_NOMEM: the arena is full. */
MUST_CHECK int a2a_names_of_members(struct a2a_names *names, struct str object,
                                    struct arena *arena);
MUST_CHECK int a2a_names_of_artifacts(struct a2a_names *names, struct str array,
                                      struct arena *arena);

/* Of several with that name. NULL: there is none. */
const struct a2a_named *a2a_names_first(const struct a2a_names *names, struct str name);
const struct a2a_named *a2a_names_last(const struct a2a_names *names, struct str name);

/* --- a text with changes ----------------------------------------------------------------------------- */

/* `at` is how far the text has been copied. */
struct a2a_copy {
    struct buf *out;
    const char *at, *end;
};

static inline struct a2a_copy a2a_copy_begin(struct buf *out, struct str text)
{
    return (struct a2a_copy){out, text.p, text.p + text.n};
}

/* Copies up to `p`. */
static inline void a2a_copy_to(struct a2a_copy *c, const char *p)
{
    BUG_ON(p < c->at || p > c->end);
    buf_add(c->out, c->at, (size_t)(p - c->at));
    c->at = p;
}

/* Copies up to `span` and leaves it out: what stands for it is to be written next. */
static inline void a2a_copy_over(struct a2a_copy *c, struct str span)
{
    a2a_copy_to(c, span.p);
    c->at = span.p + span.n;
}

#endif
