/* SPDX-License-Identifier: MIT
 *
 * tls.c (one connection) and tls_context.c (files), to each other.
 */
#ifndef LIB_TLS_INT_H
#define LIB_TLS_INT_H

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include "lib/limits.h"
#include "lib/tls.h"

/* A file as it was when it was read. */
struct tls_stamp {
    char *path; /* owned; NULL: no file */
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

/* Immutable after its birth. */
struct tls_context {
    unsigned n_refs;
    SSL_CTX *ssl;           /* owned */
    BIO_METHOD *bio_method; /* owned; in use by every connection, which holds a reference */
    char *ca; /* owned; the CA file that was asked for, for sentences; NULL: the system's */
    bool has_certificate; /* we have one to show */
    struct tls_stamp stamps[3];
};

/* tls.c */
BIO_METHOD *tls_bio_method(void); /* NULL: no memory */
int tls_on_verify(int is_good, X509_STORE_CTX *store);
int tls_on_session(SSL *ssl, SSL_SESSION *session);
int tls_on_asked(SSL *ssl, void *arg);

#endif
