/* SPDX-License-Identifier: MIT */
#include "lib/err.h"

#include <stdio.h>
#include <stdlib.h>

const char *err_text(int err)
{
    switch (err) {
    case ERR_OK:
        return "ok";
#define X(name, text)                                                                          \
    case ERR_##name:                                                                           \
        return text;
        ERR_MAP(X)
#undef X
    }
    return "unknown error";
}

void bug_stop(const char *what, const char *file, int line)
{
    fprintf(stderr, "BUG: impossible condition \"%s\" at %s:%d, stopping\n", what, file, line);
    abort();
}
