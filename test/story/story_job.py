# SPDX-License-Identifier: MIT
"""The main job: a message reaches an agent, its task is kept, and reads give back exactly what was told."""
import json

from telling import story
from world import check, contains, equal, http_json, message, rpc_body, wait_until, SEND, GET


def result_task(answer, version):
    result = answer.json["result"]
    return result["task"] if version == "1.0" else result


def raw_task(answer, version):
    """The bytes of the task inside an answer."""
    text = answer.body.decode()
    start = '"result":{"task":' if version == "1.0" else '"result":'
    end = "}}" if version == "1.0" else "}"
    check(text.endswith(end), f"unexpected end of {text[-40:]!r}")
    return text[text.index(start) + len(start):-len(end)]


def send_get_restart(world, version):
    agent = world.agent(version)
    gw = world.gateway({"a": agent})
    answer = gw.send("a", "hello", version)
    equal(answer.status, 200, "status of the send")
    task = result_task(answer, version)
    told = raw_task(answer, version)
    equal(json.loads(world.stored("a", task["id"])), task, "stored document")
    equal(world.stored("a", task["id"]), told, "stored bytes")
    again = gw.get("a", task["id"], version)
    equal(again.body.decode().split('"result":', 1)[1][:-1], told, "bytes of the get")
    gw.kill()
    gw.restart()
    again = gw.get("a", task["id"], version)
    equal(again.body.decode().split('"result":', 1)[1][:-1], told, "bytes of the get after kill -9")
    equal(len(agent.requests), 1, "requests the agent saw")


@story()
def a_task_survives_kill_0_3(world):
    send_get_restart(world, "0.3")


@story()
def a_task_survives_kill_1_0(world):
    send_get_restart(world, "1.0")


@story()
def bytes_are_kept_exactly(world):
    """Order, number text, unknown members, escapes; only insignificant whitespace goes."""
    doc = ('{"zeta": 1.0, "id":"bytes-1","contextId":"c\\u00e9", "kind":"task" , "status":{"state":"completed",'
           '"timestamp":"2026-01-01T00:00:00Z"},"metadata":{"big":12345678901234567890123,"e":1E+2,"neg":-0,'
           '"nul":"a\\u0000b","pair":"\\ud83d\\ude00","sl":"\\/"},"x":[ 1 ,\n 2 ],"artifacts":[]}')
    want = ('{"zeta":1.0,"id":"bytes-1","contextId":"c\\u00e9","kind":"task","status":{"state":"completed",'
            '"timestamp":"2026-01-01T00:00:00Z"},"metadata":{"big":12345678901234567890123,"e":1E+2,"neg":-0,'
            '"nul":"a\\u0000b","pair":"\\ud83d\\ude00","sl":"\\/"},"x":[1,2],"artifacts":[]}')

    def behave(_, req):
        return http_json(f'{{"jsonrpc":"2.0","id":{req.json["id"]},"result":{doc}}}'.encode())

    gw = world.gateway({"a": world.agent("0.3", behave)})
    equal(raw_task(gw.send("a"), "0.3"), want, "bytes told")
    equal(world.stored("a", "bytes-1"), want, "bytes stored")
    gw.restart()
    equal(raw_task(gw.get("a", "bytes-1"), "0.3"), want, "bytes after a restart")


@story()
def what_the_agent_is_sent(world):
    """The caller's params as they came, minus historyLength; the version header only for 1.0; never the caller's
    credentials; our own request id."""
    old, new = world.agent("0.3"), world.agent("1.0")
    gw = world.gateway({"old": {"agent": old, "bearer": "s3cret"}, "new": new})
    gw.http("POST", "/agents/old",
            b'{"jsonrpc":"2.0","id":"mine","method":"message/send","params":{"metadata":{"k":1.50},'
            b'"configuration":{"historyLength":3,"blocking":true},"message":'
            b'{"kind":"message","messageId":"m","role":"user","parts":[{"kind":"text","text":"x"}]}}}',
            {"Authorization": "Bearer callers-own", "Cookie": "a=b"})
    sent = old.requests[0]
    contains(sent.body.decode(), '"params":{"metadata":{"k":1.50},"configuration":{"blocking":true},"message":',
             "what the agent got")
    equal(sent.headers.get("authorization"), "Bearer s3cret", "credentials to the agent")
    check("cookie" not in sent.headers, "the caller's cookie reached the agent")
    check("a2a-version" not in sent.headers, "a 0.3 agent was sent A2A-Version")
    check(sent.json["id"] != "mine", "the caller's JSON-RPC id reached the agent")
    gw.send("new", "x", "1.0")
    equal(new.requests[0].headers.get("a2a-version"), "1.0", "A2A-Version to a 1.0 agent")
    equal(new.requests[0].json["method"], "SendMessage", "method")


@story()
def message_results_are_passed_on_not_stored(world):
    for version in ("0.3", "1.0"):
        reply = message("hi", version)
        agent = world.agent(version, lambda a, req, r=reply: {"message": r} if a.version == "1.0" else r)
        gw = world.gateway({"a": agent})
        answer = gw.send("a", "hello", version)
        got = answer.json["result"]
        equal(got["message"] if version == "1.0" else got, reply, "the message")
        equal(gw.http("POST", "/rpc", rpc_body("tasks.list", {})).json["result"]["totalSize"], 0, "stored tasks")
        gw.stop()


@story()
def agent_errors_are_passed_on(world):
    agent = world.agent("0.3", lambda a, req: a.error(req, -32005, "no such type", {"k": [1, 2]}))
    gw = world.gateway({"a": agent})
    answer = gw.send("a")
    equal(answer.status, 200, "status")
    equal(answer.json["error"], {"code": -32005, "message": "no such type", "data": {"k": [1, 2]}}, "error")


@story()
def ids_are_echoed_byte_for_byte(world):
    gw = world.gateway({"a": world.agent()})
    params = json.dumps({"message": message()})
    for raw in ('"x"', "7", "-1", "null", "1.50", '"\\u0041"'):
        body = f'{{"jsonrpc":"2.0","id":{raw},"method":"message/send","params":{params}}}'.encode()
        contains(gw.http("POST", "/agents/a", body).body.decode(), f'"id":{raw},', "echoed id")


@story()
def two_agents_may_use_one_task_id(world):
    def fixed(text):
        return lambda a, req: a.make_task(text, id="same") if req.json["method"] == "message/send" else a.tasks["same"]

    gw = world.gateway({"a": world.agent("0.3", fixed("from a")), "b": world.agent("0.3", fixed("from b"))})
    gw.send("a")
    gw.send("b")
    for name in "ab":
        contains(gw.get(name, "same").body.decode(), f"from {name}", f"task of {name}")


@story()
def follow_up_continues_a_task(world):
    def behave(a, req):
        params = req.json["params"]
        if req.json["method"] == "tasks/get":
            return a.tasks[params["id"]]
        task_id = params["message"].get("taskId")
        if not task_id:
            return a.make_task("?", "input-required", id="t1", history=[params["message"]])
        return a.make_task("done", "completed", id=task_id)

    agent = world.agent("0.3", behave)
    gw = world.gateway({"a": agent})
    equal(gw.send("a", "one").json["result"]["status"]["state"], "input-required", "first state")
    done = gw.send("a", "two", taskId="t1").json["result"]
    equal(done["status"]["state"], "completed", "second state")
    check("history" in done, "history that the second answer left out was not kept")
    refused = gw.send("a", "three", taskId="t1").json["error"]
    equal(refused["code"], -32004, "message to a finished task")
    equal(len(agent.requests), 2, "the agent was asked about a finished task")
    gw.restart()
    equal(gw.get("a", "t1").json["result"], done, "after a restart")


@story()
def an_active_task_is_asked_for_again(world):
    """A stored task that is not over is fresh for TASK_FRESH_MS; then its agent has the word, and if the agent cannot be
    reached the stored task is the answer."""
    agent = world.agent("0.3", lambda a, req: a.make_task("x", "working", id="t1")
                        if req.json["method"] == "message/send" else a.tasks["t1"])
    gw = world.gateway({"a": agent}, env={"TASK_FRESH_MS": "0"})
    gw.send("a")
    agent.make_task("x", "completed", id="t1")
    equal(gw.get("a", "t1").json["result"]["status"]["state"], "completed", "state after asking")
    n = len(agent.requests)
    gw.get("a", "t1")
    equal(len(agent.requests), n, "a finished task was asked for")


@story()
def an_unreachable_agent_leaves_the_stored_task(world):
    agent = world.agent("0.3", lambda a, req: a.make_task("x", "working", id="t1"))
    gw = world.gateway({"a": agent}, env={"TASK_FRESH_MS": "0"})
    told = gw.send("a").json["result"]
    agent.close()
    equal(gw.get("a", "t1").json["result"], told, "the stored task")
    gw.restart()
    equal(gw.get("a", "t1").json["result"], told, "the stored task after a restart")


@story()
def a_task_unknown_here_is_asked_once(world):
    agent = world.agent()
    agent.make_task("made elsewhere", id="other")
    gw = world.gateway({"a": agent})
    contains(gw.get("a", "other").body.decode(), "made elsewhere", "task from the agent")
    n = len(agent.requests)
    gw.get("a", "other")
    equal(len(agent.requests), n, "asked again although it is stored and over")
    equal(gw.get("a", "nowhere").json["error"]["code"], -32001, "unknown at both")


@story(stores=("sqlite",))
def history_is_trimmed_on_the_way_out_only(world):
    history = [message(str(i)) for i in range(5)]
    agent = world.agent("0.3", lambda a, req: a.make_task("x", history=history, id="t1"))
    gw = world.gateway({"a": agent})
    equal(gw.send("a", configuration={"historyLength": 2}).json["result"]["history"], history[3:], "newest two")
    equal(gw.get("a", "t1", historyLength=1).json["result"]["history"], history[4:], "newest one")
    check("history" not in gw.get("a", "t1", historyLength=0).json["result"], "history with historyLength 0")
    equal(gw.get("a", "t1").json["result"]["history"], history, "all of it")


@story(stores=("sqlite",))
def what_is_not_built_says_so(world):
    gw = world.gateway({"a": world.agent("0.3"), "b": world.agent("1.0")})
    cases = [("a", "agent/getAuthenticatedExtendedCard", {}, -32007), ("b", "GetExtendedAgentCard", {}, -32004)]
    for agent, method, params, code in cases:
        answer = gw.rpc(agent, method, params)
        equal((answer.status, answer.json["error"]["code"]), (200, code), f"{method} at {agent}")
        check(len(answer.json["error"]["message"]) > 20, "the error does not say what")


@story()
def hit_miss_and_populate(world):
    """First from the database, then from the cache; the cache is a node's own and starts empty."""
    agent = world.agent()
    gw = world.gateway({"a": agent})
    task = gw.send("a").json["result"]
    before = gw.health()["cache"]
    gw.get("a", task["id"])
    equal(gw.health()["cache"]["hits"], before["hits"] + 1, "hits after write-through")
    gw.restart()
    empty = gw.health()["cache"]
    equal(empty["tasks"], 0, "tasks cached after a restart")
    gw.get("a", task["id"])
    one = gw.health()["cache"]
    equal((one["misses"], one["tasks"]), (empty["misses"] + 1, 1), "miss and populate")
    gw.get("a", task["id"])
    equal(gw.health()["cache"]["hits"], one["hits"] + 1, "then a hit")


@story()
def caller_hangs_up_answer_is_stored(world):
    import threading
    go = threading.Event()

    def behave(a, req):
        go.wait(30)
        return a.make_task("late", id="late-1")

    agent = world.agent("0.3", behave)
    gw = world.gateway({"a": agent})
    from world import Client
    client = Client(gw.port)
    body = rpc_body("message/send", {"message": message()})
    client.send(b"POST /agents/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                % len(body) + body)
    wait_until("the agent is asked", lambda: agent.requests)
    client.reset()
    go.set()
    wait_until("the task is stored", lambda: world.stored("a", "late-1"))
    contains(gw.get("a", "late-1").body.decode(), "late", "the stored task")


@story()
def large_tasks_pass(world):
    text = "x" * (3 << 20)
    gw = world.gateway({"a": world.agent()})
    task = gw.send("a", text).json["result"]
    equal(task["artifacts"][0]["parts"][0]["text"], "echo: " + text, "three megabytes")
    gw.restart()
    equal(gw.get("a", task["id"]).json["result"], task, "after a restart")
