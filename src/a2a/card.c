/* SPDX-License-Identifier: MIT
 *
 * Agent cards of every dialect: where the agent is in them, and the same card with the gateway in front.
 *
 * One table, card_members, says of each member that any version knows by which names it goes, what type it must have,
 * what stands in for it where a version requires it and the agent left it out, and whether it is the gateway's to say.
 * Reading looks for the members of the table and refuses a card that has one of them twice: two readers could see two
 * different agents in it. Writing walks the agent's members in the agent's order:
 *
 *     known, the agent's     copied, without insignificant whitespace; null or of a wrong type counts as missing
 *     known, the gateway's   dropped: addresses, tenants, signatures (our address voids them), security members (they
 *                            tell how to come to the agent, which callers do not), what the gateway delivers
 *     unknown                kept, but not in a pure 1.0 card, whose readers refuse them
 *
 * and then adds what is missing and its own. The output depends on nothing but the arguments, so that its hash can be
 * an ETag.
 *
 * Deliberately absent: signing, and the agent's transports other than JSON-RPC, which the gateway does not offer.
 */
#include <stdio.h>

#include "a2a/a2a.h"
#include "lib/url.h"

/* --- the members --- */

struct member {
    const char *name;
    const char *alias;   /* ProtoJSON's other spelling; NULL: the same */
    enum json_type type; /* of a value that counts */
    const char *fill;    /* JSON in place of a missing one; NULL: may be missing */
    const struct member
        *members; /* of the object, or of each object in the array; NULL: copied as it is */
    bool is_ours; /* never copied */
    bool not_1_0; /* 0.3 only */
};

#define OURS(name, alias)                                                                      \
    {                                                                                          \
        name, alias, JSON_NONE, NULL, NULL, true, false                                        \
    }
#define THEIRS(name, alias, type, fill, members)                                               \
    {                                                                                          \
        name, alias, type, fill, members, false, false                                         \
    }
#define MEMBERS_END                                                                            \
    {                                                                                          \
        NULL, NULL, JSON_NONE, NULL, NULL, false, false                                        \
    }

static const struct member provider_members[] = {
    THEIRS("organization", NULL, JSON_STRING, "\"\"", NULL),
    THEIRS("url", NULL, JSON_STRING, "\"\"", NULL),
    MEMBERS_END,
};

static const struct member extension_members[] = {
    THEIRS("uri", NULL, JSON_STRING, "\"\"", NULL),
    THEIRS("description", NULL, JSON_STRING, NULL, NULL),
    THEIRS("required", NULL, JSON_TRUE, NULL, NULL),
    THEIRS("params", NULL, JSON_OBJECT, NULL, NULL),
    MEMBERS_END,
};

static const struct member capability_members[] = {
    OURS("streaming", NULL),
    OURS("pushNotifications", "push_notifications"),
    OURS("extendedAgentCard", "extended_agent_card"),
    {"stateTransitionHistory", "state_transition_history", JSON_TRUE, NULL, NULL, false, true},
    THEIRS("extensions", NULL, JSON_ARRAY, NULL, extension_members),
    MEMBERS_END,
};

static const struct member skill_members[] = {
    THEIRS("id", NULL, JSON_STRING, "\"\"", NULL),
    THEIRS("name", NULL, JSON_STRING, "\"\"", NULL),
    THEIRS("description", NULL, JSON_STRING, "\"\"", NULL),
    THEIRS("tags", NULL, JSON_ARRAY, "[]", NULL),
    THEIRS("examples", NULL, JSON_ARRAY, NULL, NULL),
    THEIRS("inputModes", "input_modes", JSON_ARRAY, NULL, NULL),
    THEIRS("outputModes", "output_modes", JSON_ARRAY, NULL, NULL),
    OURS("security", NULL),
    OURS("securityRequirements", "security_requirements"),
    MEMBERS_END,
};

/* The first rows are looked at by reading, under these numbers. */
enum slot {
    SLOT_NAME,
    SLOT_VERSION,
    SLOT_URL,
    SLOT_TRANSPORT,
    SLOT_PROTOCOL,
    SLOT_ADDITIONAL,
    SLOT_SUPPORTED,
};

static const struct member card_members[] = {
    [SLOT_NAME] = THEIRS("name", NULL, JSON_STRING, "\"\"", NULL),
    [SLOT_VERSION] = THEIRS("version", NULL, JSON_STRING, "\"\"", NULL),
    [SLOT_URL] = OURS("url", NULL),
    [SLOT_TRANSPORT] = OURS("preferredTransport", "preferred_transport"),
    [SLOT_PROTOCOL] = OURS("protocolVersion", "protocol_version"),
    [SLOT_ADDITIONAL] = OURS("additionalInterfaces", "additional_interfaces"),
    [SLOT_SUPPORTED] = OURS("supportedInterfaces", "supported_interfaces"),
    THEIRS("description", NULL, JSON_STRING, "\"\"", NULL),
    THEIRS("provider", NULL, JSON_OBJECT, NULL, provider_members),
    THEIRS("iconUrl", "icon_url", JSON_STRING, NULL, NULL),
    THEIRS("documentationUrl", "documentation_url", JSON_STRING, NULL, NULL),
    THEIRS("capabilities", NULL, JSON_OBJECT, "{}", capability_members),
    THEIRS("defaultInputModes", "default_input_modes", JSON_ARRAY, "[\"text/plain\"]", NULL),
    THEIRS("defaultOutputModes", "default_output_modes", JSON_ARRAY, "[\"text/plain\"]", NULL),
    THEIRS("skills", NULL, JSON_ARRAY, "[]", skill_members),
    OURS("protocolVersions", "protocol_versions"), /* of drafts of 1.0 */
    OURS("authentication", NULL),                  /* of 0.1 */
    OURS("securitySchemes", "security_schemes"),
    OURS("security", NULL),
    OURS("securityRequirements", "security_requirements"),
    OURS("supportsAuthenticatedExtendedCard", "supports_authenticated_extended_card"),
    OURS("signatures", NULL),
    MEMBERS_END,
};

#define CARD_SLOTS (sizeof card_members / sizeof *card_members - 1)

/* --- reading --- */

enum interface_slot { IF_URL, IF_BINDING, IF_TRANSPORT, IF_PROTOCOL, IF_TENANT, IF_MAX };

static const struct json_want interface_wants[] = {
    {"url", IF_URL, NULL},
    {"protocolBinding", IF_BINDING, NULL},
    {"protocol_binding", IF_BINDING, NULL},
    {"transport", IF_TRANSPORT, NULL},
    {"protocolVersion", IF_PROTOCOL, NULL},
    {"protocol_version", IF_PROTOCOL, NULL},
    {"tenant", IF_TENANT, NULL},
    {NULL, -1, NULL},
};

#define WHY_BYTES 200

struct reader {
    struct arena *arena;
    struct a2a_card *card;
    char *why; /* WHY_BYTES */
};

static void say(struct reader *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct reader *r, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(r->why, WHY_BYTES, fmt, args);
    va_end(args);
}

/* What is merely ignored is said, too, the first of it: an author wants to know why his address is not used. */
static void note_ignored(struct reader *r, const char *where, const char *what)
{
    if (!r->why[0])
        say(r, "%s %s and is ignored", where, what);
}

/* ProtoJSON: null and the empty string are the default, so not there. */
static struct str given(struct str value)
{
    bool is_empty =
        json_type(value) == JSON_NULL || (json_type(value) == JSON_STRING && value.n == 2);

    return is_empty ? STR_NONE : value;
}

static int decode(struct arena *arena, struct str raw, struct str *out)
{
    struct buf text;
    struct str copy = STR_NONE;

    buf_init(&text, raw.n);
    if (json_string_decode(raw, &text) == 0)
        copy = arena_str(arena, buf_str(&text));
    buf_release(&text);
    if (!copy.p)
        return ERR_NOMEM;
    *out = copy;
    return 0;
}

/* Which of ours a card's protocolVersion means. 0.2 differs from 0.3 only in what 0.3 added, and every 1.x is to be
 * understood by a speaker of 1.0. */
static bool read_version(struct str raw, enum a2a_version fallback, enum a2a_version *out)
{
    struct str text, major, minor;
    uint64_t major_number, minor_number = 0;

    raw = given(raw);
    if (!raw.p) {
        *out = fallback;
        return true;
    }
    if (json_type(raw) != JSON_STRING)
        return false;
    text = str_make(raw.p + 1, raw.n - 2);
    major = str_cut(&text, '.');
    minor = str_cut(&text, '.');
    if (str_to_u64(major, &major_number) || (minor.p && str_to_u64(minor, &minor_number)))
        return false;
    if (major_number == 1)
        *out = A2A_1_0;
    else if (major_number == 0 && (minor_number == 2 || minor_number == 3))
        *out = A2A_0_3;
    else
        return false;
    return true;
}

static bool is_jsonrpc(struct str raw)
{
    raw = given(raw);
    return !raw.p || (json_type(raw) == JSON_STRING &&
                      str_is_nocase(str_make(raw.p + 1, raw.n - 2), STR("JSONRPC")));
}

/* Whether a raw string is a URL that can be called. Looked at before it is kept: a card may list thousands of others. */
static bool is_callable(struct str raw)
{
    const char *why;
    struct url parts;
    struct buf text;
    bool is_web;

    buf_init(&text, LIMIT_URL);
    is_web =
        json_string_decode(raw, &text) == 0 &&
        url_parse(buf_str(&text), false, &parts, &why) == 0 &&
        (str_is_nocase(parts.scheme, STR("http")) || str_is_nocase(parts.scheme, STR("https")));
    buf_release(&text);
    return is_web;
}

/* `where` names the interface for people. */
static int add_interface(struct reader *r, enum a2a_version version, struct str url,
                         struct str tenant, const char *where)
{
    struct a2a_card_interface *to = &r->card->interfaces[version];
    struct a2a_card_interface found = {.is_given = true};
    int err;

    if (to->is_given)
        return 0;
    if (!is_callable(url)) {
        note_ignored(r, where, "is not an absolute http or https URL");
        return 0;
    }
    err = decode(r->arena, url, &found.url);
    if (!err && given(tenant).p && json_type(tenant) == JSON_STRING)
        err = decode(r->arena, tenant, &found.tenant);
    if (!err)
        *to = found;
    return err;
}

static int read_interface(struct reader *r, struct str value, enum a2a_version fallback,
                          const char *where)
{
    struct str slots[IF_MAX], binding;
    enum a2a_version version;
    struct json_fault jf;
    char url_where[64];

    if (json_type(value) != JSON_OBJECT) {
        say(r, "%s is not an object", where);
        return ERR_INVALID;
    }
    if (json_scan(value, interface_wants, slots, IF_MAX, &jf)) {
        say(r, "%s has \"%s\" twice", where, jf.member ? jf.member : "a member");
        return ERR_INVALID;
    }
    /* Without either there is one thing left that can be tried. */
    binding = given(slots[IF_BINDING]).p ? slots[IF_BINDING] : slots[IF_TRANSPORT];
    if (!is_jsonrpc(binding))
        return 0;
    if (json_type(given(slots[IF_URL])) != JSON_STRING) {
        say(r, "%s has no url", where);
        return ERR_INVALID;
    }
    if (!read_version(slots[IF_PROTOCOL], fallback, &version)) {
        note_ignored(r, where, "has a protocolVersion that is not spoken here");
        return 0;
    }
    snprintf(url_where, sizeof url_where, "%s.url", where);
    return add_interface(r, version, slots[IF_URL], slots[IF_TENANT], url_where);
}

static int read_list(struct reader *r, struct str list, enum a2a_version fallback,
                     const char *name)
{
    struct json_cursor cursor;
    struct str value;
    char where[48];
    size_t i = 0;

    if (given(list).p && json_type(list) != JSON_ARRAY) {
        say(r, "%s is not an array", name);
        return ERR_INVALID;
    }
    JSON_EACH_ELEMENT (&cursor, list, &value) {
        int err;

        snprintf(where, sizeof where, "%s[%zu]", name, i++);
        err = read_interface(r, value, fallback, where);
        if (err)
            return err;
    }
    return 0;
}

/* 0.3 and before: one address at the top, with the transport that is spoken there. */
static int read_top(struct reader *r, const struct str *slots)
{
    enum a2a_version version;

    if (!given(slots[SLOT_URL]).p || !is_jsonrpc(slots[SLOT_TRANSPORT]))
        return 0;
    if (json_type(slots[SLOT_URL]) != JSON_STRING) {
        say(r, "url is not a string");
        return ERR_INVALID;
    }
    if (!read_version(slots[SLOT_PROTOCOL], A2A_0_3, &version)) {
        note_ignored(r, "url", "has a protocolVersion that is not spoken here");
        return 0;
    }
    return add_interface(r, version, slots[SLOT_URL], STR_NONE, "url");
}

static int read_interfaces(struct reader *r, const struct str *slots)
{
    enum a2a_version fallback;
    int err;

    if (!given(slots[SLOT_URL]).p && !given(slots[SLOT_SUPPORTED]).p) {
        say(r, "it has neither url nor supportedInterfaces");
        return ERR_INVALID;
    }
    /* Drafts of 1.0 said the version once, for the whole card. */
    if (!read_version(slots[SLOT_PROTOCOL], A2A_0_3, &fallback))
        fallback = A2A_0_3;
    err = read_list(r, slots[SLOT_SUPPORTED], fallback, "supportedInterfaces");
    if (!err)
        err = read_top(r, slots);
    if (!err)
        err = read_list(r, slots[SLOT_ADDITIONAL], fallback, "additionalInterfaces");
    return err;
}

static int read_names(struct reader *r, const struct str *slots)
{
    int err = 0;

    if (given(slots[SLOT_NAME]).p && json_type(slots[SLOT_NAME]) != JSON_STRING) {
        say(r, "name is not a string");
        return ERR_INVALID;
    }
    if (given(slots[SLOT_NAME]).p)
        err = decode(r->arena, slots[SLOT_NAME], &r->card->name);
    if (!err && json_type(given(slots[SLOT_VERSION])) == JSON_STRING)
        err = decode(r->arena, slots[SLOT_VERSION], &r->card->version);
    return err;
}

static int scan_card(struct reader *r, struct str doc, struct str *slots)
{
    struct json_want wants[2 * CARD_SLOTS + 1];
    struct json_fault jf;
    size_t n = 0;
    int err;

    for (size_t i = 0; i < CARD_SLOTS; i++) {
        wants[n++] = (struct json_want){card_members[i].name, (int)i, NULL};
        if (card_members[i].alias)
            wants[n++] = (struct json_want){card_members[i].alias, (int)i, NULL};
    }
    wants[n] = (struct json_want){NULL, -1, NULL};
    err = json_scan(doc, wants, slots, CARD_SLOTS, &jf);
    if (err == ERR_CONFLICT)
        say(r, "it has \"%s\" twice", jf.member ? jf.member : "a member");
    else if (err)
        say(r, "it is not JSON: %s at byte %zu", jf.why, jf.at);
    else if (json_type(doc) != JSON_OBJECT)
        say(r, "it is not a JSON object");
    else
        return 0;
    return ERR_INVALID;
}

int a2a_card_read(struct str doc, struct arena *arena, struct a2a_card *out, char why[200])
{
    struct a2a_card card = {.preferred = A2A_0_3};
    struct reader r = {arena, &card, why};
    struct str slots[CARD_SLOTS];
    int err;

    why[0] = '\0';
    err = scan_card(&r, doc, slots);
    if (!err)
        err = read_names(&r, slots);
    if (!err)
        err = read_interfaces(&r, slots);
    if (err == ERR_NOMEM)
        say(&r, "no memory to read it");
    if (err)
        return err;
    card.has_interface = card.interfaces[A2A_0_3].is_given || card.interfaces[A2A_1_0].is_given;
    if (card.interfaces[A2A_1_0].is_given)
        card.preferred = A2A_1_0;
    *out = card;
    return 0;
}

/* --- writing --- */

const char *a2a_card_form_text(enum a2a_card_form form)
{
    static const char *const texts[] = {
        [A2A_CARD_HYBRID] = "hybrid", [A2A_CARD_1_0] = "1.0", [A2A_CARD_0_3] = "0.3"};

    return texts[form];
}

struct writer {
    struct buf *out;
    enum a2a_card_form form;
    const struct a2a_card_offer *offer;
};

static void write_object(struct writer *w, const struct member *table, struct str object);

static const struct member *find_member(const struct member *table, struct str key)
{
    for (const struct member *m = table; m->name; m++)
        if (json_key_is(key, str_of(m->name)) ||
            (m->alias && json_key_is(key, str_of(m->alias))))
            return m;
    return NULL;
}

static bool has_type(struct str value, enum json_type type)
{
    enum json_type is = json_type(value);

    return is == type || (type == JSON_TRUE && is == JSON_FALSE);
}

static void write_member(struct writer *w, const struct member *m, struct str value)
{
    struct json_cursor cursor;
    struct str element;
    bool first = true;

    if (!m->members) {
        json_minify(w->out, value);
    } else if (m->type == JSON_OBJECT) {
        write_object(w, m->members, value);
    } else {
        buf_add_char(w->out, '[');
        JSON_EACH_ELEMENT (&cursor, value, &element) {
            if (json_type(element) != JSON_OBJECT)
                continue;
            if (!first)
                buf_add_char(w->out, ',');
            first = false;
            write_object(w, m->members, element);
        }
        buf_add_char(w->out, ']');
    }
}

static void write_flag(struct writer *w, bool *first, const char *name, bool value)
{
    json_write_key(w->out, first, str_of(name));
    buf_add_str(w->out, value ? STR("true") : STR("false"));
}

static void write_interface(struct writer *w, const char *version)
{
    BUF_LIT(w->out, "{\"url\":");
    json_write_string(w->out, w->offer->url);
    BUF_LIT(w->out, ",\"protocolBinding\":\"JSONRPC\",\"protocolVersion\":\"");
    buf_add_str(w->out, str_of(version));
    BUF_LIT(w->out, "\"}");
}

/* Where the gateway is. Clients of 1.0 take the first interface they can use, so 1.0 stands first. */
static void write_interfaces(struct writer *w, bool *first)
{
    if (w->form != A2A_CARD_0_3) {
        json_write_key(w->out, first, STR("supportedInterfaces"));
        buf_add_char(w->out, '[');
        write_interface(w, "1.0");
        buf_add_char(w->out, ',');
        write_interface(w, "0.3");
        buf_add_char(w->out, ']');
    }
    if (w->form == A2A_CARD_1_0)
        return;
    json_write_key(w->out, first, STR("url"));
    json_write_string(w->out, w->offer->url);
    json_write_key(w->out, first, STR("preferredTransport"));
    BUF_LIT(w->out, "\"JSONRPC\"");
    json_write_key(w->out, first, STR("protocolVersion"));
    BUF_LIT(w->out, "\"0.3.0\"");
    json_write_key(w->out, first, STR("additionalInterfaces"));
    BUF_LIT(w->out, "[{\"url\":");
    json_write_string(w->out, w->offer->url);
    BUF_LIT(w->out, ",\"transport\":\"JSONRPC\"}]");
}

/* What every table ends with: required members that the agent left out, and the gateway's own. */
static void write_rest(struct writer *w, const struct member *table, unsigned seen, bool *first)
{
    for (const struct member *m = table; m->name; m++) {
        if (!m->fill || (seen & 1u << (m - table)))
            continue;
        json_write_key(w->out, first, str_of(m->name));
        write_member(w, m, str_of(m->fill));
    }
    if (table == card_members)
        write_interfaces(w, first);
    if (table == capability_members) {
        write_flag(w, first, "streaming", w->offer->streaming);
        write_flag(w, first, "pushNotifications", w->offer->push);
    }
}

/* Known members go by their proper names, whichever way the agent spells them. */
static void write_object(struct writer *w, const struct member *table, struct str object)
{
    bool first = true, is_strict = w->form == A2A_CARD_1_0;
    struct json_cursor cursor;
    struct str key, value;
    unsigned seen = 0;

    JSON_EACH_MEMBER (&cursor, object, &key, &value) {
        const struct member *m = find_member(table, key);
        unsigned bit = m ? 1u << (m - table) : 0;

        if (!m && !is_strict) {
            json_write_key(w->out, &first, key);
            json_minify(w->out, value);
        }
        if (!m || m->is_ours || (m->not_1_0 && is_strict) || (seen & bit) ||
            !has_type(value, m->type))
            continue;
        seen |= bit;
        json_write_key(w->out, &first, str_of(m->name));
        write_member(w, m, value);
    }
    write_rest(w, table, seen, &first);
    json_write_end(w->out, first);
}

int a2a_card_write(struct buf *out, struct str doc, enum a2a_card_form form,
                   const struct a2a_card_offer *offer)
{
    struct writer w = {out, form, offer};

    BUG_ON(CARD_SLOTS > 8 * sizeof(unsigned));
    if (json_type(doc) != JSON_OBJECT)
        return ERR_INVALID;
    write_object(&w, card_members, doc);
    return buf_error(out);
}
