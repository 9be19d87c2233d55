# SPDX-License-Identifier: MIT
"""The kill campaign of webhooks: tasks live, receivers come and go, the gateway dies at random and at every crash point of
delivery. At the end every webhook has been told all events of its task's log, in order; what came twice came under the
same id."""
import random
import time

from live_agent import LiveAgent
from receiver import Receiver
from story_crash import DELIVERING, query
from story_webhooks import QUICK, numbers, send
from telling import story
from world import VERSIONS, check, equal, wait_until

PATIENT = {**QUICK, "PUSH_MAX_ATTEMPTS": "1000", "POLL_MAX_MS": "200", "SHUTDOWN_MS": "2000"}


def seqs_told(world, task_id):
    """Seqs of the events that are told, from the log."""
    rows = query(world, "SELECT e.seq FROM $task_events e JOIN $tasks t USING (key) WHERE t.task_id = "
                        f"'{task_id}' AND e.kind NOT IN (1, 6) ORDER BY e.seq")
    return [int(row[0]) for row in rows]


def check_one(world, receiver, agents, hook):
    path, task_id, agent, form = hook
    live = agents[agent].task(task_id)
    made = [int(p["text"].rstrip(".")) for a in live.snapshot().get("artifacts", []) for p in a["parts"]]
    posts = receiver.taken(path)
    ids = [p.id for p in posts]
    equal(len(set(ids)), len(ids), f"{path}: one id, one event")
    if form == "1.0":
        equal(len(posts), len(seqs_told(world, task_id)), f"{path}: as many as the log has: {posts}")
        equal(numbers(posts), made, f"{path}: the parts, in order")
    else:
        counts = [len(p.parts) for p in posts]
        equal(counts, sorted(counts), f"{path}: tasks only grow")
        equal(numbers(posts[-1:]), made, f"{path}: the parts of the last")
    check(posts[-1].state == "completed", f"{path}: the last word: {posts[-1]}")
    # As they came, repetitions included: never back behind something later, but for a repetition.
    first_seen = {}
    for i, post in enumerate(p for p in receiver.seen(path) if p.how == 200):
        if post.id in first_seen:
            equal(post.text, first_seen[post.id], f"{path}: a repetition says the same")
        first_seen[post.id] = post.text


def everything_arrived(world):
    return not query(world, "SELECT c.id FROM $push_cursors c JOIN $tasks t ON t.key = c.key "
                            "WHERE c.delivered_seq < t.seq OR t.state NOT IN (3, 4, 5, 7)")


def start(world, env=None):
    agents = {"old": world.add(LiveAgent("0.3")), "new": world.add(LiveAgent("1.0"))}
    receiver = Receiver(world)
    gw = world.gateway(agents, env={**PATIENT, **(env or {})})
    gw.env["PORT"] = str(gw.port)
    return agents, receiver, gw


def new_hook(gw, receiver, rng, n):
    agent, form = rng.choice(("old", "new")), rng.choice(VERSIONS)
    path = f"/{n}"
    if rng.random() < 0.3:
        receiver.order(path, answers=[rng.choice([500, "drop", "half", 200]) for _ in range(6)])
    try:
        task_id = send(gw, agent, rng.choice(["count 20 30", "stages 6 40", "count 8 5"]), form, {"url": receiver.url(path)})
    except Exception:
        return None  # it died meanwhile; what was not acknowledged is nobody's
    return path, task_id, agent, form


def campaign(world, rounds):
    rng = random.Random(20261124)
    agents, receiver, gw = start(world)
    hooks, kills = [], 0
    for i in range(rounds):
        for _ in range(3):
            hooks.append(new_hook(gw, receiver, rng, len(hooks)))
        time.sleep(rng.uniform(0.02, 0.4))
        if rng.random() < 0.2:
            gw.stop()
        else:
            gw.kill()
            kills += 1
        gw.start()
    wait_until("every webhook has been told everything", lambda: everything_arrived(world), 180)
    hooks = [h for h in hooks if h]
    for hook in hooks:
        check_one(world, receiver, agents, hook)
    receiver.check_proofs()
    n_all, n_once = len([p for p in receiver.seen() if p.how == 200]), sum(len(receiver.taken(h[0])) for h in hooks)
    check(len(hooks) > rounds, f"only {len(hooks)} webhooks were registered")
    print(f"        {rounds} rounds, {kills} kills, {len(hooks)} webhooks, {n_once} events told, {n_all - n_once} repetitions",
          flush=True)


@story(stores=("sqlite",), variant="release", alone=True)
def fifty_rounds_on_sqlite(world):
    campaign(world, 50)


@story(stores=("postgres",), variant="release", alone=True)
def fifty_rounds_on_postgresql(world):
    campaign(world, 50)


@story(variant="crash", alone=True)
def every_crash_point_of_delivery(world):
    rng = random.Random(7)
    agents, receiver, gw = start(world)
    hooks, died = [], []
    for point in DELIVERING:
        for count in (1, 3):
            gw.stop()
            gw.env["SUPERX_CRASH"] = f"{point}:{count}"
            gw.start(wait=False)
            try:
                wait_until("it is ready, or has died", lambda: gw.process.poll() is not None or gw._ready())
                for _ in range(4):
                    if gw.process.poll() is None:
                        hooks.append(new_hook(gw, receiver, rng, len(hooks)))
                wait_until("it dies", lambda: gw.process.poll() is not None, 20)
            finally:
                del gw.env["SUPERX_CRASH"]
            equal(gw.process.returncode, -9, f"{point}:{count}: how the gateway ended")
            died.append(point)
            gw.start()
    wait_until("every webhook has been told everything", lambda: everything_arrived(world), 120)
    hooks = [h for h in hooks if h]
    for hook in hooks:
        check_one(world, receiver, agents, hook)
    receiver.check_proofs()
    print(f"        died {len(died)} times; {len(hooks)} webhooks were told everything", flush=True)
