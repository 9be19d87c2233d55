/* SPDX-License-Identifier: MIT
 *
 * Chunks of one artifact, taken together. Folding an event costs a pass over the whole document, half a millisecond for
 * 500 KB; a model that talks makes a thousand events of such a document's length. Those that wait for the same batch, or
 * stand behind a stored document, are mostly alike:
 *
 *     {taskId, contextId, artifact: {artifactId, parts: [..]}, append: true}
 *
 * One update with all their parts in a row leads to the very same document, byte for byte, provided the artifact is there
 * (so the first one is folded by itself) and a chunk brings nothing but parts. Whoever is not as plain as that ends the
 * run. This changes how a document is computed, not what is logged: each event keeps its number and its bytes.
 */
#include "store/parts.h"

enum slot {
    SLOT_KIND,
    SLOT_TASK,
    SLOT_CONTEXT,
    SLOT_ARTIFACT,
    SLOT_ARTIFACT_ID,
    SLOT_PARTS,
    SLOT_APPEND,
    SLOT_LAST,
    SLOT_METADATA,
    SLOT_MAX
};

/* Everything that may stand in a plain chunk. The metadata of an update is its own, not the artifact's. */
static const struct json_want artifact_wants[] = {
    {"artifactId", SLOT_ARTIFACT_ID, NULL},
    {"parts", SLOT_PARTS, NULL},
    {NULL, -1, NULL},
};

static const struct json_want chunk_wants[] = {
    {"kind", SLOT_KIND, NULL},         {"taskId", SLOT_TASK, NULL},
    {"contextId", SLOT_CONTEXT, NULL}, {"artifact", SLOT_ARTIFACT, artifact_wants},
    {"append", SLOT_APPEND, NULL},     {"lastChunk", SLOT_LAST, NULL},
    {"metadata", SLOT_METADATA, NULL}, {NULL, -1, NULL},
};

static size_t count_members(struct str object)
{
    struct json_cursor cursor;
    struct str key, value;
    size_t n = 0;

    JSON_EACH_MEMBER (&cursor, object, &key, &value)
        n++;
    return n;
}

static size_t count_given(const struct str *slots, const struct json_want *wants)
{
    size_t n = 0;

    for (; wants->name; wants++)
        n += slots[wants->slot].p != NULL;
    return n;
}

/* The views of *slots point into the payload. A member that is not wanted makes the count differ. */
static bool is_plain(struct str payload, struct str slots[SLOT_MAX])
{
    struct json_cursor cursor;
    struct str part;

    if (json_scan(payload, chunk_wants, slots, SLOT_MAX, NULL) ||
        json_type(slots[SLOT_APPEND]) != JSON_TRUE ||
        json_type(slots[SLOT_TASK]) != JSON_STRING ||
        json_type(slots[SLOT_ARTIFACT_ID]) != JSON_STRING ||
        json_type(slots[SLOT_PARTS]) != JSON_ARRAY)
        return false;
    json_enter(&cursor, slots[SLOT_PARTS]);
    return json_next_element(&cursor, &part) &&
           count_members(payload) == count_given(slots, chunk_wants) &&
           count_members(slots[SLOT_ARTIFACT]) == count_given(slots, artifact_wants);
}

uint64_t chunks_run_of(const struct store_event *event)
{
    struct str slots[SLOT_MAX];

    if (event->kind != A2A_EVENT_ARTIFACT_UPDATE || !is_plain(event->payload, slots))
        return 0;
    return map_hash(slots[SLOT_ARTIFACT_ID]) | 1;
}

bool chunks_begin(struct chunks *c, struct str payload, size_t max_bytes)
{
    struct str slots[SLOT_MAX];

    c->n = 0;
    if (!is_plain(payload, slots))
        return false;
    buf_init(&c->update, max_bytes + payload.n);
    c->task = slots[SLOT_TASK];
    c->artifact = slots[SLOT_ARTIFACT_ID];
    BUF_LIT(&c->update, "{\"taskId\":");
    buf_add_str(&c->update, c->task);
    BUF_LIT(&c->update, ",\"artifact\":{\"artifactId\":");
    buf_add_str(&c->update, c->artifact);
    BUF_LIT(&c->update, ",\"parts\":[");
    return true;
}

bool chunks_add(struct chunks *c, struct str payload)
{
    struct str slots[SLOT_MAX];

    if (!is_plain(payload, slots) || !str_is(slots[SLOT_TASK], c->task) ||
        !str_is(slots[SLOT_ARTIFACT_ID], c->artifact))
        return false;
    if (c->n > 0)
        buf_add_char(&c->update, ',');
    buf_add(&c->update, slots[SLOT_PARTS].p + 1, slots[SLOT_PARTS].n - 2);
    c->n++;
    return buf_error(&c->update) == 0;
}

struct str chunks_end(struct chunks *c)
{
    BUF_LIT(&c->update, "]},\"append\":true}");
    return buf_error(&c->update) ? STR_NONE : buf_str(&c->update);
}

void chunks_release(struct chunks *c)
{
    buf_release(&c->update);
}
