/* SPDX-License-Identifier: MIT
 *
 * Identities: what is shown and trusted with https.
 *
 * An identity is three file names; everybody who gives the same three shares it, and with it what was read.
 * Files are looked at (stat) when an endpoint is made or a lane is wanted, once a second at most, and read
 * again when they have changed. So a renewed certificate is in use within a second, and a request costs one
 * comparison of times.
 *
 * A certificate and its key are often replaced one after the other. What cannot be used is therefore not
 * fatal to what is running: the old ones stay in force, one log line says so, and the files are tried again
 * each second. Who makes a new endpoint in that second is refused with the reason.
 */
#include "egress/egress_int.h"

#include <limits.h>

#include "lib/log.h"
#include "lib/mem.h"

#define LOOK_EVERY_MS 1000u

static int refuse(struct egress *e, const char **why, int err, const char *text)
{
    snprintf(e->why, sizeof e->why, "%s", text);
    *why = e->why;
    return err;
}

static char *keep_name(struct str name)
{
    return name.p ? mem_str(name.p, name.n) : NULL;
}

/* Reads the files. After an error only `doubt` is different. */
static int read_files(struct identity *i)
{
    const struct tls_files files = {i->ca, i->cert, i->pem};
    struct tls_context *x;
    int err = tls_context_new(&files, &x, i->doubt);

    if (err)
        return err;
    if (i->context)
        log_event(LOG_INFO, "files of TLS were read again", LOG_Z("ca", i->ca),
                  LOG_Z("cert", i->cert));
    tls_context_unref(i->context);
    i->context = x;
    return 0;
}

/* Looks at the files if it is time to, and reads them if they have changed. An error, with i->doubt, as long
 * as what is in force is not what the files say. */
static int look(struct identity *i)
{
    if (loop_now_ms(i->loop) >= i->look_at_ms) {
        bool was_doubted = i->doubt[0] != '\0';

        i->look_at_ms = loop_now_ms(i->loop) + LOOK_EVERY_MS;
        i->err = tls_context_is_stale(i->context) ? read_files(i) : 0;
        if (!i->err)
            i->doubt[0] = '\0';
        else if (!was_doubted)
            log_event(
                LOG_WARN,
                "files of TLS have changed and cannot be used; what was read before stays",
                LOG_Z("why", i->doubt));
    }
    return i->err;
}

static struct identity *new_identity(struct egress *e, const struct egress_tls *tls,
                                     struct str key)
{
    struct identity *i = MEM_NEW(struct identity);

    i->n_refs = 1;
    i->egress = e;
    i->loop = e->loop;
    i->number = ++e->n_identities;
    i->key = mem_str(key.p, key.n);
    i->ca = keep_name(tls->ca_file);
    i->cert = keep_name(tls->cert_file);
    i->pem = keep_name(tls->key_file);
    map_put(&e->identities, str_of(i->key), i);
    return i;
}

struct identity *identity_ref(struct identity *i)
{
    i->n_refs++;
    return i;
}

void identity_unref(struct identity *i)
{
    if (!i)
        return;
    BUG_ON(i->n_refs == 0);
    if (--i->n_refs > 0)
        return;
    if (i->egress)
        map_remove(&i->egress->identities, str_of(i->key));
    tls_context_unref(i->context);
    mem_free(i->key);
    mem_free(i->ca);
    mem_free(i->cert);
    mem_free(i->pem);
    mem_free(i);
}

struct tls_context *identity_context(struct identity *i)
{
    (void)look(i); /* what was read before stays, and it was logged */
    return i->context;
}

/* --- finding one -------------------------------------------------------------------------------- */

static int check_name(struct egress *e, struct str name, const char **why)
{
    if (!name.p)
        return 0;
    if (name.n == 0)
        return refuse(e, why, ERR_INVALID, "caFile, certFile or keyFile is empty");
    if (name.n >= PATH_MAX)
        return refuse(e, why, ERR_LIMIT, "caFile, certFile or keyFile is too long a name");
    if (str_has_control(name))
        return refuse(e, why, ERR_INVALID,
                      "caFile, certFile or keyFile holds a control character");
    return 0;
}

static int check_names(struct egress *e, const struct egress_tls *tls, const char **why)
{
    int err = check_name(e, tls->ca_file, why);

    if (!err)
        err = check_name(e, tls->cert_file, why);
    if (!err)
        err = check_name(e, tls->key_file, why);
    if (!err && tls->key_file.p && !tls->cert_file.p)
        err = refuse(e, why, ERR_INVALID, "keyFile has no use without certFile");
    return err;
}

/* An absent name and an empty one are different things, but the empty one was refused. */
static int write_key(struct buf *key, const struct egress_tls *tls)
{
    buf_add_str(key, tls->ca_file);
    BUF_LIT(key, "\n");
    buf_add_str(key, tls->cert_file);
    BUF_LIT(key, "\n");
    buf_add_str(key, tls->key_file);
    return buf_error(key);
}

static int find(struct egress *e, const struct egress_tls *tls, struct str key,
                struct identity **out, const char **why)
{
    struct identity *i = map_get(&e->identities, key);
    int err;

    if (i) {
        identity_ref(i);
        err = look(i);
    } else {
        i = new_identity(e, tls, key);
        i->look_at_ms = loop_now_ms(i->loop) + LOOK_EVERY_MS;
        err = read_files(i);
    }
    if (err) {
        (void)refuse(e, why, err, i->doubt);
        identity_unref(i);
        return err;
    }
    *out = i;
    return 0;
}

int identity_get(struct egress *e, const struct egress_tls *tls, struct identity **out,
                 const char **why)
{
    struct buf key;
    int err = check_names(e, tls, why);

    if (err)
        return err;
    buf_init(&key, 3 * PATH_MAX);
    err = write_key(&key, tls);
    if (err)
        (void)refuse(e, why, err, err_text(err));
    else
        err = find(e, tls, buf_str(&key), out, why);
    buf_release(&key);
    return err;
}
