/* SPDX-License-Identifier: MIT
 *
 * Page tokens, written and read. Two tokens are the same place exactly if they are the same text.
 */
#include "store/token.h"

#include "lib/base64.h"

#define TOKEN_VERSION 1u
#define TOKEN_HEAD 10u /* version, time, length */

size_t token_write(char out[TOKEN_TEXT_MAX], int64_t at_us, struct str agent, struct str id)
{
    unsigned char raw[TOKEN_BYTES_MAX] = {TOKEN_VERSION};
    uint64_t at = (uint64_t)at_us;

    BUG_ON(agent.n > LIMIT_AGENT_ID || id.n > LIMIT_TASK_ID);
    for (int i = 0; i < 8; i++)
        raw[1 + i] = (unsigned char)(at >> (56 - 8 * i));
    raw[9] = (unsigned char)agent.n;
    memcpy(raw + TOKEN_HEAD, agent.p, agent.n);
    memcpy(raw + TOKEN_HEAD + agent.n, id.p, id.n);
    return base64url_encode(out, raw, TOKEN_HEAD + agent.n + id.n);
}

int token_read(struct token *t, struct str text)
{
    size_t n, agent_n;
    uint64_t at = 0;

    if (base64url_decode(t->bytes, sizeof t->bytes, text, &n) || n <= TOKEN_HEAD ||
        t->bytes[0] != TOKEN_VERSION)
        return ERR_INVALID;
    for (int i = 0; i < 8; i++)
        at = at << 8 | t->bytes[1 + i];
    agent_n = t->bytes[9];
    if (agent_n > n - TOKEN_HEAD)
        return ERR_INVALID;
    t->at_us = (int64_t)at;
    t->agent = str_make((const char *)t->bytes + TOKEN_HEAD, agent_n);
    t->id = str_make(t->agent.p + agent_n, n - TOKEN_HEAD - agent_n);
    return task_may_be(t->agent, t->id) ? 0 : ERR_INVALID;
}
