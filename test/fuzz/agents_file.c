/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: the agents file (YAML), and one agent as JSON, any bytes.
 *
 * What is checked beyond not crashing: a complaint has words and touches no output; what is accepted keeps
 * every promise that the rest of the house relies on without looking again (ids, URLs, header values,
 * ranges, no doubles). The registry is not involved, but these are its preconditions.
 */
#include <stdint.h>

#include "dispatch/dispatch_int.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct agent_defaults defaults = {10, 1000, 600000};

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

/* One agent as JSON, the form of the API and of the store: what was read is kept, written and read again the same. */
static void read_json(struct str text)
{
    struct agent_spec read, again;
    struct arena arena, second;
    char why[200] = "";
    int err;

    arena_init(&arena, MB(8));
    arena_init(&second, MB(8));
    err = agent_spec_read(text, &defaults, &arena, &read, why);
    BUG_ON(err && !why[0]);
    if (!err) {
        struct settings *kept = settings_new(&read);
        struct buf out;

        BUG_ON(!spec_is_same(&kept->spec, &read));
        buf_init(&out, MB(8));
        agent_spec_write(&out, &kept->spec);
        BUG_ON(json_scan(buf_str(&out), NULL, NULL, 0, NULL));
        BUG_ON(agent_spec_read(buf_str(&out), &defaults, &second, &again, why));
        BUG_ON(!spec_is_same(&read, &again));
        buf_release(&out);
        settings_unref(kept);
    }
    arena_release(&second);
    arena_release(&arena);
}

static void read_file(struct str text)
{
    struct str default_agent = STR_NONE;
    struct agent_spec *specs = NULL;
    struct agents_fault fault;
    struct arena arena;
    struct map ids;
    int err;

    arena_init(&arena, MB(8));
    map_init(&ids);
    err = agents_file_read(text, &defaults, fake_env, &arena, &specs, &default_agent, &fault);
    BUG_ON(err && (specs || !fault.why[0]));
    for (const struct agent_spec *spec = specs; spec; spec = spec->next)
        check_spec(spec, &ids);
    map_release(&ids);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make((const char *)data, size);

    log_setup(LOG_ERROR, false);
    if (size && data[0] == '{' && json_scan(text, NULL, NULL, 0, NULL) == 0)
        read_json(text);
    else
        read_file(text);
    return 0;
}
