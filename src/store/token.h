/* SPDX-License-Identifier: MIT
 *
 * Inside the store: page tokens. A token names the last task of a page by what the caller was told anyway, its
 * status time, its agent and its id; the inner key stays inside.
 *
 *     base64url( version 1 | status time, 8 bytes | length of the agent's id | agent's id | task's id )
 *
 * Whoever holds a token may have made it himself: it is a place in a list and gives no right to anything.
 */
#ifndef STORE_TOKEN_H
#define STORE_TOKEN_H

#include "store/task.h"

#define TOKEN_BYTES_MAX (1 + 8 + 1 + LIMIT_AGENT_ID + LIMIT_TASK_ID)
#define TOKEN_TEXT_MAX ((TOKEN_BYTES_MAX * 4 + 2) / 3)

struct token {
    int64_t at_us;
    struct str agent, id; /* in `bytes` after token_read(): a token must not be moved then */
    unsigned char bytes[TOKEN_BYTES_MAX];
};

/* Writes the token of that place; returns its length. Agent and id are a task's. */
size_t token_write(char out[TOKEN_TEXT_MAX], int64_t at_us, struct str agent, struct str id);

/* ERR_INVALID for anything token_write() would not have written. */
MUST_CHECK int token_read(struct token *t, struct str text);

#endif
