/* SPDX-License-Identifier: MIT
 *
 * Server-sent events, read (WHATWG HTML, section 9.2 "Server-sent events").
 *
 * Bytes come in as the network cuts them, at any place; events come out one at a time. The reader pulls: it is called
 * again and again on the same bytes until they are used up, so that whoever takes the events may stop after any of them.
 *
 * Lines end in LF, CR or CRLF; a BOM in front is skipped; comments and unknown fields are dropped; several `data`
 * lines make one text with LF between them; one space after the colon is not part of the value. An event without data
 * is none. Beyond the standard, whose browsers drop it: an event that the end of the stream cuts off before its blank
 * line is given by sse_end(), because servers have been seen that leave that line out.
 */
#ifndef LIB_SSE_H
#define LIB_SSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/str.h"

/* All state between two calls. Lies in its user's object. */
struct sse {
    struct buf line; /* a line whose end has not come; of a comment only the colon */
    struct buf data; /* of the event that is being read, or was given last */
    struct buf type; /* likewise; empty: "message" */
    struct buf
        last_id; /* of the stream so far: an event without `id` has that of the one before */
    uint64_t retry_ms; /* the last `retry`; 0: none */
    size_t max;        /* bytes of one event's data */
    bool has_line;     /* the first line is over: no byte order mark can come */
    bool after_cr;     /* a LF that follows belongs to the line end before it */
    bool has_data, has_id;
    bool is_given; /* what `data` and `type` hold was given: the next call begins anew */
};

struct sse_event {
    struct str data; /* never absent */
    struct str type; /* "message" if the stream does not say */
    struct str id;   /* the last event id; absent: the stream has not named any */
};

/* `max`: bytes of one event's data. */
void sse_init(struct sse *s, size_t max);
void sse_release(struct sse *s);

/* Reads from `bytes` up to the end of one event at most. *used: how much was taken, always all of it unless an event
 * is given. Returns 1 and the event, which is borrowed until the next call; 0: no event yet; ERR_LIMIT: an event's data
 * exceeds the maximum (the reader can only be released then); ERR_NOMEM. */
MUST_CHECK int sse_read(struct sse *s, struct str bytes, size_t *used, struct sse_event *out);

/* The stream has ended: gives an event that has data but no blank line behind it. Returns 1, 0, or an error as above. */
MUST_CHECK int sse_end(struct sse *s, struct sse_event *out);

#endif
