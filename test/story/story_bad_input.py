# SPDX-License-Identifier: MIT
"""What callers may get wrong above HTTP: each has its own error, and costs nobody else anything."""
import json

from telling import story
from world import Client, check, contains, equal, free_port, message, rpc_body, wait_until

M = json.dumps(message())


def envelope(method="message/send", params=None, id_="1", extra=""):
    params = params if params is not None else f'{{"message":{M}}}'
    return f'{{"jsonrpc":"2.0","id":{id_},"method":"{method}","params":{params}{extra}}}'


# name, body, code, words of the message
CASES = [
    ("empty body", b"", -32700, "Invalid JSON"),
    ("not JSON", b"hello", -32700, "byte 0"),
    ("truncated", envelope()[:-10].encode(), -32700, "byte"),
    ("two documents", (envelope() * 2).encode(), -32700, "byte"),
    ("trailing comma", b'{"jsonrpc":"2.0",}', -32700, "byte"),
    ("NaN", b'{"jsonrpc":"2.0","id":NaN}', -32700, "byte"),
    ("byte order mark", b"\xef\xbb\xbf" + envelope().encode(), -32700, "byte 0"),
    ("deeply nested", b'{"jsonrpc":"2.0","id":1,"method":"message/send","params":' + b"[" * 100 + b"]" * 100 + b"}",
     -32700, "deep"),
    ("nested 100,000 deep", b"[" * 100000, -32700, "deep"),
    ("not UTF-8", envelope().replace("hello", "\x80").encode("latin-1"), -32700, "UTF-8"),
    ("overlong UTF-8", envelope().encode().replace(b"hello", b"\xc0\x80"), -32700, "UTF-8"),
    ("surrogate in UTF-8", envelope().encode().replace(b"hello", b"\xed\xa0\x80"), -32700, "UTF-8"),
    ("lone surrogate escape", envelope().replace("hello", "\\ud800").encode(), -32700, "surrogate"),
    ("NUL byte", envelope().replace("hello", "a\x00b").encode(), -32700, "control"),
    ("NUL behind the document", envelope().encode() + b"\x00", -32700, "byte"),
    ("duplicate id", envelope(extra=',"id":2').encode(), -32600, '"id" occurs twice'),
    ("duplicate method", envelope(extra=',"method":"tasks/get"').encode(), -32600, '"method" occurs twice'),
    ("duplicate params", envelope(extra=',"params":{}').encode(), -32600, '"params" occurs twice'),
    ("escaped duplicate method", envelope(extra=',"m\\u0065thod":"tasks/get"').encode(), -32600, "occurs twice"),
    ("duplicate message", envelope(params=f'{{"message":{M},"message":{M}}}').encode(), -32600, "occurs twice"),
    ("escaped duplicate taskId", envelope(params='{"message":' + M[:-1] + ',"taskId":"a","task\\u0049d":"b"}}').encode(),
     -32600, "occurs twice"),
    ("both spellings", envelope(params='{"message":' + M[:-1] + ',"taskId":"a","task_id":"b"}}').encode(), -32602,
     "snake_case"),
    ("a batch", f"[{envelope()},{envelope()}]".encode(), -32600, "batch"),
    ("an empty batch", b"[]", -32600, "batch"),
    ("a string", b'"hello"', -32600, "object"),
    ("a notification", b'{"jsonrpc":"2.0","method":"message/send","params":{}}', -32600, "notification"),
    ("wrong jsonrpc", envelope().replace('"2.0"', '"1.0"').encode(), -32600, "2.0"),
    ("jsonrpc a number", envelope().replace('"2.0"', "2.0").encode(), -32600, "2.0"),
    ("no jsonrpc", b'{"id":1,"method":"message/send","params":{}}', -32600, "2.0"),
    ("no method", b'{"jsonrpc":"2.0","id":1,"params":{}}', -32600, "method"),
    ("method a number", b'{"jsonrpc":"2.0","id":1,"method":7}', -32600, "method"),
    ("id an object", envelope(id_="{}").encode(), -32600, "id"),
    ("id a boolean", envelope(id_="true").encode(), -32600, "id"),
    ("id of 300 bytes", envelope(id_='"' + "x" * 300 + '"').encode(), -32600, "256"),
    ("unknown method", envelope(method="message/sendd").encode(), -32601, "message/sendd"),
    ("unknown 1.0 method", envelope(method="Sendmessage").encode(), -32601, "Sendmessage"),
    ("params an array", envelope(params="[]").encode(), -32602, "object"),
    ("params a string", envelope(params='"x"').encode(), -32602, "object"),
    ("params with an empty name", envelope(params='{"":"x"}').encode(), -32602, "empty name"),
    ("no message", envelope(params="{}").encode(), -32602, "message"),
    ("message null", envelope(params='{"message":null}').encode(), -32602, "message"),
    ("message a string", envelope(params='{"message":"hi"}').encode(), -32602, "message"),
    ("no messageId", envelope(params='{"message":{"role":"user","parts":[{}]}}').encode(), -32602, "messageId"),
    ("no role", envelope(params='{"message":{"messageId":"m","parts":[{}]}}').encode(), -32602, "role"),
    ("no parts", envelope(params='{"message":{"messageId":"m","role":"user"}}').encode(), -32602, "parts"),
    ("parts empty", envelope(params='{"message":{"messageId":"m","role":"user","parts":[]}}').encode(), -32602, "parts"),
    ("parts of strings", envelope(params='{"message":{"messageId":"m","role":"user","parts":["x"]}}').encode(), -32602,
     "parts"),
    ("taskId a number", envelope(params='{"message":' + M[:-1] + ',"taskId":7}}').encode(), -32602, "taskId"),
    ("taskId an array", envelope(params='{"message":' + M[:-1] + ',"taskId":[""]}}').encode(), -32602, "taskId"),
    ("taskId of 513 bytes", envelope(params='{"message":' + M[:-1] + ',"taskId":"' + "x" * 513 + '"}}').encode(), -32602,
     "512"),
    ("configuration a list", envelope(params=f'{{"message":{M},"configuration":[]}}').encode(), -32602, "configuration"),
    ("historyLength negative", envelope(params=f'{{"message":{M},"configuration":{{"historyLength":-1}}}}').encode(), -32602,
     "historyLength"),
    ("historyLength a fraction", envelope("tasks/get", '{"id":"x","historyLength":1.5}').encode(), -32602, "historyLength"),
    ("get without id", envelope("tasks/get", "{}").encode(), -32602, "id"),
    ("get with id null", envelope("tasks/get", '{"id":null}').encode(), -32602, "id"),
    ("get with id a list", envelope("tasks/get", '{"id":["x"]}').encode(), -32602, "id"),
    ("get of an unknown task", envelope("tasks/get", '{"id":"nope"}').encode(), -32001, "not found"),
    ("get of an impossible task", envelope("tasks/get", '{"id":"a\\u0000b"}').encode(), -32001, "not found"),
]


@story(stores=("sqlite",))
def every_bad_request_has_its_error(world):
    agent = world.agent()
    gw = world.gateway({"a": agent})
    client = Client(gw.port)
    for name, body, code, words in CASES:
        answer = client.request("POST", "/agents/a", body, {"Content-Type": "application/json"})
        equal(answer.status, 200, f"{name}: HTTP status")
        equal(answer.header("content-type"), "application/json", f"{name}: content type")
        error = answer.json["error"]
        equal(error["code"], code, f"{name}: {error['message']}")
        contains(error["message"], words, name)
    check(all(r.json["method"] == "tasks/get" for r in agent.requests), "a bad send reached the agent")
    check("result" in gw.send("a").json, "the next good request failed")


def in_1_0(body):
    """The same mistake by a caller who speaks 1.0."""
    for old, new in ((b'"message/send', b'"SendMessage'), (b'"tasks/get"', b'"GetTask"'), (b'"kind": "message", ', b""),
                     (b'"kind": "text", ', b""), (b'"role": "user"', b'"role": "ROLE_USER"'),
                     (b'"role":"user"', b'"role":"ROLE_USER"')):
        body = body.replace(old, new)
    return body


def on_rpc(body):
    """The same mistake on the gateway's own surface."""
    for old, new in ((b'"message/send', b'"message.send'), (b'"tasks/get"', b'"tasks.get"'),
                     (b'"params":{"', b'"params":{"agentId":"a","')):
        body = body.replace(old, new)
    return body


# What is no mistake on /rpc: there the gateway makes the messageId.
NOT_ON_RPC = ("no messageId", "unknown 1.0 method", "params with an empty name")


@story(stores=("sqlite",))
def every_bad_request_in_every_dialect(world):
    """The error comes in the caller's: 1.0 has a list with an ErrorInfo as data, 0.3 has none, /rpc the first SuperX's
    number. A caller whose method cannot be read is known by his A2A-Version."""
    agents = {"a": world.agent("0.3"), "b": world.agent("1.0")}
    gw = world.gateway(agents)
    surfaces = [("0.3 to a 1.0 agent", "/agents/b", lambda b: b, {}, "0.3"),
                ("1.0 to a 1.0 agent", "/agents/b", in_1_0, {"A2A-Version": "1.0"}, "1.0"),
                ("1.0 to a 0.3 agent", "/agents/a", in_1_0, {"A2A-Version": "1.0"}, "1.0"),
                ("/rpc", "/rpc", on_rpc, {}, "rpc"),
                ("/rpc asked for 1.0", "/rpc", on_rpc, {"A2A-Version": "1.0"}, "rpc 1.0")]
    for what, path, turn, headers, dialect in surfaces:
        client = Client(gw.port)
        for name, body, code, words in CASES:
            if "rpc" in dialect and name in NOT_ON_RPC:
                continue
            answer = client.request("POST", path, turn(body), {"Content-Type": "application/json", **headers})
            equal(answer.status, 200, f"{what}, {name}: HTTP status")
            error = answer.json["error"]
            if "rpc" in dialect and name == "duplicate message":
                code = -32602  # /rpc reads its params by itself
            equal(error["code"], code, f"{what}, {name}: {error['message']}")
            if dialect == "0.3":
                check(name == "unknown 1.0 method" or not isinstance(error.get("data"), list),
                      f"{what}, {name}: data of 1.0 for a 0.3 caller")
                contains(error["message"], words, f"{what}, {name}")
            elif dialect == "rpc":
                # The first SuperX's number, for the errors it knew.
                knew = code not in (-32002, -32003, -32004, -32005, -32007, -32009)
                equal(isinstance(error["data"].get("superxCode"), int), knew, f"{what}, {name}: {error}")
            elif dialect == "1.0":
                info = error["data"][0]
                equal((info["@type"], bool(info["reason"])), ("type.googleapis.com/google.rpc.ErrorInfo", True),
                      f"{what}, {name}: ErrorInfo")
            else:
                check(isinstance(error["data"], list), f"{what}, {name}: {error}")
    for agent in agents.values():
        check(not agent.asked("message/send", "SendMessage"), "a bad send reached the agent")


@story(stores=("sqlite",))
def errors_carry_the_callers_id_and_dialect(world):
    gw = world.gateway({"a": world.agent()})
    answer = gw.rpc("a", "GetTask", {}, id_="my-id")
    equal(answer.json["id"], "my-id", "id")
    info = answer.json["error"]["data"][0]
    equal((info["@type"], info["reason"], info["domain"]),
          ("type.googleapis.com/google.rpc.ErrorInfo", "INVALID_PARAMS", "a2a-protocol.org"), "ErrorInfo in 1.0")
    check(isinstance(gw.rpc("a", "tasks/get", {}).json["error"].get("data", {}), dict), "0.3 data is no list")


@story(stores=("sqlite",))
def versions_asked_for(world):
    gw = world.gateway({"a": world.agent(), "b": world.agent("1.0")})
    params = {"message": message(version="1.0")}
    for asked in ("1.0", "1.0.1", "0.3", "0.3.0", ""):
        check("result" in gw.rpc("b", "SendMessage", params, {"A2A-Version": asked}).json, f"asked for {asked!r}")
    for asked in ("99.0", "2.0", "1.7", "x", "1"):
        equal(gw.rpc("b", "SendMessage", params, {"A2A-Version": asked}).json["error"]["code"], -32009, asked)
    body = rpc_body("SendMessage", params)
    equal(gw.http("POST", "/agents/b?A2A-Version=9.9", body).json["error"]["code"], -32009, "by query")
    check("result" in gw.http("POST", "/agents/b?A2A-Version=1.0", body).json, "1.0 by query")


@story(stores=("sqlite",))
def bodies_of_other_types_are_refused(world):
    gw = world.gateway({"a": world.agent()})
    body = rpc_body("message/send", {"message": message()})
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx"):
        equal(gw.http("POST", "/agents/a", body, {"Content-Type": kind}).json["error"]["code"], -32005, kind)
    for kind in ("application/json; charset=utf-8", "application/a2a+json", "Application/JSON"):
        check("result" in gw.http("POST", "/agents/a", body, {"Content-Type": kind}).json, kind)


@story(stores=("sqlite",))
def oversized_bodies_are_refused_early(world):
    gw = world.gateway({"a": world.agent()})
    client = Client(gw.port)
    client.send(b"POST /agents/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9000000\r\n\r\n")
    equal(client.read_answer().status, 413, "declared")
    client = Client(gw.port)
    client.send(b"POST /agents/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    try:
        for _ in range(10):
            client.send(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
    except OSError:
        pass
    equal(client.read_answer().status, 413, "chunked")
    fit = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "message/send",
                      "params": {"message": message("y" * (8 * 1024 * 1024 - 400))}}).encode()
    check(len(fit) < 8 << 20, "the body of this story is too large")
    check("result" in gw.http("POST", "/agents/a", fit, timeout=60).json, "the largest allowed body")


@story(stores=("sqlite",))
def paths_and_verbs(world):
    gw = world.gateway({"a": world.agent()})
    body = rpc_body("message/send", {"message": message()})
    equal(gw.http("POST", "/agents/a/", body).status, 200, "with a slash behind, no redirect")
    equal(gw.http("POST", "/agents/a?x=1", body).status, 200, "with a query")
    for verb, path, status in (("GET", "/agents/a", 405), ("POST", "/agents/", 404), ("POST", "/agents", 404),
                               ("GET", "/rpc", 405), ("POST", "/health", 405), ("GET", "/nothing", 404),
                               ("DELETE", "/agents/a", 405), ("DELETE", "/agents/a/.well-known/agent-card.json", 405)):
        equal(gw.http(verb, path, body if verb == "POST" else b"").status, status, f"{verb} {path}")
    contains(gw.http("GET", "/agents/a").header("allow"), "POST", "Allow")


@story(stores=("sqlite",))
def list_rows_and_pages(world):
    gw = world.gateway({"a": world.agent(), "b": world.agent()})
    for i in range(7):
        gw.send("ab"[i % 2], str(i))
    seen, token = [], ""
    while True:
        page = gw.http("POST", "/rpc", rpc_body("tasks.list", {"limit": 3, "pageToken": token})).json["result"]
        equal(page["totalSize"], 7, "total")
        seen += [(t["agentId"], t["id"]) for t in page["tasks"]]
        token = page["nextPageToken"]
        if not token:
            break
    equal((len(seen), len(set(seen))), (7, 7), "all pages")
    equal(gw.http("POST", "/rpc", rpc_body("tasks.list", {"agentId": "a"})).json["result"]["totalSize"], 4, "of a")
    for params in ({"limit": 0}, {"limit": 101}, {"pageToken": "rubbish"}, {"limit": "x"}, {"agentId": 7}, []):
        code = gw.http("POST", "/rpc", rpc_body("tasks.list", params)).json["error"]["code"]
        equal(code, -32602, f"params {params}")
    equal(gw.http("POST", "/rpc", rpc_body("agents.frobnicate", {})).json["error"]["code"], -32601, "unknown")


@story(stores=("sqlite",), variant="release", alone=True)
def memory_stays_flat_under_bad_requests(world):
    """RSS after 100,000 bad requests is within 4 MB of before (after a warm-up of each sort)."""
    gw = world.gateway({"a": world.agent()}, env={"LOG_LEVEL": "error", "PORT": str(free_port())})
    sorts = [(name, body) for name, body, _, _ in CASES if len(body) < 4000 and not name.startswith("get of")]
    client = Client(gw.port)

    def batch(n):
        """n requests, pipelined 50 at a time."""
        for begin in range(0, n, 50):
            data = b""
            for i in range(begin, begin + 50):
                body = sorts[i % len(sorts)][1]
                data += (b"POST /agents/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                         b"Content-Length: %d\r\n\r\n" % len(body) + body)
            client.send(data)
            for _ in range(50):
                check("error" in client.read_answer().json, "a bad request was not refused")

    batch(5000)
    before = gw.rss_kb()
    batch(50000)
    # The other half are bad below JSON: a connection each.
    for i in range(50000):
        bad = (b"GET /\x01 HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
               b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\n\r\n")[i % 4]
        c = Client(gw.port)
        c.send(bad)
        check(c.read_answer().status >= 400, "a malformed request was not refused")
        c.close()
    after = gw.rss_kb()
    check(after - before <= 4096, f"RSS grew from {before} to {after} KB")
    print(f"        RSS {before} KB before, {after} KB after 100,000 bad requests", flush=True)
