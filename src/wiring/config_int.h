/* SPDX-License-Identifier: MIT
 *
 * The settings as data: config.def as one array, for the parser (config.c) and the printer (config_print.c).
 */
#ifndef WIRING_CONFIG_INT_H
#define WIRING_CONFIG_INT_H

#include "lib/buf.h"
#include "wiring/config.h"

struct setting {
    const char *name, *env;
    enum config_type type;
    const char *text_default; /* all types but NUMBER and BOOL */
    uint64_t number_default;  /* NUMBER, BOOL */
    uint64_t min, max;
    const char *flag, *fits, *text;
    size_t offset; /* of the value in struct config */
};

extern const struct setting config_settings[CONFIG_ID_MAX];

/* The value of a setting in `c`. */
const char *config_text(const struct config *c, const struct setting *s);
uint64_t config_number(const struct config *c, const struct setting *s); /* BOOL: 0 or 1 */

/* The URL as it may be shown: "***" where a password or token stands. Works on text that is no good URL too. */
void config_write_masked(struct buf *out, struct str url);

#endif
