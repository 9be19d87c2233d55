/* SPDX-License-Identifier: MIT
 *
 * What we decided against, as compile errors.
 *
 * The build includes this file before every translation unit. It first takes in the system headers
 * that declare the banned names, so that the declarations themselves still parse, and then turns
 * each name into an error which says what to use instead. malloc and its kind are reserved to lib/
 * (which is compiled with LIB_GROUND): everywhere else memory comes from mem_, buf, arena or blob.
 */
#ifndef LIB_BANNED_H
#define LIB_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BANNED_(name, instead) banned_##name##_use_##instead

#undef strcpy
#define strcpy(d, s) BANNED_(strcpy, buf_add)
#undef strcat
#define strcat(d, s) BANNED_(strcat, buf_add)
#undef strncpy
#define strncpy(d, s, n) BANNED_(strncpy, buf_add)
#undef strncat
#define strncat(d, s, n) BANNED_(strncat, buf_add)
#undef sprintf
#define sprintf(...) BANNED_(sprintf, snprintf)
#undef vsprintf
#define vsprintf(...) BANNED_(vsprintf, vsnprintf)
#undef strtok
#define strtok(s, d) BANNED_(strtok, str_cut)
#undef atoi
#define atoi(s) BANNED_(atoi, str_to_i64)
#undef atol
#define atol(s) BANNED_(atol, str_to_i64)
#undef gmtime
#define gmtime(t) BANNED_(gmtime, clock_format)
#undef localtime
#define localtime(t) BANNED_(localtime, clock_format)

#ifndef LIB_GROUND
#define malloc(n) BANNED_(malloc, mem_new)
#define calloc(n, m) BANNED_(calloc, mem_new)
#define realloc(p, n) BANNED_(realloc, buf)
#define free(p) BANNED_(free, mem_free)
#define strdup(s) BANNED_(strdup, mem_str)
#endif

#endif
