# SPDX-License-Identifier: MIT
"""What outlives what, and what must not steer whom: stops, callers who leave, hostile names, a hostile server."""
import json
import os
import re
import signal
import threading

from story_see import children_of, is_running
from telling import story
from world import Client, check, contains, equal, http_json, message, rpc_body, run_superx, wait_until


# --- stopping ----------------------------------------------------------------------------------------------------


@story()
def a_call_outlives_its_caller_and_a_stop(world):
    go = threading.Event()

    def behave(a, req):
        go.wait(30)
        return a.make_task("finished", id="t1")

    agent = world.agent("0.3", behave)
    gw = world.gateway({"a": agent})
    body = rpc_body("message/send", {"message": message()})
    client = Client(gw.port)
    client.send(b"POST /agents/a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    wait_until("the call is at the agent", lambda: agent.requests)
    client.reset()
    gw.process.send_signal(signal.SIGTERM)
    gw.wait_log("stopping")
    check(gw.process.poll() is None, "it did not wait for the agent")
    go.set()
    equal(gw.wait_end(30), 0, "exit code")
    gw.wait_log('msg="call"', "task=t1", "caller=gone")
    check(world.stored("a", "t1"), "the task is not stored")


@story(stores=("sqlite",))
def a_stop_while_starting_is_a_stop(world):
    """Until its demo agent has told its port the gateway is not up; a signal then is not lost, nor does it kill."""
    for number in (signal.SIGTERM, signal.SIGINT):
        gw = world.gateway(args=["--demo"], wait=False)
        children = wait_until("the demo agent is forked", lambda: children_of(gw.process.pid))
        gw.process.send_signal(number)
        equal(gw.wait_end(30), 0, "exit code")
        wait_until("the demo agent is gone", lambda: not any(is_running(pid) for pid in children))
    gw = world.gateway(args=["--demo"], wait=False)
    wait_until("the demo agent is forked", lambda: children_of(gw.process.pid))
    gw.process.send_signal(signal.SIGHUP)
    wait_until("it starts all the same", gw._ready)
    equal(gw.stop(), 0, "exit code")


@story(stores=("sqlite",))
def an_interrupt_from_a_terminal_leaves_the_demo_agent_to_answer(world):
    gw = world.gateway(args=["--demo"])
    child = children_of(gw.process.pid)[0]
    answers = []
    t = threading.Thread(target=lambda: answers.append(gw.send("demo", "delay 3 x", "1.0")))
    t.start()
    wait_until("the call runs", lambda: gw.health()["calls"] == 1)
    for pid in (child, gw.process.pid):  # a terminal tells the whole group
        os.kill(pid, signal.SIGINT)
    t.join()
    equal(answers[0].json["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "the call in flight")
    equal(gw.wait_end(30), 0, "exit code")
    wait_until("the demo agent is gone", lambda: not is_running(child))


# --- names from outside --------------------------------------------------------------------------------------------


@story(stores=("sqlite",))
def agent_ids_are_taken_as_they_stand(world):
    agent = world.agent()
    gw = world.gateway({"a": agent})
    client = Client(gw.port)
    for path in ("%61", "a%00", "..", "a%2Fb", "A", "a:b", "%22%0d%0aX-Evil:1", "a\"b\\", "x" * 3000):
        for method, params in (("tasks/get", {"id": "t"}), ("message/send", {"message": message()})):
            answer = client.request("POST", f"/agents/{path}", rpc_body(method, params, 7), {"X-Request-Id": "r-" + path[:3]})
            equal(answer.status, 404, f"HTTP status of {path[:20]}")
            equal((answer.json["id"], answer.json["error"]["code"]), (7, -31001), f"the error for {path[:20]}")
            check("x-evil" not in answer.headers, "a header came from the path")
    check(not agent.requests, "a request reached the agent")
    gw.wait_log('msg="call"', "agent=" + "x" * 64 + " ", "method=message/send", "error=AGENT_NOT_FOUND", "request=r-xxx")


@story(stores=("sqlite",))
def lists_with_hostile_parameters(world):
    gw = world.gateway({"a": world.agent()})
    gw.send("a")

    def listed(params):
        return gw.http("POST", "/rpc", b'{"jsonrpc":"2.0","id":1,"method":"tasks.list","params":%s}' % params).json

    for params in (b"null", b"{}", b'{"limit":null,"agentId":null,"pageToken":null}', b'{"agentId":"a"}',
                   b'{"agentId":null,"agent":"a"}', b'{"pageToken":""}'):
        equal(listed(params)["result"]["totalSize"], 1, f"tasks listed with {params}")
    for params, word in ((b'{"agentId":"%s"}' % (b"a" * 2000000), "agentId"), (b'{"agentId":""}', "agentId"),
                         (b'{"agentId":"a\\u0000"}', "agentId"), (b'{"agentId":7}', "agentId"),
                         (b'{"pageToken":"%s"}' % (b"0" * 49), "pageToken"), (b'{"pageToken":"xyz"}', "pageToken"),
                         (b'{"limit":0}', "limit"), (b'{"limit":101}', "limit"), (b'{"limit":1.5}', "limit"),
                         (b'{"limit":99999999999999999999}', "limit"), (b'[]', "params")):
        error = listed(params)["error"]
        equal(error["code"], -32602, f"the error for {params[:40]}")
        contains(error["message"], word, f"the error for {params[:40]}")


@story(stores=("sqlite",))
def the_demo_agent_takes_ids_from_outside(world):
    gw = world.gateway(args=["--demo"])
    child = children_of(gw.process.pid)[0]
    for task in ("demo-fffffffffffffff-61-68", "demo-7fffffffffffff-61-68", "demo--61-68", "demo-1-6-6", "demo-1-6z-68",
                 "demo-1-0a-68", "demo-1-00-68", "demo-1-+1-68",
                 "demo-1-61-" + "68" * 200, "demo", "demo-", "x"):
        equal(gw.get("demo", task, "1.0").json["error"]["code"], -32001, f"get {task[:40]}")
        equal(gw.send("demo", "x", "1.0", taskId=task).json["error"]["code"], -32001, f"send to {task[:40]}")
    equal(gw.get("demo", "demo-18f00000000-61-68", "1.0").json["result"]["status"]["state"], "TASK_STATE_COMPLETED",
          "a task that nobody asked for is a function of its id, too")
    check(is_running(child), "the demo agent died")


# --- answers that are too large --------------------------------------------------------------------------------------


@story(stores=("sqlite",))
def the_front_page_of_many_agents_is_whole(world):
    url = "http://127.0.0.1:9/?" + "&" * 900
    gw = world.gateway({f"agent-{i}": {"url": f'"{url}"'} for i in range(1000)})
    page = gw.http("GET", "/")
    equal(page.status, 200, "/")
    check(page.body.endswith(b"</html>\n"), "the page is cut off")
    equal(page.body.count(b"<tr><td>"), 1000, "agents on the page")


@story(stores=("sqlite",))
def half_an_answer_is_never_sent(world):
    """Three snapshots, each leaving out what the others brought, make a task larger than an answer may be copied."""
    def behave(a, req):
        n = len(a.requests)
        big = "x" * 13_000_000
        task = {"id": "t", "kind": "task", "contextId": "c", "status": {"state": "working"}}
        if n == 1:
            task["artifacts"] = [{"artifactId": "a", "parts": [{"kind": "text", "text": big}]}]
        elif n == 2:
            task["history"] = [{"kind": "message", "messageId": "m", "role": "user", "parts": [{"kind": "text", "text": big}]}]
        else:
            task["metadata"] = {"x": big}
        return task

    gw = world.gateway({"a": world.agent("0.3", behave)}, env={"TASK_MAX_BYTES": "100000000", "TASK_FRESH_MS": "3600000"})
    for i in range(3):
        equal(gw.send("a", **({"taskId": "t"} if i else {})).json["result"]["id"], "t", "send")
    cut = gw.get("a", "t", historyLength=5)
    check(cut.status == 500 or cut.json["result"]["id"] == "t", f"answered {cut.status} with {cut.body[-40:]!r}")
    check("history" not in gw.get("a", "t", historyLength=0).json["result"], "and the next answer is good")


# --- the command line --------------------------------------------------------------------------------------------


EVIL = "\x1b]0;owned\x07 \x9b2J \x7f \r \u00e4"


@story(stores=("sqlite",))
def a_hostile_gateway_does_not_steer_the_terminal(world):
    said = []
    server = world.agent("1.0", lambda a, req: said[-1])
    env = {"PATH": os.environ["PATH"], "SUPERX_URL": server.url}

    def run(what, *args):
        said.append(http_json(what if isinstance(what, bytes) else json.dumps(what, ensure_ascii=False).encode()))
        done = run_superx(args, env, world.home)
        for out in (done.stdout, done.stderr):
            check(not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", out), f"{args} printed {out!r}")
            check("Sanitizer" not in out and "runtime error" not in out, out)
        return done

    def result(value):
        return {"jsonrpc": "2.0", "id": 1, "result": value}

    send, get, rows = ("send", "a", "hi"), ("tasks", "get", "a", "t"), ("tasks", "list")
    task = {"id": EVIL, "status": {"state": "TASK_STATE_COMPLETED", "message": {"parts": [{"text": EVIL}]}},
            "artifacts": [{"parts": [{"text": EVIL}, {"data": {EVIL: EVIL}}]}]}
    contains(run(result({"task": task}), *send).stdout, "\u00e4", "letters stay")
    equal(run(result(task), *get).returncode, 0, "get")
    equal(run(result({"message": {"parts": [{"text": EVIL}]}}), *send).returncode, 0, "a message")
    row = {"id": EVIL, "agentId": EVIL, "status": {"state": EVIL, "timestamp": EVIL}}
    equal(run(result({"tasks": [row], "totalSize": EVIL}), *rows).returncode, 0, "a list")
    for odd in ({"tasks": [{}, {"id": 7}, [], 7, {"status": []}]}, {"tasks": 7}, {}, [], 7, None, "x"):
        for command in (rows, send, get):
            run(result(odd), *command)
    for failed in ({"error": {"code": EVIL, "message": EVIL}}, {"error": 7}, {}, {"jsonrpc": "2.0", "id": 1}):
        for command in (rows, send, get):
            equal(run(failed, *command).returncode, 1, f"{command} told {failed}")
    for body in (b"<html>\x1b[2J\x9b</html>", b"", b"\xc2\x9b2J", b"[1]", b"null", b"{", b"x" * 5_000_000):
        for command in (rows, send, get, send + ("--json",)):
            done = run(body, *command)
            equal(done.returncode, 1, f"{command} told {body[:20]}")
            check(len(done.stderr) < 2000 and not done.stdout, f"{command} told {body[:20]}")


@story(stores=("sqlite",))
def exit_codes_are_the_same_with_json(world):
    gw = world.gateway({"a": world.agent("0.3"), "f": world.agent("0.3", lambda a, r: a.make_task("x", "failed"))})
    for args, code in ((("send", "a", "hi"), 0), (("send", "f", "hi"), 1), (("send", "nobody", "hi"), 1),
                       (("tasks", "get", "a", "nope"), 1), (("tasks", "list"), 0), (("tasks", "list", ""), 1),
                       (("send", "x" * 5000, "hi"), 69), (("tasks", "get", "a", "x" * 20000), 1)):
        plain, as_json = gw.cli(*args), gw.cli(*args, "--json")
        equal((plain.returncode, as_json.returncode), (code, code), f"exit codes of {[a[:20] for a in args]}")
        if code != 69:
            check(isinstance(json.loads(as_json.stdout), dict), "the output with --json")
