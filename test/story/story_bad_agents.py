# SPDX-License-Identifier: MIT
"""Agents that lie, break off or fall silent: a precise error each time, nothing stored, the next call unharmed."""
import json

from telling import story
from world import Raw, check, contains, equal, free_port, http_json, rpc_body, wait_until


def reply(req, result):
    return http_json(json.dumps({"jsonrpc": "2.0", "id": req.json["id"], "result": result}).encode())


def task(**members):
    return {"id": "t", "contextId": "c", "kind": "task", "status": {"state": "completed"}, **members}


BIG = b"x" * (20 << 20)

# name, what the agent does, the error the caller sees, words of its message
CASES = [
    ("garbage", lambda a, r: Raw(b"\x00\x01\x02 what is this"), -32006, "not HTTP"),
    ("html", lambda a, r: http_json(b"<html><body>It works!</body></html>"), -32006, "not JSON"),
    ("empty body", lambda a, r: http_json(b""), -32006, "not JSON"),
    ("closes without a byte", lambda a, r: Raw(b""), -31003, "without answering"),
    ("half a head", lambda a, r: Raw(b"HTTP/1.1 200 OK\r\ncontent-le"), -32006, "middle of its answer"),
    ("half a body", lambda a, r: Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"jsonrpc\""), -32006,
     "middle of its answer"),
    ("20 MB", lambda a, r: http_json(b'{"jsonrpc":"2.0","x":"' + BIG + b'"}'), -32006, "larger than"),
    ("20 MB chunked", lambda a, r: Raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
                                       b"%x\r\n" % len(BIG) + BIG + b"\r\n0\r\n\r\n"), -32006, "larger than"),
    ("wrong id", lambda a, r: http_json({"jsonrpc": "2.0", "id": 999999, "result": task()}), -32006, "id"),
    ("no id", lambda a, r: http_json({"jsonrpc": "2.0", "result": task()}), -32006, "id"),
    ("id as text", lambda a, r: http_json({"jsonrpc": "2.0", "id": str(r.json["id"]), "result": task()}), -32006, "id"),
    ("not JSON-RPC", lambda a, r: http_json({"result": task()}), -32006, "JSON-RPC"),
    ("neither result nor error", lambda a, r: http_json({"jsonrpc": "2.0", "id": r.json["id"]}), -32006, "neither"),
    ("result of no kind", lambda a, r: reply(r, {"x": 1}), -32006, "neither a task nor a message"),
    ("result a string", lambda a, r: reply(r, "done"), -32006, "neither"),
    ("error without code", lambda a, r: http_json({"jsonrpc": "2.0", "id": r.json["id"], "error": {}}), -32006, "code"),
    ("task without id", lambda a, r: reply(r, {"kind": "task", "status": {"state": "completed"}}), -32006, "id"),
    ("task id empty", lambda a, r: reply(r, task(id="")), -32006, "id"),
    ("task id a number", lambda a, r: reply(r, task(id=7)), -32006, "id"),
    ("task id with NUL", lambda a, r: reply(r, task(id="a\u0000b")), -32006, "control"),
    ("task id with newline", lambda a, r: reply(r, task(id="a\nb")), -32006, "control"),
    ("task id of 600 bytes", lambda a, r: reply(r, task(id="x" * 600)), -32006, "512"),
    ("contextId of 600 bytes", lambda a, r: reply(r, task(contextId="x" * 600)), -32006, "512"),
    ("task without status", lambda a, r: reply(r, {"kind": "task", "id": "t"}), -32006, "status"),
    ("task with two ids", lambda a, r: http_json(
        (f'{{"jsonrpc":"2.0","id":{r.json["id"]},"result":{{"kind":"task","id":"a","i\\u0064":"b",'
         '"status":{"state":"completed"}}}').encode()), -32006, "occurs twice"),
    ("bad UTF-8", lambda a, r: http_json(b'{"jsonrpc":"2.0","id":1,"result":{"x":"\xff"}}'), -32006, "not JSON"),
    ("too deep", lambda a, r: http_json(b"[" * 5000 + b"]" * 5000), -32006, "not JSON"),
    ("HTTP 500", lambda a, r: http_json(b"oops", status=500), -31005, "500"),
    ("HTTP 404", lambda a, r: http_json(b"no", status=404), -31005, "404"),
    ("HTTP 401", lambda a, r: http_json(b"no", status=401), -31005, "credentials"),
    ("redirect", lambda a, r: http_json(b"", status=302, extra="location: http://127.0.0.1:1/\r\n"), -31005, "302"),
    ("two lengths", lambda a, r: Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}"), -32006,
     "not HTTP"),
]


@story(stores=("sqlite",))
def every_bad_answer_has_its_error(world):
    agent = world.agent()
    gw = world.gateway({"a": agent})
    for name, behave, code, words in CASES:
        agent.behave = behave
        answer = gw.send("a", timeout=60)
        equal(answer.status, 200, f"{name}: HTTP status")
        error = answer.json["error"]
        equal(error["code"], code, f"{name}: {error['message']}")
        contains(error["message"], words, name)
        agent.behave = None
        check("result" in gw.send("a").json, f"after {name} the next call failed")
    equal(gw.http("POST", "/rpc", rpc_body("tasks.list", {})).json["result"]["totalSize"], len(CASES),
          "only the good answers are stored")


@story(stores=("sqlite",))
def hostile_ids_are_only_text(world):
    """Quotes, SQL, markup, slashes, emoji: ids of 512 bytes are stored and found again, and harm nothing."""
    ids = ["'; DROP TABLE tasks; --", '"quoted"', "../../etc/passwd", "<script>alert(1)</script>", "a b\u00e9\U0001f600",
           "x" * 512, "%00%0a", "\\u0041", "a\\b"]
    agent = world.agent()
    gw = world.gateway({"a": agent})
    for i in ids:
        agent.behave = lambda a, r, i=i: a.make_task("x", id=i)
        equal(gw.send("a").json["result"]["id"], i, "told id")
        agent.behave = None
        equal(gw.get("a", i).json["result"]["id"], i, "found id")
    gw.restart()
    for i in ids:
        equal(gw.get("a", i).json["result"]["id"], i, "found id after a restart")


@story(stores=("postgres",))
def hostile_ids_are_only_text_in_postgresql(world):
    hostile_ids_are_only_text(world)


@story(stores=("sqlite",))
def agents_that_are_not_there(world):
    gw = world.gateway({"refused": {"url": f"http://127.0.0.1:{free_port()}/"},
                        "noname": {"url": "http://no-such-host.invalid/"}})
    refused = gw.send("refused").json["error"]
    equal(refused["code"], -31003, "refused")
    contains(refused["message"], "refused", "cause")
    noname = gw.send("noname", timeout=60).json["error"]
    equal(noname["code"], -31003, "unknown host")
    contains(noname["message"], "no-such-host.invalid", "the name")


@story(stores=("sqlite",))
def a_pooled_connection_that_died_is_no_error(world):
    """The agent closes after each answer without saying so; nobody notices. (Once a request is on its way when the
    connection ends, it may have been acted on and is not sent again: so each waits until the last one's is closed.)"""
    agent = world.agent("0.3")
    plain = agent.complete

    def behave(a, req):
        answer = http_json({"jsonrpc": "2.0", "id": req.json["id"], "result": plain(req)})
        answer.keep = False
        return answer

    agent.behave = behave
    gw = world.gateway({"a": agent})
    for i in range(20):
        check("result" in gw.send("a").json, f"call {i}")
        wait_until("the agent has closed", lambda: not agent.socks)


@story(stores=("sqlite",))
def every_legal_http_answer_is_understood(world):
    agent = world.agent()
    gw = world.gateway({"a": agent})

    def body(a, r):
        return json.dumps({"jsonrpc": "2.0", "id": r.json["id"], "result": a.make_task("x")}).encode()

    def chunked(a, r):
        data = body(a, r)
        pieces = b"".join(b"1\r\n" + data[i:i + 1] + b"\r\n" for i in range(len(data)))
        return Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\nX-Trailer: 1\r\n\r\n", keep=True)

    def to_eof(a, r):
        return Raw(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body(a, r))

    def continued(a, r):
        data = body(a, r)
        return Raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data, keep=True)

    for behave in (chunked, to_eof, continued):
        agent.behave = behave
        check("result" in gw.send("a").json, behave.__name__)
