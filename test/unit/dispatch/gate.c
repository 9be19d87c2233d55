/* SPDX-License-Identifier: MIT
 *
 * The gate against a naive model: places taken are a count, a limit is a number, and what may be entered
 * follows from the two. Random programs of entering, leaving and changing the limit.
 */
#include "check.h"

#include "dispatch/dispatch_int.h"

TEST(random_programs)
{
    uint32_t rng = 12345;

    for (int run = 0; run < 200; run++) {
        struct gate g = {.n_refs = 1};
        unsigned taken = 0, limit = 3;

        gate_set_limit(&g, limit);
        for (int step = 0; step < 500; step++) {
            rng = rng * 1664525u + 1013904223u;
            switch (rng >> 30) {
            case 0:
                if (taken > 0) {
                    gate_leave(&g);
                    taken--;
                }
                break;
            case 1:
                if ((rng >> 20) % 8 == 0) {
                    limit = 1 + (rng >> 10) % 9;
                    gate_set_limit(&g, limit);
                }
                break;
            default:
                CHECK_INT(gate_enter(&g), taken < limit ? 0 : ERR_FULL);
                taken += taken < limit;
            }
            gate_check(&g);
            CHECK_INT(g.in_flight, taken);
            CHECK_INT(g.is_shrinking, taken > limit);
        }
    }
}

TEST_MAIN
