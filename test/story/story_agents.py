# SPDX-License-Identifier: MIT
"""Agents come from a file or the environment, change while the gateway runs, and share nothing but the gateway."""
import signal
import threading
import time

from telling import story
from world import FakeAgent, check, contains, equal, request, rpc_body, message, run_superx, wait_until


@story(stores=("sqlite",))
def list_form_and_variables(world):
    agent = world.agent()
    text = ("agents:\n  - name: first\n    url: http://127.0.0.1:${AGENT_PORT}/\n"
            "  - id: second\n    url: ${AGENT_URL}\n    bearer: ${TOKEN:-none-given}\n    maxInFlight: 3\n")
    gw = world.gateway(agents_text=text, env={"AGENT_PORT": str(agent.port), "AGENT_URL": agent.url})
    for name in ("first", "second"):
        equal(gw.send(name).status, 200, name)
    equal(agent.requests[-1].headers["authorization"], "Bearer none-given", "default of a variable")


@story(stores=("sqlite",))
def remote_url_is_agent_default(world):
    agent = world.agent()
    gw = world.gateway(env={"A2A_REMOTE_URL": agent.url, "A2A_REMOTE_BEARER": "tok"})
    equal(gw.send("default").status, 200, "send to default")
    equal(agent.requests[0].headers["authorization"], "Bearer tok", "bearer")


@story(stores=("sqlite",))
def unknown_agent_is_404(world):
    gw = world.gateway({"a": world.agent()})
    answer = gw.send("nobody")
    equal((answer.status, answer.json["error"]["code"]), (404, -31001), "unknown agent")


@story(stores=("sqlite",))
def a_broken_file_at_start_exits_78(world):
    for text, place, word in (("agents:\n  a:\n    url: [1, 2\n", None, ""),
                              ("agents:\n  a:\n    ulr: http://127.0.0.1:1/\n", ":3:", "ulr"),
                              ("agents:\n  a:\n    url: http://127.0.0.1:1/\n    maxInflight: 3\n", ":4:", "maxInFlight"),
                              ("agents:\n  a:\n    url: ${NOT_SET_ANYWHERE}\n", ":3:", "NOT_SET_ANYWHERE")):
        gw = world.gateway(agents_text=text, wait=False)
        equal(gw.wait_end(20), 78, f"exit code for {text!r}")
        line = next((x for x in gw.lines if "agents.yml:" in x), "")
        check(line, f"no file:line:column in {gw.lines}")
        if place:
            contains(line, place, "the place")
        contains(line, word, "the hint")


@story(stores=("sqlite",))
def a_broken_file_later_is_refused(world):
    agent = world.agent()
    gw = world.gateway({"a": agent})
    gw.write_agents(text="agents:\n  a:\n    url: nonsense\n")
    gw.wait_log("agents file refused")
    equal(gw.send("a").status, 200, "the old configuration")
    gw.write_agents({"a": agent, "b": agent})
    wait_until("b is there", lambda: gw.send("b").status == 200)


@story(stores=("sqlite",))
def removed_agents_keep_their_tasks(world):
    agent = world.agent()
    gw = world.gateway({"a": agent, "b": agent})
    task = gw.send("a").json["result"]
    gw.write_agents({"b": agent})
    wait_until("a takes no sends", lambda: gw.send("a").status == 404)
    equal(gw.get("a", task["id"]).json["result"], task, "task of a removed agent")


@story(stores=("sqlite",), alone=True)
def a_hundred_reloads_under_load(world):
    """Half by SIGHUP, half by replacing the file; no request fails."""
    agent = world.agent()
    gw = world.gateway({"a": agent, "b": agent})
    failed, done, sent = [], threading.Event(), []

    def load():
        while not done.is_set():
            answer = gw.send("a")
            sent.append(1)
            if answer.status != 200 or "result" not in answer.json:
                failed.append(answer.body)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for t in threads:
        t.start()

    def reloads():
        return sum("agents read" in line and "source=file" in line for line in list(gw.lines))

    for i in range(100):
        before = reloads()
        gw.write_agents({"a": {"agent": agent, "maxInFlight": 10 + i % 2}, "b" if i % 3 else "c": agent})
        if i % 2:
            gw.process.send_signal(signal.SIGHUP)
        wait_until(f"reload {i} has happened", lambda: reloads() > before)
    done.set()
    for t in threads:
        t.join()
    equal(failed, [], f"failed of {len(sent)} requests")
    check(len(sent) > 100, f"only {len(sent)} requests were made")


@story(stores=("sqlite",))
def calls_run_side_by_side_up_to_the_bound(world):
    """Ten at once; the eleventh is told at once to come back; when one ends there is room again."""
    agent = world.agent("0.3", lambda a, req: None)
    gw = world.gateway({"a": agent})
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(gw.send("a", timeout=120))) for _ in range(10)]
    for t in threads:
        t.start()
    wait_until("ten are at the agent", lambda: len(agent.requests) == 10)
    equal(agent.most_open, 10, "side by side")
    over = gw.send("a")
    equal((over.status, over.json["error"]["code"]), (503, -31002), "the eleventh")
    check(int(over.header("retry-after")) >= 1, "Retry-After")
    agent.behave = None
    agent.release.set()
    for t in threads:
        t.join()
    equal(gw.send("a").status, 200, "after the ten ended")


@story()
def one_bad_agent_hurts_nobody_else(world):
    """While A holds its ten and never answers, every call to B is answered."""
    a, b = world.agent("0.3", lambda _, req: None), world.agent()
    gw = world.gateway({"a": a, "b": b})
    threads = [threading.Thread(target=lambda: gw.send("a", timeout=120), daemon=True) for _ in range(10)]
    for t in threads:
        t.start()
    wait_until("A holds ten", lambda: len(a.requests) == 10)
    for i in range(200):
        answer = gw.send("b", f"call {i}")
        check(answer.status == 200 and "result" in answer.json, f"call {i} to B: {answer.body}")
    equal(gw.http("GET", "/health/ready").status, 200, "ready meanwhile")
    a.release.set()


@story(stores=("sqlite",))
def knobs_per_agent(world):
    agent = world.agent("0.3", lambda a, req: None)
    gw = world.gateway({"a": {"agent": agent, "maxInFlight": 1, "timeoutMs": 200}})
    answer = gw.send("a")
    equal(answer.json["error"]["code"], -31004, "timeout of its own")
    t = threading.Thread(target=lambda: gw.send("a"), daemon=True)
    gw.write_agents({"a": {"agent": agent, "maxInFlight": 1, "timeoutMs": 60000}})
    gw.wait_log("agents read", "changed=1")
    t.start()
    wait_until("it is at the agent", lambda: len(agent.requests) == 2)
    equal(gw.send("a").status, 503, "maxInFlight 1")
    agent.release.set()


@story(stores=("sqlite",))
def environment_timeout(world):
    agent = world.agent("0.3", lambda a, req: None)
    gw = world.gateway({"a": agent}, env={"AGENT_CALL_TIMEOUT": "150"})
    answer = gw.send("a")
    equal(answer.json["error"]["code"], -31004, "AGENT_CALL_TIMEOUT")
    contains(answer.json["error"]["message"], "150 ms", "the time it waited")
