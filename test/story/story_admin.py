# SPDX-License-Identifier: MIT
"""The gateway's own surface: POST /rpc in every spelling, who may change agents, agents that are registered while it runs,
and superx agents."""
import json

from telling import story
from world import (VERSIONS, FakeAgent, check, contains, equal, error_of, http_json, message, scripted, state_of,
                   task_of, wait_until)

SECRET = "s3cret-bearer-value"


# --- names and spellings ---------------------------------------------------------------------------------------------


@story(stores=("sqlite",))
def every_name_and_spelling(world):
    agent = world.agent("0.3", scripted)
    gw = world.gateway({"a": agent, "b": world.agent("1.0", scripted)}, env={"POLL_MIN_MS": "20", "POLL_MAX_MS": "50"})

    def result(method, params):
        answer = gw.own(method, params)
        check("result" in answer.json, f"{method} {params}: {answer.body[:300]!r}")
        return answer.json["result"]

    m3, m1 = message("hi"), message("hi", "1.0")
    for method in ("message.send", "message/send", "SendMessage"):
        for agent_key in ("agentId", "agent", "agent_id"):
            for name in ("a", "b"):
                for m in (m3, m1):
                    got = result(method, {agent_key: name, "message": m})
                    task = got["task"] if method == "SendMessage" else got
                    equal(state_of(task), "completed", f"{method} {agent_key} to {name}")
                    equal(task.get("kind"), None if method == "SendMessage" else "task", "0.3 unless asked")
    told = gw.own("message.send", {"agentId": "b", "message": m3}, {"A2A-Version": "1.0"}).json["result"]
    equal(told["task"]["status"]["state"], "TASK_STATE_COMPLETED", "1.0 when asked by header")
    result("message.send", {"agentId": "a", "message": {"role": "user", "parts": [{"kind": "text", "text": "no id"}]}})
    check(agent.requests[-1].json["params"]["message"]["messageId"], "a messageId is made where there is none")
    result("message.send", {"agentId": "a", "message": m3, "metadata": {"k": 1.5}, "contextId": "c-9"})
    sent = agent.requests[-1].json["params"]
    equal((sent["metadata"], sent["message"]["contextId"]), ({"k": 1.5}, "c-9"), "metadata and contextId")
    check("agentId" not in sent and "agent" not in sent, f"the selector went on: {sent}")
    asked = result("message.send", {"agentId": "a", "message": message("ask me")})
    done = result("message.send", {"agentId": "a", "taskId": asked["id"], "message": message("this")})
    equal((done["id"], state_of(done)), (asked["id"], "completed"), "continued by taskId beside the message")
    for method in ("tasks.get", "tasks/get", "GetTask"):
        for key in ("taskId", "id", "task_id"):
            for selector in ({}, {"agentId": "a"}, {"agent": "a"}):
                equal(result(method, {key: asked["id"], **selector})["id"], asked["id"], f"{method} {key} {selector}")
    for method in ("tasks.list", "tasks/list"):
        for params in ({"limit": 3}, {"pageSize": 3}, {"limit": 3, "agentId": "a"}, {"limit": 3, "status": "completed"},
                       {"limit": 3, "state": "TASK_STATE_COMPLETED"}):
            equal(len(result(method, params)["tasks"]), 3, f"{method} {params}")
    for method in ("tasks.cancel", "tasks/cancel", "CancelTask"):
        running = result("message.send", {"agentId": "a", "message": message("work 1000000"),
                                          "configuration": {"blocking": False}})
        equal(state_of(result(method, {"taskId": running["id"]})), "canceled", method)
    for dot in (".", "/"):
        equal({a["id"] for a in result(f"agents{dot}list", {})}, {"a", "b"}, "agents.list")
        for key in ("id", "name", "agentId"):
            equal(result(f"agents{dot}get", {key: "a"})["id"], "a", f"agents.get {key}")
            equal(result(f"agents{dot}health", {key: "a"})["agent_id"], "a", f"agents.health {key}")
        equal({h["agent_id"] for h in result(f"agents{dot}health", {})}, {"a", "b"}, "agents.health of all")
        for params in ({"agent": {"id": "new", "url": agent.url}}, {"id": "new", "url": agent.url},
                       {"name": "new", "url": agent.url}, {"agent": {"name": "new", "url": agent.url}}):
            equal(result(f"agents{dot}upsert", params)["id"], "new", f"agents.upsert {params}")
        equal(result(f"agents{dot}delete", {"id": "new"}), True, "agents.delete")
    health = result("agents.health", {"id": "a"})
    equal(set(health), {"agent_id", "breaker_state", "in_flight", "failure_count", "last_failure_at", "node"}, "its members")


@story(stores=("sqlite",))
def errors_carry_the_first_superx_numbers(world):
    gone = world.agent()
    gone.close()
    slow = world.agent("0.3", lambda a, r: None)
    wrong = world.agent("0.3", lambda a, r: http_json(b"oops", status=500))
    own = world.agent("0.3", lambda a, r: a.error(r, -32005, "of its own", {"k": 1}))
    agents = {"gone": gone, "slow": {"agent": slow, "timeoutMs": 100}, "wrong": wrong, "own": own}
    cases = [("tasks.get", {"taskId": "nowhere"}, -32001, -32004, 200),
             ("message.send", {"agentId": "nobody", "message": message()}, -31001, -32001, 404),
             ("message.send", {"agentId": "gone", "message": message()}, -31003, -32099, 200),
             ("message.send", {"agentId": "slow", "message": message()}, -31004, -32098, 200),
             ("message.send", {"agentId": "wrong", "message": message()}, -31005, -32099, 200),
             ("message.send", {"agentId": "own", "message": message()}, -32005, -32005, 200),
             ("message.send", {"message": message()}, -32602, -32602, 200),
             ("agents.get", {"id": "nobody"}, -31001, None, 404),
             ("agents.upsert", {"id": "x"}, -32602, -32602, 200),
             ("tasks.frobnicate", {}, -32601, -32601, 200)]
    for env in ({}, {"RPC_HTTP_400": "1"}):
        gw = world.gateway(agents, env=env)
        for method, params, code, old, status in cases:
            answer = gw.own(method, params)
            what = f"{method} {str(params)[:60]} {env}"
            error = error_of(answer)
            equal((answer.status, error["code"]), (400 if env else status, code), f"{what}: {error}")
            if old:
                equal(error["data"]["superxCode"], old, f"{what}: superxCode")
        bad = gw.http("POST", "/rpc", b"{", {"Content-Type": "application/json"})
        equal((bad.status, bad.json["error"]["code"]), (400 if env else 200, -32700), "not JSON")
        equal(gw.own("agents.list", {}).status, 200, "what is no error")
        new = gw.own("tasks.get", {"taskId": "nowhere"}, {"A2A-Version": "1.0"}).json["error"]
        check(isinstance(new["data"], list), f"asked for 1.0, data is a list: {new}")
        gw.stop()


# --- who may ---------------------------------------------------------------------------------------------------------

CHANGING = [("agents.upsert", {"id": "x", "url": "http://127.0.0.1:9/"}), ("agents.delete", {"id": "x"}),
            ("agents.refreshCard", {"id": "a"}), ("agents.check", {"id": "a"})]
LOOKING = [("agents.list", {}), ("agents.get", {"id": "a"}), ("agents.health", {}), ("tasks.list", {})]


@story(stores=("sqlite",))
def who_may_change_agents(world):
    agent = world.agent("1.0", card="1.0")
    gw = world.gateway({"a": {"url": agent.url}})
    browser = [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Content-Type": "text/plain"}]
    proxied = [{"X-Forwarded-For": "192.0.2.1"}, {"Forwarded": "for=192.0.2.1"}, {"Via": "1.1 x"}]
    for method, params in CHANGING:
        for headers in browser + proxied:
            answer = gw.own(method, params, headers)
            check("result" not in answer.json, f"{method} with {headers} was done")
            if headers != browser[2]:
                equal((answer.status, answer.json["error"]["code"]), (403, -31010), f"{method} with {headers}")
        check(gw.own(method, params).json.get("error", {}).get("code") not in (-31009, -31010), f"{method} from here")
    gw.stop()
    gw = world.gateway({"a": {"url": agent.url}}, env={"SUPERX_ADMIN_TOKEN": "t0ken"})
    for method, params in CHANGING:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer t0ke"}, {"Authorization": "t0ken"},
                        {"Authorization": "Bearer t0kent0ken"}, {"Authorization": "Basic t0ken"}):
            answer = gw.own(method, params, headers)
            equal((answer.status, answer.json["error"]["code"]), (401, -31009), f"{method} with {headers}")
            check(answer.header("www-authenticate"), "WWW-Authenticate")
        for headers in ({}, *browser[:2], *proxied):
            answer = gw.own(method, params, {"Authorization": "Bearer t0ken", **headers})
            check(answer.json.get("error", {}).get("code") not in (-31009, -31010),
                  f"{method} with the token and {headers}")
    for method, params in LOOKING:
        check("result" in gw.own(method, params).json, f"{method} needs no token")
    equal(gw.cli("agents", "rm", "nobody").returncode, 1, "the command line takes the token from its environment")
    check(not gw.log_has("t0ken"), "the token is in the log")


@story(stores=("sqlite",))
def it_listens_on_loopback_unless_told(world):
    import socket
    gw = world.gateway({"a": world.agent()})
    for host in addresses_of_this_machine():
        try:
            socket.create_connection((host, gw.port), timeout=2).close()
            check(False, f"it listens on {host}")
        except OSError:
            pass
    check(gw.log_has("listen=", "127.0.0.1"), "the banner")


def addresses_of_this_machine():
    """Its own addresses beyond loopback; what is asked is only where a packet would leave from."""
    import socket
    found = set()
    try:
        found |= {a[4][0] for a in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    except OSError:
        pass
    return {a for a in found if not a.startswith("127.")} | {"127.0.0.2"}


# --- agents that come by the API ---------------------------------------------------------------------------------------


@story()
def registered_agents_survive(world):
    """Committed before they are answered: there after kill -9; with everything that was said, and no secret told."""
    agent = world.agent("1.0", scripted, card="1.0", path="/deep")
    gw = world.gateway({"file": agent})
    record = {"id": "new", "url": agent.url, "bearer": SECRET, "maxInFlight": 3, "timeoutMs": 12345,
              "headers": {"X-Own": "own-value"}}
    made = gw.own("agents.upsert", {"agent": record}).json["result"]
    equal((made["id"], made["source"], made["hasBearer"], made["maxInFlight"]), ("new", "api", True, 3), "the answer")
    task_of(gw.send("new", "x", "0.3"), "0.3")
    gw.kill()
    gw.restart()
    wait_until("it is there again", lambda: gw.send("new", "x").status == 200)
    equal(agent.requests[-1].headers.get("authorization"), f"Bearer {SECRET}", "its bearer")
    equal(agent.requests[-1].headers.get("x-own"), "own-value", "its header")
    kept = gw.own("agents.get", {"id": "new"}).json["result"]
    equal((kept["maxInFlight"], kept["timeoutMs"]), (3, 12345), "its knobs")
    for method, params in (("agents.list", {}), ("agents.get", {"id": "new"}), ("agents.health", {}),
                           ("agents.upsert", {"agent": record}), ("agents.refreshCard", {"id": "new"})):
        text = gw.own(method, params).body.decode()
        check(SECRET not in text and "own-value" not in text, f"{method} tells a secret: {text[:300]}")
    for page in ("/", "/health", "/agents/new/.well-known/agent-card.json", "/cluster"):
        check(SECRET not in gw.http("GET", page).body.decode(), f"{page} tells a secret")
    check(not gw.log_has(SECRET), "the log tells a secret")
    refused = error_of(gw.own("agents.delete", {"id": "file"}))
    contains(refused["message"], "file", "an agent of the file")
    equal(error_of(gw.own("agents.upsert", {"id": "file", "url": agent.url}))["code"], -32602, "upsert of a file's agent")
    task = task_of(gw.send("new", "kept", "0.3"), "0.3")
    equal(gw.own("agents.delete", {"id": "new"}).json["result"], True, "delete")
    equal(gw.send("new").status, 404, "at once")
    equal(gw.get("new", task["id"]).json["result"]["id"], task["id"], "its tasks stay readable")
    gw.restart()
    equal(gw.send("new").status, 404, "and after a restart")


@story(stores=("sqlite",))
def a_bearer_belongs_to_its_host(world):
    """An upsert without a bearer keeps the stored one while the URL's host stays, and drops it when that changes."""
    agent, thief = world.agent("1.0"), world.agent("1.0")
    gw = world.gateway({})
    common = {"id": "a", "protocolVersion": "1.0"}
    gw.own("agents.upsert", {**common, "url": agent.url, "bearer": SECRET})
    gw.send("a", "x", "1.0")
    gw.own("agents.upsert", {**common, "url": agent.url + "elsewhere", "maxInFlight": 2})
    gw.send("a", "x", "1.0")
    equal([r.headers.get("authorization") for r in agent.requests], [f"Bearer {SECRET}"] * 2, "the same host")
    gw.own("agents.upsert", {**common, "url": thief.url})
    gw.send("a", "x", "1.0")
    gw.own("agents.upsert", {**common, "url": agent.url, "bearer": SECRET})
    gw.own("agents.upsert", {**common, "url": agent.url, "endpoint": thief.url})
    gw.send("a", "x", "1.0")
    check(thief.requests and all("authorization" not in r.headers for r in thief.requests + thief.card_requests),
          "the bearer went to another host")


@story(stores=("sqlite",))
def records_that_are_wrong(world):
    gw = world.gateway({})
    ok = {"id": "a", "url": "http://127.0.0.1:9/"}
    for record, word in (({}, ""), ({"id": "a"}, "url"), ({"url": "http://x/"}, "id"), ({**ok, "id": "a b"}, "id"),
                         ({**ok, "id": "x" * 65}, "id"), ({**ok, "url": "ftp://x/"}, "http"), ({**ok, "url": "nonsense"}, ""),
                         ({**ok, "url": 7}, "url"), ({**ok, "maxInFlight": 0}, "maxInFlight"),
                         ({**ok, "maxInflight": 3}, "maxInFlight"), ({**ok, "ulr": "x"}, "ulr"),
                         ({**ok, "protocolVersion": "9.9"}, "protocolVersion"), ({**ok, "timeoutMs": "soon"}, "timeoutMs"),
                         ({**ok, "bearer": "a\nb"}, "bearer"), ({**ok, "headers": {"Host": "x"}}, "Host"),
                         ({**ok, "headers": {"X-A": "a\r\nb"}}, ""), ({**ok, "protocol": "mcp"}, "mcp"),
                         ({**ok, "url": "http://" + "x" * 5000 + "/"}, "")):
        error = error_of(gw.own("agents.upsert", {"agent": record}))
        equal(error["code"], -32602, f"{str(record)[:80]}: {error}")
        contains(error["message"].lower(), word.lower(), f"{str(record)[:80]}")
    equal(gw.own("agents.list", {}).json["result"], [], "agents afterwards")
    equal(error_of(gw.own("agents.delete", {"id": "nobody"}))["code"], -31001, "delete of nobody")


@story(stores=("postgres",))
def registered_agents_reach_the_other_node(world):
    agent = world.agent("1.0", scripted)
    one = world.gateway({})
    two = world.gateway({}, data=world.folder("data2"))
    one.own("agents.upsert", {"id": "shared", "url": agent.url, "bearer": SECRET, "protocolVersion": "1.0"})
    wait_until("the other node has it", lambda: two.send("shared", "x").status == 200)
    equal(agent.requests[-1].headers.get("authorization"), f"Bearer {SECRET}", "its bearer")
    two.own("agents.upsert", {"id": "shared", "url": agent.url, "maxInFlight": 7, "protocolVersion": "1.0"})
    wait_until("a change goes back", lambda: one.own("agents.get", {"id": "shared"}).json["result"]["maxInFlight"] == 7)
    one.own("agents.delete", {"id": "shared"})
    wait_until("and it is gone", lambda: two.send("shared").status == 404)
    equal(world.database.psql("SELECT count(*) FROM superx.agent_view WHERE id = 'shared'"), "0", "in the view")


# --- what passes the gateway, and what does not --------------------------------------------------------------------------


@story(stores=("sqlite",))
def nothing_of_the_caller_leaks_to_the_agent_nor_back(world):
    agent = world.agent("1.0", lambda a, r: http_json(
        json.dumps({"jsonrpc": "2.0", "id": r.json["id"], "result": {"task": a.make_task("x")}}).encode(),
        extra="set-cookie: agent=1\r\nx-powered-by: secret stack\r\nserver: agent/1\r\nwww-authenticate: Bearer\r\n"))
    gw = world.gateway({"a": {"agent": agent, "bearer": SECRET}})
    mine = {"Authorization": "Bearer callers-own", "Cookie": "session=1", "X-Api-Key": "mine", "Proxy-Authorization": "Basic x",
            "X-Forwarded-For": "192.0.2.7", "Referer": "http://inside/", "User-Agent": "callers-agent/1", "A2A-Version": "1.0"}
    for caller in VERSIONS:
        headers = {**mine, **({"A2A-Version": caller})}
        params = {"message": message("x", caller)}
        answer = gw.rpc("a", {"0.3": "message/send", "1.0": "SendMessage"}[caller], params, headers)
        got = agent.requests[-1]
        equal(got.headers.get("authorization"), f"Bearer {SECRET}", "the agent's own bearer")
        for value in ("callers-own", "session=1", "mine", "192.0.2.7", "inside", "callers-agent"):
            check(value not in got.head, f"{value} reached the agent: {got.head}")
        equal(got.headers.get("host"), f"127.0.0.1:{agent.port}", "Host")
        for name in ("set-cookie", "x-powered-by", "www-authenticate"):
            check(name not in answer.headers, f"the agent's {name} came back")
        check("agent/1" not in str(answer.headers) and SECRET not in str(answer.headers) + answer.body.decode(),
              "what is the agent's came back")
    check(all("callers-own" not in r.head for r in agent.card_requests), "the caller's credentials went to the card")


# --- superx agents ----------------------------------------------------------------------------------------------------


@story(stores=("sqlite",))
def agents_on_the_command_line(world):
    good, bare = world.agent("1.0", scripted, card="1.0", path="/a2a/v1"), world.agent("0.3", scripted)
    gone = FakeAgent()
    gone.close()
    gw = world.gateway({"file": good})
    checked = gw.cli("agents", "check", good.url)
    equal(checked.returncode, 0, checked.stdout + checked.stderr)
    for words in ("Fake 1.0", "1.0", "/a2a/v1"):
        contains(checked.stdout, words, "superx agents check")
    for url, word in ((gone.url, "refused"), ("http://no-such-host.invalid/", "no-such-host.invalid"),
                      ("ftp://x/", "http")):
        bad = gw.cli("agents", "check", url)
        equal(bad.returncode, 1, f"check {url}: {bad.stdout}{bad.stderr}")
        contains(bad.stdout + bad.stderr, word, f"check {url}")
    added = gw.cli("agents", "add", "shout", good.url)
    equal(added.returncode, 0, added.stdout + added.stderr)
    contains(added.stdout, "shout", "superx agents add")
    contains(added.stderr, "/a2a/v1", "the endpoint chosen")
    equal(gw.cli("send", "shout", "hello").returncode, 0, "superx send to it")
    warned = gw.cli("agents", "add", "bare", bare.url)
    equal(warned.returncode, 0, warned.stdout + warned.stderr)
    contains((warned.stdout + warned.stderr).lower(), "card", "that it has no card is said")
    refused = gw.cli("agents", "add", "gone", gone.url)
    equal(refused.returncode, 1, "an agent that is not there")
    contains(refused.stderr, "--force", "what to do")
    equal(gw.cli("agents", "add", "gone", gone.url, "--force").returncode, 0, "with --force")
    listed = gw.cli("agents", "list")
    for words in ("shout", "bare", "gone", "file", "Fake 1.0"):
        contains(listed.stdout, words, "superx agents list")
    shown = gw.cli("agents", "show", "shout")
    for words in ("shout", good.endpoint, "card", "1.0", "7.8.9"):
        contains(shown.stdout, words, "superx agents show")
    equal(json.loads(gw.cli("agents", "show", "shout", "--json").stdout)["result"]["id"], "shout", "--json")
    equal(gw.cli("agents", "rm", "gone").returncode, 0, "superx agents rm")
    equal(gw.cli("agents", "rm", "gone").returncode, 1, "again")
    equal(gw.cli("agents", "rm", "file").returncode, 1, "one of the file")
    equal(gw.cli("agents", "show", "nobody").returncode, 1, "show of nobody")
    for args in (["agents"], ["agents", "add"], ["agents", "frobnicate"], ["agents", "show"]):
        equal(gw.cli(*args).returncode, 64, f"usage of {args}")
    gw.stop()
    equal(gw.cli("agents", "list").returncode, 69, "without a gateway")


@story(stores=("sqlite",))
def tasks_on_the_command_line(world):
    agents = {n: world.agent(v, scripted) for n, v in (("a", "0.3"), ("b", "1.0"))}
    gw = world.gateway(agents, env={"POLL_MIN_MS": "20", "POLL_MAX_MS": "50"})
    for name, agent in agents.items():
        agent.make_task("", "working", id="same")
        gw.get(name, "same", agent.version)
        agent.make_task("", "working", id="only-" + name)
        gw.get(name, "only-" + name, agent.version)
    equal(gw.cli("tasks", "cancel", "same", "--agent", "a").returncode, 0, "superx tasks cancel ID --agent")
    equal(state_of(gw.get("b", "same", "1.0").json["result"]), "working", "of the other agent")
    equal(gw.cli("tasks", "cancel", "only-b").returncode, 0, "superx tasks cancel ID")
    equal(state_of(gw.get("b", "only-b", "1.0").json["result"]), "canceled", "done")
    both = gw.cli("tasks", "get", "same")
    equal(both.returncode, 1, "an id that two agents have")
    check("a" in both.stderr and "b" in both.stderr, f"they are not named: {both.stderr}")
    equal(gw.cli("tasks", "cancel", "same", "--agent", "a").returncode, 1, "what is over")
    contains(gw.cli("tasks", "list").stdout, "only-b", "superx tasks list")
