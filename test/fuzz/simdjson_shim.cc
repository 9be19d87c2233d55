/* SPDX-License-Identifier: MIT */
#include "simdjson_shim.h"

#include <cstdint>
#include <cstdlib>
#include <jansson.h>
#include <simdjson.h>
#include <string>

using namespace simdjson;

static dom::parser parser;
static dom::element root;
static std::string events;

template <typename T> static void add_bytes(char tag, T value)
{
    events += tag;
    events.append(reinterpret_cast<const char *>(&value), sizeof value);
}

static void add_text(char tag, std::string_view text)
{
    add_bytes(tag, static_cast<uint64_t>(text.size()));
    events.append(text);
}

/* simdjson says a type and then refuses to give it: that would be a bug of this file. */
template <typename T> static T get(dom::element e)
{
    T value;

    if (e.get(value))
        abort();
    return value;
}

static void describe(dom::element e)
{
    switch (e.type()) {
    case dom::element_type::OBJECT:
        events += SHIM_OBJECT;
        for (dom::key_value_pair member : get<dom::object>(e)) {
            add_text(SHIM_KEY, member.key);
            describe(member.value);
        }
        events += SHIM_OBJECT_END;
        break;
    case dom::element_type::ARRAY:
        events += SHIM_ARRAY;
        for (dom::element item : get<dom::array>(e))
            describe(item);
        events += SHIM_ARRAY_END;
        break;
    case dom::element_type::STRING:
        add_text(SHIM_STRING, get<std::string_view>(e));
        break;
    case dom::element_type::INT64:
        add_bytes(SHIM_I64, get<int64_t>(e));
        break;
    case dom::element_type::UINT64:
        add_bytes(SHIM_U64, get<uint64_t>(e));
        break;
    case dom::element_type::DOUBLE:
        add_bytes(SHIM_DOUBLE, get<double>(e));
        break;
    case dom::element_type::BOOL:
        events += static_cast<char>(get<bool>(e) ? SHIM_TRUE : SHIM_FALSE);
        break;
    case dom::element_type::NULL_VALUE:
        events += SHIM_NULL;
        break;
    default:
        abort();
    }
}

const char *shim_describe(const char *text, size_t n, size_t max_levels, const char **out,
                          size_t *n_out)
{
    error_code err = SUCCESS;

    /* simdjson refuses when the level reaches its depth, hence one more. */
    if (parser.max_depth() != max_levels + 1)
        err = parser.allocate(64 * 1024, max_levels + 1);
    if (!err)
        err = parser.parse(text, n, true)
                  .get(root); /* true: copies into a padded buffer of its own */
    if (err)
        return error_message(err);
    events.clear();
    describe(root);
    *out = events.data();
    *n_out = events.size();
    return nullptr;
}

size_t shim_count(const char *name, size_t n)
{
    size_t count = 0;

    if (root.type() == dom::element_type::OBJECT)
        for (dom::key_value_pair member : get<dom::object>(root))
            count += member.key == std::string_view(name, n);
    return count;
}

const char *shim_jansson(const char *text, size_t n)
{
    static json_error_t fault;
    json_t *doc =
        json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &fault);

    if (!doc)
        return fault.text;
    json_decref(doc);
    return nullptr;
}
