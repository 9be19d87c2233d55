/* SPDX-License-Identifier: MIT */
#include "wiring/cli_show.h"

#include "a2a/a2a.h"
#include "lib/limits.h"
#include "wiring/gateway.h"

#define SHOWN_MAX 1000 /* bytes of an answer that is none */

void cli_show(FILE *out, struct str text)
{
    bool clean = str_is_utf8(text);

    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool is_c1 = clean && c == 0xc2 && (unsigned char)text.p[i + 1] < 0xa0;

        i += is_c1;
        fputc(is_c1 || (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ||
                      (c >= 0x80 && !clean)
                  ? '?'
                  : c,
              out);
    }
}

size_t cli_show_string(FILE *out, struct str raw)
{
    struct buf text;
    size_t n;

    buf_init(&text, 2 * LIMIT_TASK_BYTES);
    if (json_string_decode(raw, &text))
        buf_clear(&text);
    cli_show(out, buf_str(&text));
    n = text.n;
    buf_release(&text);
    return n;
}

void cli_show_column(struct str raw, size_t width)
{
    for (size_t n = cli_show_string(stdout, raw); n < width; n++)
        fputc(' ', stdout);
    fputs("  ", stdout);
}

/* --- tasks and messages --- */

void cli_show_parts(struct str parts)
{
    struct json_cursor c;
    struct str part;

    JSON_EACH_ELEMENT (&c, parts, &part) {
        struct str text = json_get(part, "text");

        if (json_type(text) == JSON_STRING) {
            cli_show_string(stdout, text);
        } else {
            fputc('[', stdout);
            cli_show(stdout, part);
            fputc(']', stdout);
        }
        fputc('\n', stdout);
    }
}

void cli_show_task(struct str task)
{
    struct str status = json_get(task, "status"), artifact;
    enum a2a_state state = a2a_state_read(json_get(status, "state"));
    struct json_cursor c;

    printf("task ");
    cli_show_string(stdout, json_get(task, "id"));
    printf("\nstate %s\n", a2a_state_name(state, A2A_0_3));
    cli_show_parts(json_get(json_get(status, "message"), "parts"));
    JSON_EACH_ELEMENT (&c, json_get(task, "artifacts"), &artifact)
        cli_show_parts(json_get(artifact, "parts"));
}

struct str cli_task_of(struct str result)
{
    struct str wrapped = json_get(result, "task");

    if (json_type(wrapped) == JSON_OBJECT)
        return wrapped;
    return json_get(result, "status").p ? result : STR_NONE;
}

/* --- answers --- */

static void complain(struct str error)
{
    fputs("superx: ", stderr);
    if (cli_show_string(stderr, json_get(error, "message")) == 0)
        fputs("the gateway answered with something that is not JSON-RPC", stderr);
    fputs(" (", stderr);
    cli_show(stderr, json_get(error, "code"));
    fputs(")\n", stderr);
}

static bool is_object(struct str body)
{
    if (json_scan(body, NULL, NULL, 0, NULL) == 0 && json_type(str_trim(body)) == JSON_OBJECT)
        return true;
    fputs("superx: the gateway's answer is not JSON: ", stderr);
    cli_show(stderr, str_make(body.p, body.n < SHOWN_MAX ? body.n : SHOWN_MAX));
    fputc('\n', stderr);
    return false;
}

struct str cli_result_of(struct str body)
{
    struct str result;

    if (!is_object(body))
        return STR_NONE;
    result = json_get(body, "result");
    if (!result.p)
        complain(json_get(body, "error"));
    return result;
}

static int exit_code_of(struct str result)
{
    enum a2a_state state =
        a2a_state_read(json_get(json_get(cli_task_of(result), "status"), "state"));

    return state == A2A_STATE_FAILED || state == A2A_STATE_REJECTED ? EXIT_FAILED : EXIT_OK;
}

int cli_show_answer(struct str body, bool json, void (*print)(struct str result))
{
    struct str result;

    if (json && is_object(body)) {
        result = json_get(body, "result");
        fwrite(body.p, 1, body.n, stdout);
        fputc('\n', stdout);
    } else if (!json && (result = cli_result_of(body)).p) {
        print(result);
    } else {
        return EXIT_FAILED;
    }
    return result.p ? exit_code_of(result) : EXIT_FAILED;
}
