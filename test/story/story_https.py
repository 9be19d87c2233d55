# SPDX-License-Identifier: MIT
"""Agents on https: a certificate must hold in every respect, and what does not is named."""
import ssl
import warnings

import certs
from telling import story
from world import VERSIONS, check, contains, equal, error_of, scripted, task_of

warnings.filterwarnings("ignore", category=DeprecationWarning)


@story()
def agents_on_https(world):
    """By address and by name, with the CA in the agents file or in SSL_CERT_FILE; card, calls and polling."""
    ca, names = certs.Authority(world), []
    agent = world.agent("1.0", scripted, card="1.0", tls=certs.server(ca.issue("good"), names=names))
    by_name = f"https://localhost:{agent.port}/"
    gw = world.gateway({"a": {"url": agent.url, "caFile": ca.pem}, "n": {"url": by_name, "caFile": ca.pem}},
                       env={"POLL_MIN_MS": "20", "POLL_MAX_MS": "50"})
    for caller in VERSIONS:
        for name in ("a", "n"):
            task = task_of(gw.send(name, "hello", caller), caller)
            equal(gw.get(name, task["id"], caller).json["result"]["id"], task["id"], "read")
    check("localhost" in names, f"no SNI: {names}")
    check("127.0.0.1" not in names, "an address was sent as a name")
    done = gw.send("n", "work 3", "0.3", configuration={"blocking": True})
    equal(task_of(done, "0.3")["status"]["state"], "completed", "followed over https")
    equal(gw.card("a").status, 200, "the card")
    gw.stop()
    gw = world.gateway({"a": {"url": agent.url}}, env={"SSL_CERT_FILE": ca.pem})
    task_of(gw.send("a", "hello", "1.0"), "1.0")


# name, what is wrong, words of the error
def wrong_ones(world, ca):
    other = certs.Authority(world, "otherca")
    return [
        ("expired", ca.issue("expired", end="250101000000Z", start="240101000000Z"), ("expired", "2025-01-01")),
        ("not yet valid", ca.issue("early", start="400101000000Z", end="410101000000Z"), ("not valid before", "2040-01-01")),
        ("wrong name", ca.issue("wrongname", "DNS:b.example,IP:192.0.2.1"), ("b.example", "127.0.0.1")),
        ("no names", ca.issue("nonames", ""), ("no host", "127.0.0.1")),
        ("self-signed", certs.self_signed(world), ("self-signed",)),
        ("unknown issuer", other.issue("foreign"), ("issuer", "Story otherca")),
    ]


@story(stores=("sqlite",))
def what_is_wrong_with_a_certificate_is_named(world):
    ca = certs.Authority(world)
    agents, cases = {}, wrong_ones(world, ca)
    for i, (what, pair, _) in enumerate(cases):
        agents[f"w{i}"] = world.agent("1.0", tls=certs.server(pair))
    plain = world.agent("1.0")
    old = world.agent("1.0", tls=certs.server(ca.issue("old"), most=ssl.TLSVersion.TLSv1_1))
    settings = {n: {"url": a.url, "caFile": ca.pem, "protocolVersion": '"1.0"'} for n, a in agents.items()}
    settings["plain"] = {"url": f"https://127.0.0.1:{plain.port}/", "protocolVersion": '"1.0"'}
    settings["old"] = {"url": old.url, "caFile": ca.pem, "protocolVersion": '"1.0"'}
    gw = world.gateway(settings)
    expected = [(f"w{i}", what, words) for i, (what, _, words) in enumerate(cases)]
    expected += [("plain", "no TLS at all", ("TLS",)), ("old", "TLS 1.1", ("TLS",))]
    for name, what, words in expected:
        for caller in VERSIONS:
            error = error_of(gw.send(name, "secret words", caller))
            equal(error["code"], -31003, f"{what}: {error}")
            for word in words:
                contains(error["message"], word, what)
        for agent in agents.values():
            check(not agent.requests, f"{what}: the agent was sent the request")
        card = gw.card(name)
        equal(card.status, 502, f"{what}: its card")
    checked = gw.cli("agents", "check", "w0")
    equal(checked.returncode, 1, "superx agents check")
    contains(checked.stdout, "expired", "superx agents check")


@story(stores=("sqlite",))
def client_certificates(world):
    ca = certs.Authority(world)
    cert, key = ca.issue("gateway", "DNS:gateway.example")
    agent = world.agent("1.0", tls=certs.server(ca.issue("strict"), client_ca=ca.pem))
    foreign = certs.Authority(world, "otherca").issue("stranger", "DNS:x.example")
    base = {"url": agent.url, "caFile": ca.pem, "protocolVersion": '"1.0"'}
    gw = world.gateway({"with": {**base, "certFile": cert, "keyFile": key}, "without": base,
                        "wrong": {**base, "certFile": foreign[0], "keyFile": foreign[1]}})
    task_of(gw.send("with", "x", "1.0"), "1.0")
    contains(error_of(gw.send("without", "x", "1.0"))["message"], "client certificate", "without one")
    contains(error_of(gw.send("wrong", "x", "1.0"))["message"], "client certificate", "with a stranger's")
    equal(len(agent.requests), 1, "requests the agent took")


@story(stores=("sqlite",))
def files_that_are_missing_or_no_certificates(world):
    """Named in the log when the agents are read; the gateway serves the others."""
    ca = certs.Authority(world)
    agent = world.agent("1.0", tls=certs.server(ca.issue("good")))
    rubbish = ca.folder / "rubbish.pem"
    rubbish.write_text("no certificate\n")
    base = {"url": agent.url, "protocolVersion": '"1.0"'}
    gw = world.gateway({"none": {**base, "caFile": "/nowhere/ca.pem"}, "bad": {**base, "caFile": str(rubbish)},
                        "nokey": {**base, "caFile": ca.pem, "certFile": "/nowhere/cert.pem"},
                        "good": {**base, "caFile": ca.pem}})
    for name, words in (("none", "/nowhere/ca.pem"), ("bad", "rubbish.pem"), ("nokey", "/nowhere/cert.pem")):
        check(gw.log_has("level=error", f"agent={name}", words), f"{name}: {gw.log_tail()}")
        check("error" in gw.send(name, "x", "1.0").json, f"{name} was called")
    equal(len(agent.requests), 0, "requests before")
    task_of(gw.send("good", "x", "1.0"), "1.0")


@story(stores=("sqlite",))
def a_name_that_is_expected_instead_of_the_hosts(world):
    ca, names = certs.Authority(world), []
    agent = world.agent("1.0", tls=certs.server(ca.issue("named", "DNS:weather.example"), names=names))
    base = {"url": agent.url, "caFile": ca.pem, "protocolVersion": '"1.0"'}
    gw = world.gateway({"named": {**base, "serverName": "weather.example"}, "plain": base})
    task_of(gw.send("named", "x", "1.0"), "1.0")
    check("weather.example" in names, f"SNI: {names}")
    contains(error_of(gw.send("plain", "x", "1.0"))["message"], "weather.example", "without it")
