/* SPDX-License-Identifier: MIT
 *
 * What of a caller's headers an agent may get, and under which name.
 *
 *     A2A-Extensions     to every agent; X-A2A-Extensions to those of 0.3. Both names are understood from both sides.
 *     traceparent, ...   to every agent
 *     forwardHeaders     what the operator named, to that agent; as it came
 *
 * Nothing else goes. What frames a message or belongs to a connection, and what the gateway writes itself, cannot
 * be named: the caller's words about his bytes are not true of ours. His credentials can, each by its name, but
 * never in place of those the agent was given: one of the two would be lost, and nobody could say which.
 */
#include "dispatch/dispatch_int.h"

const char *header_reserved(struct str name)
{
    static const char *const ours[] = {"Host",   "Content-Length", "Content-Type",
                                       "Accept", "User-Agent",     "A2A-Version",
                                       "Expect", "If-None-Match",  "Accept-Encoding"};
    static const char *const of_hops[] = {
        "Connection", "Keep-Alive",          "Proxy-Connection", "Proxy-Authenticate",
        "TE",         "Proxy-Authorization", "Trailer",          "Transfer-Encoding",
        "Upgrade"};

    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (str_is_nocase(name, str_of(ours[i])))
            return "the gateway writes it";
    for (size_t i = 0; i < sizeof of_hops / sizeof *of_hops; i++)
        if (str_is_nocase(name, str_of(of_hops[i])))
            return "it belongs to the connection";
    if (header_is_trace(name))
        return "it belongs to the caller's trace";
    return NULL;
}

bool header_is_extensions(struct str name)
{
    return str_is_nocase(name, STR("A2A-Extensions")) ||
           str_is_nocase(name, STR("X-A2A-Extensions"));
}

bool header_is_trace(struct str name)
{
    return str_is_nocase(name, STR("traceparent")) || str_is_nocase(name, STR("tracestate"));
}

bool header_goes_anyway(struct str name)
{
    return header_is_extensions(name) || header_is_trace(name);
}

const char *header_unforwardable(struct str name)
{
    const char *why = header_goes_anyway(name) ? NULL : header_reserved(name);

    if (!why && name.n > 8 && str_is_nocase(str_make(name.p, 8), STR("Content-")))
        return "it is about the caller's bytes";
    return why;
}

void header_join_extensions(struct buf *out, const struct http_header *headers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!header_is_extensions(headers[i].name) || headers[i].value.n == 0)
            continue;
        if (out->n)
            BUF_LIT(out, ", ");
        buf_add_str(out, headers[i].value);
    }
}

const char *header_extensions(enum a2a_version version)
{
    return version == A2A_0_3 ? "X-A2A-Extensions" : "A2A-Extensions";
}

const struct str *agent_forwards(const struct agent *a, size_t *n)
{
    *n = a->settings->spec.n_forwards;
    return a->settings->spec.forwards;
}

const char *spec_forwards_why(const struct agent_spec *spec)
{
    for (size_t i = 0; i < spec->n_forwards; i++) {
        if (spec->bearer.p && str_is_nocase(spec->forwards[i], STR("Authorization")))
            return "Authorization cannot be forwarded: the agent has a bearer";
        for (size_t k = 0; k < spec->n_headers; k++)
            if (str_is_nocase(spec->headers[k].name, spec->forwards[i]))
                return "a header that is set by headers cannot be forwarded as well";
    }
    return NULL;
}
