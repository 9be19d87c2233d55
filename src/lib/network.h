/* SPDX-License-Identifier: MIT
 *
 * Networks (RFC 4632) and what kind of address one is. IPv4 is treated as IPv6 has it, ::ffff:a.b.c.d, so that there is
 * one kind of address.
 */
#ifndef LIB_NETWORK_H
#define LIB_NETWORK_H

#include <stdbool.h>
#include <sys/socket.h>

#include "lib/str.h"

#define NETWORK_ADDRESS 16

struct network {
    unsigned char address[NETWORK_ADDRESS];
    unsigned bits;
};

/* Reads "10.0.0.0/8", "fd00::/8" or one numeric address. False: it is none. */
bool network_read(struct str text, struct network *out);
/* Reads a numeric address. */
bool network_read_address(struct str text, unsigned char out[NETWORK_ADDRESS]);
/* The address of an IPv4 or IPv6 socket address; false for another family. */
bool network_address_of(const struct sockaddr *from, unsigned char out[NETWORK_ADDRESS]);

bool network_has(const struct network *n, const unsigned char address[NETWORK_ADDRESS]);

/* Why an address is not one of the public internet, literal ("loopback", "private", "link-local", ...; RFC 6890 and the
 * registries it began); NULL: it is. Addresses that carry an IPv4 address in them (mapped, compatible, NAT64, 6to4,
 * Teredo) are judged by that one, too. */
const char *network_not_public(const unsigned char address[NETWORK_ADDRESS]);

#endif
