# SPDX-License-Identifier: MIT
"""Who makes the load, and what it saw: wrk for HTTP, pgbench for PostgreSQL, a loop for SQLite.

A run that saw an error, or answers of another size than the one it was shown first, is no measurement: it ends the
bench. JSON-RPC errors come with status 200, so the size is what gives them away.
"""
import os
import random
import re
import sqlite3
import statistics
import subprocess
import time
from pathlib import Path

from servers import HERE, LOAD_CPU, BenchFailed, pinned

# 1 KB to store: a whole document, and the artifact that makes a task of the first SuperX as large.
DOCUMENT = '{"artifactId":"1","name":"result","parts":[{"kind":"text","text":"%s"}]}'
ARTIFACT = DOCUMENT % ("x" * 731)
DOCUMENT = DOCUMENT % ("x" * (1024 - len(DOCUMENT) + 2))


def percentile(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, len(values) * percent // 100)]


class Run:
    """One timed run. Times in ms, CPU in us per request; what was not measured is None. `database_us` is the CPU
    time of the database server per request."""

    database_us = None

    def __init__(self, n, seconds, p50_ms=None, p99_ms=None, cpu_us=None):
        self.n, self.seconds = n, seconds
        self.per_second = n / seconds
        self.p50_ms, self.p99_ms, self.cpu_us = p50_ms, p99_ms, cpu_us


def wrk(server, path, body, clients, seconds, answer=None, ids=None, cpu=LOAD_CPU):
    """POSTs body to the server. `answer` is one answer as it should be; its body's size is held against the run's."""
    env = dict(os.environ, BENCH_BODY=body)
    if ids:
        env["BENCH_IDS"] = str(ids)
    before = server.cpu_ns()
    done = subprocess.run(pinned(cpu, ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "10s",
                                       "-s", str(HERE / "post.lua"), f"http://127.0.0.1:{server.port}{path}"]),
                          env=env, capture_output=True, text=True, timeout=seconds + 60)
    spent = server.cpu_ns() - before
    found = re.search(r"^bench (.*)$", done.stdout, re.M)
    if not found:
        raise BenchFailed(f"wrk: {done.stdout}{done.stderr}")
    saw = {k: int(v) for k, v in (word.split("=") for word in found.group(1).split())}
    n = saw["requests"]
    if saw["errors"] or not n:
        raise BenchFailed(f"{server.name}: {n} requests, {saw['errors']} errors")
    if answer is not None and not 0 <= saw["bytes"] / n - len(answer) < 300:
        raise BenchFailed(f"{server.name}: answers of {saw['bytes'] / n:.0f} bytes, expected {len(answer)} and a head")
    return Run(n, saw["duration_us"] / 1e6, saw["p50_us"] / 1e3, saw["p99_us"] / 1e3, spent / 1e3 / n)


def pgbench(database, table, clients, seconds, folder):
    """Upserts of one row of 1 KB each into bench_TABLE, every client on a connection of its own."""
    doc = ARTIFACT if table == "tasks" else DOCUMENT
    script = HERE / f"upsert_{'task' if table == 'tasks' else table}.sql"
    prefix = Path(folder) / "pgbench"
    log = ["--log", f"--log-prefix={prefix}"] if clients == 1 else []
    done = subprocess.run(["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(clients, 2)),
                           "-T", str(seconds), "-D", f"doc={doc}", "-f", str(script), *log, database.url],
                          capture_output=True, text=True, timeout=seconds + 60)
    n = re.search(r"actually processed: (\d+)", done.stdout)
    tps = re.search(r"^tps = ([\d.]+)", done.stdout, re.M)
    failed = re.search(r"failed transactions: (\d+)", done.stdout)
    if done.returncode or not n or not tps or (failed and int(failed.group(1))):
        raise BenchFailed(f"pgbench: {done.stdout}{done.stderr}")
    times = []
    for path in prefix.parent.glob(prefix.name + ".*"):
        times += [int(line.split()[2]) / 1e3 for line in path.read_text().splitlines()]
        path.unlink()
    n = int(n.group(1))
    return Run(n, n / float(tps.group(1)),
               statistics.median(times) if times else None, percentile(times, 99) if times else None)


class SqliteLoop:
    """Upserts of one row of 1 KB, each a transaction of its own, as durable as the gateway's."""

    def __init__(self, folder):
        self.db = sqlite3.connect(Path(folder) / "naive.db", isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute("CREATE TABLE documents (id INTEGER PRIMARY KEY, doc TEXT NOT NULL)")

    def run(self, seconds):
        sql = "INSERT INTO documents VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc"
        times, start = [], time.perf_counter()
        now = start
        while now - start < seconds:
            self.db.execute(sql, (random.getrandbits(62), DOCUMENT))
            times.append((time.perf_counter() - now) * 1e3)
            now = time.perf_counter()
        return Run(len(times), now - start, statistics.median(times), percentile(times, 99))

    def close(self):
        self.db.close()
