# SPDX-License-Identifier: MIT
"""Cards: read from agents of every age, kept fresh, shown in every dialect with the gateway in front."""
import json

from telling import story
from world import (VERSIONS, Client, check, contains, equal, error_of, http_json, message, request, scripted, task_of,
                   wait_until)

UPSTREAM_ONLY = ("signatures", "securitySchemes", "security", "securityRequirements", "tenant", "additionalInterfaces")
HOST = "gw.example:8443"


def agent_map(gw, name):
    return gw.own("agents.get", {"id": name}).json["result"]


def check_card(card, form, base, what):
    """form: 1.0, 0.3 or hybrid."""
    new, old = form in ("1.0", "hybrid"), form in ("0.3", "hybrid")
    for key in ("name", "description", "version", "skills", "defaultInputModes", "defaultOutputModes", "capabilities"):
        check(key in card, f"{what}: no {key}")
    equal("supportedInterfaces" in card, new, f"{what}: supportedInterfaces")
    equal("url" in card, old, f"{what}: url")
    if new:
        first = card["supportedInterfaces"][0]
        equal((first["protocolBinding"], first["protocolVersion"]), ("JSONRPC", "1.0"), f"{what}: 1.0 first")
        for one in card["supportedInterfaces"]:
            equal(one["url"], base, f"{what}: interface")
            check("tenant" not in one, f"{what}: the agent's tenant")
    if old:
        equal((card["url"], card["preferredTransport"]), (base, "JSONRPC"), f"{what}: url")
        equal(card["protocolVersion"][:3], "0.3", f"{what}: protocolVersion")
    for key in UPSTREAM_ONLY:
        check(key not in card or (key == "additionalInterfaces" and old), f"{what}: {key} of the agent is shown")
    equal(card["capabilities"].get("streaming"), True, f"{what}: streams, which the gateway delivers for every agent")
    equal(card["capabilities"].get("pushNotifications"), True, f"{what}: webhooks, which the gateway delivers for every agent")


@story(stores=("sqlite",))
def every_card_in_every_form(world):
    """Agents of 0.2 to 1.0 by their base URL: where and how they are called, and what each caller sees."""
    secrets = {"signatures": [{"protected": "x", "signature": "y"}], "iconUrl": "https://icons.example/i.png",
               "securitySchemes": {"k": {"type": "apiKey", "in": "header", "name": "X-Internal"}},
               "security": [{"k": []}], "vendorThing": {"n": 1.25}}
    agents = {}
    for form, version in (("0.2", "0.3"), ("0.3", "0.3"), ("1.0", "1.0"), ("hybrid", "hybrid")):
        agent = world.agent(version, scripted, card=lambda a, req, f=form: http_json(a.make_card(f, **secrets))
                            if req.path.endswith("agent.json") == (f == "0.2") else http_json(b"{}", status=404),
                            path=f"/deep/{form}", tenant="inside")
        agents["a" + form] = agent
    gw = world.gateway({name: {"url": a.url} for name, a in agents.items()})
    for name, agent in agents.items():
        for caller in VERSIONS:
            equal(gw.send(name, "hello", caller).status, 200, f"{caller} to {name}")
            check(task_of(gw.send(name, "hello", caller), caller), name)
        equal({r.path for r in agent.requests}, {agent.path}, f"{name}: the path of the card")
        wanted = "0.3" if name in ("a0.2", "a0.3") else "1.0"
        equal({r.version for r in agent.requests}, {wanted}, f"{name}: the newest version of the card")
        shown = agent_map(gw, name)
        equal((shown["protocolVersion"], shown["protocolVersionFrom"]), (wanted, "card"), f"{name}: agents.get")
        for asked, form in ((None, "hybrid"), ("1.0", "1.0"), ("0.3", "0.3"), ("1.0.7", "1.0")):
            for file in ("agent-card.json", "agent.json"):
                answer = gw.card(name, asked, file, {"Host": HOST})
                what = f"{name} for {asked}"
                equal(answer.status, 200, what)
                check_card(answer.json, form, f"http://{HOST}/agents/{name}/", what)
                check(str(agent.port) not in answer.body.decode(), f"{what}: the agent's address is shown")
                if form == "hybrid":
                    contains(answer.body.decode(), '"vendorThing":{"n":1.25}', f"{what}: what is nobody's business")
        equal(gw.card(name, "2.0").status, 400, f"{name}: a version nobody speaks")


@story(stores=("sqlite",))
def caching_and_comparing(world):
    agent = world.agent("1.0", card="1.0")
    gw = world.gateway({"a": {"url": agent.url}})
    answers = {v: gw.card("a", v) for v in (None, *VERSIONS)}
    tags = {v: a.header("etag") for v, a in answers.items()}
    equal(len(set(tags.values())), 3, "tags of three forms")
    for v, answer in answers.items():
        contains(answer.header("vary").lower(), "a2a-version", "Vary")
        contains(answer.header("cache-control"), "max-age", "Cache-Control")
        equal(answer.header("content-type"), "application/json", "type")
        for known in (tags[v], "W/" + tags[v], f'"other", {tags[v]}', "*"):
            same = gw.card("a", v, headers={"If-None-Match": known})
            equal((same.status, same.body, same.header("etag")), (304, b"", tags[v]), f"If-None-Match {known}")
        equal(gw.card("a", v, headers={"If-None-Match": '"other"'}).status, 200, "another's tag")
    other = next(v for v in VERSIONS)
    equal(gw.card("a", other, headers={"If-None-Match": tags[None]}).status, 200, "the tag of another form")
    head = gw.http("HEAD", "/agents/a/.well-known/agent-card.json")
    equal((head.status, head.header("etag")), (200, tags[None]), "HEAD")
    again = gw.card("a", headers={"Host": "elsewhere.example"})
    check(again.header("etag") != tags[None], "another host has another card")
    equal(gw.http("GET", "/agents/a/.well-known/agent-card.json?A2A-Version=1.0").header("etag"), tags["1.0"], "by query")
    equal(gw.http("POST", "/agents/a/.well-known/agent-card.json", b"{}").status, 405, "POST")
    equal(len(agent.card_requests), 1, "the agent was asked once for all of it")


@story(stores=("sqlite",))
def the_form_an_operator_sets(world):
    agent = world.agent("1.0", card="1.0")
    gw = world.gateway({f: {"url": agent.url, "card": f'"{f}"'} for f in ("hybrid", "1.0", "0.3")})
    for form in ("hybrid", "1.0", "0.3"):
        for asked in (None, *VERSIONS):
            check_card(gw.card(form, asked, headers={"Host": HOST}).json, form, f"http://{HOST}/agents/{form}/",
                       f"set to {form}, asked for {asked}")


# --- where callers come from -----------------------------------------------------------------------------------------


@story(stores=("sqlite",))
def the_public_address(world):
    agent = world.agent("1.0", card="1.0")

    def base(gw, headers):
        return gw.card("a", "1.0", headers=headers).json["supportedInterfaces"][0]["url"]

    forwarded = {"Host": "inner:1", "X-Forwarded-Host": "outer.example", "X-Forwarded-Proto": "https"}
    for env, headers, want in (
            ({}, {"Host": "here.example:81"}, "http://here.example:81/agents/a/"),
            ({}, forwarded, "http://inner:1/agents/a/"),
            ({"TRUSTED_PROXIES": "10.0.0.0/8"}, forwarded, "http://inner:1/agents/a/"),
            ({"TRUSTED_PROXIES": "10.0.0.0/8, 127.0.0.1"}, forwarded, "https://outer.example/agents/a/"),
            ({"TRUSTED_PROXIES": "127.0.0.0/8"}, {**forwarded, "X-Forwarded-Host": "one.example, two.example",
                                                  "X-Forwarded-Proto": "https, http"}, "https://one.example/agents/a/"),
            ({"PUBLIC_URL": "https://public.example/base", "TRUSTED_PROXIES": "127.0.0.1"}, forwarded,
             "https://public.example/base/agents/a/")):
        gw = world.gateway({"a": {"url": agent.url}}, env=env)
        equal(base(gw, headers), want, f"{env} with {headers}")
        for evil in ("a b", "evil.example/x?", 'a"b', "[::1", "user@host", "a\\b", "a,b"):
            got = gw.card("a", "1.0", headers={"Host": evil})
            if got.status == 200:
                url = got.json["supportedInterfaces"][0]["url"]
                check(evil not in url, f"Host {evil!r} became {url!r}")
            else:
                equal(got.status, 400, f"Host {evil!r}")
        gw.stop()


# --- the root's card -----------------------------------------------------------------------------------------------------


@story(stores=("sqlite",))
def whose_card_stands_at_the_root(world):
    a, b = (world.agent("1.0", card=lambda x, req, n=n: http_json(x.make_card("1.0", name=n))) for n in "ab")
    only = world.gateway({"a": {"url": a.url}})
    equal(only.card().json["name"], "a", "the only one")
    equal(only.card(name="agent.json").json["name"], "a", "under the old name")
    only.write_agents({"a": {"url": a.url}, "default": {"url": b.url}})
    wait_until("the one called default", lambda: only.card().json.get("name") == "b")
    two = "agents:\n  a:\n    url: %s\n  b:\n    url: %s\n" % (a.url, b.url)
    only.write_agents(text=two)
    wait_until("none of two", lambda: only.card().status == 404)
    listed = only.card(headers={"Host": HOST})
    equal({x["id"]: x["card"] for x in listed.json["agents"]},
          {n: f"http://{HOST}/agents/{n}/.well-known/agent-card.json" for n in "ab"}, "the list")
    check(listed.json["error"], "a sentence")
    only.write_agents(text="default_agent: b\n" + two)
    wait_until("the one of the file", lambda: only.card().json.get("name") == "b")
    equal(only.card("nobody").status, 404, "no such agent")
    equal(only.card("a", headers={"Origin": "https://page.example"}).header("access-control-allow-origin"), "*", "CORS")


# --- agents without a good card ------------------------------------------------------------------------------------------

# card, HTTP status here, what the error says
BAD = [(None, 404, "404"), ("garbage", 502, ""), ("empty", 502, ""), ("html", 502, ""), ("500", 502, "500"),
       ("down", 502, ""), ("slow", 504, "")]


@story(stores=("sqlite",))
def card_servers_that_are_down_slow_or_wrong(world):
    """The gateway starts anyway, calls go on in 0.3 or the version given, and what is wrong is told."""
    agents = {f"a{i}": world.agent("0.3", card=card) for i, (card, _, _) in enumerate(BAD)}
    gw = world.gateway({n: {"url": a.url} for n, a in agents.items()}, env={"HTTP_CARD_TIMEOUT": "300"})
    for i, (card, status, words) in enumerate(BAD):
        name = f"a{i}"
        task_of(gw.send(name, "hello"), "0.3")
        answer = gw.card(name)
        equal(answer.status, status, f"card {card}: {answer.body[:300]}")
        check(answer.json["error"], f"card {card}: no sentence")
        contains(answer.body.decode(), words, f"card {card}")
        if card not in (None, "down", "slow"):
            check(agent_map(gw, name).get("cardProblem"), f"card {card}: nothing in agents.get")
    gone = world.agent("0.3")
    gone.close()
    gw.write_agents({"gone": {"url": gone.url}})
    wait_until("the file is read", lambda: gw.card("gone").json.get("error") != "Agent not found")
    answer = gw.card("gone")
    equal((answer.status, answer.json["error"]), (502, "Failed to reach agent"), "nobody there")


@story(stores=("sqlite",))
def a_card_of_the_configuration_is_shown_until_one_is_fetched(world):
    agent = world.agent("0.3", card="down")
    text = (f"agents:\n  a:\n    url: {agent.url}\n    metadata:\n      agentCard:\n        name: Written down\n"
            "        description: by hand\n        version: 1.0.0\n")
    gw = world.gateway(agents_text=text)
    equal(gw.card("a", "0.3").json["name"], "Written down", "before")
    agent.card = "0.3"
    gw.own("agents.refreshCard", {"id": "a"})
    equal(gw.card("a", "0.3").json["name"], "Fake 0.3", "after")


@story(stores=("sqlite",))
def settings_over_the_card(world):
    """protocolVersion, endpoint and cardUrl are the operator's word."""
    agent = world.agent("hybrid", card="hybrid", path="/from-card")
    gw = world.gateway({"old": {"url": agent.url, "protocolVersion": '"0.3"'},
                        "there": {"url": agent.url, "endpoint": agent.base + "/from-card?x=1"}})
    gw.send("old", "x", "1.0")
    equal(agent.requests[-1].version, "0.3", "protocolVersion")
    gw.send("there", "x", "1.0")
    equal(agent.requests[-1].path, "/from-card?x=1", "endpoint")
    elsewhere = world.agent("1.0", card=lambda a, r: http_json(agent.make_card("1.0", name="from elsewhere"))
                            if r.path == "/my/card" else http_json(b"", status=404))
    gw.write_agents({"far": {"url": agent.url, "cardUrl": elsewhere.base + "/my/card"}})
    wait_until("cardUrl is used", lambda: gw.card("far").status == 200)
    equal(gw.card("far").json["name"], "from elsewhere", "cardUrl")


@story(stores=("sqlite",))
def the_cards_host_is_followed_only_when_told(world):
    """A card may name any host; calls, and the bearer with them, go to the registered one."""
    other = world.agent("1.0", path="/a2a")
    agent = world.agent("1.0", path="/a2a", card=lambda a, r: http_json(a.make_card("1.0", supportedInterfaces=[
        {"url": f"http://localhost:{other.port}/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}])))
    gw = world.gateway({"stay": {"url": agent.url, "bearer": "s3cret"},
                        "go": {"url": agent.url, "followCardHost": "true"}})
    task_of(gw.send("stay", "x", "1.0"), "1.0")
    equal((len(agent.requests), len(other.requests)), (1, 0), "the card's host was followed")
    task_of(gw.send("go", "x", "1.0"), "1.0")
    equal((len(agent.requests), len(other.requests)), (1, 1), "followCardHost")


# --- cards that change -------------------------------------------------------------------------------------------------


@story()
def an_agent_is_upgraded_while_serving(world):
    """0.3 becomes 1.0: the next call is refused with -32601, the card is read again, the call is sent once more; no
    caller notices. Tasks of before are read in both versions."""
    agent = world.agent("0.3", scripted, card="0.3")
    gw = world.gateway({"a": {"url": agent.url}})
    before = task_of(gw.send("a", "old", "1.0"), "1.0")
    agent.version = agent.card = "1.0"
    for caller in VERSIONS:
        task_of(gw.send("a", "new", caller), caller)
    equal([r.json["method"] for r in agent.requests], ["message/send", "message/send", "SendMessage", "SendMessage"],
          "what the agent saw")
    equal(agent_map(gw, "a")["protocolVersion"], "1.0", "agents.get")
    equal(gw.get("a", before["id"], "0.3").json["result"]["kind"], "task", "a task of before")
    agent.version = agent.card = "0.3"
    for caller in VERSIONS:
        task_of(gw.send("a", "back", caller), caller)
    gw.restart()
    task_of(gw.send("a", "after a restart", "1.0"), "1.0")


@story(stores=("sqlite",))
def an_agent_that_denies_its_own_card(world):
    """Refusing what its card offers is no reason to ask it for ever: one more look, then the error is the caller's."""
    agent = world.agent("0.3", lambda a, r: a.error(r, -32601, "Method not found"), card="1.0")
    gw = world.gateway({"a": {"url": agent.url}})
    equal(error_of(gw.send("a", "x", "1.0"))["code"], -32601, "the agent's own error")
    check(len(agent.requests) <= 2, f"the agent was asked {len(agent.requests)} times")
    seen = len(agent.card_requests)
    for _ in range(20):
        gw.send("a", "x", "1.0")
    check(len(agent.card_requests) <= seen + 2, "each refused call fetched the card")


@story(stores=("sqlite",))
def refreshing(world):
    agent = world.agent("1.0", card=lambda a, r: http_json(a.make_card("1.0", name=names[-1])))
    names = ["first"]
    gw = world.gateway({"a": {"url": agent.url}}, env={"AGENT_CARD_TTL": "1000"})
    equal(gw.card("a").json["name"], "first", "at first")
    names.append("second")
    told = gw.own("agents.refreshCard", {"id": "a"}).json["result"]
    equal((told["card"]["name"], gw.card("a").json["name"]), ("second", "second"), "agents.refreshCard")
    names.append("third")
    wait_until("an old card is fetched again", lambda: gw.card("a").json["name"] == "third")
    agent.card = "down"
    equal(gw.card("a").json["name"], "third", "while its server is down")
    bad = gw.own("agents.refreshCard", {"id": "a"}).json
    check("error" in bad or bad["result"]["agent"].get("cardProblem"), f"nothing is said: {bad}")
    equal(error_of(gw.own("agents.refreshCard", {"id": "nobody"}))["code"], -31001, "of no agent")


@story(stores=("sqlite",))
def the_first_send_waits_for_the_card(world):
    """Registered by its base URL, called at once: the card decides where and how."""
    agent = world.agent("1.0", path="/somewhere/else")

    def show(a, req):
        a.release.wait(30)
        return http_json(a.make_card("1.0"))

    agent.card = show
    gw = world.gateway({"a": {"url": agent.url}})
    client = Client(gw.port)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": message()}}).encode()
    client.send(b"POST /agents/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (len(body), body))
    wait_until("the call is taken", lambda: gw.health()["calls"] == 1)
    check(not agent.requests, "the agent was called before its card was there")
    agent.release.set()
    equal(client.read_answer().json["result"]["kind"], "task", "the answer")
    equal(agent.requests[0].path, "/somewhere/else", "the path")
    equal(request(gw.port, "GET", "/health/ready").status, 200, "ready meanwhile")
