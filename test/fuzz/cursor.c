/* SPDX-License-Identifier: MIT
 *
 * Fuzzing cursors: what is read is written back as the same text.
 */
#include <stdint.h>
#include <stdlib.h>

#include "lib/limits.h"
#include "subscribe/subscribe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size}, agent, id;
    struct arena arena;
    struct buf again;
    uint64_t seq;

    arena_init(&arena, KB(16));
    buf_init(&again, 2 * CURSOR_TEXT_MAX);
    if (cursor_read(text, &arena, &agent, &id, &seq) == 0) {
        BUG_ON(agent.n == 0 || agent.n > LIMIT_AGENT_ID || id.n == 0 || id.n > LIMIT_TASK_ID);
        cursor_write_prefix(&again, agent, id);
        cursor_write_seq(&again, seq);
        BUG_ON(!str_is(buf_str(&again), text));
    }
    buf_release(&again);
    arena_release(&arena);
    return 0;
}
