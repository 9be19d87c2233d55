# SPDX-License-Identifier: MIT
"""Webhooks, with a receiver that verifies them with code of its own and misbehaves on request."""
import base64
import json
import time

from live_agent import LiveAgent
from receiver import Receiver
from story_crash import query
from telling import story
from world import SEND, VERSIONS, check, contains, equal, error_of, message, run_superx, wait_until

SET = {"0.3": "tasks/pushNotificationConfig/set", "1.0": "CreateTaskPushNotificationConfig"}
GET_CONFIG = {"0.3": "tasks/pushNotificationConfig/get", "1.0": "GetTaskPushNotificationConfig"}
LIST_CONFIGS = {"0.3": "tasks/pushNotificationConfig/list", "1.0": "ListTaskPushNotificationConfigs"}
DELETE_CONFIG = {"0.3": "tasks/pushNotificationConfig/delete", "1.0": "DeleteTaskPushNotificationConfig"}
QUICK = {"PUSH_ALLOW": "127.0.0.0/8", "PUSH_RETRY_BASE_MS": "40", "POLL_MIN_MS": "20"}


def stage(world, env=None, versions=VERSIONS, **kwargs):
    agents = {f"a{v}": world.add(LiveAgent(v)) for v in versions}
    return Receiver(world), agents, world.gateway(agents, env={**QUICK, **(env or {})}, **kwargs)


def in_send(version, config):
    return {"taskPushNotificationConfig" if version == "1.0" else "pushNotificationConfig": config}


def send(gw, agent, text, version, config=None, wait=False):
    """A message that is not waited for, with a webhook; its task's id."""
    configuration = in_send(version, config) if config else {}
    configuration["returnImmediately" if version == "1.0" else "blocking"] = (version == "1.0") != wait
    result = gw.rpc(agent, SEND[version], {"message": message(text, version), "configuration": configuration}).json
    check("result" in result, f"the answer to {text}: {result}")
    return (result["result"].get("task") or result["result"])["id"]


def rpc(gw, method, **params):
    return gw.http("POST", "/rpc", json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode(),
                   {"Content-Type": "application/json"}).json


def set_config(gw, agent, version, task_id, config):
    params = {"taskId": task_id, **config} if version == "1.0" else {"taskId": task_id, "pushNotificationConfig": config}
    return gw.rpc(agent, SET[version], params).json


def numbers(posts):
    return [int(t.rstrip(".")) for p in posts for t in p.parts]


@story()
def told_in_every_form(world):
    """Each registration is told in its own words, in order, from the first event on, and proves where it is from."""
    receiver, agents, gw = stage(world)
    whsec = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
    for agent in agents:
        for version in VERSIONS:
            path = f"/{agent}-{version}"
            receiver.order(path, token="tok", authorization="Bearer cr3d")
            auth = {"scheme": "Bearer"} if version == "1.0" else {"schemes": ["Bearer"]}
            send(gw, agent, "count 6 20", version,
                 {"url": receiver.url(path), "token": "tok", "authentication": {**auth, "credentials": "cr3d"}})
            posts = receiver.wait_end(path)
            equal(posts[0].kind, "task", f"{path}: the first word")
            if version == "1.0":
                equal([p.kind for p in posts[1:]], ["artifact"] * 6 + ["status"], f"{path}: what followed")
                equal(numbers(posts), list(range(1, 7)), f"{path}: the parts")
                equal({p.headers["content-type"] for p in posts}, {"application/a2a+json"}, path)
            else:
                equal({p.kind for p in posts}, {"task"}, f"{path}: whole tasks")
                equal(numbers(posts[-1:]), list(range(1, 7)), f"{path}: the parts of the last")
                equal({p.headers["content-type"] for p in posts}, {"application/json"}, path)
            equal(posts[-1].state, "completed", f"{path}: the last word")
    for agent, secret in (("a0.3", "hush"), ("a1.0", whsec)):
        path, task_id = f"/{agent}-superx", send(gw, agent, "count 6 40", "1.0")
        receiver.order(path, hmacSecret=secret, standardSecret=secret, jwtSecret="jot", token="t",
                       jwt={"iss": "me", "aud": "you", "kid": "k1", "taskId": task_id})
        answer = rpc(gw, "tasks.pushNotificationConfig.set", taskId=task_id, config={
            "url": receiver.url(path), "hmacSecret": secret, "jwtSecret": "jot", "jwtIssuer": "me", "jwtAudience": "you",
            "jwtKid": "k1", "token": "t"})
        check("result" in answer, f"set over /rpc: {answer}")
        posts = receiver.wait_end(path)
        check(all(list(p.json) == ["streamResponse"] for p in posts), f"{path}: the wrapper: {posts[0].text}")
        equal({p.headers["x-a2a-token"] for p in posts}, {"t"}, f"{path}: x-a2a-token")
        equal(posts[-1].state, "completed", f"{path}: the last word")
        equal(posts[-1].thing["kind"], "status-update", f"{path}: 0.3 objects")
        path = f"/{agent}-event"
        send(gw, agent, "count 3 20", "0.3", {"url": receiver.url(path), "payload": "event"})
        equal([p.kind for p in receiver.wait_end(path)], ["task"] + ["artifact"] * 3 + ["status"], f"{path}: bare events")
    receiver.check_proofs()
    for agent in agents.values():
        for req in agent.requests:
            check(b"127.0.0.1:%d" % receiver.port not in req.body, f"the agent was told of a webhook: {req.body!r}")


@story(stores=("sqlite",))
def with_the_request(world):
    """metadata.webhook and pushNotificationConfig of /rpc; a message that is no task's is delivered, too."""
    receiver, agents, gw = stage(world)
    part = {"kind": "text", "text": "reply hello"}
    for name, place in (("w", lambda c: {"metadata": {"webhook": c, "mine": 1}}), ("p", lambda c: {"pushNotificationConfig": c})):
        receiver.order(f"/{name}", hmacSecret="s", standardSecret="s", jwtSecret="j", jwt={"role": "admin"})
        config = {"url": receiver.url(f"/{name}"), "hmacSecret": "s", "jwtSecret": "j", "jwtClaims": {"role": "admin", "iat": 5}}
        answer = rpc(gw, "message.send", agentId="a0.3", message={"role": "user", "parts": [part]}, **place(config))
        equal(answer["result"]["kind"], "message", f"{name}: the answer")
        receiver.wait_for("the message", lambda: receiver.seen(f"/{name}"))
        post = receiver.seen(f"/{name}")[0]
        equal(post.json["streamResponse"]["message"], answer["result"], f"{name}: the message")
        params = agents["a0.3"].requests[-1].json["params"]
        equal(params.get("metadata", {}), {"mine": 1} if name == "w" else {}, f"{name}: metadata at the agent")
        task = rpc(gw, "message.send", agentId="a1.0", message={"role": "user", "parts": [{**part, "text": "count 3 10"}]},
                   **place({**config, "url": receiver.url(f"/{name}t")}))
        posts = receiver.wait_end(f"/{name}t")
        equal((posts[0].kind, posts[-1].state), ("task", "completed"), f"{name}: of a task: {task}")
    receiver.check_proofs()
    both = rpc(gw, "message.send", agentId="a0.3", message={"role": "user", "parts": [part]},
               pushNotificationConfig={"url": receiver.url("/x")}, metadata={"webhook": {"url": receiver.url("/y")}})
    equal(both["error"]["code"], -32602, "two at once")


@story(stores=("sqlite",))
def configurations_come_and_go(world):
    receiver, agents, gw = stage(world)
    for agent in agents:
        for version in VERSIONS:
            what = f"{agent}, {version}"
            one, two = (send(gw, agent, "hold", version) for _ in range(2))
            other = next(v for v in VERSIONS if v != version)

            def call(method, _agent=agent, _version=version, **params):
                return gw.rpc(_agent, method[_version], params).json

            key = "taskId" if version == "1.0" else "id"
            secret = {"url": receiver.url("/c"), "token": "s3cret-token", "authentication":
                      {"scheme": "Bearer", "schemes": ["Bearer"], "credentials": "s3cret-credentials"}}
            for task in (one, two):
                shown = set_config(gw, agent, version, task, {**secret, "id": "mine"})
                check("s3cret" not in json.dumps(shown), f"{what}: a secret comes back: {shown}")
                flat = shown["result"] if version == "1.0" else shown["result"]["pushNotificationConfig"]
                equal((shown["result"]["taskId"], flat["id"], flat["url"]), (task, "mine", secret["url"]), f"{what}: set")
            made_up = set_config(gw, agent, version, one, {"url": receiver.url("/d")})["result"]
            made_up = made_up["id"] if version == "1.0" else made_up["pushNotificationConfig"]["id"]
            equal(len(made_up) > 8, True, f"{what}: an id was made up")
            listed = call(LIST_CONFIGS, **{key: one})["result"]
            listed = listed["configs"] if version == "1.0" else [c["pushNotificationConfig"] for c in listed]
            equal([c["id"] for c in listed], ["mine", made_up], f"{what}: list")
            name = (lambda task, c: {"taskId": task, "id": c}) if version == "1.0" else (
                lambda task, c: {"id": task, "pushNotificationConfigId": c})
            got = call(GET_CONFIG, **name(one, made_up))["result"]
            equal((got if version == "1.0" else got["pushNotificationConfig"])["url"], receiver.url("/d"), f"{what}: get")
            check("s3cret" not in json.dumps(call(GET_CONFIG, **name(one, "mine"))), f"{what}: a secret comes back")
            equal(call(GET_CONFIG, **name(one, "nobody"))["error"]["code"], -32001, f"{what}: get what is not there")
            equal(call(LIST_CONFIGS, **{key: "nowhere"})["error"]["code"], -32001, f"{what}: list of no task")
            equal(call(DELETE_CONFIG, **name("nowhere", "x"))["error"]["code"], -32001, f"{what}: delete of no task")
            equal(set_config(gw, agent, version, "nowhere", secret)["error"]["code"], -32001, f"{what}: set of no task")
            for _ in range(2):
                equal(call(DELETE_CONFIG, **name(one, "mine")).get("result", 0), None, f"{what}: delete, and again")
            seen = gw.rpc(agent, LIST_CONFIGS[other], {"id" if other == "0.3" else "taskId": one}).json["result"]
            equal(len(seen["configs"] if other == "1.0" else seen), 1, f"{what}: in the other version")
            kept = call(LIST_CONFIGS, **{key: two})["result"]
            equal(len(kept["configs"] if version == "1.0" else kept), 1, f"{what}: the other task's is still there")
            if version == "0.3":
                for asked in ({"id": one}, {"id": one, "pushNotificationConfigId": "default"},
                              {"id": one, "pushNotificationConfigId": one}):
                    equal(call(GET_CONFIG, **asked)["result"]["pushNotificationConfig"]["url"], receiver.url("/d"),
                          f"{what}: get as SDKs do: {asked}")
    for bad in ({}, {"url": 7}, {"url": "ftp://x/"}, {"url": "http://x/", "authentication": {"credentials": "x"}},
                {"url": "http://x/", "token": "a\nb"}, {"url": "http://u:p@x/"}, {"url": "http://x/", "id": "x" * 200}):
        equal(set_config(gw, "a1.0", "1.0", one, bad)["error"]["code"], -32602, f"set {bad}")
    equal([r for r in agents["a1.0"].requests if b"ushNotification" in r.body], [], "what the agent was told")


@story()
def receivers_that_misbehave(world):
    receiver, agents, gw = stage(world, {"PUSH_TIMEOUT": "600"}, versions=("1.0",))
    cases = {"/500": [500, 503, 502], "/302": [{"status": 302, "headers": {"Location": receiver.url("/trap")}}, 200],
             "/drop": ["drop", "drop"], "/half": ["half"], "/hang": ["hang"], "/late": [{"status": 200, "ms": 5000}],
             "/429": [{"status": 429, "headers": {"Retry-After": "1"}}]}
    for path, answers in cases.items():
        receiver.order(path, answers=answers)
        send(gw, "a1.0", "count 3 60", "1.0", {"url": receiver.url(path)})
    for path, answers in cases.items():
        posts = receiver.wait_end(path)
        equal(numbers(posts), [1, 2, 3], f"{path}: all, in order")
        equal((posts[0].kind, posts[-1].kind), ("task", "status"), f"{path}: first and last")
        seen = receiver.seen(path)
        n_bad = len([a for a in answers if a != 200])
        equal({p.id for p in seen[:n_bad + 1]}, {seen[0].id}, f"{path}: repetitions have the id of the first")
        equal(len({p.id for p in posts}), len(posts), f"{path}: different events have different ids")
    equal(receiver.seen("/trap"), [], "a redirect was followed")
    receiver.order("/413", answers=[200, 413, 413, 413])
    task_id = send(gw, "a1.0", "count 3 60", "1.0", {"url": receiver.url("/413"), "id": "big"})
    posts = receiver.wait_end("/413")
    equal(numbers(posts), [2, 3], "an event that is refused three times is left out, the next goes on")
    shown = rpc(gw, "webhooks.show", id="big")["result"]
    check(shown["failedSeq"] > 0 and "given up" in shown["state"], f"what is said of it: {shown}")
    receiver.order("/410", answers=[200, 410])
    gone = send(gw, "a1.0", "count 9 60", "1.0", {"url": receiver.url("/410"), "id": "gone"})
    wait_until("it is disabled", lambda: rpc(gw, "webhooks.show", id="gone")["result"]["state"] == "disabled")
    contains(rpc(gw, "webhooks.show", id="gone")["result"]["disabledBecause"], "410", "why")
    wait_until("its task is over", lambda: gw.get("a1.0", gone, "1.0").json["result"]["status"]["state"].endswith("COMPLETED"))
    equal(len(receiver.seen("/410")), 2, "nothing more was sent")
    attempts = rpc(gw, "webhooks.attempts", id="big")["result"]
    equal([a["status"] for a in attempts][::-1], [200, 413, 413, 413, 200, 200, 200], "attempts of /413")
    equal(rpc(gw, "webhooks.retry", id="big")["result"], {"retried": 1}, "retry")
    wait_until("what was left out is sent", lambda: 1 in numbers(receiver.taken("/413")))
    receiver.order("/terminal", answers=[200] * 4 + [400] * 5)
    send(gw, "a1.0", "count 3 60", "1.0", {"url": receiver.url("/terminal")})
    equal(receiver.wait_end("/terminal")[-1].state, "completed", "the last word is tried in full")


@story()
def down_for_long_then_redriven(world):
    receiver, agents, gw = stage(world, {"PUSH_MAX_ATTEMPTS": "3"}, versions=("0.3",))
    receiver.order("/down", otherwise=500)
    for i in range(3):
        send(gw, "a0.3", "count 4 20", "1.0", {"url": receiver.url("/down"), "id": f"w{i}"})
    wait_until("all are disabled", lambda: [w["state"] for w in rpc(gw, "webhooks.list")["result"]["webhooks"]] == ["disabled"] * 3)
    contains(rpc(gw, "webhooks.show", id="w1")["result"]["disabledBecause"], "3 attempts failed, the last with HTTP 500", "why")
    wait_until("their tasks are over", lambda: not query(world, "SELECT task_id FROM $tasks WHERE state NOT IN (3, 4, 5, 7)"))
    gw.restart()
    equal(receiver.taken("/down"), [], "what has arrived so far")
    receiver.order("/down", otherwise=200)
    equal(rpc(gw, "webhooks.retry")["result"], {"retried": 3}, "retry of all")
    wait_until("all has arrived", lambda: len([p for p in receiver.taken("/down") if p.state == "completed"]) == 3)
    by_task = {}
    for post in receiver.taken("/down"):
        by_task.setdefault(post.task_id, []).append(post)
    for posts in by_task.values():
        equal((posts[0].kind, posts[-1].kind), ("task", "status"), "first and last")
        equal(numbers(posts), [1, 2, 3, 4], "the parts, in order")


@story(stores=("sqlite",))
def a_dead_receiver_delays_nobody(world):
    """Two hundred webhooks of a receiver that takes connections and says nothing; everybody else is served."""
    receiver, agents, gw = stage(world, {"PUSH_TIMEOUT": "20000"})
    dead = Receiver(world)
    dead.order("/dead", otherwise="hang")
    for i in range(200):
        send(gw, "a1.0", "count 1 0", "1.0", {"url": dead.url("/dead")})
    for i in range(20):
        path = f"/fine{i}"
        send(gw, f"a{VERSIONS[i % 2]}", "count 5 5", "1.0", {"url": receiver.url(path)})
    for i in range(20):
        equal(numbers(receiver.wait_end(f"/fine{i}", 15)), [1, 2, 3, 4, 5], f"/fine{i}")
    check(0 < len(dead.seen("/dead")) <= 32, f"{len(dead.seen('/dead'))} attempts at the dead one; its share is 16 at a time")
    equal(gw.http("GET", "/health/ready").status, 200, "ready")
    gw.kill()


@story()
def secrets_are_sealed(world):
    receiver, agents, gw = stage(world, {"SECRET_KEY_BASE": "one" * 20, "LOG_LEVEL": "trace"}, versions=("1.0",))
    receiver.order("/s", token="t0ken-s3cret", authorization="Bearer cr3d-s3cret")
    config = {"url": receiver.url("/s"), "token": "t0ken-s3cret", "id": "s",
              "authentication": {"scheme": "Bearer", "credentials": "cr3d-s3cret"}}
    task_id = send(gw, "a1.0", "count 40 50", "1.0", config)
    wait_until("it is told", lambda: len(receiver.taken("/s")) > 2)
    kept = query(world, "SELECT doc || coalesce(secret, '') FROM $push_configs")
    check(len(kept) == 1 and "s3cret" not in kept[0][0], f"what the database has: {kept}")
    gw.kill()
    gw.env["SECRET_KEY_BASE"] = "two" * 20
    gw.start()
    wait_until("it is disabled", lambda: rpc(gw, "webhooks.show", id="s")["result"]["state"] == "disabled")
    contains(rpc(gw, "webhooks.show", id="s")["result"]["disabledBecause"], "another SECRET_KEY_BASE", "why")
    gw.kill()
    gw.env["SECRET_KEY_BASE"] = "one" * 20
    gw.start()
    equal(rpc(gw, "webhooks.retry", id="s")["result"], {"retried": 1}, "retry with the right key")
    equal(numbers(receiver.wait_end("/s")), list(range(1, 41)), "all parts")
    receiver.check_proofs()
    check(not gw.log_has("s3cret"), "a secret in the log")


@story(stores=("sqlite",))
def only_where_it_may(world):
    """What is not of the public internet is refused when it is registered, however it is spelled."""
    gw = world.gateway({"a1.0": world.add(LiveAgent("1.0"))}, env={"PUSH_ALLOW": ""})
    task_id = send(gw, "a1.0", "hold", "1.0")
    for url in FORBIDDEN:
        answer = set_config(gw, "a1.0", "1.0", task_id, {"url": url})
        equal(answer.get("error", {}).get("code"), -32602, f"{url}: {answer}")
    said = set_config(gw, "a1.0", "1.0", task_id, {"url": "http://localhost/"})["error"]["message"]
    contains(said, "PUSH_ALLOW", "what to do")
    refused = send_error(gw, "a1.0", {"url": "http://127.0.0.1/"})
    equal(refused["code"], -32602, f"with a message: {refused}")
    equal(gw.rpc("a1.0", LIST_CONFIGS["1.0"], {"taskId": task_id}).json["result"]["configs"], [], "what was registered")
    for url in ALLOWED:
        check("result" in set_config(gw, "a1.0", "1.0", task_id, {"url": url}), f"{url} is refused")


def send_error(gw, agent, config):
    return error_of(gw.rpc(agent, SEND["1.0"], {"message": message("hold", "1.0"), "configuration": in_send("1.0", config)}))


@story(stores=("sqlite",))
def an_address_that_is_forbidden_later(world):
    """What was allowed when it was registered and is not any more is not called."""
    receiver, agents, gw = stage(world, {"PUSH_MAX_ATTEMPTS": "2"}, versions=("1.0",))
    receiver.order("/x", answers=[200], otherwise=500)
    send(gw, "a1.0", "count 5 100", "1.0", {"url": receiver.url("/x", "localhost"), "id": "x"})
    wait_until("it is told", lambda: receiver.taken("/x"))
    gw.kill()
    n = len(receiver.seen("/x"))
    gw.env["PUSH_ALLOW"] = ""
    gw.start()
    wait_until("it is disabled", lambda: rpc(gw, "webhooks.show", id="x")["result"]["state"] == "disabled")
    equal(len(receiver.seen("/x")), n, "calls after that")
    contains(rpc(gw, "webhooks.attempts", id="x")["result"][0]["error"], "PUSH_ALLOW", "what is said")


# Every way that is known to spell an address which is not public, and some that are not addresses at all.
FORBIDDEN = [f"http://{host}/hook" for host in (
    "127.0.0.1", "127.0.0.1:80", "127.1.2.3", "127.255.255.254", "localhost", "LOCALHOST", "localhost.", "[::1]", "[::1]:8080",
    "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::FFFF:127.0.0.1]", "[::127.0.0.1]", "[::7f00:1]",
    "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2002:a00:1::]", "[2001:0:0:0:0:0:80ff:fffe]",
    "0.0.0.0", "0.1.2.3", "[::]", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1",
    "192.168.255.255", "169.254.0.1", "169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "100.64.0.1",
    "100.100.100.200", "100.127.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.19.255.255",
    "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "[fe80::1]",
    "[febf::1]", "[fec0::1]", "[fc00::1]", "[fdff::1]", "[ff02::1]", "[ff0e::1]", "[2001:db8::1]", "[100::1]",
    "[::ffff:0:127.0.0.1]", "[4000::1]",
    # numbers that some take for an address: the parser refuses them
    "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "127.0.1", "0", "017700000001", "3232235521",
    "127.0.0.1%2f@example.com", "127.0.0.1\\@example.com", "example.com@127.0.0.1", "user:pw@127.0.0.1",
    "127.0.0.1 .example.com", "127.0.0.1\t", "[::1%25lo]", "[fe80::1%25eth0]", "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460", "127\u30020\u30020\u30021", "")]
FORBIDDEN += ["https://127.0.0.1/", "HTTP://127.0.0.1/", "http:127.0.0.1", "http:///127.0.0.1", "//127.0.0.1/", "127.0.0.1",
              "file:///etc/passwd", "gopher://127.0.0.1/", "ftp://10.0.0.1/", "javascript:alert(1)", "http://127.0.0.1#@example.com",
              "http://127.0.0.1:99999/", "http://127.0.0.1:-1/", "http://127.0.0.1:0x50/"]
ALLOWED = ["http://93.184.216.34/hook", "https://[2606:2800:220:1:248:1893:25c8:1946]/", "http://no-such-host.invalid/x"]


@story(stores=("sqlite",))
def on_https(world):
    """A CA of one's own; a certificate for another name is refused, and told so in the attempt."""
    import certs
    ca = certs.Authority(world)
    (good, good_key), (wrong, wrong_key) = ca.issue("good"), ca.issue("wrong", "DNS:b.example")
    fine, bad = Receiver(world, good_key, good), Receiver(world, wrong_key, wrong)
    gw = world.gateway({"a1.0": world.add(LiveAgent("1.0"))}, env={**QUICK, "PUSH_CA_FILE": ca.pem, "PUSH_MAX_ATTEMPTS": "2"})
    send(gw, "a1.0", "count 3 20", "1.0", {"url": f"https://localhost:{fine.secure_port}/x"})
    equal(numbers(fine.wait_end("/x")), [1, 2, 3], "over https")
    send(gw, "a1.0", "count 3 20", "1.0", {"url": f"https://127.0.0.1:{bad.secure_port}/x", "id": "wrong"})
    wait_until("it is disabled", lambda: rpc(gw, "webhooks.show", id="wrong")["result"]["state"] == "disabled")
    equal(bad.seen(), [], "what a server of another name was told")
    contains(rpc(gw, "webhooks.attempts", id="wrong")["result"][0]["error"], "b.example", "what is said")


@story(stores=("sqlite",))
def on_the_command_line(world):
    receiver, agents, gw = stage(world, {"PUSH_MAX_ATTEMPTS": "2"}, versions=("1.0",))
    receiver.order("/x", answers=[200, 500, 500], hmacSecret="s", standardSecret="s")
    send(gw, "a1.0", "count 3 60", "1.0", {"url": receiver.url("/x"), "id": "cli", "hmacSecret": "s"})
    wait_until("it is disabled", lambda: rpc(gw, "webhooks.show", id="cli")["result"]["state"] == "disabled")

    def superx(*args, code=0):
        done = run_superx(["webhooks", *args], {"SUPERX_URL": f"http://127.0.0.1:{gw.port}"}, world.home, world.variant)
        equal(done.returncode, code, f"superx webhooks {args}: {done.stdout} {done.stderr}")
        return done.stdout + done.stderr

    for words in ("cli", "disabled", "/x"):
        contains(superx("list", "--failed"), words, "list")
    contains(superx("show", "cli"), "2 attempts failed, the last with HTTP 500", "show")
    equal([line.split()[3] for line in superx("attempts", "cli").splitlines()[1:]], ["500", "500", "200"], "attempts")
    contains(superx("test", "cli"), "HTTP 200", "test")
    contains(superx("retry", "cli"), "1 webhooks are tried again", "retry")
    equal(numbers(receiver.wait_end("/x")), [1, 2, 3], "what arrived")
    equal(json.loads(superx("list", "--json"))["result"]["webhooks"][0]["state"], "up to date", "list --json")
    contains(superx("show", "nobody", code=1), "no webhook has the id", "one that is not there")
    contains(superx("frobnicate", code=64), "usage", "usage")
    receiver.check_proofs()


@story()
def with_the_official_sdk(world):
    """Clients of both versions register and receive, with agents of both."""
    import subprocess

    import node
    from story_peers import PACKAGES, SCRIPTS
    for agent in VERSIONS:
        folder = node.folder(world, f"peer{agent}", *(f"test/peers/{kind}_{v}.mjs" for kind in ("agent", "push")
                                                      for v in SCRIPTS.values()), packages={**PACKAGES, "express": "express"})
        process = node.Process(world, [node.node(), f"agent_{SCRIPTS[agent]}.mjs", "streams"], folder)
        gw = world.gateway({"peer": {"url": f"http://127.0.0.1:{process.first}/"}}, env=QUICK,
                           data=world.folder(f"data-{agent}"))
        for client in VERSIONS:
            done = subprocess.run([node.node(), f"push_{SCRIPTS[client]}.mjs", f"http://127.0.0.1:{gw.port}/agents/peer/"],
                                  cwd=folder, capture_output=True, text=True, timeout=60)
            equal(done.stdout.strip(), "ok", f"client {client}, agent {agent}: {done.stderr}")
        gw.stop()
