/* SPDX-License-Identifier: MIT
 *
 * Cursors:  s1.<base64url of agent, NUL, task id>.<seq in decimal>
 *
 * A cursor is one text: what is read is written back alike. It proves nothing, for it gives nothing that its bearer may
 * not have by naming agent and task.
 */
#include "lib/base64.h"
#include "lib/limits.h"
#include "subscribe/subscribe.h"

#define NAME_MAX_BYTES (LIMIT_AGENT_ID + 1 + LIMIT_TASK_ID)

static const char version[] = "s1.";

_Static_assert(sizeof version + BASE64URL_LENGTH(NAME_MAX_BYTES) + 1 + 20 <= CURSOR_TEXT_MAX,
               "every cursor fits");

void cursor_write_prefix(struct buf *out, struct str agent, struct str id)
{
    char name[NAME_MAX_BYTES], text[BASE64URL_LENGTH(NAME_MAX_BYTES)];

    BUG_ON(agent.n > LIMIT_AGENT_ID || id.n > LIMIT_TASK_ID);
    memcpy(name, agent.p, agent.n);
    name[agent.n] = '\0'; /* occurs in neither */
    memcpy(name + agent.n + 1, id.p, id.n);
    buf_add_str(out, str_of(version));
    buf_add(out, text, base64url_encode(text, name, agent.n + 1 + id.n));
    buf_add_char(out, '.');
}

void cursor_write_seq(struct buf *out, uint64_t seq)
{
    buf_add_u64(out, seq);
}

static int read_seq(struct str text, uint64_t *seq)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < '0' || text.p[i] > '9')
            return ERR_INVALID;
    if (text.n == 0 || (text.n > 1 && text.p[0] == '0') || str_to_u64(text, seq))
        return ERR_INVALID;
    /* Behind the last number there is none. */
    return *seq < UINT64_MAX ? 0 : ERR_INVALID;
}

int cursor_read(struct str text, struct arena *arena, struct str *agent, struct str *id,
                uint64_t *seq)
{
    char name[NAME_MAX_BYTES];
    struct str rest = text, prefix = str_of(version), names;
    const char *nul;
    size_t n;

    if (text.n > CURSOR_TEXT_MAX || !str_has_prefix(text, prefix))
        return ERR_INVALID;
    rest = str_make(text.p + prefix.n, text.n - prefix.n);
    names = str_cut(&rest, '.');
    if (!rest.p || base64url_decode(name, sizeof name, names, &n) || read_seq(rest, seq))
        return ERR_INVALID;
    nul = n ? memchr(name, '\0', n) : NULL;
    if (!nul)
        return ERR_INVALID;
    *agent = arena_str(arena, str_make(name, (size_t)(nul - name)));
    *id = arena_str(arena, str_make(nul + 1, n - (size_t)(nul + 1 - name)));
    if (!agent->p || !id->p)
        return ERR_NOMEM;
    if (agent->n == 0 || agent->n > LIMIT_AGENT_ID || id->n == 0 || id->n > LIMIT_TASK_ID ||
        str_has_control(*agent) || str_has_control(*id))
        return ERR_INVALID;
    return 0;
}
