# SPDX-License-Identifier: MIT
"""What of a caller's headers reaches the agent, and what of the agent's comes back: A2A-Extensions under the name of
each one's version, the trace, what the operator named, and nothing else."""
from telling import story
from world import CANCEL, SEND, VERSIONS, check, equal, message, reply, rpc_body

NAME = {"0.3": "x-a2a-extensions", "1.0": "a2a-extensions"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BROUGHT = {"traceparent": TRACE, "tracestate": "v=1", "X-User": "ann", "Cookie": "c=1", "Authorization": "Bearer mine"}


def activating(agent, req):
    """Works on everything, cancels at once, says in a header what it has activated, and gives away its secrets."""
    task = agent.make_task("x", "working")
    if "ancel" in req.json["method"]:
        task = agent.make_task("x", "canceled")
        task["id"] = req.json["params"]["id"]
    answer = reply(req, agent.wrap(task) if "end" in req.json["method"] else task)
    head = f"{NAME[agent.version]}: urn:a\r\nauthorization: Bearer secret\r\nset-cookie: s=1\r\n"
    answer.data = answer.data.replace(b"\r\n", b"\r\n" + head.encode(), 1)
    return answer


def check_brought(req, version, what):
    got = {name: req.headers.get(name) for name in (*NAME.values(), "traceparent", "tracestate", "x-user", "cookie")}
    want = {"x-a2a-extensions": None, "a2a-extensions": None, "traceparent": TRACE, "tracestate": "v=1",
            "x-user": "ann", "cookie": None, NAME[version]: "urn:a, urn:b"}
    equal(got, want, what)
    equal(req.headers.get("authorization"), "Bearer own", f"{what}: the agent's bearer")


@story(stores=("sqlite",))
def each_one_reads_extensions_under_his_versions_name(world):
    agents = {v: world.agent(v, activating) for v in VERSIONS}
    gw = world.gateway({"a" + v: {"agent": a, "bearer": "own", "forwardHeaders": "[X-User]"} for v, a in agents.items()})
    for caller in VERSIONS:
        for version, agent in agents.items():
            what = f"{caller} caller, {version} agent"
            params = {"message": message(version=caller)}
            if caller == "1.0":
                params["configuration"] = {"returnImmediately": True}
            else:
                params["configuration"] = {"blocking": False}
            headers = {**BROUGHT, "A2A-Extensions": "urn:a", "X-A2A-Extensions": "urn:b"}
            if caller == "1.0":
                headers["A2A-Version"] = "1.0"
            answer = gw.http("POST", f"/agents/a{version}", rpc_body(SEND[caller], params), headers)
            check("result" in answer.json, f"{what}: {answer.body[:400]!r}")
            check_brought(agent.asked(*SEND.values())[-1], version, f"{what}: send")
            equal({n: answer.header(n) for n in NAME.values()}, {n: "urn:a" if n == NAME[caller] else None
                                                                 for n in NAME.values()}, f"{what}: told")
            check(not answer.header("authorization") and not answer.header("set-cookie"), f"{what}: a secret came back")
            result = answer.json["result"]
            task_id = (result["task"] if caller == "1.0" else result)["id"]
            answer = gw.http("POST", "/rpc", rpc_body(CANCEL[caller], {"id": task_id}), headers)
            check("result" in answer.json, f"{what}: cancel: {answer.body[:400]!r}")
            check_brought(agent.asked(*CANCEL.values())[-1], version, f"{what}: cancel")


@story(stores=("sqlite",))
def too_many_headers_are_refused_before_the_agent_is_asked(world):
    agent = world.agent("0.3")
    gw = world.gateway({"a": {"agent": agent, "forwardHeaders": "[X-User]"}})
    answer = gw.http("POST", "/agents/a", rpc_body(SEND["0.3"], {"message": message()}), {"X-User": "u" * 9000})
    equal(answer.json["error"]["code"], -32600, "code")
    equal(len(agent.requests), 0, "requests at the agent")
