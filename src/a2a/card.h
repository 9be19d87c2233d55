/* SPDX-License-Identifier: MIT
 *
 * Agent cards (A2A 1.0 section 4.4, 0.3 section 5): read from any dialect, written in any. Pure.
 *
 * Agents publish cards of 0.2.x, 0.3, 1.0, and hybrids that carry the members of two versions. Reading finds where
 * the agent's JSON-RPC endpoints are. Writing says the card with the gateway in front: its own interfaces and
 * capabilities, no upstream addresses, tenants, signatures or security members; everything else as the agent said it.
 *
 * Included by a2a/a2a.h, the door of this folder.
 */
#ifndef A2A_CARD_H
#define A2A_CARD_H

#include "a2a/a2a.h"

/* Where a card says JSON-RPC is spoken. Decoded, in the arena. */
struct a2a_card_interface {
    bool is_given;
    struct str url;
    struct str tenant; /* absent: none */
};

struct a2a_card {
    struct str name, version; /* decoded; version: the agent's own, not the protocol's */
    struct a2a_card_interface interfaces[2]; /* by enum a2a_version; the first listed of each */
    enum a2a_version preferred;              /* the newest version given */
    bool has_interface; /* at least one JSON-RPC interface of a version we speak */
};

/* Reads a card. ERR_INVALID, ERR_NOMEM; `why` says what is wrong with it as a person needs it ("supportedInterfaces[0]
 * has no url", "it is not JSON: ... at byte 12", "it has neither url nor supportedInterfaces"). A card without a
 * JSON-RPC interface is valid: has_interface is false. Of a valid card `why` is "", or says which of its interfaces
 * was ignored and why (an address that is not http or https, a version that is not spoken). */
MUST_CHECK int a2a_card_read(struct str doc, struct arena *arena, struct a2a_card *out,
                             char why[200]);

enum a2a_card_form { A2A_CARD_HYBRID, A2A_CARD_1_0, A2A_CARD_0_3 };

/* "hybrid", "1.0", "0.3". */
const char *a2a_card_form_text(enum a2a_card_form form);

struct a2a_card_offer {
    struct str url;       /* of the agent here: "https://host/agents/weather/", ends in '/' */
    bool streaming, push; /* what the gateway delivers in this release */
};

/* Appends the card as the gateway offers it, minified. `doc` must have been accepted by json_scan(); it need not name
 * any interface. The same arguments give the same bytes. ERR_INVALID if it is no object; else what buf_error() says. */
MUST_CHECK int a2a_card_write(struct buf *out, struct str doc, enum a2a_card_form form,
                              const struct a2a_card_offer *offer);

#endif
