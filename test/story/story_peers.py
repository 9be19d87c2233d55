# SPDX-License-Identifier: MIT
"""Real peers: clients and agents made with the official JavaScript SDK, newest 1.x and last 0.3.x, through the gateway."""
import json

import node
from telling import story
from world import check, contains, equal

PACKAGES = {"a2a-js-1": "a2a-js-1", "a2a-js-0.3": "a2a-js-0.3", "express": "express"}
SCRIPTS = {"1.0": "1", "0.3": "0_3"}


def peers_folder(world):
    return node.folder(world, "peers", *(f"test/peers/{kind}_{v}.mjs" for kind in ("agent", "client")
                                         for v in SCRIPTS.values()), packages=PACKAGES)


def start_agent(world, folder, version):
    process = node.Process(world, [node.node(), f"agent_{SCRIPTS[version]}.mjs"], folder)
    return f"http://127.0.0.1:{process.first}/"


def pair(world, client, agent):
    """The SDK's client finds the gateway by its card and does everything; the gateway knows the agent by its base URL."""
    folder = peers_folder(world)
    gw = world.gateway({"peer": {"url": start_agent(world, folder, agent)}}, env={"POLL_MIN_MS": "20", "TASK_FRESH_MS": "0"})
    out = node.run([node.node(), f"client_{SCRIPTS[client]}.mjs", f"http://127.0.0.1:{gw.port}/agents/peer/"], folder)
    steps = "card send get message multi-turn cancel" + (" list" if client == "1.0" else "") + " errors"
    equal(out.strip().splitlines()[-1], "ok " + steps, "steps done")
    shown = next(a for a in gw.own("agents.list", {}).json["result"] if a["id"] == "peer")
    equal(shown["protocolVersion"][:3], agent, "the version that was read from the SDK's card")


@story()
def client_1_0_agent_1_0(world):
    pair(world, "1.0", "1.0")


@story()
def client_0_3_agent_0_3(world):
    pair(world, "0.3", "0.3")


@story()
def client_1_0_agent_0_3(world):
    pair(world, "1.0", "0.3")


@story()
def client_0_3_agent_1_0(world):
    pair(world, "0.3", "1.0")


@story(stores=("sqlite",))
def sdk_clients_find_the_only_agent_at_the_root(world):
    """Given no more than the gateway's own address they find the default agent's card."""
    folder = peers_folder(world)
    url = start_agent(world, folder, "1.0")
    for version in SCRIPTS:
        gw = world.gateway({"peer": {"url": url}}, data=world.folder(f"data-{version}"), env={"TASK_FRESH_MS": "0"})
        script = folder / "root.mjs"
        sdk = "a2a-js-1" if version == "1.0" else "a2a-js-0.3"
        script.write_text(f"""import {{ ClientFactory }} from '{sdk}/client';
const client = await new ClientFactory().createFromUrl(process.argv[2]);
console.log(JSON.stringify(await client.getAgentCard()));
""")
        card = json.loads(node.run([node.node(), "root.mjs", f"http://127.0.0.1:{gw.port}"], folder))
        where = card["supportedInterfaces"][0]["url"] if version == "1.0" else card["url"]
        contains(where, f":{gw.port}/agents/peer", "where the card points")
        gw.stop()


# --- examples ------------------------------------------------------------------------------------------------------

EXAMPLES = {"@a2a-js/sdk": "a2a-js-1", "express": "express"}


def example_agent(world, kind):
    if kind == "js":
        folder = node.folder(world, "examples", "examples/agent.mjs", "examples/client.mjs", packages=EXAMPLES)
        command = [node.node(), "agent.mjs"]
    else:
        folder, command = node.folder(world, "examples-py", "examples/agent.py", "examples/client.py", packages={}), \
            ["python3", "-u", "agent.py"]
    process = node.Process(world, [*command, "0"], folder)
    return folder, process.first.split()[-1]


@story(stores=("sqlite",))
def examples_work_with_each_other(world):
    """Both clients with both agents, as the page says: the agents tell their URL, the clients are given the gateway's."""
    py_folder, py_url = example_agent(world, "py")
    js_folder, js_url = example_agent(world, "js")
    gw = world.gateway({"js": {"url": js_url}, "py": {"url": py_url}})
    for agent in ("js", "py"):
        base = f"http://127.0.0.1:{gw.port}/agents/{agent}/"
        for command, folder in (([node.node(), "client.mjs"], js_folder), (["python3", "client.py"], py_folder)):
            out = node.run([*command, base, "hello there"], folder)
            contains(out, "HELLO THERE", f"{command[-1]} with the agent in {agent}")
            contains(out.lower(), "completed", f"{command[-1]} with the agent in {agent}")
    check(gw.own("tasks.list", {}).json["result"]["totalSize"] == 4, "not all tasks are kept")
