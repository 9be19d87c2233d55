# SPDX-License-Identifier: MIT
"""ListTasks: order, filters, totals and pages, also while tasks change."""
import json
import threading

from telling import story
from world import VERSIONS, check, equal, error_of, message, rpc_body, task_of


def listed(gw, agent="a", **params):
    answer = gw.rpc(agent, "ListTasks", params)
    check("result" in answer.json, f"{params}: {answer.body[:300]!r}")
    return answer.json["result"]


def ids_of(page):
    return [t["id"] for t in page["tasks"]]


def walk(gw, **params):
    """All pages."""
    found, token = [], ""
    while True:
        page = listed(gw, **params, **({"pageToken": token} if token else {}))
        equal(page["pageSize"], len(page["tasks"]), "pageSize is the number of tasks")
        found += page["tasks"]
        token = page["nextPageToken"]
        if not token:
            return found, page


def stamped(agent, i, state="completed", **members):
    """A task whose status has the given time; it is read through the gateway, which so comes to know it."""
    at = members.pop("at", f"2026-01-01T00:{i:02d}:00Z")
    agent.make_task("x", state, id=f"t-{i}", **members)
    agent.tasks[f"t-{i}"]["status"]["timestamp"] = at


@story()
def order_filters_and_totals(world):
    agent = world.agent("1.0")
    gw = world.gateway({"a": agent, "b": world.agent("1.0")}, env={"POLL_MIN_MS": "3600000", "POLL_MAX_MS": "3600000"})
    order = [3, 11, 0, 7, 5, 9, 1, 10, 2, 8, 4, 6]
    for i in order:
        stamped(agent, i, ("completed", "failed", "working")[i % 3], contextId=f"c-{i % 2}")
        equal(gw.get("a", f"t-{i}", "1.0").status, 200, f"t-{i}")
    gw.send("b", "of another agent", "1.0")
    newest_first = [f"t-{i}" for i in range(11, -1, -1)]
    page = listed(gw)
    equal(ids_of(page), newest_first, "by status time, newest first")
    equal((page["totalSize"], page["pageSize"], page["nextPageToken"]), (12, 12, ""), "the page")
    equal(ids_of(listed(gw, status="TASK_STATE_FAILED")), [i for i in newest_first if int(i[2:]) % 3 == 1], "by state")
    equal(ids_of(listed(gw, contextId="c-1")), [i for i in newest_first if int(i[2:]) % 2 == 1], "by context")
    equal(listed(gw, contextId="no such")["totalSize"], 0, "an unknown context")
    for after in ("2026-01-01T00:08:00Z", "2026-01-01T01:08:00+01:00", "2026-01-01T00:08:00.000000Z"):
        equal(ids_of(listed(gw, statusTimestampAfter=after)), newest_first[:4], f"since {after}")
    both = listed(gw, status="TASK_STATE_COMPLETED", contextId="c-0", statusTimestampAfter="2026-01-01T00:01:00Z")
    equal((ids_of(both), both["totalSize"]), (["t-6"], 1), "all filters")
    for size in (1, 5, 11, 12, 100):
        found, last = walk(gw, pageSize=size)
        equal(([t["id"] for t in found], last["totalSize"]), (newest_first, 12), f"pages of {size}")
    found, last = walk(gw, pageSize=2, status="TASK_STATE_WORKING")
    equal((len(found), last["totalSize"]), (4, 4), "pages of one state")
    old = gw.rpc("a", "tasks/list", {"pageSize": 3}).json["result"]
    equal((ids_of(old), old["tasks"][0]["kind"]), (newest_first[:3], "task"), "in 0.3")


@story(stores=("sqlite",))
def times_that_are_none(world):
    """Absent, unreadable or in the future: then our own commit time counts, which is now."""
    agent = world.agent("1.0")
    gw = world.gateway({"a": agent})
    stamped(agent, 1)
    gw.get("a", "t-1", "1.0")
    for i, at in ((2, None), (3, "yesterday"), (4, "2999-01-01T00:00:00Z"), (5, 7), (6, "2026-02-30T00:00:00Z")):
        stamped(agent, i)
        agent.tasks[f"t-{i}"]["status"]["timestamp"] = at
        if at is None:
            del agent.tasks[f"t-{i}"]["status"]["timestamp"]
        equal(gw.get("a", f"t-{i}", "1.0").status, 200, f"{at}")
    equal(ids_of(listed(gw)), ["t-6", "t-5", "t-4", "t-3", "t-2", "t-1"], "in the order in which they came")
    equal(listed(gw, statusTimestampAfter="2999-01-01T00:00:00Z")["totalSize"], 0, "nothing is in the future")


@story()
def pages_stay_whole_while_tasks_change(world):
    """Somebody sends all the while: whoever walks the pages meets every task that was there when he began and did not
    change, once."""
    agent = world.agent("1.0")
    gw = world.gateway({"a": agent})
    for i in range(40):
        stamped(agent, i)
        gw.get("a", f"t-{i}", "1.0")
    done, sent = threading.Event(), []

    def load():
        while not done.is_set():
            sent.append(task_of(gw.send("a", "more", "1.0"), "1.0")["id"])

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for _ in range(10):
            found = [t["id"] for t in walk(gw, pageSize=7)[0]]
            equal(len(found), len(set(found)), "tasks met twice")
            check({f"t-{i}" for i in range(40)} <= set(found), "tasks missed")
    finally:
        done.set()
        thread.join()
    page = listed(gw, pageSize=1)
    equal(page["totalSize"], 40 + len(sent), "the total is exact")


@story(stores=("sqlite",))
def bounds(world):
    agent = world.agent("1.0")
    gw = world.gateway({"a": agent})
    for i in range(120):
        stamped(agent, i % 60)
        agent.tasks[f"t-{i % 60}"]["id"] = f"n-{i}"
        agent.tasks[f"n-{i}"] = agent.tasks.pop(f"t-{i % 60}")
        gw.get("a", f"n-{i}", "1.0")
    equal(len(listed(gw)["tasks"]), 50, "by default")
    equal(len(listed(gw, pageSize=100)["tasks"]), 100, "at most")
    for params in ({"pageSize": 0}, {"pageSize": 101}, {"pageSize": -1}, {"pageSize": "x"}, {"pageSize": 1.5},
                   {"pageToken": "rubbish"}, {"pageToken": "A" * 5000}, {"pageToken": 7}, {"status": "TASK_STATE_HAPPY"},
                   {"status": 99}, {"statusTimestampAfter": "soon"}, {"statusTimestampAfter": 7}, {"historyLength": -1},
                   {"contextId": 7}, {"includeArtifacts": "x"}):
        equal(error_of(gw.rpc("a", "ListTasks", params))["code"], -32602, f"{params}")
    token = listed(gw, pageSize=1)["nextPageToken"]
    check("n-" not in token and len(token) < 200, f"page token {token}")
    equal(listed(gw, pageToken=None, contextId=None, status=None)["totalSize"], 120, "null is absent")
    other = gw.rpc("a", "ListTasks", {"page_size": 3}).json["result"]
    equal(len(other["tasks"]), 3, "snake_case")


@story(stores=("sqlite",))
def history_and_artifacts_only_when_asked_for(world):
    history = [message(str(i), "1.0") for i in range(4)]
    agent = world.agent("1.0")
    agent.make_task("x", id="t", history=history)
    gw = world.gateway({"a": agent})
    gw.get("a", "t", "1.0")
    plain = listed(gw)["tasks"][0]
    check("history" not in plain and "artifacts" not in plain, f"unasked: {plain}")
    equal(listed(gw, historyLength=2)["tasks"][0]["history"], history[2:], "the newest two")
    equal(listed(gw, includeArtifacts=True)["tasks"][0]["artifacts"], agent.tasks["t"]["artifacts"], "artifacts")


@story(stores=("sqlite",))
def a_page_of_large_tasks_is_bounded(world):
    """Twelve tasks of 3 MB: each page holds what fits, all pages hold all."""
    agent = world.agent("1.0")
    gw = world.gateway({"a": agent})
    for i in range(12):
        agent.make_task("y" * 3_000_000, id=f"big-{i}")
        equal(gw.get("a", f"big-{i}", "1.0").status, 200, "read")
    found, _ = walk(gw, includeArtifacts=True)
    equal(sorted(t["id"] for t in found), sorted(f"big-{i}" for i in range(12)), "all of them")
    equal(len(walk(gw)[0]), 12, "without artifacts")


@story(stores=("sqlite",))
def lists_over_all_agents(world):
    gw = world.gateway({v: world.agent(v) for v in VERSIONS})
    for v in VERSIONS:
        gw.send(v, "x", v)
    rows = gw.own("tasks.list", {}).json["result"]
    equal((rows["totalSize"], sorted(t["agentId"] for t in rows["tasks"])), (2, ["0.3", "1.0"]), "on /rpc")
    equal(json.loads(gw.http("POST", "/rpc", rpc_body("tasks/list", {"agentId": "1.0"})).body)["result"]["totalSize"], 1,
          "of one")
