# SPDX-License-Identifier: MIT
"""Every caller with every agent: {0.3, 1.0} x {0.3, 1.0}, operation by operation. Within one version what arrives is
what was sent, byte for byte; across versions it is what the table of reference section 3 says, and every member,
number text and order that the table does not rename is as it was."""
import json
import re

import exact
from telling import story
from world import (CANCEL, GET, SEND, VERSIONS, check, contains, equal, http_json, reply, rpc_body, scripted, state_of,
                   task_of, wait_until)

PAIRS = [(caller, agent) for caller in VERSIONS for agent in VERSIONS]
INFO = "type.googleapis.com/google.rpc.ErrorInfo"


class Pair:
    """One caller's version with one agent's, on a gateway that has an agent of each."""

    def __init__(self, gw, agents, caller, agent):
        self.gw, self.caller, self.version = gw, caller, agent
        self.agent, self.name = agents[agent], "a" + agent
        self.what = f"{caller} caller, {agent} agent"
        self.same_version = caller == agent

    def post(self, method, params_text):
        body = f'{{"jsonrpc":"2.0","id":"x-1","method":"{method}","params":{params_text}}}'.encode()
        return self.gw.http("POST", f"/agents/{self.name}", body)

    def send(self, text, **kwargs):
        return self.post(SEND[self.caller], exact.params_text(self.caller, text, **kwargs))

    def get(self, task_id, **params):
        return self.post(GET[self.caller], json.dumps({"id": task_id, **params}))

    def last(self, methods):
        return self.agent.asked(*methods.values())[-1]

    def told(self, answer):
        """The text of the task or message in the answer to a send."""
        result = exact.raw_member(answer.body, "result")
        if self.caller == "1.0":
            found = re.match(r'\{"(task|message)":', result)
            check(found and result.endswith("}"), f"{self.what}: a bare result: {result[:200]}")
            return result[found.end():-1]
        return result

    def compare(self, got, texts, what):
        """texts: by version. Within one version the bytes, across versions the meaning in the words of the reader."""
        if self.same_version:
            equal(got, exact.minified(texts[self.caller]), f"{self.what}: bytes of {what}")
        else:
            exact.same(got, texts[self.caller], f"{self.what}: {what}")

    def compare_request(self, request, params, what):
        """What the agent was sent: params by version. Says nothing of returnImmediately false, the default."""
        equal(request.json["method"], {"0.3": r"message/send", "1.0": "SendMessage"}[self.version], self.what)
        equal(request.headers.get("a2a-version"), "1.0" if self.version == "1.0" else None, f"{self.what}: A2A-Version")
        got = exact.raw_member(request.body, "params")
        if self.same_version:
            return equal(got, exact.minified(params[self.version]), f"{self.what}: bytes of {what}")
        want = params[self.version]
        if self.version == "1.0":
            own = re.search(r',?"contextId":"([^"]{8,})"', got)
            check(own, f"{self.what}: the gateway sent no contextId of its own: {got}")
            got = got.replace(own.group(0), "").replace("{,", "{")
            got, want = (re.sub(r',"returnImmediately":false', "", t) for t in (got, want))
        return exact.same(got, want, f"{self.what}: {what}")


def each_pair(world, run, behave=scripted, env=None, **kwargs):
    agents = {v: world.agent(v, behave) for v in VERSIONS}
    gw = world.gateway({"a" + v: a for v, a in agents.items()},
                       env={"POLL_MIN_MS": "20", "POLL_MAX_MS": "50", "TASK_FRESH_MS": "3600000", **(env or {})}, **kwargs)
    for caller, agent in PAIRS:
        run(Pair(gw, agents, caller, agent))
    return gw


def answering(make):
    """An agent that answers every send with the text that make(request, version) gives, and GetTask with the task it
    gave last."""
    def behave(agent, req):
        version = req.version
        if req.json["method"] in SEND.values():
            text, kind = make(req, version)
            agent.last_text = text
            return reply(req, f'{{"{kind}":{text}}}' if version == "1.0" else text)
        return reply(req, agent.last_text)

    return behave


def fresh_ids():
    n = iter(range(1, 10**6))
    return lambda: f"t-{next(n)}"


# --- send --------------------------------------------------------------------------------------------------------


@story()
def send_with_a_task_as_answer(world):
    ids = fresh_ids()
    texts = {}

    def make(req, version):
        task_id = ids()
        texts.update({v: exact.task_text(v, task_id, "completed") for v in VERSIONS})
        return texts[version].replace('"metadata":', ' "metadata" :\n '), "task"

    def run(pair):
        answer = pair.send("hello \\u00e9 \\ud83d\\ude00", blocking=True, history_length=2)
        pair.compare_request(pair.last(SEND), {v: exact.params_text(v, "hello \\u00e9 \\ud83d\\ude00", blocking=True)
                                               for v in VERSIONS}, "the request")
        pair.compare(pair.told(answer), texts, "the task")
        task = task_of(answer, pair.caller)
        equal(world.stored(pair.name, task["id"]), exact.minified(texts[pair.version]), f"{pair.what}: stored bytes")
        pair.compare(exact.raw_member(pair.get(task["id"]).body, "result"), texts, "the task when read")
        trimmed = pair.get(task["id"], historyLength=1).json["result"]
        equal([m["messageId"] for m in trimmed["history"]], ["m-h2"], f"{pair.what}: history trimmed")
        check("history" not in pair.get(task["id"], historyLength=0).json["result"], f"{pair.what}: no history")

    each_pair(world, run, answering(make))


@story(stores=("sqlite",))
def send_with_a_message_as_answer(world):
    texts = {v: exact.message_text(v, "answer", "agent", "m-9") for v in VERSIONS}
    gw = each_pair(world, lambda pair: pair.compare(pair.told(pair.send("hi")), texts, "the message"),
                   answering(lambda req, version: (texts[version], "message")))
    equal(gw.own("tasks.list", {}).json["result"]["totalSize"], 0, "stored tasks")


@story(stores=("sqlite",))
def how_long_the_caller_wants_to_wait_is_told(world):
    """blocking is returnImmediately turned round. Not said: in 1.0 that means blocking, so a 0.3 agent is told so; a 0.3
    agent decides for itself when a 0.3 caller says nothing."""
    def run(pair):
        for blocking in (True, False, None):
            pair.send("task", blocking=blocking)
            config = pair.last(SEND).json["params"]["configuration"]
            got = config.get("blocking") if pair.version == "0.3" else config.get("returnImmediately")
            if pair.version == "1.0":
                want = (None, False) if blocking is None or blocking else (True,)
                if pair.same_version:
                    want = (None if blocking is None else not blocking,)
            elif pair.caller == "1.0":
                want = (blocking is not False,)
            else:
                want = (blocking,)
            check(got in want, f"{pair.what}, blocking {blocking}: the agent was told {config}")
        bare = json.dumps({"message": json.loads(exact.message_text(pair.caller, "task"))})
        equal(pair.post(SEND[pair.caller], bare).status, 200, "without configuration")
        config = pair.last(SEND).json["params"].get("configuration")
        if pair.caller == "1.0" and pair.version == "0.3":
            equal(config, {"blocking": True}, f"{pair.what}: without configuration")
        else:
            check(config in (None, {"returnImmediately": False}), f"{pair.what}: without configuration: {config}")

    each_pair(world, run)


@story()
def non_blocking_sends_are_answered_at_once_and_followed(world):
    def run(pair):
        task = task_of(pair.send("work 2", blocking=False), pair.caller)
        equal(state_of(task), "working", pair.what)
        row = pair.gw.wait_state(pair.name, task["id"], "completed")
        check(row, pair.what)
        contains(pair.get(task["id"]).body.decode(), "worked", f"{pair.what}: the end")

    each_pair(world, run)


@story()
def blocking_sends_are_held_until_the_end(world):
    """The agent answers `working` all the same: the caller is told when it is over."""
    def run(pair):
        task = task_of(pair.send("work 3", blocking=True), pair.caller)
        equal(state_of(task), "completed", pair.what)
        contains(json.dumps(task), "worked", f"{pair.what}: the result")

    each_pair(world, run)


# --- more than one turn --------------------------------------------------------------------------------------------


@story()
def interrupted_tasks_are_continued(world):
    """input-required and auth-required: a blocking send is answered with them, a message with the task's id goes on."""
    def run(pair):
        for word, state in (("ask", "input-required"), ("auth", "auth-required")):
            task = task_of(pair.send(f"{word} me", blocking=True), pair.caller)
            equal(state_of(task), state, pair.what)
            named = {**json.loads(exact.message_text(pair.caller, "this")), "taskId": task["id"]}
            if "contextId" in task:
                named["contextId"] = task["contextId"]
            done = task_of(pair.post(SEND[pair.caller], json.dumps({"message": named})), pair.caller)
            equal((done["id"], state_of(done)), (task["id"], "completed"), f"{pair.what}: continued")
            contains(json.dumps(done), "continued: this", f"{pair.what}: continued")
            sent = pair.last(SEND).json["params"]["message"]
            equal(sent["taskId"], task["id"], f"{pair.what}: taskId at the agent")
            n = len(pair.agent.requests)
            equal(pair.post(SEND[pair.caller], json.dumps({"message": named})).json["error"]["code"], -32004,
                  f"{pair.what}: a message to a task that is over")
            equal(len(pair.agent.requests), n, f"{pair.what}: the agent was asked about a task that is over")

    each_pair(world, run)


@story()
def a_context_of_the_gateways_making(world):
    """0.3 requires a context: for a caller without one to a 1.0 agent the gateway makes one. An agent that answers
    without keeps none: it stays on the task for 0.3 readers, and follow-ups do not tell the agent of it."""
    def behave(agent, req):
        if req.json["method"] in GET.values():
            return agent.tasks[req.json["params"]["id"]]
        known = req.json["params"]["message"].get("taskId")
        task = agent.make_task("x", "completed" if known else "input-required", **({"id": known} if known else {}))
        del task["contextId"]
        return agent.wrap(task)

    agent = world.agent("1.0", behave)
    gw = world.gateway({"a": agent}, env={"TASK_FRESH_MS": "3600000"})
    first = gw.send("a").json["result"]
    own = agent.requests[-1].json["params"]["message"]["contextId"]
    check(len(own) >= 8, f"contextId {own}")
    equal(first["contextId"], own, "what the caller is told")
    check("contextId" not in json.loads(world.stored("a", first["id"])), "the stored bytes are the agent's")
    gw.restart()
    equal(gw.get("a", first["id"]).json["result"]["contextId"], own, "after a restart")
    check("contextId" not in gw.get("a", first["id"], "1.0").json["result"], "1.0 readers get what the agent said")
    done = gw.send("a", "more", taskId=first["id"], contextId=own).json["result"]
    equal((state_of(done), done["contextId"]), ("completed", own), "the follow-up")
    check("contextId" not in agent.asked("SendMessage")[-1].json["params"]["message"],
          "the agent was told a context it never heard of")


# --- get, list, cancel ------------------------------------------------------------------------------------------------


@story(stores=("sqlite",))
def list_in_every_pair(world):
    """Of the path's agent only; the agent is not asked. Artifacts and history only when asked for."""
    def run(pair):
        states = ("completed", "input-required")
        made = [task_of(pair.send(word, blocking=True), pair.caller) for word in ("one", "ask two")]
        n = len(pair.agent.requests)
        method = "ListTasks" if pair.caller == "1.0" else "tasks/list"
        page = pair.post(method, '{"pageSize":100}').json["result"]
        rows = {t["id"]: t for t in page["tasks"]}
        check(page["totalSize"] >= 2 and page["nextPageToken"] == "", f"{pair.what}: {page}")
        for task, state in zip(made, states):
            row = rows[task["id"]]
            equal(state_of(row), state, f"{pair.what}: state")
            equal(row.get("kind"), "task" if pair.caller == "0.3" else None, f"{pair.what}: kind")
            equal(row["status"]["state"], task["status"]["state"], f"{pair.what}: the caller's words")
            check("artifacts" not in row, f"{pair.what}: artifacts unasked")
        full = pair.post(method, '{"pageSize":100,"includeArtifacts":true}').json["result"]["tasks"]
        equal(next(t for t in full if t["id"] == made[0]["id"])["artifacts"], made[0]["artifacts"], f"{pair.what}: artifacts")
        equal(len(pair.agent.requests), n, f"{pair.what}: the agent was asked")

    each_pair(world, run)


@story(stores=("sqlite",))
def cancel_in_every_pair(world):
    def run(pair):
        task = task_of(pair.send("work 1000000", blocking=False), pair.caller)
        answer = pair.post(CANCEL[pair.caller], json.dumps({"id": task["id"], "metadata": {"why": "I say so", "n": 1}}))
        done = answer.json["result"]
        equal((done["id"], state_of(done)), (task["id"], "canceled"), pair.what)
        equal(done["status"]["state"], "canceled" if pair.caller == "0.3" else "TASK_STATE_CANCELED", pair.what)
        sent = pair.last(CANCEL).json
        equal((sent["method"], sent["params"]), (CANCEL[pair.version], {"id": task["id"],
                                                                        "metadata": {"why": "I say so", "n": 1}}), pair.what)
        n = len(pair.agent.requests)
        equal(pair.post(CANCEL[pair.caller], json.dumps({"id": task["id"]})).json["error"]["code"], -32002, "again")
        equal(len(pair.agent.requests), n, f"{pair.what}: the agent was asked although it is over")

    each_pair(world, run)


@story(stores=("sqlite",))
def read_in_every_pair(world):
    """A task unknown here is asked for in the agent's words and kept in the agent's dialect."""
    def run(pair):
        task_id = f"made-elsewhere-{pair.caller}"
        pair.agent.make_task("elsewhere", id=task_id)
        got = pair.get(task_id).json["result"]
        contains(json.dumps(got), "elsewhere", pair.what)
        equal(got.get("kind"), "task" if pair.caller == "0.3" else None, f"{pair.what}: kind")
        equal(json.loads(world.stored(pair.name, task_id)), pair.agent.tasks[task_id], f"{pair.what}: stored")
        sent = pair.last(GET).json
        equal((sent["method"], sent["params"]), (GET[pair.version], {"id": task_id}), f"{pair.what}: at the agent")

    each_pair(world, run)


# --- errors ----------------------------------------------------------------------------------------------------------

DATA = {"0.3": '{"k":"v","n":1.50}',
        "1.0": '[{"@type":"%s","reason":"OF_THE_AGENT","domain":"d","metadata":{"k":"v"}},{"@type":"urn:own","n":1.0}]' % INFO}
CODES = (-32700, -32600, -32602, -32603, -32001, -32002, -32003, -32004, -32005, -32006, -32007, -32008, -32000, 7)


@story(stores=("sqlite",))
def every_error_of_the_agent_is_passed_on(world):
    """Code and message stay, data too. Only for a 1.0 caller, who reads a list of typed objects, a 0.3 agent's data goes
    into an ErrorInfo: there values are text."""
    code = [0]

    def behave(agent, req):
        error = f'{{"code":{code[0]},"message":"the agent says {code[0]}","data":{DATA[req.version]}}}'
        return http_json(f'{{"jsonrpc":"2.0","id":{req.json["id"]},"error":{error}}}'.encode())

    def run(pair):
        for code[0] in CODES:
            answer = pair.send("task")
            what = f"{pair.what}, {code[0]}"
            equal(answer.status, 200, f"{what}: HTTP status")
            error = answer.json["error"]
            equal((error["code"], error["message"]), (code[0], f"the agent says {code[0]}"), what)
            if pair.version == "0.3" and pair.caller == "1.0":
                info, = error["data"]
                equal((info["@type"], info["metadata"]), (INFO, {"k": "v", "n": "1.50"}), f"{what}: data for a 1.0 caller")
                equal(info["reason"], a2a_reason(code[0]) or info["reason"], f"{what}: reason")
            else:
                equal(exact.raw_member(exact.raw_member(answer.body, "error")[1:-1], "data"), DATA[pair.version],
                      f"{what}: data, byte for byte")

    gw = each_pair(world, run, behave)
    equal(gw.own("tasks.list", {}).json["result"]["totalSize"], 0, "stored tasks")


def a2a_reason(code):
    return {-32001: "TASK_NOT_FOUND", -32002: "TASK_NOT_CANCELABLE", -32003: "PUSH_NOTIFICATION_NOT_SUPPORTED",
            -32004: "UNSUPPORTED_OPERATION", -32005: "CONTENT_TYPE_NOT_SUPPORTED", -32006: "INVALID_AGENT_RESPONSE",
            -32007: "EXTENDED_AGENT_CARD_NOT_CONFIGURED", -32008: "EXTENSION_SUPPORT_REQUIRED"}.get(code)


# method, params, code, asked: what the table of reference 4.3 wants, and whether the agent is to be asked
REFUSALS = [
    ("get", {"id": "nowhere"}, -32001, True),
    ("cancel", {"id": "nowhere"}, -32001, True),
    ("send", {"taskId": "nowhere"}, -32001, True),
    ("send to what is over", {}, -32004, False),
    ("cancel what is over", {}, -32002, False),
    ("historyLength -1", {"id": "x", "historyLength": -1}, -32602, False),
    ("no message", {}, -32602, False),
    ("a method nobody knows", {}, -32601, False),
    ("push config", {}, -32602, False),
    ("push config in a send", {}, -32602, False),
    ("extended card", {}, None, False),
]


@story(stores=("sqlite",))
def every_error_of_the_gateway_in_the_callers_words(world):
    def run(pair):
        new = pair.caller == "1.0"
        over = task_of(pair.send("done", blocking=True), pair.caller)["id"]
        m = json.loads(exact.message_text(pair.caller, "x"))
        webhook = {"url": "http://127.0.0.1/"}
        for name, params, code, asked in REFUSALS:
            method = {"get": GET, "cancel": CANCEL, "send": SEND}.get(name.split()[0], GET)[pair.caller]
            if name == "send":
                params = {"message": {**m, **params}}
            elif name == "send to what is over":
                params = {"message": {**m, "taskId": over}}
            elif name == "cancel what is over":
                params = {"id": over}
            elif name == "no message":
                method = SEND[pair.caller]
            elif name == "a method nobody knows":
                method = "FrobnicateTask" if new else "tasks/frobnicate"
            elif name == "push config":
                method = "CreateTaskPushNotificationConfig" if new else "tasks/pushNotificationConfig/set"
                params = {"taskId": over, **(webhook if new else {"pushNotificationConfig": webhook})}
            elif name == "push config in a send":
                method = SEND[pair.caller]
                params = {"message": m, "configuration": {"taskPushNotificationConfig" if new else "pushNotificationConfig":
                                                          webhook}}
            elif name == "extended card":
                method, code = ("GetExtendedAgentCard", -32004) if new else ("agent/getAuthenticatedExtendedCard", -32007)
            n = len(pair.agent.requests)
            answer = pair.post(method, json.dumps(params))
            what = f"{pair.what}: {name}"
            equal((answer.status, answer.json.get("error", {}).get("code")), (200, code), f"{what}: {answer.body[:300]}")
            error = answer.json["error"]
            equal(answer.json["id"], "x-1", f"{what}: id")
            if new:
                equal(error["data"][0]["@type"], INFO, f"{what}: data of 1.0")
            else:
                check(not isinstance(error.get("data"), list), f"{what}: data of 0.3: {error}")
            if not asked:
                equal(len(pair.agent.requests), n, f"{what}: the agent was asked")

    each_pair(world, run)


@story(stores=("sqlite",))
def what_cannot_be_said_in_the_other_version(world):
    """1.0 may send any JSON as data, 0.3 objects only: wrapped as the SDKs do, and unwrapped on the way up."""
    gw_agents = {v: world.agent(v, scripted) for v in VERSIONS}
    gw = world.gateway({"a" + v: a for v, a in gw_agents.items()})
    m = {"messageId": "m", "role": "ROLE_USER", "parts": [{"data": [1, 2]}, {"text": "t", "filename": "f", "mediaType": "x/y"}]}
    gw.rpc("a0.3", "SendMessage", {"message": m})
    parts = gw_agents["0.3"].requests[-1].json["params"]["message"]["parts"]
    equal(parts[0], {"kind": "data", "data": {"value": [1, 2]}, "metadata": {"data_part_compat": True}}, "a list as data")
    equal((parts[1]["kind"], parts[1]["text"]), ("text", "t"), "a text part with a file's name")
    check("filename" not in parts[1] and "mediaType" not in parts[1], f"members 0.3 does not know: {parts[1]}")
    old = {"kind": "message", "messageId": "m", "role": "user", "parts": [parts[0]]}
    gw.rpc("a1.0", "message/send", {"message": old})
    equal(gw_agents["1.0"].requests[-1].json["params"]["message"]["parts"], [{"data": [1, 2]}], "and back")
    strange = {**old, "parts": [{"kind": "text", "text": "x"}], "unheardOf": 1}
    gw.rpc("a1.0", "message/send", {"message": strange, "unheardOf": 2})
    params = gw_agents["1.0"].requests[-1].json["params"]
    check("unheardOf" not in params and "unheardOf" not in params["message"] and "kind" not in params["message"],
          f"a strict 1.0 agent would refuse {params}")
    refused = gw.rpc("a1.0", "message/send", {"message": {**old, "parts": [{"kind": "hologram"}]}}).json["error"]
    equal(refused["code"], -32602, "a part of no known kind")


@story(stores=("sqlite",))
def the_callers_tenant_stays_and_the_agents_is_sent(world):
    agent = world.agent("1.0", scripted, card="1.0", tenant="of-the-card")
    gw = world.gateway({"a": {"url": agent.url}})
    for version in VERSIONS:
        params = {"message": json.loads(exact.message_text(version, "x")), "tenant": "of-the-caller"}
        answer = gw.http("POST", "/agents/a", rpc_body(SEND[version], params))
        equal(agent.asked("SendMessage")[-1].json["params"].get("tenant"), "of-the-card", f"{version}: tenant at the agent")
        check("of-the-card" not in answer.body.decode(), "the agent's tenant was told")
        gw.get("a", "nowhere", version)
        equal(agent.asked("GetTask")[-1].json["params"].get("tenant"), "of-the-card", f"{version}: tenant of a GetTask")
    wait_until("the card was read", lambda: agent.card_requests)
