/* SPDX-License-Identifier: MIT
 *
 * PostgreSQL's binary forms, written and read: scalars, and the one-dimensional arrays that unnest() takes.
 *
 *     array:   dimensions=1 | has nulls=1 | element type | n | lower bound=1 | n elements
 *     element: length, or -1 for null | bytes
 *
 * All values of one statement go into one buffer, because they differ in size by six orders and live
 * equally short. Their views are made at the end: the buffer moves while it grows.
 *
 * A time is microseconds since 2000-01-01. Texts are sent as they are; the server refuses what is not
 * UTF-8.
 */
#include <endian.h>

#include "lib/limits.h"
#include "lib/mem.h"
#include "store/postgres_int.h"

#define EPOCH_2000_US 946684800000000ll

/* A time from a page token may be anything; the server refuses what it cannot hold. INT64_MAX is its
 * infinity. */
static int64_t to_server(int64_t wall_us)
{
    int64_t us;

    if (wall_us == INT64_MAX || __builtin_sub_overflow(wall_us, EPOCH_2000_US, &us))
        return wall_us;
    return us;
}

static void put(struct pg_values *v, const void *p, size_t n)
{
    buf_add(&v->bytes, p, n); /* sticks: pg_values_end() looks */
}

static void put_u16(struct pg_values *v, uint16_t x)
{
    x = htobe16(x);
    put(v, &x, sizeof x);
}

static void put_u32(struct pg_values *v, uint32_t x)
{
    x = htobe32(x);
    put(v, &x, sizeof x);
}

static void put_u64(struct pg_values *v, uint64_t x)
{
    x = htobe64(x);
    put(v, &x, sizeof x);
}

static void begin(struct pg_values *v)
{
    BUG_ON(v->n == PG_VALUES_MAX);
    v->at[v->n++] = v->bytes.n;
}

void pg_values_init(struct pg_values *v, size_t max_bytes)
{
    memset(v, 0, sizeof *v);
    buf_init(&v->bytes, max_bytes);
}

void pg_values_release(struct pg_values *v)
{
    buf_release(&v->bytes);
}

void pg_values_clear(struct pg_values *v)
{
    buf_shrink(&v->bytes, LIMIT_BATCH_BYTES);
    v->n = 0;
    v->nulls = 0;
}

int pg_values_end(struct pg_values *v)
{
    int err = buf_error(&v->bytes);

    if (err)
        return err;
    v->at[v->n] = v->bytes.n;
    for (int i = 0; i < v->n; i++)
        v->values[i] = v->nulls >> i & 1 ? (struct pg_value){NULL, 0}
                                         : (struct pg_value){buf_str(&v->bytes).p + v->at[i],
                                                             v->at[i + 1] - v->at[i]};
    return 0;
}

void pg_add_array(struct pg_values *v, enum pg_type type, size_t n_elements)
{
    begin(v);
    put_u32(v, 1);
    put_u32(v, 1);
    put_u32(v, (uint32_t)type);
    put_u32(v, (uint32_t)n_elements);
    put_u32(v, 1);
}

void pg_add_int4(struct pg_values *v, int32_t x)
{
    begin(v);
    put_u32(v, (uint32_t)x);
}

void pg_add_int8(struct pg_values *v, int64_t x)
{
    begin(v);
    put_u64(v, (uint64_t)x);
}

void pg_add_time(struct pg_values *v, int64_t wall_us)
{
    pg_add_int8(v, to_server(wall_us));
}

void pg_add_uuid(struct pg_values *v, const struct uuid *u)
{
    begin(v);
    put(v, u->b, sizeof u->b);
}

void pg_add_text(struct pg_values *v, struct str s)
{
    begin(v);
    put(v, s.p, s.n);
}

void pg_add_null(struct pg_values *v)
{
    begin(v);
    v->nulls |= 1u << (v->n - 1);
}

void pg_element_int2(struct pg_values *v, int x)
{
    put_u32(v, 2);
    put_u16(v, (uint16_t)x);
}

void pg_element_int4(struct pg_values *v, int32_t x)
{
    put_u32(v, 4);
    put_u32(v, (uint32_t)x);
}

void pg_element_int8(struct pg_values *v, uint64_t x)
{
    put_u32(v, 8);
    put_u64(v, x);
}

void pg_element_time(struct pg_values *v, int64_t wall_us)
{
    pg_element_int8(v, (uint64_t)to_server(wall_us));
}

void pg_element_uuid(struct pg_values *v, const struct uuid *u)
{
    put_u32(v, sizeof u->b);
    put(v, u->b, sizeof u->b);
}

void pg_element_text(struct pg_values *v, struct str s)
{
    if (!s.p) {
        put_u32(v, UINT32_MAX);
        return;
    }
    put_u32(v, (uint32_t)s.n);
    put(v, s.p, s.n);
}

/* --- reading ------------------------------------------------------------------------------ */

static const char *field(const PGresult *r, int row, int col, int size)
{
    BUG_ON(PQgetisnull(r, row, col) || PQgetlength(r, row, col) != size);
    return PQgetvalue(r, row, col);
}

int pg_get_int2(const PGresult *r, int row, int col)
{
    uint16_t x;

    memcpy(&x, field(r, row, col, sizeof x), sizeof x);
    return (int16_t)be16toh(x);
}

int32_t pg_get_int4(const PGresult *r, int row, int col)
{
    uint32_t x;

    memcpy(&x, field(r, row, col, sizeof x), sizeof x);
    return (int32_t)be32toh(x);
}

uint64_t pg_get_int8(const PGresult *r, int row, int col)
{
    uint64_t x;

    memcpy(&x, field(r, row, col, sizeof x), sizeof x);
    return be64toh(x);
}

int64_t pg_get_time(const PGresult *r, int row, int col)
{
    return (int64_t)pg_get_int8(r, row, col) + EPOCH_2000_US;
}

struct uuid pg_get_uuid(const PGresult *r, int row, int col)
{
    struct uuid u;

    memcpy(u.b, field(r, row, col, sizeof u.b), sizeof u.b);
    return u;
}

struct str pg_get_str(const PGresult *r, int row, int col)
{
    if (PQgetisnull(r, row, col))
        return STR_NONE;
    return str_make(PQgetvalue(r, row, col), (size_t)PQgetlength(r, row, col));
}
