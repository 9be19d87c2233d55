# SPDX-License-Identifier: MIT
"""kill -9 at every instruction that matters. What was acknowledged is there, byte for byte; what was not is there whole
or not at all."""
import json
import random
import re
import threading
import time
from pathlib import Path

from cluster import Cluster
from telling import story
from world import ROOT, Client, Database, check, equal, message, rpc_body, wait_until


# Those of streams, which story_campaign.py walks.
STREAMING = ("stream_heard", "stream_adopted", "stream_ending", "feed_filled", "event_written")
DELIVERING = ("webhooks_claimed", "webhook_sent", "webhook_answered", "webhooks_settling", "webhooks_settled")


def crash_points():
    text = (ROOT / "src/lib/crash.h").read_text()
    return re.findall(r"^ +X\((\w+), \"", text, re.M)


class Journal:
    """Sends from several threads and writes down what was acknowledged, as raw bytes."""

    def __init__(self, gw, threads):
        self.gw, self.acknowledged, self.lock = gw, {}, threading.Lock()
        self.done = threading.Event()
        self.sent = 0
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def _run(self):
        client = None
        while not self.done.is_set():
            try:
                if client is None:
                    client = Client(self.gw.port, timeout=20)
                self.sent += 1
                answer = client.request("POST", "/agents/a", rpc_body("message/send", {"message": message("x" * 200)}))
                if answer is None:
                    raise OSError("closed")
                if "result" in answer.json:
                    text = answer.body.decode()
                    with self.lock:
                        self.acknowledged[answer.json["result"]["id"]] = text[text.index('"result":') + 9:-1]
            except Exception:
                if client:
                    client.close()
                client = None
                if self.gw.process.poll() is not None:
                    time.sleep(0.005)

    def stop(self):
        self.done.set()
        for t in self.threads:
            t.join(60)


def check_kept(world, gw, acknowledged, agent):
    for task_id, told in acknowledged.items():
        text = gw.get("a", task_id).body.decode()
        equal(text[text.index('"result":') + 9:-1], told, f"tasks/get of {task_id}")
    rows = stored_rows(world)
    for task_id, told in acknowledged.items():
        equal(rows.get(task_id), told, f"SELECT of {task_id}")
    # What is there at all is whole: the document is one the agent sent.
    for task_id, doc in rows.items():
        equal(json.loads(doc), agent.tasks[task_id], f"unacknowledged document of {task_id}")


def query(world, sql):
    if world.database:
        return [[line] for line in world.database.psql(sql.replace("$", "superx.")).split("\n") if line]
    import sqlite3
    db = sqlite3.connect(f"file:{Path(world.folder('data')) / 'superx.db'}?mode=ro", uri=True, timeout=10)
    try:
        return [[str(v) for v in row] for row in db.execute(sql.replace("$", ""))]
    finally:
        db.close()


def stored_rows(world):
    rows = query(world, "SELECT t.task_id || ' ' || d.doc FROM $tasks t JOIN $task_docs d USING (key)")
    return dict(row[0].split(" ", 1) for row in rows)


def check_log_whole(world):
    """Each task's events are numbered 1..seq without a hole, and the document is not ahead of the task."""
    bad = query(world, "SELECT t.task_id FROM $tasks t LEFT JOIN (SELECT key, count(*) AS n, min(seq) AS lo, max(seq) AS hi "
                       "FROM $task_events GROUP BY key) e USING (key) LEFT JOIN $task_docs d USING (key) "
                       "WHERE e.n IS NULL OR e.n <> t.seq OR e.lo <> 1 OR e.hi <> t.seq OR d.seq IS NULL OR d.seq > t.seq")
    equal(bad, [], "tasks whose log has a hole")
    lost = query(world, "SELECT e.key FROM $task_events e LEFT JOIN $tasks t USING (key) WHERE t.key IS NULL")
    equal(lost, [], "events without a task")


@story(variant="crash")
def every_named_crash_point(world):
    points = [point for point in crash_points() if point not in STREAMING + DELIVERING]
    check(len(points) >= 12, f"crash points were not found: {points}")
    agent = world.agent(card="0.3")
    gw = world.gateway({"a": agent})
    died = 0
    for point in points:
        if point == "batch_written" and world.database:
            continue  # a step of the embedded store only
        # The first request that a life writes asks for the agent's card.
        for count in (2, 5) if point == "ask_written" else (1, 4):
            gw.stop()
            gw.env["SUPERX_CRASH"] = f"{point}:{count}"
            gw.start()
            journal = Journal(gw, 3)
            gw.wait_end(30)
            journal.stop()
            equal(gw.process.returncode, -9, f"{point}:{count}: how the gateway ended")
            died += 1
            del gw.env["SUPERX_CRASH"]
            gw.start()
            check_kept(world, gw, journal.acknowledged, agent)
            check_log_whole(world)
    check(died >= 22, f"only {died} crashes")


def random_kills(world, rounds, wound):
    """`wound(i)` kills something and brings it back; meanwhile four clients send."""
    agent = world.agent()
    gw = world.gateway({"a": agent})
    rng = random.Random(20260131)
    everything = {}
    for i in range(rounds):
        journal = Journal(gw, 4)
        wait_until("something was acknowledged", lambda: len(journal.acknowledged) > 3)
        time.sleep(rng.uniform(0.0, 0.12))  # where in its work it dies is the point
        wound(i, gw)
        journal.stop()
        wait_until("the gateway is ready", gw._ready)
        check_kept(world, gw, journal.acknowledged, agent)
        everything.update(journal.acknowledged)
    check_log_whole(world)
    rows = stored_rows(world)
    for task_id, told in everything.items():
        equal(rows.get(task_id), told, f"{task_id} after all rounds")
    print(f"        {rounds} rounds, {len(everything)} acknowledged tasks, all there", flush=True)


@story(stores=("sqlite",), variant="release", alone=True)
def fifty_random_kills_of_the_gateway(world):
    def wound(i, gw):
        gw.kill()
        gw.start()

    random_kills(world, 50, wound)


class OwnCluster:
    """Stands in for the scratch database when a story needs a server it may kill."""

    def __init__(self, cluster):
        self.cluster, self.url = cluster, cluster.url

    def psql(self, sql):
        return self.cluster.psql(sql, "orchestrator_test")

    def drop(self):
        self.cluster.close()


@story(stores=("sqlite",), variant="release", alone=True)
def fifty_random_kills_of_gateway_and_postgresql(world):
    """Even rounds kill the gateway, odd ones the whole PostgreSQL server."""
    world.database = OwnCluster(Cluster())
    world.database_url = world.database.url

    def wound(i, gw):
        if i % 2:
            world.database.cluster.kill()
            world.database.cluster.start()
        else:
            gw.kill()
            gw.start()

    random_kills(world, 50, wound)


@story(stores=("sqlite",), variant="release", alone=True)
def one_fsync_per_batch_in_postgresql(world):
    """pg_stat_wal counts the syncs of the whole server: with nobody else on it, one per acknowledged batch. A session
    reports its count when it ends, so before each look the gateway is stopped and its sessions are gone."""
    cluster = Cluster("autovacuum=off\ncheckpoint_timeout=1h\nwal_writer_delay=10s")
    world.database = OwnCluster(cluster)
    world.database_url = cluster.url
    # One writing connection: two could share a sync, which is PostgreSQL's own group commit.
    gw = world.gateway({"a": world.agent()}, env={"DB_POOL_SIZE": "3"})

    def wal_syncs():
        wait_until("the gateway's sessions are gone", lambda: cluster.psql(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'") == "1")
        return int(cluster.psql("SELECT wal_sync FROM pg_stat_wal"))

    gw.stop()
    before = wal_syncs()
    began = time.monotonic()
    gw.start()
    journal = Journal(gw, 16)
    wait_until("enough is sent", lambda: len(journal.acknowledged) >= 2000, 120)
    journal.stop()
    figures = gw.health()["store"]
    equal(gw.stop(), 0, "exit code")
    seconds = time.monotonic() - began
    done = wal_syncs() - before
    batches, appends = figures["batches"], figures["appends"]
    print(f"        {appends} appends, {batches} batches, {done} WAL syncs in {seconds:.0f} s", flush=True)
    check(batches >= 50, f"only {batches} batches")
    # Beside the batches: the node's lease, once a second, and a few at start and stop.
    check(batches <= done <= batches + 2 * seconds + 20, f"{done} syncs for {batches} batches")
    check(batches < appends, "nothing was grouped")


@story(stores=("sqlite",), variant="release", alone=True)
def one_fsync_per_batch_in_sqlite(world):
    """Counted by a library put in front of fdatasync, on the thread that commits: one sync per batch. Checkpoints are
    another thread's; after one the log begins anew, and its first commit syncs the new header too."""
    import subprocess
    library = Path(world.folder("count")) / "synccount.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(ROOT / "test/story/synccount.c"), "-ldl"],
                   check=True)
    counter = Path(world.folder("count")) / "n"
    counter.write_bytes(b"\0" * 8)
    gw = world.gateway({"a": world.agent()}, env={"LD_PRELOAD": str(library), "SYNCCOUNT_FILE": str(counter),
                                                    "SYNCCOUNT_THREAD": "sqlite-writer"})

    def syncs():
        return int.from_bytes(counter.read_bytes()[:8], "little")

    gw.send("a")
    before_syncs, before = syncs(), gw.health()["store"]
    journal = Journal(gw, 16)
    wait_until("enough is sent", lambda: len(journal.acknowledged) >= 400, 120)
    journal.stop()
    after = gw.health()["store"]
    batches, appends = after["batches"] - before["batches"], after["appends"] - before["appends"]
    done = syncs() - before_syncs
    print(f"        {appends} appends, {batches} batches, {done} syncs", flush=True)
    check(batches <= done <= batches + 5 + batches // 20, f"{done} syncs for {batches} batches")
    check(batches < appends, "nothing was grouped")
