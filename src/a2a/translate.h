/* SPDX-License-Identifier: MIT
 *
 * From one version's words to the other's (A2A 0.3 <-> 1.0, the tables of both specifications compared
 * member by member). Pure; one pass over the object's spans, nothing is turned into a tree.
 *
 *   - What the two versions name alike is copied byte for byte: metadata, extensions, number text, order.
 *   - Renamed are kind, roles, states, parts, file members, wrappers; what one version cannot say follows
 *     the table in translate.c (non-object data is wrapped, file names on text parts are dropped, ...).
 *   - The source is read liberally: single members in the other version's spelling are understood.
 *   - Unknown members are kept, unless `strict`: then only what the target version knows is written.
 *   - A null is a member that is not there (except as the value of a data part).
 *
 * Order: `kind` stands first, members that are added (final, a synthesised contextId) stand last, all others
 * stay where they were. A part is written kind, content, file name, media type, metadata, then what is
 * unknown.
 *
 * Included by a2a/a2a.h, the door of this folder.
 */
#ifndef A2A_TRANSLATE_H
#define A2A_TRANSLATE_H

#include "a2a/a2a.h"

enum a2a_object {
    A2A_OBJECT_TASK,
    A2A_OBJECT_MESSAGE,
    A2A_OBJECT_STATUS, /* TaskStatus */
    A2A_OBJECT_ARTIFACT,
    A2A_OBJECT_STATUS_UPDATE,   /* TaskStatusUpdateEvent, without the 1.0 wrapper */
    A2A_OBJECT_ARTIFACT_UPDATE, /* TaskArtifactUpdateEvent, without the 1.0 wrapper */
    A2A_OBJECT_ERROR,           /* a JSON-RPC error object */
};

struct a2a_translation {
    enum a2a_object what;
    enum a2a_version from, to;
    bool strict;
    /* decoded; contextId for a 0.3 task or update that has none. Absent: none */
    struct str context;
    bool is_last; /* status update to 0.3: `final` (true too when the state is terminal) */

    /* Changes to the object itself (not to objects inside it), which also happen within one version. */
    bool replaces_context; /* its contextId becomes `context`; without one it is left out */
    bool trims_history;    /* only the newest `history_max` messages; 0: no history member */
    uint64_t history_max;
    bool drops_artifacts;
};

/* Appends `object`, which json_scan() has accepted, as the target version says it, minified. The same
 * version on both sides: a minified copy. ERR_INVALID with *why (literal) when it cannot be said; `out` then
 * holds garbage behind what it had. A full `out` is buf_error()'s to tell. Data that is wrapped stands one
 * level deeper than it stood. */
MUST_CHECK int a2a_translate(struct buf *out, const struct a2a_translation *t,
                             struct str object, const char **why);

#endif
