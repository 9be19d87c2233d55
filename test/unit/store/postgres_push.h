/* SPDX-License-Identifier: MIT
 *
 * Part of postgres.c: webhooks where several sessions meet. The races are forced: what comes first holds its locks, in a
 * transaction of the test's own, until what comes second waits for them.
 */
#ifndef TEST_UNIT_STORE_POSTGRES_PUSH_H
#define TEST_UNIT_STORE_POSTGRES_PUSH_H

/* --- webhooks of several nodes ------------------------------------------------------------ */

TEST(a_cursor_is_claimed_from_the_dead_only)
{
    struct store_push_result result;
    struct pushed p;
    struct told t;
    struct rig b;
    RIG(a);

    second_node(&a, &b);
    append_with_push(&a, &t, "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "x"), "w");
    CHECK_INT(push_claim(&a, &p, LATER), 1);
    CHECK_INT(push_claim(&b, &p, LATER), 0);
    rig_stop(&b);
    second_node(&a, &b);
    result = (struct store_push_result){.id = STR("w"), .delivered_seq = 1};
    CHECK_INT(push_claim(&b, &p, LATER), 0);
    execute(&a.config,
            "UPDATE push_cursors SET owner = '00000000-0000-4000-8000-000000000000'");
    CHECK_INT(push_claim(&b, &p, LATER), 1);
    result.key = p.at[0].key;
    CHECK_INT(push_settle(&a, &result), 0); /* it was taken away */
    CHECK_INT(push_settle(&b, &result), 1);
    rig_stop(&b);
    rig_close(&a);
}

/* Until somebody waits for what our own session has locked. */
static void turn_until_locked_out(const struct rig *r)
{
    while (suite_number(&r->config, "SELECT count(*) FROM pg_locks WHERE NOT granted") < 1)
        loop_turn(r->loop, false);
}

/* A registration that is not committed holds the task's row: the commit behind it must find its cursor. */
TEST(a_registration_racing_the_last_event)
{
    struct told t = {0};
    struct pushed p;
    RIG(r);

    put_task(&r, "t1", "WORKING");
    execute(
        &r.config,
        "BEGIN; SELECT FROM tasks FOR SHARE; "
        "INSERT INTO push_configs (key, id, dialect, doc) SELECT key, 'w', 1, '{}' FROM tasks; "
        "INSERT INTO push_cursors (key, id, head_seq, delivered_seq) "
        "SELECT key, 'w', seq, seq FROM tasks");
    start(&r, &t, "a", "t1", A2A_EVENT_STATUS, status("COMPLETED"));
    turn_until_locked_out(&r);
    CHECK_INT(t.calls, 0);
    execute(&r.config, "COMMIT");
    TURN_UNTIL(&r, t.calls);
    CHECK_INT(t.err, 0);
    CHECK_INT(push_claim(&r, &p, LATER), 1);
    CHECK_INT(p.at[0].delivered, 1);
    CHECK_INT(p.at[0].head, 2);
    told_release(&t);
    rig_close(&r);
}

/* The other way round: a registration waits for the commit, and begins behind it. */
TEST(a_registration_behind_a_commit_under_way)
{
    struct store_push_config config = push_config("w");
    struct done d = {0};
    struct pushed p;
    RIG(r);

    put_task(&r, "t1", "WORKING");
    execute(&r.config, "BEGIN; UPDATE tasks SET seq = 2");
    CHECK_INT(store_push_put(r.store, STR("a"), STR("t1"), &config, on_done, &d), 0);
    turn_until_locked_out(&r);
    CHECK_INT(d.calls, 0);
    execute(&r.config, "COMMIT");
    TURN_UNTIL(&r, d.calls);
    CHECK_INT(d.err, 0);
    CHECK_INT(push_list_task(&r, &p, "t1"), 0);
    CHECK_INT(p.at[0].delivered, 2);
    CHECK_INT(p.at[0].head, 2);
    rig_close(&r);
}

/* An acknowledgement that is not committed holds the cursor: the wake-up behind it sees what it left. */
TEST(a_wake_up_racing_an_acknowledgement)
{
    struct told t = {0};
    struct pushed p;
    RIG(r);

    append_with_push(&r, &t, "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "x"), "w");
    execute(&r.config, "BEGIN; UPDATE push_cursors SET delivered_seq = 1, due_at = NULL");
    start(&r, &t, "a", "t1", A2A_EVENT_STATUS, status("COMPLETED"));
    turn_until_locked_out(&r);
    execute(&r.config, "COMMIT");
    TURN_UNTIL(&r, t.calls);
    CHECK_INT(t.err, 0);
    CHECK_INT(push_claim(&r, &p, LATER), 1);
    CHECK_INT(p.at[0].delivered, 1);
    CHECK_INT(p.at[0].head, 2);
    told_release(&t);
    rig_close(&r);
}

/* Sessions are killed under jobs: each is told once, and what was told as done is done. */
TEST(jobs_of_lost_connections_are_told_once)
{
    struct pushed p;
    RIG(r);

    put_task(&r, "t1", "WORKING");
    for (int i = 0; i < 12; i++) {
        struct store_push_config config = push_config(i % 2 ? "v" : "w");
        struct done d = {0};

        TURN_UNTIL(&r, r.state == STORE_UP);
        CHECK_INT(store_push_put(r.store, STR("a"), STR("t1"), &config, on_done, &d), 0);
        for (int turns = i % 4; turns > 0; turns--)
            loop_turn(r.loop, false);
        kill_sessions(&r);
        TURN_UNTIL(&r, d.calls);
        CHECK(d.err == 0 || d.err == ERR_STORE);
        TURN_UNTIL(&r, r.state == STORE_UP);
    }
    while (push_put(&r, "t1", "w") || push_put(&r, "t1", "v"))
        loop_turn(r.loop, true);
    while (push_list_task(&r, &p, "t1"))
        loop_turn(r.loop, true);
    CHECK_INT(p.n, 2);
    rig_close(&r);
}

#endif
