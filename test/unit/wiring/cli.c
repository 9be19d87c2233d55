/* SPDX-License-Identifier: MIT
 *
 * The command line's own parts: flags with values, and that nothing from outside steers a terminal.
 */
#include "check.h"

#include <stdlib.h>

#include "wiring/cli.h"
#include "wiring/cli_show.h"
#include "wiring/gateway.h"

#define ARGS_MAX 12

static char *args[ARGS_MAX];
static int n_args;

static void give(const char *const *given)
{
    for (n_args = 0; given[n_args]; n_args++)
        args[n_args] = (char *)given[n_args]; /* only moved about, never written to */
}

#define GIVE(...) give((const char *const[]){__VA_ARGS__, NULL})

TEST(a_flag_and_its_value)
{
    bool bad = false;

    GIVE("agents", "add", "--bearer-env", "TOK", "id", "url");
    CHECK_STR(str_of(cli_take_value(&n_args, args, "--bearer-env", &bad)), STR("TOK"));
    CHECK_INT(n_args, 4);
    CHECK_STR(str_of(args[2]), STR("id"));
    GIVE("agents", "--x=", "--x-y=1", "id");
    CHECK_STR(str_of(cli_take_value(&n_args, args, "--x", &bad)), STR(""));
    CHECK_INT(n_args, 3);
    CHECK(!cli_take_value(&n_args, args, "--x", &bad));
    CHECK_STR(str_of(cli_take_value(&n_args, args, "--x-y", &bad)), STR("1"));
    CHECK_INT(n_args, 2);
    CHECK(!bad);
}

TEST(a_flag_without_its_value)
{
    bool bad = false;

    GIVE("agents", "--x");
    CHECK(!cli_take_value(&n_args, args, "--x", &bad));
    CHECK(bad);
    bad = false;
    GIVE("agents", "--x", "1", "--x=2");
    CHECK_STR(str_of(cli_take_value(&n_args, args, "--x", &bad)), STR("1"));
    CHECK(bad);
}

/* What a function prints; the caller's to free. */
static char *text;
static size_t text_n;

static struct str shown(struct str raw)
{
    FILE *out;

    free(text);
    out = open_memstream(&text, &text_n);
    cli_show(out, raw);
    fclose(out);
    return str_make(text, text_n);
}

TEST(nothing_from_outside_steers_the_terminal)
{
    CHECK_STR(shown(STR("plain\n\ttext")), STR("plain\n\ttext"));
    CHECK_STR(shown(STR("\033[2J\r\x7f\b")), STR("?[2J???"));
    CHECK_STR(shown(STR("gr\xc3\xbc\xc3\x9f")), STR("gr\xc3\xbc\xc3\x9f"));
    CHECK_STR(shown(STR("\xc2\x9b"
                        "31m")),
              STR("?31m"));
    CHECK_STR(shown(STR("\xff\xc3\xbc")), STR("???"));
    CHECK_STR(shown(STR("")), STR(""));
    free(text);
    text = NULL;
}

static void print_nothing(struct str result)
{
    (void)result;
}

TEST(the_exit_code_says_what_came_of_it)
{
    static const struct {
        const char *body;
        int code;
    } cases[] = {
        {"{\"result\":true}", EXIT_OK},
        {"{\"result\":[]}", EXIT_OK},
        {"{\"result\":{\"id\":\"t\",\"status\":{\"state\":\"completed\"}}}", EXIT_OK},
        {"{\"result\":{\"id\":\"t\",\"status\":{\"state\":\"canceled\"}}}", EXIT_OK},
        {"{\"result\":{\"id\":\"t\",\"status\":{\"state\":\"failed\"}}}", EXIT_FAILED},
        {"{\"result\":{\"task\":{\"status\":{\"state\":\"TASK_STATE_REJECTED\"}}}}",
         EXIT_FAILED},
        {"{\"error\":{\"code\":-32001,\"message\":\"no\"}}", EXIT_FAILED},
        {"{}", EXIT_FAILED},
        {"[]", EXIT_FAILED},
        {"<html>", EXIT_FAILED},
        {"", EXIT_FAILED},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_INT(cli_show_answer(str_of(cases[i].body), false, print_nothing), cases[i].code);
}

TEST_MAIN
