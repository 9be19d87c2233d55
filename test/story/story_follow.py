# SPDX-License-Identifier: MIT
"""A task's life at its agent, whoever asked for it: followed to its end over hang-ups and kills, cancelled in every
order, ended when its agent has forgotten it."""
import json
import threading

from telling import story
from world import (Client, check, contains, equal, error_of, message, rpc_body, scripted, state_of, task_of, wait_until,
                   SEND, VERSIONS)

FAST = {"POLL_MIN_MS": "20", "POLL_MAX_MS": "50", "POLL_INTERRUPTED_MS": "50"}
NON_BLOCKING = {"0.3": {"blocking": False}, "1.0": {"returnImmediately": True}}
BLOCKING = {"0.3": {"blocking": True}, "1.0": {}}
FOREVER = "work 1000000"


def raw_send(gw, agent, text, version, configuration):
    """Sends on a connection of its own and leaves the answer to whoever wants it."""
    body = rpc_body(SEND[version], {"message": message(text, version), "configuration": configuration})
    client = Client(gw.port)
    client.send(b"POST /agents/%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (agent.encode(), len(body), body))
    return client


class Waiting:
    """A call in a thread of its own."""

    def __init__(self, call):
        self.answer = None
        self.thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self.thread.start()

    def _run(self, call):
        self.answer = call()

    def join(self):
        self.thread.join(60)
        check(self.answer is not None, "the call was never answered")
        return self.answer


# --- followed to the end --------------------------------------------------------------------------------------------


@story()
def a_plain_send_is_followed_with_nobody_asking(world):
    """What a person sees afterwards in the command line's list and with SELECT."""
    agent = world.agent("0.3", scripted)
    gw = world.gateway({"a": agent}, env=FAST)
    task = task_of(gw.send("a", "work 4", configuration=NON_BLOCKING["0.3"]), "0.3")
    equal(state_of(task), "working", "at once")
    gw.wait_state("a", task["id"], "completed")
    equal(len(agent.asked("tasks/get")), 4, "questions: none after the end")
    if world.database:
        equal(world.database.psql(f"SELECT state FROM superx.task_view WHERE id = '{task['id']}'"), "completed", "SELECT")
    contains(gw.cli("tasks", "list").stdout, "completed", "superx tasks list")
    contains(world.stored("a", task["id"]), "worked", "the stored task")


@story(stores=("sqlite",))
def a_blocking_send_waits_no_longer_than_send_wait(world):
    agents = {"a" + v: world.agent(v, scripted) for v in VERSIONS}
    gw = world.gateway(agents, env={**FAST, "SEND_WAIT": "300"})
    for v in VERSIONS:
        task = task_of(gw.send("a" + v, FOREVER, v, configuration=BLOCKING[v]), v)
        equal(state_of(task), "working", f"{v}: after SEND_WAIT the task as it is")
        agents["a" + v].left[task["id"]] = 1
        gw.wait_state("a" + v, task["id"], "completed")


@story()
def a_caller_who_hangs_up_mid_call_changes_nothing(world):
    """Blocking, held by the gateway: the caller goes, the task is followed to its end all the same."""
    agent = world.agent("1.0", scripted)
    gw = world.gateway({"a": agent}, env=FAST)
    client = raw_send(gw, "a", FOREVER, "1.0", {})
    wait_until("the task is known and asked for", lambda: agent.asked("GetTask"))
    client.reset()
    task_id = next(iter(agent.tasks))
    agent.left[task_id] = 2
    gw.wait_state("a", task_id, "completed")
    equal(gw.send("a", "next", "1.0").status, 200, "the next call")


@story()
def a_caller_who_hangs_up_before_the_agents_answer(world):
    """The agent's answer is `working`, and nobody is there to hear it."""
    agent = world.agent("0.3")

    def behave(a, req):
        if req.json["method"] == "message/send":
            a.release.wait(30)
        return scripted(a, req)

    agent.behave = behave
    gw = world.gateway({"a": agent}, env=FAST)
    client = raw_send(gw, "a", "work 2", "0.3", NON_BLOCKING["0.3"])
    wait_until("the agent is asked", lambda: agent.requests)
    client.reset()
    agent.release.set()
    task_id = wait_until("the agent has made the task", lambda: next(iter(agent.tasks), None))
    gw.wait_state("a", task_id, "completed")


@story()
def kill_and_restart_go_on_following(world):
    """kill -9 while tasks run: the next life takes over its former one's tasks. On PostgreSQL only when the dead node's
    lease is over."""
    agent = world.agent("0.3", scripted)
    gw = world.gateway({"a": agent}, env=FAST)
    ids = [task_of(gw.send("a", FOREVER, configuration=NON_BLOCKING["0.3"]), "0.3")["id"] for _ in range(20)]
    asking = task_of(gw.send("a", "ask me"), "0.3")["id"]
    gw.kill()
    for task_id in ids:
        agent.left[task_id] = 2
    gw.restart()
    for task_id in ids:
        gw.wait_state("a", task_id, "completed")
    equal(state_of(task_of(gw.send("a", "this", taskId=asking), "0.3")), "completed", "a task that waited for its caller")


@story(stores=("postgres",))
def another_node_takes_over(world):
    agent = world.agent("1.0", scripted)
    one = world.gateway({"a": agent}, env=FAST)
    two = world.gateway({"a": agent}, env=FAST, data=world.folder("data2"))
    ids = [task_of(one.send("a", FOREVER, "1.0", configuration=NON_BLOCKING["1.0"]), "1.0")["id"] for _ in range(5)]
    wait_until("each is asked for", lambda: {r.json["params"]["id"] for r in agent.asked("GetTask")} >= set(ids))
    one.kill()
    for task_id in ids:
        agent.left[task_id] = 2
    for task_id in ids:
        two.wait_state("a", task_id, "completed")


@story(stores=("postgres",))
def one_follower_per_task(world):
    """Two living nodes: only the one that has the task asks for it."""
    asked = {}

    def behave(a, req):
        answer = scripted(a, req)
        if req.json["method"] == "GetTask":
            asked.setdefault(req.json["params"]["id"], []).append(req.headers.get("user-agent"))
        return answer

    agents = [world.agent("1.0", behave), world.agent("1.0", behave)]
    # Each node reaches the agent under an address of its own, which tells them apart; the memory is one.
    agents[1].tasks, agents[1].left = agents[0].tasks, agents[0].left
    one = world.gateway({"a": agents[0]}, env=FAST)
    two = world.gateway({"a": agents[1]}, env=FAST, data=world.folder("data2"))
    wait_until("they see each other", lambda: one.health()["cluster_size"] == 2 and two.health()["cluster_size"] == 2)
    task = task_of(one.send("a", "work 30", "1.0", configuration=NON_BLOCKING["1.0"]), "1.0")
    one.wait_state("a", task["id"], "completed")
    check(not agents[1].asked("GetTask"), "the other node asked, too")


@story(stores=("sqlite",))
def interrupted_tasks_are_asked_for_seldom_but_end(world):
    """auth-required may go on by itself."""
    agent = world.agent("1.0", scripted)
    gw = world.gateway({"a": agent}, env=FAST)
    task = task_of(gw.send("a", "auth me", "1.0"), "1.0")
    equal(state_of(task), "auth-required", "told")
    agent.move(task["id"], "completed", "by itself")
    gw.wait_state("a", task["id"], "completed")


@story(stores=("sqlite",))
def an_agent_that_is_away_for_a_while(world):
    agent = world.agent("0.3", scripted)
    gw = world.gateway({"a": agent}, env=FAST)
    task = task_of(gw.send("a", FOREVER, configuration=NON_BLOCKING["0.3"]), "0.3")
    wait_until("it is asked for", lambda: agent.asked("tasks/get"))
    agent.close()
    equal(state_of(gw.get("a", task["id"]).json["result"]), "working", "the stored task meanwhile")
    agent.left[task["id"]] = 1
    agent.open()
    gw.wait_state("a", task["id"], "completed")


# --- an agent that has lost its memory -------------------------------------------------------------------------------


@story()
def an_agent_restarted_with_an_empty_memory(world):
    """-32001 to GetTask, three times over TASK_LOST_MS: the task fails, and it is said whose word that is."""
    for version in VERSIONS:
        agent = world.agent(version, scripted)
        gw = world.gateway({"a": agent}, env={**FAST, "TASK_LOST_MS": "200"}, data=world.folder("data"))
        task = task_of(gw.send("a", FOREVER, version, configuration=NON_BLOCKING[version]), version)
        waiting = Waiting(lambda: gw.send("a", FOREVER, version, configuration=BLOCKING[version]))
        wait_until("both are asked for", lambda: len(
            {r.json["params"]["id"] for r in agent.asked("tasks/get", "GetTask")}) == 2)
        agent.close()
        agent.forget()
        agent.open()
        gw.wait_state("a", task["id"], "failed")
        for reader in VERSIONS:
            failed = gw.get("a", task["id"], reader).json["result"]
            equal(state_of(failed), "failed", reader)
            contains(json.dumps(failed["status"]["message"]), "agent no longer knows this task", f"{reader}: the reason")
            contains(json.dumps(failed["status"]).lower(), "superx", f"{reader}: whose word it is")
        told = task_of(waiting.join(), version)
        equal(state_of(told), "failed", "the waiting caller is told")
        equal(error_of(gw.send("a", "more", version, taskId=task["id"]))["code"], -32004, "a message to it")
        gw.stop()


@story(stores=("sqlite",))
def a_task_denied_for_a_moment_is_not_lost(world):
    agent = world.agent("0.3", scripted)
    gw = world.gateway({"a": agent}, env={**FAST, "TASK_LOST_MS": "600000"})
    task = task_of(gw.send("a", FOREVER, configuration=NON_BLOCKING["0.3"]), "0.3")
    kept, left = dict(agent.tasks), dict(agent.left)
    agent.forget()
    n = len(agent.asked("tasks/get"))
    wait_until("it is denied five times", lambda: len(agent.asked("tasks/get")) >= n + 5)
    equal(state_of(gw.get("a", task["id"]).json["result"]), "working", "meanwhile")
    agent.tasks.update(kept)
    agent.left.update({k: 1 for k in left})
    gw.wait_state("a", task["id"], "completed")


# --- cancel ----------------------------------------------------------------------------------------------------------


@story()
def cancel_tells_the_waiting_callers(world):
    for version in VERSIONS:
        agent = world.agent(version, scripted)
        gw = world.gateway({"a": agent}, env=FAST, data=world.folder("data"))
        waiting = [Waiting(lambda: gw.send("a", FOREVER, version, configuration=BLOCKING[version]))]
        wait_until("it is asked for", lambda: agent.asked("tasks/get", "GetTask"))
        task_id = next(iter(agent.tasks))
        canceled = gw.cancel("a", task_id, version).json["result"]
        equal(state_of(canceled), "canceled", "the answer to cancel")
        for w in waiting:
            equal(state_of(task_of(w.join(), version)), "canceled", "what the waiting caller is told")
        contains(world.stored("a", task_id).lower(), "canceled", "stored")
        gw.stop()


@story()
def cancel_while_the_agent_still_works_on_the_send(world):
    """The task came with an earlier send; a blocking one is still waiting at the agent. Cancel wins, and the result that
    comes late is refused and logged."""
    cancel_and_late_result(world, "with the agent's answer")


@story()
def who_waits_at_the_agent_is_told_of_a_cancel(world):
    """The same: the blocking caller need not wait for an agent that goes on with what was cancelled."""
    cancel_and_late_result(world, "at once")


def cancel_and_late_result(world, how):
    def behave(a, req):
        call = req.json
        if call["method"] == "message/send" and call["params"]["message"].get("taskId"):
            a.release.wait(60)
            return a.make_task("too late", "completed", id=call["params"]["message"]["taskId"])
        return scripted(a, req)

    agent = world.agent("0.3", behave)
    gw = world.gateway({"a": agent}, env=FAST)
    task_id = task_of(gw.send("a", "ask me"), "0.3")["id"]
    late = Waiting(lambda: gw.send("a", "go on", taskId=task_id, configuration={"blocking": True}))
    wait_until("the second message is at the agent", lambda: len(agent.asked("message/send")) == 2)
    equal(state_of(gw.cancel("a", task_id).json["result"]), "canceled", "cancel")
    if how == "at once":
        equal(state_of(task_of(late.join(), "0.3")), "canceled", "the blocking caller gets the canceled task")
    agent.release.set()
    equal(state_of(task_of(late.join(), "0.3")), "canceled", "the blocking caller gets the canceled task")
    gw.wait_log("event refused", f"task={task_id}", "terminal")
    equal(state_of(gw.get("a", task_id).json["result"]), "canceled", "the late result changes nothing")
    check("too late" not in world.stored("a", task_id), "the late result is stored")


@story()
def completion_wins_against_cancel(world):
    """The task completes while cancel is on its way: -32002, and the task is the completed one. Both ways in which the
    agent may say so."""
    for how in ("refuse", "answer"):
        agent = world.agent("1.0", scripted)
        gw = world.gateway({"a": agent}, env={"POLL_MIN_MS": "3600000", "POLL_MAX_MS": "3600000"}, data=world.folder("data"))
        task_id = task_of(gw.send("a", FOREVER, "1.0", configuration=NON_BLOCKING["1.0"]), "1.0")["id"]
        agent.cancel = "refuse"
        done = agent.move(task_id, "completed", "made it")
        if how == "answer":
            agent.cancel = done
        equal(error_of(gw.cancel("a", task_id, "1.0"))["code"], -32002, f"{how}: cancel")
        got = gw.get("a", task_id, "1.0").json["result"]
        if how == "answer":
            equal(state_of(got), "completed", "what the agent said is kept")
        gw.stop()


@story(stores=("sqlite",))
def cancel_that_the_agent_refuses(world):
    agent = world.agent("0.3", scripted)
    agent.cancel = "refuse"
    gw = world.gateway({"a": agent}, env=FAST)
    task_id = task_of(gw.send("a", FOREVER, configuration=NON_BLOCKING["0.3"]), "0.3")["id"]
    for reader in VERSIONS:
        equal(error_of(gw.cancel("a", task_id, reader))["code"], -32002, f"{reader}: refused")
    equal(state_of(gw.get("a", task_id).json["result"]), "working", "unchanged")
    agent.left[task_id] = 1
    gw.wait_state("a", task_id, "completed")


@story(stores=("sqlite",))
def cancel_that_takes_its_time(world):
    """An agent may answer with the task still working, and end it later; a slow one is waited for."""
    agent = world.agent("1.0", scripted)
    agent.cancel = "async"
    gw = world.gateway({"a": agent}, env=FAST)
    task_id = task_of(gw.send("a", FOREVER, "1.0", configuration=NON_BLOCKING["1.0"]), "1.0")["id"]
    equal(state_of(gw.cancel("a", task_id, "1.0").json["result"]), "working", "not yet")
    agent.move(task_id, "canceled")
    gw.wait_state("a", task_id, "canceled")
    agent.cancel = "slow"
    task_id = task_of(gw.send("a", FOREVER, "1.0", configuration=NON_BLOCKING["1.0"]), "1.0")["id"]
    slow = Waiting(lambda: gw.cancel("a", task_id, "1.0"))
    wait_until("cancel is at the agent", lambda: len(agent.asked("CancelTask")) == 2)
    check("result" in gw.send("a", "meanwhile", "1.0").json, "another call meanwhile")
    agent.release.set()
    equal(state_of(slow.join().json["result"]), "canceled", "at last")


@story(stores=("sqlite",))
def cancel_when_the_agent_is_away(world):
    agent = world.agent("0.3", scripted)
    gw = world.gateway({"a": agent}, env=FAST)
    task_id = task_of(gw.send("a", FOREVER, configuration=NON_BLOCKING["0.3"]), "0.3")["id"]
    agent.close()
    equal(error_of(gw.cancel("a", task_id))["code"], -31003, "unreachable is that error")
    equal(state_of(gw.get("a", task_id).json["result"]), "working", "and the task is unchanged")


@story(stores=("sqlite",))
def cancel_of_a_task_unknown_here(world):
    agent = world.agent("1.0", scripted)
    agent.make_task("elsewhere", "working", id="other")
    gw = world.gateway({"a": agent}, env=FAST)
    equal(state_of(gw.cancel("a", "other", "0.3").json["result"]), "canceled", "made elsewhere, cancelled here")
    equal(error_of(gw.cancel("a", "nowhere", "0.3"))["code"], -32001, "unknown everywhere")


@story(stores=("sqlite",))
def two_agents_with_one_task_id_are_cancelled_apart(world):
    agents = {n: world.agent(v, scripted) for n, v in (("a", "0.3"), ("b", "1.0"))}
    gw = world.gateway(agents, env=FAST)
    for name, agent in agents.items():
        agent.make_task("", "working", id="same")
        equal(state_of(gw.get(name, "same", agent.version).json["result"]), "working", name)
    equal(state_of(gw.cancel("a", "same").json["result"]), "canceled", "of a")
    equal(state_of(gw.get("b", "same").json["result"]), "working", "of b")
    check(not agents["b"].asked("CancelTask"), "b was told")
    by_id = gw.own("tasks.get", {"taskId": "same"}).json["error"]
    check("a" in by_id["message"] and "b" in by_id["message"], f"the agents are not named: {by_id}")
