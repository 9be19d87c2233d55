/* SPDX-License-Identifier: MIT
 *
 * Between http.c, which takes messages apart, and http_head.c, which says what a head means.
 */
#ifndef LIB_HTTP_INT_H
#define LIB_HTTP_INT_H

#include "lib/http.h"

/* The head has been read: verb_text, target, status, minor, has_length, length and headers are
 * set. Sets the rest. `no_body` says that the message ends with its head whatever it declares.
 * Returns 0, or the status to refuse it with, and *why. */
int http_head_judge(struct http_head *head, enum http_kind kind, bool no_body,
                    const char **why);

#endif
