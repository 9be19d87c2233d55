/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: the agents file (YAML), any bytes.
 *
 * What is checked beyond not crashing: a complaint has words and touches no output; what is accepted keeps
 * every promise that the rest of the house relies on without looking again (ids, URLs, header values,
 * ranges, no doubles). The registry is not involved, but these are its preconditions.
 */
#include <stdint.h>

#include "dispatch/dispatch.h"
#include "lib/log.h"
#include "lib/map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *fake_env(const char *name)
{
    return name[0] == 'A' ? "value" : name[0] == 'B' ? "" : name[0] == 'C' ? "x\ny: [\"" : NULL;
}

static void check_spec(const struct agent_spec *spec, struct map *ids)
{
    const char *why;

    BUG_ON(!agent_id_is_valid(spec->id));
    BUG_ON(map_put(ids, spec->id, (void *)(uintptr_t)spec));
    BUG_ON(egress_url_check(spec->url, &why));
    BUG_ON(spec->bearer.p && (spec->bearer.n == 0 || !http_is_header_value(spec->bearer)));
    BUG_ON(spec->max_in_flight < 1 || spec->max_in_flight > 10000);
    BUG_ON(spec->timeout_ms < 1 || spec->timeout_ms > 86400000);
    BUG_ON(spec->line == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct agent_defaults defaults = {10, 600000};
    struct agent_spec *specs = NULL;
    struct agents_fault fault;
    struct arena arena;
    struct map ids;
    int err;

    log_setup(LOG_ERROR, false);
    arena_init(&arena, MB(8));
    map_init(&ids);
    err = agents_file_read(str_make((const char *)data, size), &defaults, fake_env, &arena,
                           &specs, &fault);
    BUG_ON(err && (specs || !fault.why[0]));
    for (const struct agent_spec *spec = specs; spec; spec = spec->next)
        check_spec(spec, &ids);
    map_release(&ids);
    arena_release(&arena);
    return 0;
}
