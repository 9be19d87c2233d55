# SPDX-License-Identifier: MIT
"""The kill campaign: clients stream from agents that emit at their own pace, whether or not anybody is connected, while
the gateway, the agents' connections and the clients die at random. At the end every client, coming back with its cursor,
has been told exactly the log, the stored task is the agent's, and every numbered part occurs once."""
import json
import random
import time

from listener import Listener, numbers_of, wait_done
from live_agent import STREAMS, LiveAgent
from story_crash import DELIVERING, check_log_whole, crash_points, query
from telling import story
from world import check, equal, message, wait_until

# In a log that clients are told: not a caller's message, and not what no update can say.
SILENT = ("1", "6")


def log_of(world, task_id):
    """(seq, kind) of all events of a task that streams are told, in order."""
    rows = query(world, f"SELECT e.seq || ' ' || e.kind FROM $task_events e JOIN $tasks t USING (key) "
                        f"WHERE t.task_id = '{task_id}' ORDER BY e.seq")
    return [tuple(row[0].split()) for row in rows if row[0].split()[1] not in SILENT]


def check_listener(world, gw, agents, listener):
    """What one client was told, against the log and against the agent."""
    live = agents[listener.agent].task(listener.task_id)
    seqs = [e.cursor.rsplit(".", 1)[1] for e in listener.events]
    equal(len(set(seqs)), len(seqs), f"{live.id}: cursors that differ")
    # It began with the task as it was; from there on every event of the log, once, in order.
    first = int(seqs[0])
    equal(seqs[1:], [seq for seq, _ in log_of(world, live.id) if int(seq) > first], f"{live.id}: what it was told")
    equal(numbers_of(listener.events), live.numbers(), f"{live.id}: numbered parts as told")
    equal(live.numbers(), list(range(1, len(live.numbers()) + 1)), f"{live.id}: the agent's own")
    equal(gw.get(listener.agent, live.id, live.version).json["result"], live.snapshot(), f"{live.id}: the stored task")


def check_all(world, gw, agents, listeners):
    told = [one for one in listeners if one.task_id]
    for one in told:
        check_listener(world, gw, agents, one)
    check_log_whole(world)
    open_tasks = query(world, "SELECT task_id FROM $tasks WHERE state NOT IN (3, 4, 5, 7)")
    equal(open_tasks, [], "tasks that nobody follows to their end")
    return told


def start_agents(world):
    agents = {"old": world.add(LiveAgent("0.3")), "new": world.add(LiveAgent("1.0")), "bare": world.add(LiveAgent("1.0")),
              "closes": world.add(LiveAgent("0.3"))}
    agents["bare"].subscribes_as = "bare"
    agents["closes"].subscribes_as = "closes"
    return agents


def campaign(world, rounds, seconds_between):
    rng = random.Random(20261124)
    agents = start_agents(world)
    gw = world.gateway(agents, env={"POLL_MIN_MS": "20", "POLL_MAX_MS": "200", "SHUTDOWN_MS": "1000"})
    gw.env["PORT"] = str(gw.port)  # clients come back to where it was
    finished, running, kills = [], [], {"gateway": 0, "stop": 0, "agents": 0, "clients": 0}
    for i in range(rounds):
        while len(running) < 12:
            name = rng.choice(list(agents))
            text = rng.choice(["count 40 25 50", "count 15 60", "stages 8 60", "count 120 8"])
            versions = rng.choice([("0.3",), ("1.0",), ("0.3", "1.0")])
            one = Listener([gw], name, message(text, versions[0]), versions, random.Random(rng.random()), 0.02)
            one.start()
            running.append(one)
        time.sleep(rng.uniform(*seconds_between))
        what = rng.choice(["gateway", "gateway", "agents", "clients", "stop"])
        kills[what] += 1
        if what == "gateway":
            gw.kill()
            gw.start()
        elif what == "stop":
            gw.stop()
            gw.start()
        elif what == "agents":
            for agent in agents.values():
                agent.break_streams(0.5, rng)
        else:
            for one in rng.sample(running, 4):
                one.leave()
        for one in [one for one in running if one.done.is_set()]:
            running.remove(one)
            finished.append(one)
    wait_done(running, 180)
    finished += running
    wait_until("every task has come to its end", lambda: not query(
        world, "SELECT task_id FROM $tasks WHERE state NOT IN (3, 4, 5, 7)"), 120)
    told = check_all(world, gw, agents, finished)
    check(len(told) > rounds // 3, f"only {len(told)} clients were told anything")
    sent = sum(len(a.asked(*STREAMS)) for a in agents.values())
    check(sent <= len(finished), f"{sent} messages at the agents of {len(finished)} clients: some were sent twice")
    print(f"        {rounds} rounds ({json.dumps(kills)}), {len(told)} clients with {sum(one.breaks for one in told)} "
          f"breaks, {sum(len(one.events) for one in told)} events told", flush=True)


@story(stores=("sqlite",), variant="release", alone=True)
def a_hundred_rounds_on_sqlite(world):
    campaign(world, 100, (0.05, 0.35))


@story(stores=("postgres",), variant="release", alone=True)
def a_hundred_rounds_on_postgresql(world):
    campaign(world, 100, (0.05, 0.5))


@story(variant="crash", alone=True)
def every_crash_point_while_streaming(world):
    agents = start_agents(world)
    gw = world.gateway(agents, env={"POLL_MIN_MS": "20", "POLL_MAX_MS": "200"})
    gw.env["PORT"] = str(gw.port)
    listeners, died = [], []
    for point in crash_points():
        if point in DELIVERING:
            continue  # there are no webhooks here
        if point in ("batch_written", "answer_queued", "answer_written", "reply_received") and world.database:
            continue  # steps of the embedded store, or of plain answers, which another story walks
        gw.stop()
        # The first requests that a life writes ask for the agents' cards.
        gw.env["SUPERX_CRASH"] = f"{point}:{len(agents) + 2 if point == 'ask_written' else 2}"
        gw.start(wait=False)
        wait_until("it is ready, or has died", lambda: gw.process.poll() is not None or gw._ready())
        fresh = [Listener([gw], name, message("count 10 30", "1.0"), ("1.0", "0.3")) for name in agents]
        for one in fresh:
            one.start()
        try:
            wait_until("it dies, or they have heard the end", lambda: gw.process.poll() is not None or
                       all(one.done.is_set() for one in fresh), 30)
        finally:
            del gw.env["SUPERX_CRASH"]
        if gw.process.poll() is not None:
            died.append(point)
            gw.start()
        wait_done(fresh, 60)
        listeners += fresh
    gw.restart()  # the last point may not have been reached yet
    wait_until("every task has come to its end", lambda: not query(
        world, "SELECT task_id FROM $tasks WHERE state NOT IN (3, 4, 5, 7)"), 120)
    told = check_all(world, gw, agents, listeners)
    for point in ("stream_heard", "stream_adopted", "stream_ending", "feed_filled", "event_written", "batch_committed"):
        check(point in died, f"{point} was not reached; died at {died}")
    print(f"        died at {len(died)} points; {len(told)} clients were told everything", flush=True)
