/* SPDX-License-Identifier: MIT */
#include "lib/clock.h"

#include <string.h>
#include <time.h>

static uint64_t system_mono_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int64_t system_wall_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static const struct clock_source system_source = {system_mono_ns, system_wall_us};
static const struct clock_source *source = &system_source;

void clock_set(const struct clock_source *s)
{
    source = s ? s : &system_source;
}

uint64_t clock_mono_ns(void)
{
    return source->mono_ns();
}

uint64_t clock_mono_ms(void)
{
    return source->mono_ns() / 1000000;
}

int64_t clock_wall_us(void)
{
    return source->wall_us();
}

int64_t clock_wall_ms(void)
{
    return source->wall_us() / 1000;
}

/* Days since 1970-01-01 of a proleptic Gregorian date, and back (H. Hinnant's algorithms). */
static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
    int64_t era;
    unsigned yoe, doy, doe;

    y -= m <= 2;
    era = (y >= 0 ? y : y - 399) / 400;
    yoe = (unsigned)(y - era * 400);
    doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + (int64_t)doe - 719468;
}

static void civil_from_days(int64_t z, int *y, unsigned *m, unsigned *d)
{
    int64_t era, year;
    unsigned doe, yoe, doy, mp;

    z += 719468;
    era = (z >= 0 ? z : z - 146096) / 146097;
    doe = (unsigned)(z - era * 146097);
    yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    year = (int64_t)yoe + era * 400;
    doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = (int)(year + (*m <= 2));
}

/* By hand: every log line and every list row has a time, and snprintf would be half of its cost. */
static void put_digits(char *out, size_t n, unsigned value)
{
    while (n > 0) {
        out[--n] = (char)('0' + value % 10);
        value /= 10;
    }
}

void clock_format(int64_t wall_us, char out[CLOCK_TEXT + 1])
{
    /* years 0 to 9999 */
    static const int64_t first = -62167219200000000, last = 253402300799999999;
    int64_t us = wall_us < first ? first : wall_us > last ? last : wall_us;
    int64_t days = us / 86400000000, rest = us % 86400000000;
    unsigned month, day;
    int year;

    if (rest < 0) {
        rest += 86400000000;
        days--;
    }
    civil_from_days(days, &year, &month, &day);
    memcpy(out, "0000-00-00T00:00:00.000Z", CLOCK_TEXT + 1);
    put_digits(out, 4, (unsigned)year);
    put_digits(out + 5, 2, month);
    put_digits(out + 8, 2, day);
    put_digits(out + 11, 2, (unsigned)(rest / 3600000000));
    put_digits(out + 14, 2, (unsigned)(rest / 60000000 % 60));
    put_digits(out + 17, 2, (unsigned)(rest / 1000000 % 60));
    put_digits(out + 20, 3, (unsigned)(rest / 1000 % 1000));
}

/* Reads exactly `n` digits at *s. */
static int take_digits(struct str *s, size_t n, unsigned *out)
{
    unsigned v = 0;

    if (s->n < n)
        return ERR_SYNTAX;
    for (size_t i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return ERR_SYNTAX;
        v = v * 10 + (unsigned)(s->p[i] - '0');
    }
    *s = str_make(s->p + n, s->n - n);
    *out = v;
    return 0;
}

static int take_char(struct str *s, const char *any_of)
{
    if (s->n == 0 || s->p[0] == '\0' || !strchr(any_of, s->p[0]))
        return ERR_SYNTAX;
    *s = str_make(s->p + 1, s->n - 1);
    return 0;
}

static int take_fraction(struct str *s, int64_t *us)
{
    int64_t scale = 100000;
    size_t digits = 0;

    *us = 0;
    if (s->n == 0 || s->p[0] != '.')
        return 0;
    *s = str_make(s->p + 1, s->n - 1);
    for (; s->n > 0 && s->p[0] >= '0' && s->p[0] <= '9'; digits++) {
        *us += (s->p[0] - '0') * scale;
        scale /= 10;
        *s = str_make(s->p + 1, s->n - 1);
    }
    return digits >= 1 && digits <= 9 ? 0 : ERR_SYNTAX;
}

static int take_zone(struct str *s, int64_t *offset_us)
{
    unsigned hours, minutes;
    char sign;

    *offset_us = 0;
    if (s->n == 0)
        return 0;
    sign = s->p[0];
    if (take_char(s, "Zz+-"))
        return ERR_SYNTAX;
    if (sign == 'Z' || sign == 'z')
        return 0;
    if (take_digits(s, 2, &hours) || take_char(s, ":") || take_digits(s, 2, &minutes) ||
        hours > 23 || minutes > 59)
        return ERR_SYNTAX;
    *offset_us = ((int64_t)hours * 60 + minutes) * 60000000 * (sign == '-' ? -1 : 1);
    return 0;
}

int clock_parse(struct str s, int64_t *wall_us)
{
    static const unsigned char month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year, month, day, hour, minute, second;
    int64_t fraction, offset;
    bool leap;

    if (take_digits(&s, 4, &year) || take_char(&s, "-") || take_digits(&s, 2, &month) ||
        take_char(&s, "-") || take_digits(&s, 2, &day) || take_char(&s, "Tt ") ||
        take_digits(&s, 2, &hour) || take_char(&s, ":") || take_digits(&s, 2, &minute) ||
        take_char(&s, ":") || take_digits(&s, 2, &second) || take_fraction(&s, &fraction) ||
        take_zone(&s, &offset) || s.n != 0)
        return ERR_SYNTAX;
    leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month < 1 || month > 12 || day < 1 || day > month_days[month - 1] ||
        (month == 2 && day == 29 && !leap) || hour > 23 || minute > 59 || second > 60)
        return ERR_SYNTAX;
    *wall_us = days_from_civil(year, month, day) * 86400000000 +
               ((int64_t)hour * 3600 + minute * 60 + second) * 1000000 + fraction - offset;
    return 0;
}
