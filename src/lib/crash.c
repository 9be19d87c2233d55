/* SPDX-License-Identifier: MIT */
#include "lib/crash.h"

#ifdef CRASH_POINTS

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/str.h"

static const char *const names[] = {
#define X(name, text) #name,
    CRASH_MAP(X)
#undef X
};

static int chosen = -2; /* -2: not looked up yet, -1: none */
static uint64_t due_after = 1;
static atomic_uint_fast64_t reached;

static void choose(void)
{
    struct str rest = str_of(getenv("SUPERX_CRASH"));
    struct str name = str_cut(&rest, ':');

    chosen = -1;
    if (!name.p)
        return;
    for (int i = 0; i < CRASH_MAX; i++)
        if (str_is(name, str_of(names[i])))
            chosen = i;
    if (chosen < 0)
        fprintf(stderr, "SUPERX_CRASH names no crash point: %.*s\n", STR_ARG(name));
    if (rest.p && str_to_u64(rest, &due_after))
        due_after = 1;
}

void crash_here(enum crash_point point)
{
    if (chosen == -2)
        choose();
    if ((int)point == chosen && atomic_fetch_add(&reached, 1) + 1 == due_after)
        kill(getpid(), SIGKILL);
}

#else
typedef int crash_points_are_off;
#endif
