# SPDX-License-Identifier: MIT
"""The bench: runs its parts and prints one table. Started by tools/bench, which says how; docs/performance.md says
how to read the result.

What is compared runs in rounds, candidate after candidate within a round and in another order each time, so that
a slow minute of the machine hits all of them. A figure is the median over the rounds with the smallest and largest
beside it; a ratio is formed within each round, and its median taken.
"""
import argparse
import datetime
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from load import Run, SqliteLoop, pgbench, wrk
from servers import (HERE, ROOT, SERVER_CPU, Agent, BenchFailed, Database, Nginx, StoryFailed, Superx,
                     build_translate, free_port, server_settings)
from hooks import BlackHoles, delays, delivered, raw_calls
from streams import Streamer, begin, fan_out, idle_kb, sending, subscribing, with_stalled

CLIENTS = 64
POINTS = (8, 32, 64)  # clients of pgbench; with many of them it loses speed
STARTS = 10
CACHED_AT_MOST = 2000  # tasks of 1 KB in the smallest cache, generously
SEND = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": {
    "kind": "message", "messageId": "m-@", "role": "user", "parts": [{"kind": "text", "text": "message hi"}]}}})
SEND_1_0 = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": {
    "messageId": "m-@", "role": "ROLE_USER", "parts": [{"text": "message hi"}]}}})


def get_body(task_id, method="tasks/get"):
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"id": task_id}})


# --- figures -------------------------------------------------------------------------------------------------------


class Figure:
    """Median, smallest and largest of what the rounds gave, with a unit."""

    def __init__(self, values, unit):
        self.values, self.unit = list(values), unit

    @property
    def median(self):
        return statistics.median(self.values)

    def number(self, value):
        if self.unit == "/s":
            return f"{value:,.0f}"
        if self.unit == "x":
            return f"{value:.2f}"
        return f"{value:.3f}" if self.unit.endswith("ms") and abs(value) < 10 else f"{value:.1f}"

    def __str__(self):
        unit = self.unit if self.unit in ("/s", "x") else " " + self.unit
        spread = f" ({self.number(min(self.values))} to {self.number(max(self.values))})" if len(self.values) > 1 else ""
        return f"{self.number(self.median)}{unit}{spread}"


def figure(runs, key, unit):
    return Figure([getattr(r, key) for r in runs], unit)


class Row:
    """One line of the table. `verdict` is what the aim speaks of; `at_least` or `at_most` is the aim."""

    def __init__(self, what, ours, other="", theirs=None, verdict=None, at_least=None, at_most=None):
        self.what, self.ours, self.other, self.theirs, self.verdict = what, ours, other, theirs, verdict
        self.at_least, self.at_most = at_least, at_most

    def aim(self):
        measured = (self.verdict or self.ours).median
        unit = (self.verdict or self.ours).unit
        unit = "" if unit == "x" else " " + unit
        if self.at_least is not None:
            return f">= {self.at_least}{unit}: " + ("met" if measured >= self.at_least else "MISSED")
        if self.at_most is not None:
            return f"<= {self.at_most}{unit}: " + ("met" if measured <= self.at_most else "MISSED")
        return ""

    def cells(self):
        theirs = f"{self.other}: {self.theirs}" if self.theirs else self.other
        return [self.what, str(self.ours), theirs, str(self.verdict) if self.verdict else "", self.aim()]


def cpu_row(what, ours, other, theirs, at_least=None):
    ratio = Figure([b.cpu_us / a.cpu_us for a, b in zip(ours, theirs)], "x")
    return Row(what + ", CPU per request", figure(ours, "cpu_us", "us"), other, figure(theirs, "cpu_us", "us"), ratio,
               at_least)


def rate_row(what, ours, other, theirs, at_least=None):
    ratio = Figure([a.per_second / b.per_second for a, b in zip(ours, theirs)], "x")
    return Row(what, figure(ours, "per_second", "/s"), other, figure(theirs, "per_second", "/s"), ratio, at_least)


def later_row(what, ours, other, theirs, at_most=None):
    """How much later the median answer comes. `theirs` are the medians in ms, one a round."""
    more = Figure([a.p50_ms - b for a, b in zip(ours, theirs)], "ms")
    return Row(what, figure(ours, "p50_ms", "ms"), other, Figure(theirs, "ms"), more, None, at_most)


def table_of(rows):
    lines = [["what", "SuperX", "measured against", "ratio, or difference", "aim"]]
    lines += [row.cells() for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths)) + " |" for line in lines]
    text.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(text) + "\n"


# --- the bench -----------------------------------------------------------------------------------------------------


class Bench:
    def __init__(self, rounds, seconds):
        self.rounds, self.seconds = rounds, seconds
        self.temp = Path(tempfile.mkdtemp(prefix="superx-bench."))
        self.temp.chmod(0o755)  # nginx's worker is another user
        self.servers, self.databases = [], []
        self.number = 0

    def next_number(self):
        self.number += 1
        return self.number

    def folder(self, name):
        path = self.temp / f"{name}-{self.next_number()}"
        path.mkdir()
        return path

    def clear(self):
        """Ends what a part has started."""
        for server in reversed(self.servers):
            server.stop()
        for database in self.databases:
            database.drop()
        self.servers, self.databases = [], []
        for path in self.temp.iterdir():
            shutil.rmtree(path)

    def close(self):
        self.clear()
        self.temp.rmdir()

    def rounds_of(self, candidates):
        """Runs the candidates, a dict name -> function, interleaved; gives name -> list of their results."""
        results = {name: [] for name in candidates}
        names = list(candidates)
        for i in range(self.rounds):
            for name in names[i % len(names):] + names[:i % len(names)]:
                results[name].append(candidates[name]())
        return results


def counted(gateway, store_or_cache, counter, load):
    """Runs the load and sees to it that the gateway counted every request of it."""
    before = gateway.health()[store_or_cache][counter]
    run = load()
    after = gateway.health()[store_or_cache][counter]
    if after - before < run.n:
        raise BenchFailed(f"{run.n} requests, but {store_or_cache}.{counter} rose by {after - before}")
    return run


# --- parts ---------------------------------------------------------------------------------------------------------


def part_cached(bench):
    """A terminal task of 1 KB from the cache, against nginx answering as many bytes from its configuration."""
    agent = Agent(bench)
    candidates, answer = {}, b""
    for name, level in (("superx", "warn"), ("superx logging", "info")):
        gateway = Superx(bench, agent, Database(bench).url, name.replace(" ", "-"), SERVER_CPU, {"LOG_LEVEL": level})
        body = get_body(gateway.post("task", SEND).json["result"]["id"])
        answer = gateway.post("task", body).body
        candidates[name] = lambda g=gateway, b=body: counted(
            g, "cache", "hits", lambda: wrk(g, "/agents/task", b, CLIENTS, bench.seconds, answer))
    for name, logs in (("nginx", False), ("nginx logging", True)):
        nginx = Nginx(bench, agent, answer, logs)
        candidates[name] = lambda s=nginx, b=body: wrk(s, "/still", b, CLIENTS, bench.seconds, answer)
    saw = bench.rounds_of(candidates)
    return [cpu_row("cached tasks/get, 64 clients", saw["superx"], "nginx return 200", saw["nginx"], 0.9),
            rate_row("- its rate", saw["superx"], "nginx return 200", saw["nginx"]),
            cpu_row("- one log line per call", saw["superx logging"], "nginx with access_log", saw["nginx logging"]),
            rate_row("- its rate", saw["superx logging"], "nginx with access_log", saw["nginx logging"])]


def part_message(bench):
    """A send that the agent answers with a message, through the gateway and through nginx proxy_pass."""
    agent = Agent(bench)
    gateway = Superx(bench, agent, Database(bench).url, cpu=SERVER_CPU)
    nginx = Nginx(bench, agent)
    answer = gateway.post("message", SEND).body
    saw = bench.rounds_of({
        "superx": lambda: wrk(gateway, "/agents/message", SEND, CLIENTS, bench.seconds, answer),
        "nginx": lambda: wrk(nginx, "/message", SEND, CLIENTS, bench.seconds, answer)})
    return [cpu_row("message-only send, 64 clients", saw["superx"], "nginx proxy_pass", saw["nginx"], 1.0),
            rate_row("- its rate", saw["superx"], "nginx proxy_pass", saw["nginx"])]


def lag_row(gateway):
    lag = gateway.health()["loop"]
    return Row("- loop lag p99", Figure([lag["p99_us"] / 1e3], "ms"), f"max {lag['max_us'] / 1e3:.1f} ms")


def send_runs(bench, gateway):
    """The functions that send: durable with many clients and with one, message-only with one."""
    task = gateway.post("task", SEND).body
    message = gateway.post("message", SEND).body

    def durable(clients):
        return counted(gateway, "store", "appends",
                       lambda: wrk(gateway, "/agents/task", SEND, clients, bench.seconds, task, cpu=None))

    return durable, lambda: wrk(gateway, "/agents/message", SEND, 1, bench.seconds, message, cpu=None)


def send_rows(runs):
    return [Row("- CPU per request of the gateway", figure(runs, "cpu_us", "us")),
            Row("- p50", figure(runs, "p50_ms", "ms")), Row("- p99", figure(runs, "p99_ms", "ms"))]


def one_client_rows(saw, upsert):
    upserts = [r.p50_ms for r in saw["upsert"]]
    both = [u + m.p50_ms for u, m in zip(upserts, saw["message"])]
    return [later_row("durable send, 1 client, p50", saw["send"], upsert, upserts, 0.3),
            later_row("- the same", saw["send"], f"{upsert} + message-only send", both)]


def part_durable(bench):
    """New completed tasks on PostgreSQL, against pgbench upserting rows of the same size on the same server."""
    agent = Agent(bench, cpu=None)
    database = Database(bench)
    gateway = Superx(bench, agent, database.url)
    durable, message = send_runs(bench, gateway)
    folder = bench.folder("pgbench")
    database.psql(None, file=HERE / "tables.sql")

    def measured(load):
        database.psql("CHECKPOINT")  # nobody pays for what another has left to write
        before = database.cpu_ns()
        run = load()
        if before is not None:
            run.database_us = (database.cpu_ns() - before) / 1e3 / run.n
        return run

    def upsert(table, clients):
        return lambda: measured(lambda: pgbench(database, table, clients, bench.seconds, folder))

    many = bench.rounds_of({"superx": lambda: measured(lambda: durable(CLIENTS)),
                            **{f"tasks {n}": upsert("tasks", n) for n in POINTS},
                            **{f"bare {n}": upsert("bare", n) for n in POINTS}})
    lag = lag_row(gateway)
    if int(database.psql("SELECT count(*) FROM superx.tasks")) < sum(r.n for r in many["superx"]):
        raise BenchFailed("there are fewer tasks in the database than sends were answered")
    one = bench.rounds_of({"send": lambda: durable(1), "message": message, "upsert": upsert("bare", 1)})
    rows = []
    for table, other, aim in (("tasks", "upserts as the first SuperX's", 1.5), ("bare", "upserts, one bare table", None)):
        best = [max((many[f"{table} {n}"][i] for n in POINTS), key=lambda r: r.per_second)
                for i in range(bench.rounds)]
        rows += [rate_row("durable send, PostgreSQL, 64 clients", many["superx"], f"{other}, 64 clients",
                          many[f"{table} 64"], aim),
                 rate_row("- the same", many["superx"], f"- best of {', '.join(map(str, POINTS))}", best)]
    rows += send_rows(many["superx"])
    if many["superx"][0].database_us is not None:
        rows.append(Row("- CPU per request of PostgreSQL", figure(many["superx"], "database_us", "us"),
                        "upserts as the first SuperX's, 64 clients", figure(many["tasks 64"], "database_us", "us")))
    return [*rows, lag, *one_client_rows(one, "upsert, bare table")]


def part_sqlite(bench):
    """The same on the embedded store, against a loop of single-row transactions."""
    agent = Agent(bench, cpu=None)
    gateway = Superx(bench, agent)
    durable, message = send_runs(bench, gateway)
    loop = SqliteLoop(bench.folder("sqlite"))
    many = bench.rounds_of({"superx": lambda: durable(CLIENTS), "upsert": lambda: loop.run(bench.seconds)})
    lag = lag_row(gateway)
    one = bench.rounds_of({"send": lambda: durable(1), "message": message, "upsert": lambda: loop.run(bench.seconds)})
    loop.close()
    return [rate_row("durable send, SQLite, 64 clients", many["superx"], "one upsert after the other",
                     many["upsert"], 1.5),
            *send_rows(many["superx"]), lag,
            *one_client_rows(one, "SQLite upsert")]


def part_table(bench):
    """Hit, miss and write in ms at one client, as the first SuperX promised them."""
    agent = Agent(bench, cpu=None)
    database = Database(bench)
    gateway = Superx(bench, agent, database.url, env={"CACHE_BYTES": "1048576"})
    durable, _ = send_runs(bench, gateway)
    durable(CLIENTS)
    # Tasks to miss: many more than the smallest cache holds, and not the newest, which are in it.
    ids = bench.folder("ids") / "ids"
    ids.write_text(database.psql(f"SELECT task_id FROM (SELECT task_id, random() AS n FROM superx.tasks"
                                 f" ORDER BY key DESC OFFSET {CACHED_AT_MOST}) t ORDER BY n") + "\n")
    hit = get_body(gateway.post("task", SEND).json["result"]["id"])
    answer = gateway.post("task", hit).body

    def get(counter, body, ids=None):
        return counted(gateway, "cache", counter, lambda: wrk(gateway, "/agents/task", body, 1, bench.seconds, answer,
                                                              ids, cpu=None))

    saw = bench.rounds_of({"hit": lambda: (gateway.post("task", hit), get("hits", hit))[1],
                           "miss": lambda: get("misses", get_body("@"), ids), "write": lambda: durable(1)})
    rows = []
    for name, what, most in (("hit", "cache hit", 0.5), ("miss", "cache miss", 5), ("write", "write", 5)):
        rows += [Row(f"{what}, 1 client, p50", figure(saw[name], "p50_ms", "ms"), at_most=most),
                 Row("- p99", figure(saw[name], "p99_ms", "ms"), at_most=most)]
    return rows


def translation_rows(bench):
    """The codec alone, in a program of its own."""
    program = build_translate()
    saw = {"0.3-1.0": [], "1.0-0.3": []}
    for _ in range(bench.rounds):
        done = subprocess.run([str(program), "500"], capture_output=True, text=True, check=True, timeout=60)
        for line in done.stdout.splitlines():
            direction, size, ns = line.split()
            saw[direction].append((int(size), float(ns) / 1e3))
    return [Row(f"translation {name.replace('-', ' -> ')}, a message of {runs[0][0]} bytes",
                Figure([us for _, us in runs], "us"), at_most=3) for name, runs in saw.items()]


def part_versions(bench):
    """What translation costs: the codec alone, and 1.0 callers of a 0.3 agent against 0.3 callers."""
    agent = Agent(bench)
    gateway = Superx(bench, agent, Database(bench).url, cpu=SERVER_CPU)
    task = gateway.post("task", SEND).json["result"]["id"]
    bodies = {"get same": ("task", get_body(task)), "get across": ("task", get_body(task, "GetTask")),
              "message same": ("message", SEND), "message across": ("message", SEND_1_0),
              "task same": ("task", SEND), "task across": ("task", SEND_1_0)}

    def load(path, body):
        answer = gateway.post(path, body).body
        return lambda: wrk(gateway, f"/agents/{path}", body, CLIENTS, bench.seconds, answer)

    saw = bench.rounds_of({name: load(*what) for name, what in bodies.items()})
    rows = translation_rows(bench)
    for name, what in (("get", "cached read"), ("message", "message-only send"), ("task", "durable send, PostgreSQL")):
        rows += [cpu_row(f"{what}, 1.0 caller of a 0.3 agent", saw[f"{name} across"], "0.3 caller", saw[f"{name} same"]),
                 rate_row("- its rate", saw[f"{name} across"], "0.3 caller", saw[f"{name} same"])]
    return rows


def part_fanout(bench):
    """A thousand readers of one busy task against the least program that tells them; readers beside stalled ones."""
    gateway = Superx(bench, Streamer(bench), Database(bench).url, cpu=SERVER_CPU)
    event, ours, theirs = fan_out(bench, gateway, 40, 700, 1000)
    saw = bench.rounds_of({"superx": ours, "fanout": theirs})
    ratio = Figure([a.per_cpu_second / b.per_cpu_second for a, b in zip(saw["superx"], saw["fanout"])], "x")
    rows = [Row(f"events to 1,000 readers of one task, {event} bytes, per CPU second",
                figure(saw["superx"], "per_cpu_second", "/s"), "a loop of uv_try_write",
                figure(saw["fanout"], "per_cpu_second", "/s"), ratio, 0.8)]
    saw = bench.rounds_of({"none": with_stalled(bench, gateway, 40, 8000, 100, 0),
                           "some": with_stalled(bench, gateway, 40, 8000, 100, 100)})
    ratio = Figure([b.p99_ms / a.p99_ms for a, b in zip(saw["some"], saw["none"])], "x")
    rows.append(Row("agent event to 100 readers beside 100 stalled ones, p99", figure(saw["some"], "p99_ms", "ms"),
                    "none stalled", figure(saw["none"], "p99_ms", "ms"), ratio))
    return rows


def part_live(bench):
    """An agent's event until its one reader has it, with its commit between, against the commit alone."""
    streamer = Streamer(bench, cpu=None)
    database, rows = Database(bench), []
    folder, loop = bench.folder("pgbench"), SqliteLoop(bench.folder("sqlite"))
    database.psql(None, file=HERE / "tables.sql")
    alone = {"PostgreSQL": lambda: pgbench(database, "bare", 1, bench.seconds, folder),
             "SQLite": lambda: loop.run(bench.seconds)}
    for store, commit in alone.items():
        gateway = Superx(bench, streamer, database.url if store == "PostgreSQL" else None)
        saw = bench.rounds_of({"event": with_stalled(bench, gateway, 100, 700, 1, 0), "commit": commit})
        rows += [later_row(f"agent event to reader, {store}, p50", saw["event"], "one upsert",
                           [r.p50_ms for r in saw["commit"]]),
                 Row("- p99", figure(saw["event"], "p99_ms", "ms"), "one upsert",
                     figure(saw["commit"], "p99_ms", "ms"))]
        gateway.stop()
    loop.close()
    return rows


def part_streams(bench):
    """Memory of streams that are open and hear nothing."""
    gateway = Superx(bench, Streamer(bench, cpu=None), Database(bench).url,
                     env={"MAX_CONNECTIONS": "15000", "AGENT_MAX_STREAMS": "10000"})
    readers = idle_kb(gateway, subscribing(begin(gateway, 0, 0, 0)), 10000)
    gateway.stop()
    gateway.start()
    senders = idle_kb(gateway, sending(0, 0, 0), 4000)
    return [Row("RSS per idle stream, 10,000 readers of a task", Figure([readers], "KB"), at_most=8),
            Row("- 4,000 senders, each with a task and a stream from the agent", Figure([senders], "KB"))]


HOOK_TASKS = 10000


def load_hooks(bench, gateway, port):
    """Tasks that have ended, each with a webhook that waits for an hour because its receiver is not there yet."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {
        "message": json.loads(SEND)["params"]["message"],
        "configuration": {"pushNotificationConfig": {"url": f"http://127.0.0.1:{port}/message", "payload": "event"}}}})
    answer = gateway.post("task", body).body
    while int(bench.databases[-1].psql("SELECT count(*) FROM superx.push_cursors")) < HOOK_TASKS:
        wrk(gateway, "/agents/task", body, CLIENTS, 1, answer, cpu=None)
    deadline = time.monotonic() + 120
    due = "SELECT count(*) FROM superx.push_cursors WHERE due_at < now() + interval '10 min'"
    while int(bench.databases[-1].psql(due)) and time.monotonic() < deadline:
        time.sleep(0.2)


def deliver_hooks(bench, gateway, old, new):
    """All at once: deliveries per second, and per second of the gateway's CPU time."""
    database = bench.databases[-1]
    n = int(database.psql("SELECT count(*) FROM superx.push_cursors"))
    begun, done, ns = time.monotonic(), delivered(gateway), gateway.cpu_ns()
    database.psql(f"UPDATE superx.push_configs SET doc = replace(doc, ':{old}/', ':{new}/');"
                  "UPDATE superx.push_cursors SET due_at = now(), attempts = 0, delivered_seq = 0")
    while delivered(gateway) == done:
        time.sleep(0.002)
    begun = time.monotonic()
    while delivered(gateway) < done + n and time.monotonic() < begun + 60:
        time.sleep(0.01)
    took = time.monotonic() - begun
    return n / took, n * 1e9 / (gateway.cpu_ns() - ns)


def part_webhooks(bench):
    """Deliveries to a receiver on this machine against raw calls of the egress client; dead receivers beside healthy ones."""
    agent = Agent(bench)
    env = {"PUSH_ALLOW": "127.0.0.0/8", "PUSH_PER_HOST": "64", "PUSH_HOST_RATE": "0", "PUSH_RETRY_BASE_MS": "3600000"}
    Database(bench)
    gateway = Superx(bench, agent, bench.databases[-1].url, cpu=SERVER_CPU, env=env)
    old = free_port()
    load_hooks(bench, gateway, old)
    ours, theirs = [], []
    for _ in range(bench.rounds):
        ours.append(deliver_hooks(bench, gateway, old, agent.port))
        theirs.append(raw_calls(agent.port, 64, bench.seconds, 1100))
        old = agent.port
    gateway.stop()
    rows = [Row("webhooks delivered, PostgreSQL, bodies of 1.1 KB", Figure([a for a, _ in ours], "/s"),
                "calls of the egress client", Figure([b for b, _ in theirs], "/s"),
                Figure([a / b for (a, _), (b, _) in zip(ours, theirs)], "x"), 0.5),
            Row("- per second of the gateway's CPU time", Figure([a for _, a in ours], "/s"),
                "calls of the egress client", Figure([b for _, b in theirs], "/s"),
                Figure([a / b for (_, a), (_, b) in zip(ours, theirs)], "x"))]
    holes = BlackHoles(20)
    refused = free_port()

    def dead(receiver, i):
        return f"http://127.0.0.1:{holes.ports()[i % 20] if i % 2 else refused}/x"

    def alive(receiver, i):
        return f"http://127.0.0.1:{receiver.port}/x"

    streamer = Streamer(bench)

    def measure(others):
        fresh = Superx(bench, streamer, Database(bench).url, cpu=SERVER_CPU,
                       env={"PUSH_ALLOW": "127.0.0.0/8", "PUSH_HOST_RATE": "0"})
        p99, _ = delays(bench, fresh, lambda g: begin(g, 0.25, 120, 200), others)
        fresh.stop()
        return p99

    saw = {"dead": [], "none": []}
    for _ in range(bench.rounds):
        saw["none"].append(measure(alive))
        saw["dead"].append(measure(dead))
    holes.close()
    return [*rows, Row("event at 1,000 healthy webhooks, 1,000 dead beside them, p99", Figure(saw["dead"], "ms"),
                       "the others healthy, too", Figure(saw["none"], "ms"),
                       Figure([a / b for a, b in zip(saw["dead"], saw["none"])], "x"), at_most=1.5)]


def part_idle(bench):
    """Time from start to ready, and memory one second after it."""
    agent = Agent(bench, cpu=None)
    rows = []
    for store in ("PostgreSQL", "SQLite"):
        gateway = Superx(bench, agent, Database(bench).url if store == "PostgreSQL" else None)
        starts, sizes = [], []
        for _ in range(STARTS):
            gateway.stop()
            began = time.monotonic()
            gateway.start(pause=0.0005)
            starts.append(Run(1, 1, (time.monotonic() - began) * 1e3))
        time.sleep(1)
        sizes.append(gateway.rss_kb() / 1024)
        gateway.stop()
        rows += [Row(f"start to ready, {store}, {STARTS} starts", figure(starts, "p50_ms", "ms"), at_most=100),
                 Row(f"RSS idle, {store}", Figure(sizes, "MB"), at_most=12)]
    return rows


PARTS = {name.removeprefix("part_"): part for name, part in list(globals().items()) if name.startswith("part_")}


# --- the page ------------------------------------------------------------------------------------------------------


def said(command, line=0):
    """A line of what a program says, on whichever of its outputs."""
    done = subprocess.run(command, capture_output=True, text=True)
    return ((done.stdout or done.stderr).splitlines() + [""] * (line + 1))[line].strip()


def machine(bench):
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1))
    postgres = server_settings(os.environ["TEST_DATABASE_URL"])
    settings = ", ".join(f"{k}={v}" for k, v in postgres.items() if k != "server_version")
    return "\n".join([
        f"- {os.cpu_count()} CPUs ({cpu.group(1).strip() if cpu else platform.machine()}), "
        f"{memory / 1048576:.0f} GB, Linux {platform.release()}, "
        f"data on {said(['df', '--output=fstype', str(bench.temp)], 1)}; load before the run: "
        f"{os.getloadavg()[0]:.1f}",
        f"- {said(['nginx', '-v'])}; {said(['wrk', '-v']).split(' Copyright')[0]}; "
        f"{said(['pgbench', '--version'])}",
        f"- PostgreSQL {postgres['server_version'].split()[0]}: {settings}"])


def write_page(words):
    text = (HERE / "page.md").read_text()
    text = re.sub("@([A-Z]+)@", lambda found: words[found.group(1)], text)
    (ROOT / "docs" / "performance.md").write_text(text)


def options():
    parser = argparse.ArgumentParser(prog="tools/bench", description="Measures SuperX on this machine.")
    parser.add_argument("parts", nargs="*", metavar="NAME", help=f"part to run, of {', '.join(PARTS)}; default: all")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each comparison (3)")
    parser.add_argument("--seconds", type=int, default=3, help="length of one measurement (3)")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md too; needs all parts")
    asked = parser.parse_args()
    for name in asked.parts:
        if name not in PARTS:
            parser.error(f"there is no part {name!r}; there are {', '.join(PARTS)}")
    if asked.write and asked.parts:
        parser.error("--write is for a run of all parts")
    if asked.rounds < 1 or asked.seconds < 1:
        parser.error("--rounds and --seconds must be at least 1")
    return asked


def main():
    asked = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = Bench(asked.rounds, asked.seconds)
    began, rows, code = time.monotonic(), [], 0
    name = "start"
    try:
        words = {"MACHINE": machine(bench), "DATE": datetime.date.today().isoformat(), "ROUNDS": str(asked.rounds),
                 "SECONDS": str(asked.seconds), "STARTS": str(STARTS)}
        print(words["MACHINE"], flush=True)
        for name in asked.parts or PARTS:
            start = time.monotonic()
            rows += PARTS[name](bench)
            bench.clear()
            print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
    except (BenchFailed, StoryFailed, OSError, subprocess.SubprocessError) as e:
        print(f"bench: {name}: {e}", file=sys.stderr)
        code = 1
    finally:
        bench.close()
    words["TABLE"] = table_of(rows).rstrip("\n")
    words["TOTAL"] = f"{time.monotonic() - began:.0f}"
    print(f"\n{words['TABLE']}\n\n{words['TOTAL']} s, {asked.rounds} rounds of {asked.seconds} s each")
    if asked.write and not code:
        write_page(words)
    return code


if __name__ == "__main__":
    sys.exit(main())
