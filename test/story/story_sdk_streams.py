# SPDX-License-Identifier: MIT
"""Streams with real peers: clients and agents made with the official JavaScript SDK, newest 1.x and last 0.3.x."""
import subprocess

import node
from listener import Event, numbers_of
from story_peers import PACKAGES, SCRIPTS
from telling import story
from world import VERSIONS, check, contains, equal, wait_until

PAIRS = [(client, agent) for client in VERSIONS for agent in VERSIONS]


class SdkStream:
    """One run of the SDK's client; every line it prints is an event it was given."""

    def __init__(self, world, folder, gw, version, *order):
        command = [node.node(), f"stream_{SCRIPTS[version]}.mjs", f"http://127.0.0.1:{gw.port}/agents/peer/", *order]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.events, self.error = [], None
        world.things.append(self)

    def more(self):
        line = self.process.stdout.readline().decode()
        if not line:
            return False
        event = Event(None, None, line)
        if event.error:
            self.error = event.error["message"]
        else:
            self.events.append(event)
        return True

    def read_events(self, n):
        while len(self.events) < n:
            check(self.more(), f"the stream ended after {self.events!r}, {self.error}")
        return self.events

    def read_to_end(self):
        """All events; an error must not be among them."""
        while self.more():
            pass
        equal(self.process.wait(), 0, "the client's exit")
        equal(self.error, None, "what the SDK threw")
        return self.events

    def refused(self):
        while self.more():
            pass
        return self.error or f"no error but {self.events!r}"

    @property
    def task_id(self):
        return self.read_events(1)[0].thing["id"]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Peers:
    """The gateway in front of an SDK's agent."""

    def __init__(self, world, agent, streams=True, name="peer"):
        self.world = world
        self.folder = node.folder(world, name, *(f"test/peers/{kind}_{v}.mjs" for kind in ("agent", "stream")
                                                 for v in SCRIPTS.values()), packages=PACKAGES)
        process = node.Process(world, [node.node(), f"agent_{SCRIPTS[agent]}.mjs", "streams" if streams else "plain"],
                               self.folder)
        self.gw = world.gateway({"peer": {"url": f"http://127.0.0.1:{process.first}/"}},
                                env={"POLL_MIN_MS": "20", "TASK_FRESH_MS": "0"}, data=world.folder(f"data-{name}"))

    def send(self, version, *words):
        return SdkStream(self.world, self.folder, self.gw, version, "send", *words)

    def subscribe(self, version, task_id):
        return SdkStream(self.world, self.folder, self.gw, version, "subscribe", task_id)

    def numbers_of_task(self, task_id):
        task = self.gw.get("peer", task_id, "1.0").json["result"]
        return [int(p["text"]) for a in task["artifacts"] for p in a["parts"]]


def all_pairs(world, tell, streams=True):
    for client, agent in PAIRS:
        peers = Peers(world, agent, streams, name=f"c{client}-a{agent}")
        tell(peers, client, f"client {client}, agent {agent}")
        peers.gw.stop()


def up_to(n):
    return list(range(1, n + 1))


@story()
def to_the_end(world):
    def tell(peers, client, who):
        stream = peers.send(client, "count 8 20")
        events = stream.read_to_end()
        equal([e.kind for e in events[1:]].count("task"), 0, f"{who}: tasks behind the first event")
        equal(events[0].kind, "task", f"{who}: the first event")
        equal(numbers_of(events), up_to(8), f"{who}: parts")
        equal(events[-1].state, "completed", f"{who}: the last event")
        equal(peers.numbers_of_task(stream.task_id), up_to(8), f"{who}: parts of the task")
        said = peers.send(client, "say hi").read_to_end()
        equal([e.kind for e in said], ["message"], f"{who}: a message only")
        equal(said[0].thing["parts"][0]["text"], "said: say hi", f"{who}: what it says")

    all_pairs(world, tell)


@story()
def input_required_and_on(world):
    def tell(peers, client, who):
        asked = peers.send(client, "ask me").read_to_end()
        task = asked[0].thing
        equal(asked[-1].state, "input-required", f"{who}: how the first stream ends")
        watching = peers.subscribe(client, task["id"])
        equal(watching.read_events(1)[0].state, "input-required", f"{who}: the snapshot")
        events = peers.send(client, "this", task["id"], task["contextId"]).read_to_end()
        equal(events[0].thing["id"], task["id"], f"{who}: the task that goes on")
        equal(events[-1].state, "completed", f"{who}: how it ends")
        watched = watching.read_to_end()
        equal(watched[-1].state, "completed", f"{who}: what the subscriber is told last")
        artifact = next(e for e in watched if e.kind == "artifact").thing["artifact"]
        equal(artifact["parts"][0]["text"], "echo: this", f"{who}: the artifact the subscriber is told of")

    all_pairs(world, tell)


@story()
def broken_off_and_taken_up_in_the_other_version(world):
    def tell(peers, client, who):
        other = next(v for v in VERSIONS if v != client)
        first = peers.send(client, "count 30 25")
        first.read_events(3)
        first.close()
        events = peers.subscribe(other, first.task_id).read_to_end()
        equal(events[0].kind, "task", f"{who}: the snapshot")
        equal(numbers_of(events), up_to(30), f"{who}: parts, the snapshot's and what followed")
        equal(events[-1].state, "completed", f"{who}: the last event")

    all_pairs(world, tell)


@story()
def the_gateway_killed_in_between(world):
    def tell(peers, client, who):
        first = peers.send(client, "count 40 25")
        first.read_events(4)
        peers.gw.kill()
        peers.gw.start()
        events = peers.subscribe(client, first.task_id).read_to_end()
        equal(numbers_of(events), up_to(40), f"{who}: parts, over the kill")
        equal(events[-1].state, "completed", f"{who}: the last event")
        equal(peers.numbers_of_task(first.task_id), up_to(40), f"{who}: parts of the task")

    all_pairs(world, tell)


@story(stores=("sqlite",))
def subscribing_to_what_has_ended(world):
    """A2A 1.0 refuses (-32004), 0.3 gives the task and closes."""
    def tell(peers, client, who):
        task_id = peers.send(client, "count 2 1").read_to_end()[0].thing["id"]
        again = peers.subscribe(client, task_id)
        if client == "1.0":
            contains(again.refused(), "nothing to subscribe to", f"{who}: the refusal")
            equal(again.events, [], f"{who}: events before it")
        else:
            equal([(e.kind, e.state) for e in again.read_to_end()], [("task", "completed")], who)
        # The old SDK takes no JSON for an answer here, so it never gets to the reason.
        why = {"1.0": "not found", "0.3": "expected 'text/event-stream'"}[client]
        contains(peers.subscribe(client, "no-such-task").refused().lower(), why, f"{who}: an unknown task")

    all_pairs(world, tell)


@story(stores=("sqlite",))
def canceled_while_it_streams(world):
    def tell(peers, client, who):
        stream = peers.send(client, "count 2000 25")
        stream.read_events(3)
        gone = peers.gw.rpc("peer", "CancelTask", {"id": stream.task_id}, headers={"A2A-Version": "1.0"})
        equal(gone.json["result"]["status"]["state"], "TASK_STATE_CANCELED", f"{who}: the answer to the cancel")
        equal(stream.read_to_end()[-1].state, "canceled", f"{who}: the last event")

    all_pairs(world, tell)


@story(stores=("sqlite",))
def an_agent_that_cannot_stream(world):
    """The gateway's callers are given streams all the same, of what is seen when asking."""
    def tell(peers, client, who):
        stream = peers.send(client, "count 10 40")
        events = stream.read_to_end()
        equal(numbers_of(events), up_to(10), f"{who}: parts")
        equal((events[0].kind, events[-1].state), ("task", "completed"), f"{who}: first and last event")
        wait_until("the task has ended", lambda: peers.numbers_of_task(stream.task_id) == up_to(10))

    all_pairs(world, tell, streams=False)
