/* SPDX-License-Identifier: MIT
 *
 * The scanner, the walkers over what it accepted, and the little writing that is needed beside them.
 *
 * Scanning is one loop without recursion. It stands either at a value or behind one:
 *
 *          +--------------------------- next_item() <----------------------+
 *          v                            (comma, key, closing brackets)     |
 *     at a value ---- scan_scalar() ----------------------------------> behind one ---> depth 0: done
 *          +--------- open_container() (a level more; stands at its first item or its closing bracket)
 *
 * What a level must remember (which bracket closes it, what is wanted in it, which of that was seen) lives in
 * an array of LIMIT_JSON_DEPTH entries on the stack, so a hostile document costs neither heap nor C stack.
 *
 * Nearly all bytes of A2A messages stand inside strings, therefore strings go 16 bytes at a step (SSE2, which
 * every x86-64 has) and the rest byte by byte. A step is taken only while 16 bytes are left: the text needs
 * no padding behind it. Where SSE2 is missing, the byte loop does everything.
 *
 * Scanner and decoders read escapes with the same function, read_escape(): what the one accepts, the other
 * decodes. The walkers trust their text but not with their lives: running off its end is a BUG_ON.
 *
 * Deliberately absent: a tree, numbers as doubles (text is kept: 9007199254740993 arrives as it left), any
 * leniency, and a check for duplicates among members nobody asked for.
 */
#include "lib/json.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* --- single bytes ------------------------------------------------------------------------------------ */

enum {
    PLAIN = 1, /* stands for itself in a string: ASCII, no control, no quote, no backslash */
    SPACE = 2, /* insignificant between tokens */
    DIGIT = 4,
    STOP = 8, /* ends a number or a literal */
};

static const uint8_t class_of[256] = {
    ['\t'] = SPACE | STOP,        ['\n'] = SPACE | STOP,  ['\r'] = SPACE | STOP,
    [' '] = PLAIN | SPACE | STOP, ['!'] = PLAIN,          ['#' ... '+'] = PLAIN,
    [','] = PLAIN | STOP,         ['-' ... '/'] = PLAIN,  ['0' ... '9'] = PLAIN | DIGIT,
    [':' ... '['] = PLAIN,        [']'] = PLAIN | STOP,   ['^' ... '|'] = PLAIN,
    ['}'] = PLAIN | STOP,         ['~' ... 0x7f] = PLAIN,
};

/* What the byte behind a backslash stands for; 0: nothing ('u' is not here). */
static const char escape_of[256] = {
    ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
};

static inline bool is_class(char c, unsigned class)
{
    return (class_of[(unsigned char)c] & class) != 0;
}

/* NUL at the end of the text: no grammar rule wants one, so a caller needs no second check. */
static inline char peek(const char *p, const char *end)
{
    return p < end ? *p : '\0';
}

static inline const char *skip_class(const char *p, const char *end, unsigned class)
{
    while (p < end && is_class(*p, class))
        p++;
    return p;
}

static inline const char *skip_space(const char *p, const char *end)
{
    return skip_class(p, end, SPACE);
}

/* The first quote or backslash in [p, end), or `end`. With `strict`, the first byte that is not PLAIN. */
static inline __attribute__((always_inline)) const char *find_special(const char *p,
                                                                      const char *end,
                                                                      bool strict)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    const __m128i first_printable = _mm_set1_epi8(0x20);

    while (end - p >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash));
        unsigned mask;

        /* The comparison is signed: it also finds every byte from 0x80 up. */
        if (strict)
            hit = _mm_or_si128(hit, _mm_cmplt_epi8(v, first_printable));
        mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask)
            return p + __builtin_ctz(mask);
        p += 16;
    }
#endif
    while (p < end && (strict ? is_class(*p, PLAIN) : *p != '"' && *p != '\\'))
        p++;
    return p;
}

/* --- characters -------------------------------------------------------------------------------------- */

/* The length of the well-formed sequence that starts with a byte from 0x80 up, or 0. Table 3-7 of the
 * Unicode standard: after some lead bytes the second has a narrower range, which keeps overlong forms,
 * surrogates and values above U+10FFFF out. */
static inline size_t utf8_length(const char *at, const char *end)
{
    const unsigned char *p = (const unsigned char *)at;
    size_t n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    unsigned char low = 0x80, high = 0xbf;

    if (p[0] < 0xc2 || p[0] > 0xf4 || (size_t)(end - at) < n)
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

static size_t utf8_write(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* Four hexadecimal digits at `p`; false if there are not four. */
static bool read_hex4(const char *p, const char *end, uint32_t *value)
{
    uint32_t v = 0;

    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = p[i];

        if (c >= '0' && c <= '9')
            v = v << 4 | (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint32_t)(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            v = v << 4 | (uint32_t)(c - 'A' + 10);
        else
            return false;
    }
    *value = v;
    return true;
}

/* Reads the escape whose backslash is at `p`, a surrogate pair as one character. Returns where it ends, or
 * NULL with *why. */
static const char *read_escape(const char *p, const char *end, uint32_t *code, const char **why)
{
    char simple = escape_of[(unsigned char)peek(p + 1, end)];
    uint32_t low;

    if (simple) {
        *code = (unsigned char)simple;
        return p + 2;
    }
    *why = "unknown escape in string";
    if (peek(p + 1, end) != 'u' || !read_hex4(p + 2, end, code))
        return NULL;
    p += 6;
    if (*code < 0xd800 || *code > 0xdfff)
        return p;
    *why = "lone surrogate in string";
    if (*code >= 0xdc00 || peek(p, end) != '\\' || peek(p + 1, end) != 'u' ||
        !read_hex4(p + 2, end, &low) || low < 0xdc00 || low > 0xdfff)
        return NULL;
    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    return p + 6;
}

/* --- scanning ---------------------------------------------------------------------------------------- */

struct level {
    const struct json_want *members; /* wanted in this object; NULL: nothing, or an array */
    uint64_t seen;                   /* bit i: members[i] has stood here */
    int slot;                        /* receives this container's span; -1: none */
    char closer;                     /* '}' or ']' */
};

struct scan {
    const char *start, *end; /* the text, borrowed from the caller */
    struct str *slots;
    size_t n_slots;
    int err; /* set by fail_as() */
    struct json_fault fault;
    unsigned depth;
    struct level levels[LIMIT_JSON_DEPTH]; /* [0, depth) are set */
};

static __attribute__((cold, noinline)) const char *fail_as(struct scan *s, int err,
                                                           const char *at, const char *why,
                                                           const char *member)
{
    s->err = err;
    s->fault = (struct json_fault){(size_t)(at - s->start), why, member};
    return NULL;
}

static const char *fail(struct scan *s, const char *at, const char *why)
{
    return fail_as(s, ERR_SYNTAX, at, at == s->end ? "text ends too early" : why, NULL);
}

/* `p` is at the first byte of a sequence that is not ASCII; returns behind the run of such. */
static inline const char *scan_utf8(struct scan *s, const char *p)
{
    do {
        size_t n = utf8_length(p, s->end);

        if (n == 0)
            return fail(s, p, "string is not UTF-8");
        p += n;
    } while ((unsigned char)peek(p, s->end) >= 0x80);
    return p;
}

/* `p` is behind the opening quote; returns the closing one. *escaped is set, never cleared. */
static inline const char *scan_string(struct scan *s, const char *p, bool *escaped)
{
    const char *why, *next;
    uint32_t code;

    for (;;) {
        p = find_special(p, s->end, true);
        if (p == s->end)
            return fail(s, p, NULL);
        if (*p == '"')
            return p;
        if (*p == '\\') {
            *escaped = true;
            next = read_escape(p, s->end, &code, &why);
            if (!next)
                return fail(s, p, why);
            p = next;
        } else if ((unsigned char)*p >= 0x80) {
            p = scan_utf8(s, p);
            if (!p)
                return NULL;
        } else {
            return fail(s, p, "control character in string");
        }
    }
}

static const char *scan_digits(struct scan *s, const char *p)
{
    if (!is_class(peek(p, s->end), DIGIT))
        return fail(s, p, "digit expected in number");
    return skip_class(p + 1, s->end, DIGIT);
}

/* `p` is at a digit or a minus. "01" ends behind its 0, and the 1 is then refused as a missing comma. */
static const char *scan_number(struct scan *s, const char *p)
{
    if (*p == '-')
        p++;
    if (peek(p, s->end) == '0')
        p++;
    else
        p = scan_digits(s, p);
    if (p && peek(p, s->end) == '.')
        p = scan_digits(s, p + 1);
    if (p && (peek(p, s->end) | 0x20) == 'e') {
        p++;
        if (peek(p, s->end) == '+' || peek(p, s->end) == '-')
            p++;
        p = scan_digits(s, p);
    }
    return p;
}

static const char *scan_literal(struct scan *s, const char *p, struct str literal)
{
    if ((size_t)(s->end - p) < literal.n || memcmp(p, literal.p, literal.n) != 0)
        return fail(s, p, "unknown literal");
    return p + literal.n;
}

static inline const char *scan_scalar(struct scan *s, const char *p,
                                      const struct json_want *want)
{
    const char *start = p;
    bool escaped = false;

    switch (peek(p, s->end)) {
    case '"':
        p = scan_string(s, p + 1, &escaped);
        p = p ? p + 1 : NULL;
        break;
    case '-':
    case '0' ... '9':
        p = scan_number(s, p);
        break;
    case 't':
        p = scan_literal(s, p, STR("true"));
        break;
    case 'f':
        p = scan_literal(s, p, STR("false"));
        break;
    case 'n':
        p = scan_literal(s, p, STR("null"));
        break;
    default:
        return fail(s, p, "value expected");
    }
    if (p && want && want->slot >= 0)
        s->slots[want->slot] = str_make(start, (size_t)(p - start));
    return p;
}

/* `p` is at an opening bracket; returns behind it. */
static inline const char *open_container(struct scan *s, const char *p,
                                         const struct json_want *want)
{
    struct level *top;

    if (s->depth == LIMIT_JSON_DEPTH)
        return fail_as(s, ERR_LIMIT, p, "nested too deeply", NULL);
    top = &s->levels[s->depth++];
    *top = (struct level){NULL, 0, -1, *p == '{' ? '}' : ']'};
    if (want) {
        top->members = *p == '{' ? want->members : NULL;
        top->slot = want->slot;
        if (want->slot >= 0)
            s->slots[want->slot] = str_make(p, 0);
    }
    return p + 1;
}

/* `p` is behind the closing bracket. */
static inline void close_container(struct scan *s, const char *p)
{
    struct level *top = &s->levels[--s->depth];

    if (top->slot >= 0)
        s->slots[top->slot].n = (size_t)(p - s->slots[top->slot].p);
}

/* A raw key has neither NUL nor a byte outside the text, so the loop ends at the name's terminator. */
static inline bool is_name(struct str key, const char *name)
{
    for (size_t i = 0; i < key.n; i++)
        if (key.p[i] != name[i])
            return false;
    return name[key.n] == '\0';
}

/* Which wanted member of the innermost object `key` is. False: it is a duplicate, the scan has failed. */
static bool find_want(struct scan *s, struct str key, bool escaped,
                      const struct json_want **out)
{
    struct level *top = &s->levels[s->depth - 1];

    *out = NULL;
    for (size_t i = 0; top->members[i].name; i++) {
        const struct json_want *want = &top->members[i];

        if (escaped ? !json_key_is(key, str_of(want->name)) : !is_name(key, want->name))
            continue;
        BUG_ON(i >= 64 || (want->slot >= 0 && (size_t)want->slot >= s->n_slots));
        if (top->seen >> i & 1 || (want->slot >= 0 && s->slots[want->slot].p)) {
            fail_as(s, ERR_CONFLICT, key.p - 1, "member appears twice", want->name);
            return false;
        }
        top->seen |= (uint64_t)1 << i;
        *out = want;
        return true;
    }
    return true;
}

/* Reads `"key" :` and returns where the value begins; *want says who asked for it. */
static inline const char *scan_key(struct scan *s, const char *p, const struct json_want **want)
{
    const char *start = p + 1;
    bool escaped = false;

    *want = NULL;
    if (peek(p, s->end) != '"')
        return fail(s, p, "member name expected");
    p = scan_string(s, start, &escaped);
    if (!p)
        return NULL;
    if (s->levels[s->depth - 1].members &&
        !find_want(s, str_make(start, (size_t)(p - start)), escaped, want))
        return NULL;
    p = skip_space(p + 1, s->end);
    if (peek(p, s->end) != ':')
        return fail(s, p, "':' expected");
    return skip_space(p + 1, s->end);
}

/* `p` is behind a value, or behind an opening bracket if `is_first`. Closes what ends here and returns the
 * next value; with depth 0, the first byte that is not space behind the document's value. */
static inline const char *next_item(struct scan *s, const char *p, bool is_first,
                                    const struct json_want **want)
{
    *want = NULL;
    for (;;) {
        char closer;

        p = skip_space(p, s->end);
        if (s->depth == 0)
            return p;
        closer = s->levels[s->depth - 1].closer;
        if (peek(p, s->end) == closer) {
            close_container(s, ++p);
            is_first = false;
            continue;
        }
        if (!is_first) {
            if (peek(p, s->end) != ',')
                return fail(s, p,
                            closer == '}' ? "',' or '}' expected" : "',' or ']' expected");
            p = skip_space(p + 1, s->end);
        }
        return closer == '}' ? scan_key(s, p, want) : p;
    }
}

static void scan_document(struct scan *s, const struct json_want *members)
{
    const struct json_want root = {NULL, -1, members};
    const struct json_want *want = &root;
    const char *p = skip_space(s->start, s->end);

    do {
        char c = peek(p, s->end);
        bool opens = c == '{' || c == '[';

        p = opens ? open_container(s, p, want) : scan_scalar(s, p, want);
        if (p)
            p = next_item(s, p, opens, &want);
    } while (p && s->depth > 0);
    if (p && p != s->end)
        fail(s, p, "text behind the value");
}

int json_scan(struct str text, const struct json_want *want, struct str *slots, size_t n_slots,
              struct json_fault *fault)
{
    struct scan s;

    /* Field by field: zeroing the levels would cost more than scanning a short message. */
    s.start = text.p ? text.p : "";
    s.end = s.start + text.n;
    s.slots = slots;
    s.n_slots = n_slots;
    s.err = 0;
    s.depth = 0;
    for (size_t i = 0; i < n_slots; i++)
        slots[i] = STR_NONE;
    scan_document(&s, want);
    if (s.err) {
        for (size_t i = 0; i < n_slots; i++)
            slots[i] = STR_NONE;
        if (fault)
            *fault = s.fault;
    }
    return s.err;
}

/* --- walking ----------------------------------------------------------------------------------------- */

enum json_type json_type(struct str value)
{
    /* Spans from the scanner have no white space around them; a whole document may. */
    if (value.n > 0 && *value.p <= ' ')
        value = str_trim(value);
    switch (value.n > 0 ? *value.p : '\0') {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    case '-':
    case '0' ... '9':
        return JSON_NUMBER;
    default:
        return JSON_NONE;
    }
}

/* `p` is behind the opening quote; returns the closing one. */
static const char *end_of_string(const char *p, const char *end)
{
    for (;;) {
        p = find_special(p, end, false);
        BUG_ON(p >= end);
        if (*p == '"')
            return p;
        p += 2;
        BUG_ON(p > end);
    }
}

static const char *end_of_container(const char *p, const char *end)
{
    size_t depth = 0;

    for (;; p++) {
        BUG_ON(p >= end);
        if (*p == '"')
            p = end_of_string(p + 1, end);
        else if (*p == '{' || *p == '[')
            depth++;
        else if ((*p == '}' || *p == ']') && --depth == 0)
            return p + 1;
    }
}

static const char *end_of_value(const char *p, const char *end)
{
    BUG_ON(p >= end);
    if (*p == '"')
        return end_of_string(p + 1, end) + 1;
    if (*p == '{' || *p == '[')
        return end_of_container(p, end);
    while (p < end && !is_class(*p, STOP))
        p++;
    return p;
}

/* Between calls a cursor stands at the bracket or comma before the next item, at the closing bracket, or (the
 * walk is over) at its end. */
void json_enter(struct json_cursor *c, struct str container)
{
    enum json_type type = json_type(container);

    *c = (struct json_cursor){NULL, NULL};
    if (type == JSON_OBJECT || type == JSON_ARRAY) {
        c->end = container.p + container.n;
        c->at = skip_space(container.p, c->end);
    }
}

/* Moves to the next item and returns where it begins; NULL when there is none, or when the container is not
 * of the kind that starts with `bracket`. */
static const char *step(struct json_cursor *c, char bracket)
{
    const char *p;

    if (c->at == c->end || (*c->at != bracket && *c->at != ','))
        return NULL;
    p = skip_space(c->at + 1, c->end);
    BUG_ON(p >= c->end);
    if (*p == '}' || *p == ']') {
        c->at = c->end;
        return NULL;
    }
    return p;
}

static struct str take_value(struct json_cursor *c, const char *start)
{
    const char *p = end_of_value(start, c->end);

    c->at = skip_space(p, c->end);
    return str_make(start, (size_t)(p - start));
}

bool json_next_member(struct json_cursor *c, struct str *key, struct str *value)
{
    const char *p = step(c, '{'), *start;

    if (!p)
        return false;
    BUG_ON(*p != '"');
    start = p + 1;
    p = end_of_string(start, c->end);
    *key = str_make(start, (size_t)(p - start));
    p = skip_space(p + 1, c->end);
    BUG_ON(peek(p, c->end) != ':');
    *value = take_value(c, skip_space(p + 1, c->end));
    return true;
}

bool json_next_element(struct json_cursor *c, struct str *value)
{
    const char *p = step(c, '[');

    if (!p)
        return false;
    *value = take_value(c, p);
    return true;
}

struct str json_get(struct str object, const char *name)
{
    struct str wanted = str_of(name), found = STR_NONE, key, value;
    struct json_cursor c;

    JSON_EACH_MEMBER (&c, object, &key, &value)
        if (json_key_is(key, wanted))
            found = value;
    return found;
}

/* --- decoding ---------------------------------------------------------------------------------------- */

/* The inside of a string's quotes, escapes kept. */
static bool string_body(struct str raw, struct str *body)
{
    if (json_type(raw) != JSON_STRING)
        return false;
    raw = str_trim(raw);
    BUG_ON(raw.n < 2 || raw.p[raw.n - 1] != '"');
    *body = str_make(raw.p + 1, raw.n - 2);
    return true;
}

/* Takes the next decoded piece off `body`: a run without escapes as it stands, or one escape, written to
 * `room`. Never empty while the body is not. */
static struct str next_piece(struct str *body, char room[4])
{
    const char *p = body->p, *end = p + body->n, *why;
    struct str piece;

    if (*p == '\\') {
        uint32_t code;

        p = read_escape(p, end, &code, &why);
        BUG_ON(!p);
        piece = str_make(room, utf8_write(code, room));
    } else {
        p = memchr(p, '\\', body->n);
        if (!p)
            p = end;
        piece = str_make(body->p, (size_t)(p - body->p));
    }
    *body = str_make(p, (size_t)(end - p));
    return piece;
}

bool json_key_is(struct str key, struct str s)
{
    char room[4];

    while (key.n > 0) {
        struct str piece = next_piece(&key, room);

        if (!str_has_prefix(s, piece))
            return false;
        s = str_make(s.p + piece.n, s.n - piece.n);
    }
    return s.n == 0;
}

bool json_string_is(struct str raw, struct str s)
{
    struct str body;

    return string_body(raw, &body) && json_key_is(body, s);
}

int json_string_decode(struct str raw, struct buf *out)
{
    struct str body;
    char room[4];

    if (!string_body(raw, &body))
        return ERR_INVALID;
    while (body.n > 0 && !buf_error(out))
        buf_add_str(out, next_piece(&body, room));
    return buf_error(out);
}

size_t json_string_length(struct str raw)
{
    struct str body;
    char room[4];
    size_t n = 0;

    if (!string_body(raw, &body))
        return 0;
    while (body.n > 0)
        n += next_piece(&body, room).n;
    return n;
}

int json_to_i64(struct str raw, int64_t *out)
{
    char digits[32], room[4];
    struct str text = str_trim(raw), body;
    size_t n = 0;
    int err;

    if (string_body(raw, &body)) {
        text = body;
        /* Digits written as escapes are digits. No 64-bit number needs more room than there is. */
        if (body.n > 0 && memchr(body.p, '\\', body.n)) {
            while (body.n > 0) {
                struct str piece = next_piece(&body, room);

                if (piece.n > sizeof digits - n)
                    return ERR_INVALID;
                memcpy(digits + n, piece.p, piece.n);
                n += piece.n;
            }
            text = str_make(digits, n);
        }
    }
    err = str_to_i64(text, out);
    return err == ERR_SYNTAX ? ERR_INVALID : err;
}

/* --- writing ----------------------------------------------------------------------------------------- */

/* One byte that may not stand in a string as it is. */
static void write_escaped(struct buf *out, unsigned char c)
{
    static const char short_of[256] = {
        ['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
        ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't',
    };
    static const char hex[] = "0123456789abcdef";

    if (c >= 0x80) {
        BUF_LIT(out, "\xef\xbf\xbd");
    } else if (short_of[c]) {
        char pair[2] = {'\\', short_of[c]};

        buf_add(out, pair, sizeof pair);
    } else {
        char six[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

        buf_add(out, six, sizeof six);
    }
}

void json_write_string(struct buf *out, struct str s)
{
    const char *p = s.p ? s.p : "", *end = p + s.n, *run = p;

    buf_add_char(out, '"');
    while (p < end) {
        size_t n;

        p = find_special(p, end, true);
        if (p == end)
            break;
        n = (unsigned char)*p >= 0x80 ? utf8_length(p, end) : 0;
        if (n == 0) {
            buf_add(out, run, (size_t)(p - run));
            write_escaped(out, (unsigned char)*p);
            run = ++p;
        } else {
            p += n;
        }
    }
    buf_add(out, run, (size_t)(p - run));
    buf_add_char(out, '"');
}

/* The first insignificant whitespace at or behind `p`, which stands outside strings; or `end`. */
static const char *find_space(const char *p, const char *end)
{
    while (p < end && !is_class(*p, SPACE)) {
        if (*p == '"')
            p = end_of_string(p + 1, end);
        p++;
    }
    return p;
}

void json_minify(struct buf *out, struct str value)
{
    const char *p = value.p ? value.p : "", *end = p + value.n;

    while (p < end) {
        const char *run = skip_space(p, end);

        p = find_space(run, end);
        buf_add(out, run, (size_t)(p - run));
    }
}

bool json_is_minified(struct str value)
{
    const char *p = value.p ? value.p : "", *end = p + value.n;

    return find_space(p, end) == end;
}

void json_write_key(struct buf *out, bool *first, struct str raw_key)
{
    buf_add_char(out, *first ? '{' : ',');
    *first = false;
    buf_add_char(out, '"');
    buf_add_str(out, raw_key);
    BUF_LIT(out, "\":");
}

void json_write_end(struct buf *out, bool first)
{
    buf_add_str(out, first ? STR("{}") : STR("}"));
}
