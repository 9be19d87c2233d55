# SPDX-License-Identifier: MIT
"""What is measured: the gateway, nginx and the agent as processes of our own, and what their CPU time is.

Every server has a loopback port nobody else uses and a folder in the bench's temporary one; it is stopped by its
pid. CPU time is read from schedstat, which counts nanoseconds, over all threads of a process and of its children.
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "test" / "story"))
from world import StoryFailed, request  # noqa: E402,F401

PATIENCE = 30.0
SERVER_CPU, LOAD_CPU = "0", "1"


class BenchFailed(Exception):
    pass


def superx():
    return os.environ.get("BENCH_SUPERX", str(ROOT / "build" / "release" / "superx"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pinned(cpu, command):
    """The command, held to a CPU; with None wherever the kernel puts it. One core has nothing to choose from."""
    return ["taskset", "-c", cpu, *command] if cpu and os.cpu_count() > 1 else command


# --- CPU time ------------------------------------------------------------------------------------------------------


def _of_threads(pid, name):
    """The words of /proc/PID/task/*/NAME. Threads and whole processes may end while one looks."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads:
        try:
            yield Path(f"/proc/{pid}/task/{thread}/{name}").read_text().split()
        except OSError:
            pass


def _threads_ns(pid):
    return sum(int(words[0]) for words in _of_threads(pid, "schedstat"))


def _children(pid):
    return [child for words in _of_threads(pid, "children") for child in words]


def cpu_ns(pid):
    """CPU time of a process and its living children."""
    return _threads_ns(pid) + sum(_threads_ns(child) for child in _children(pid))


# --- processes -----------------------------------------------------------------------------------------------------


class Server:
    """A process that listens on `port`. Its stderr goes to a file, which costs it what a log costs and us nothing."""

    def __init__(self, bench, name, cpu):
        self.bench, self.name, self.cpu = bench, name, cpu
        self.folder = bench.folder(name)
        self.log = self.folder / "log"
        self.process = None
        self.port = None
        bench.servers.append(self)

    def spawn(self, command, env=None, stdout=subprocess.DEVNULL):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(pinned(self.cpu, command), env=env, stdin=subprocess.DEVNULL,
                                            stdout=stdout, stderr=log, cwd=self.folder)

    def is_ready(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def wait_ready(self, pause=0.005):
        deadline = time.monotonic() + PATIENCE
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise BenchFailed(f"{self.name} does not start: {self.log.read_text()[-2000:]}")
            time.sleep(pause)

    def cpu_ns(self):
        return cpu_ns(self.process.pid)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def build(name, *more):
    """Compiles a program of the bench's own."""
    program = ROOT / "build" / "bench" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([os.environ.get("CC", "gcc"), "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror",
                    "-o", str(program), str(HERE / f"{name}.c"), *more], check=True)
    return program


def build_translate():
    """The codec's bench, with the code of the release build."""
    return build("translate", f"-I{ROOT / 'src'}", str(ROOT / "build" / "release" / "libsuperx.a"))


class Agent(Server):
    def __init__(self, bench, cpu=LOAD_CPU):
        super().__init__(bench, "agent", cpu)
        self.spawn([str(build("agent"))], stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline().split()[1])


class Nginx(Server):
    def __init__(self, bench, agent, answer=b"", logs=False):
        super().__init__(bench, "nginx-logging" if logs else "nginx", SERVER_CPU)
        self.port = free_port()
        words = {"FOLDER": str(self.folder), "PORT": str(self.port), "AGENT_PORT": str(agent.port),
                 "ANSWER": "x" * len(answer), "ACCESS_LOG": str(self.folder / "access.log") if logs else "off"}
        text = re.sub("@([A-Z_]+)@", lambda found: words[found.group(1)], (HERE / "nginx.conf").read_text())
        (self.folder / "nginx.conf").write_text(text)
        self.spawn(["nginx", "-p", str(self.folder), "-e", str(self.folder / "error.log"),
                    "-c", str(self.folder / "nginx.conf")])
        self.wait_ready()


class Superx(Server):
    """The gateway in front of the agents `message` and `task`, on PostgreSQL if there is a URL, else on SQLite."""

    def __init__(self, bench, agent, database_url=None, name="superx", cpu=None, env=None):
        super().__init__(bench, name, cpu)
        self.port = free_port()
        agents = self.folder / "agents.yml"
        agents.write_text("agents:\n" + "".join(
            f"  {a}:\n    url: http://127.0.0.1:{agent.port}/{a}\n    maxInFlight: 1000\n" for a in ("message", "task")))
        self.env = {k: os.environ[k] for k in ("PATH", "HOME", "LANG", "TMPDIR") if k in os.environ}
        self.env.update(PORT=str(self.port), AGENTS_FILE=str(agents), SUPERX_DATA=str(self.folder / "data"),
                        LOG_LEVEL="warn", HTTP_POOL_SIZE="128")
        if database_url:
            self.env.update(DATABASE_URL=database_url, SUPERX_MIGRATE="true")
        self.env.update(env or {})
        self.start()

    def start(self, pause=0.005):
        self.spawn([superx(), "serve"], env=self.env)
        self.wait_ready(pause)

    def is_ready(self):
        try:
            return request(self.port, "GET", "/health/ready", timeout=5).status == 200
        except OSError:
            return False

    def health(self):
        return request(self.port, "GET", "/health").json

    def rss_kb(self):
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text()).group(1))

    def post(self, agent, body):
        answer = request(self.port, "POST", f"/agents/{agent}", body.encode())
        if answer.status != 200 or "result" not in answer.json:
            raise BenchFailed(f"the gateway answers {answer.status}: {answer.body[:500]!r}")
        return answer


# --- PostgreSQL ----------------------------------------------------------------------------------------------------


class Database:
    """A database of our own on the server that TEST_DATABASE_URL names."""

    def __init__(self, bench):
        self.base = os.environ.get("TEST_DATABASE_URL")
        if not self.base:
            raise BenchFailed("TEST_DATABASE_URL is not set (tools/bench sets it)")
        self.name = f"superx_bench_{os.getpid()}_{bench.next_number()}_test"
        self.url = urllib.parse.urlunsplit(urllib.parse.urlsplit(self.base)._replace(path="/" + self.name))
        self.psql(f'CREATE DATABASE "{self.name}"', self.base)
        bench.databases.append(self)
        self.postmaster = self._find_postmaster()

    def _find_postmaster(self):
        """The server's first process; None if it does not run on this machine, or not where we can see it."""
        pid = self.psql("SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)")
        try:
            return int(pid) if "postgres" in Path(f"/proc/{pid}/cmdline").read_text() else None
        except OSError:
            return None

    def cpu_ns(self):
        """CPU time of the whole server, with the processes that served a connection and are gone."""
        if not self.postmaster:
            return None
        fields = Path(f"/proc/{self.postmaster}/stat").read_text().rsplit(")", 1)[1].split()
        gone_ticks = int(fields[13]) + int(fields[14])
        return cpu_ns(self.postmaster) + gone_ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")

    def psql(self, sql, url=None, file=None):
        done = subprocess.run(["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", url or self.url,
                               *(["-f", str(file)] if file else ["-c", sql])],
                              capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise BenchFailed(f"psql: {done.stderr.strip()}")
        return done.stdout.rstrip("\n")

    def drop(self):
        subprocess.run(["psql", "-X", "-q", self.base, "-c", f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)'],
                       capture_output=True, timeout=120)


def server_settings(url):
    """What of the server's settings says how its figures came about."""
    names = ["server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size"]
    sql = "SELECT json_object_agg(name, current_setting(name)) FROM unnest(ARRAY['" + "','".join(names) + "']) name"
    done = subprocess.run(["psql", "-X", "-q", "-At", url, "-c", sql], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
