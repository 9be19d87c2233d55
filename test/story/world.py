# SPDX-License-Identifier: MIT
"""The world of a story: real gateways, fake agents that misbehave on request (fake_agent.py), real databases.

Stories use nothing but the standard library and the programs a test machine has (psql, the built superx).
Nobody sleeps to let something happen: wait_until() looks again until it has happened or its time is up.
"""
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

from fake_agent import FakeAgent, Raw, http_json, reply, scripted  # noqa: F401 (stories take them from here)

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0  # seconds until a story gives up waiting


class StoryFailed(Exception):
    pass


class StorySkipped(Exception):
    pass


def check(condition, message):
    if not condition:
        raise StoryFailed(message)


def equal(got, want, what):
    if got != want:
        raise StoryFailed(f"{what}: got {got!r}, expected {want!r}")


def contains(text, part, what):
    if part not in text:
        raise StoryFailed(f"{what}: {part!r} is not in {text!r}")


def wait_until(what, look, patience=PATIENCE):
    """Calls look() until it returns something true; returns that."""
    deadline = time.monotonic() + patience
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise StoryFailed(f"waited {patience:.0f} s in vain until {what}")
        time.sleep(0.01)


def program(variant):
    path = ROOT / "build" / variant / "superx"
    if not path.exists():
        raise StoryFailed(f"{path} is not built")
    return str(path)


# --- HTTP, by hand: what is sent is exactly what the story says ---------------------------------------------


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def header(self, name):
        return self.headers.get(name.lower())


class Client:
    """One connection to host:port."""

    def __init__(self, port, host="127.0.0.1", timeout=PATIENCE):
        self.sock = socket.create_connection((host, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def finish(self):
        self.sock.shutdown(socket.SHUT_WR)

    def _more(self):
        data = self.sock.recv(65536)
        self.pending += data
        return bool(data)

    def read_answer(self, is_head=False):
        """Reads one whole answer; None if the connection closed before one began."""
        while b"\r\n\r\n" not in self.pending:
            if not self._more():
                if self.pending:
                    raise StoryFailed(f"connection closed inside a head: {self.pending[:200]!r}")
                return None
        head, self.pending = self.pending.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            headers[name.strip().lower()] = value.strip()
        if status == 100:
            return Answer(100, headers, b"")
        length = 0 if is_head else int(headers.get("content-length", "0"))
        while len(self.pending) < length:
            if not self._more():
                raise StoryFailed(f"connection closed after {len(self.pending)} of {length} body bytes")
        body, self.pending = self.pending[:length], self.pending[length:]
        return Answer(status, headers, body)

    def is_closed_by_peer(self):
        """Waits for EOF; True if it comes without more bytes."""
        try:
            return not self.pending and not self.sock.recv(1)
        except (ConnectionResetError, BrokenPipeError):
            return True
        except TimeoutError:
            return False

    def request(self, verb, path, body=b"", headers=None):
        head = {"Host": "localhost"}
        if body:
            head["Content-Type"] = "application/json"
        head.update(headers or {})
        if "Content-Length" not in head and (body or verb == "POST"):
            head["Content-Length"] = str(len(body))
        text = f"{verb} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in head.items()) + "\r\n"
        self.send(text.encode("latin-1") + body)
        return self.read_answer(is_head=verb == "HEAD")


def request(port, verb, path, body=b"", headers=None, timeout=PATIENCE):
    client = Client(port, timeout=timeout)
    try:
        return client.request(verb, path, body, headers)
    finally:
        client.close()


_ids = iter(range(1, 10**9))


def rpc_body(method, params, id_=None):
    return json.dumps({"jsonrpc": "2.0", "id": id_ if id_ is not None else next(_ids), "method": method,
                       "params": params}).encode()


def message(text="hello", version="0.3", **members):
    """A user message in either version."""
    part = {"text": text} if version == "1.0" else {"kind": "text", "text": text}
    m = {"messageId": f"m-{next(_ids)}", "role": "ROLE_USER" if version == "1.0" else "user", "parts": [part]}
    if version != "1.0":
        m = {"kind": "message", **m}
    return {**m, **members}


SEND = {"0.3": "message/send", "1.0": "SendMessage"}
GET = {"0.3": "tasks/get", "1.0": "GetTask"}
CANCEL = {"0.3": "tasks/cancel", "1.0": "CancelTask"}
VERSIONS = ("0.3", "1.0")


def task_of(answer, version):
    """The task in the answer to a send."""
    result = answer.json.get("result")
    check(result is not None, f"no result: {answer.body[:600]!r}")
    return result["task"] if version == "1.0" else result


def state_of(task):
    """In the words of 0.3, whatever the task's version."""
    return task["status"]["state"].replace("TASK_STATE_", "").lower().replace("_", "-")


def error_of(answer):
    error = answer.json.get("error")
    check(error is not None, f"no error: {answer.body[:600]!r}")
    return error


# --- the gateway ---------------------------------------------------------------------------------------------------


class Gateway:
    """A real superx process. `agents` is a dict id -> FakeAgent (or url, or a dict of file keys)."""

    def __init__(self, world, agents=None, variant=None, env=None, args=(), database_url=None, data=None,
                 wait=True, agents_text=None):
        self.world = world
        self.variant = variant or world.variant
        self.data = data or world.folder("data")
        self.agents_path = None
        self.env = {k: v for k, v in os.environ.items()
                    if k in ("PATH", "HOME", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TMPDIR")}
        self.env.update({"PORT": "0", "SUPERX_DATA": str(self.data), "LOG_LEVEL": "info"})
        url = database_url if database_url is not None else world.database_url
        if url:
            self.env["DATABASE_URL"] = url
        if agents is not None or agents_text is not None:
            self.agents_path = Path(world.folder(f"agents-{len(world.gateways) + 1}")) / "agents.yml"
            self.write_agents(agents, agents_text)
            self.env["AGENTS_FILE"] = str(self.agents_path)
        self.env.update(env or {})
        self.args = list(args)
        self.lines = []
        self.process = None
        self.port = None
        world.gateways.append(self)
        self.start(wait)

    @staticmethod
    def agents_yaml(agents):
        out = ["agents:"]
        for name, agent in agents.items():
            out.append(f"  {name}:")
            keys = agent if isinstance(agent, dict) else (
                {"agent": agent} if isinstance(agent, FakeAgent) else {"url": agent})
            keys = dict(keys)
            fake = keys.pop("agent", None)
            if fake:
                keys.setdefault("url", fake.url)
                # Who shows a card says his version there.
                if not fake.card and fake.version in VERSIONS:
                    keys.setdefault("protocolVersion", f'"{fake.version}"')
            out += [f"    {k}: {v}" for k, v in keys.items() if v is not None]
        return "\n".join(out) + "\n"

    def write_agents(self, agents=None, text=None):
        """Replaced as editors do it: a new file moved over the old one."""
        fresh = self.agents_path.with_suffix(".new")
        fresh.write_text(text if text is not None else self.agents_yaml(agents))
        os.replace(fresh, self.agents_path)

    def start(self, wait=True):
        self.lines = []
        # A gateway told to log less than info has no banner: the story gave it a port.
        self.port = int(self.env["PORT"]) or None if self.env["PORT"].isdigit() else None
        self.process = subprocess.Popen([program(self.variant), "serve", *self.args], env=self.env,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL, cwd=self.world.home)
        self.reader = threading.Thread(target=self._read_log, args=(self.process, self.lines), daemon=True)
        self.reader.start()
        if wait:
            wait_until("the gateway is ready", self._ready)
        return self

    @staticmethod
    def _read_log(process, lines):
        for line in process.stderr:
            lines.append(line.decode("utf-8", "replace").rstrip("\n"))

    def _banner_port(self):
        if self.port:
            return self.port
        for line in list(self.lines):
            found = re.search(r"listen=\"?http://[^ \"]*:(\d+)", line) or \
                re.search(r"\"listen\":\"http://[^\"]*:(\d+)", line)
            if found:
                self.port = int(found.group(1))
        return self.port

    def _ready(self):
        if self.process.poll() is not None:
            raise StoryFailed(f"the gateway ended with {self.process.returncode}: {self.log_tail()}")
        if not self._banner_port():
            return False
        try:
            return request(self.port, "GET", "/health/ready", timeout=5).status == 200
        except OSError:
            return False

    def wait_listening(self):
        return wait_until("the gateway listens", self._banner_port)

    def log_tail(self, n=15):
        return "\n".join(self.lines[-n:])

    def log_has(self, *parts):
        return any(all(p in line for p in parts) for line in list(self.lines))

    def wait_log(self, *parts):
        wait_until(f"the log says {parts}", lambda: self.log_has(*parts))

    def kill(self):
        """kill -9, and reap."""
        self.process.kill()
        self.wait_end()

    def stop(self, patience=40):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait_end(patience)

    def wait_end(self, patience=PATIENCE):
        """Waits until it has ended by itself and its log is read to the end; returns the exit code."""
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise StoryFailed(f"the gateway did not end within {patience:.0f} s: {self.log_tail()}") from None
        # A demo agent may hold the pipe a moment longer.
        self.reader.join(10)
        return code

    def restart(self, wait=True):
        if self.process.poll() is None:
            self.kill()
        return self.start(wait)

    # --- talking to it

    def http(self, verb, path, body=b"", headers=None, timeout=PATIENCE):
        return request(self.port, verb, path, body, headers, timeout)

    def rpc(self, agent, method, params, headers=None, id_=None, timeout=PATIENCE):
        return self.http("POST", f"/agents/{agent}", rpc_body(method, params, id_), headers, timeout)

    def send(self, agent, text="hello", version="0.3", configuration=None, timeout=PATIENCE, **members):
        params = {"message": message(text, version, **members)}
        if configuration:
            params["configuration"] = configuration
        return self.rpc(agent, SEND[version], params, timeout=timeout)

    def get(self, agent, task_id, version="0.3", **params):
        return self.rpc(agent, GET[version], {"id": task_id, **params})

    def cancel(self, agent, task_id, version="0.3", timeout=PATIENCE, **params):
        return self.rpc(agent, CANCEL[version], {"id": task_id, **params}, timeout=timeout)

    def own(self, method, params, headers=None, timeout=PATIENCE):
        """The gateway's own surface."""
        return self.http("POST", "/rpc", rpc_body(method, params), headers, timeout)

    def card(self, agent=None, version=None, name="agent-card.json", headers=None):
        """The card as a caller of that version gets it; without an agent the one at the root."""
        path = f"/agents/{agent}/.well-known/{name}" if agent else f"/.well-known/{name}"
        return self.http("GET", path, headers={**({"A2A-Version": version} if version else {}), **(headers or {})})

    def wait_state(self, agent, task_id, state, version="0.3"):
        """Waits until the store has the task in that state, which is what a list shows: nobody is asked by it."""
        def found():
            for row in self.own("tasks.list", {"agentId": agent, "limit": 100}).json["result"]["tasks"]:
                if row["id"] == task_id and state_of(row) == state:
                    return row
            return None

        return wait_until(f"task {task_id} of {agent} is {state}", found)

    def health(self):
        return self.http("GET", "/health").json

    def rss_kb(self):
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))

    def cli(self, *args, **kwargs):
        env = dict(self.env, SUPERX_URL=f"http://127.0.0.1:{self.port}")
        return run_superx(args, env, self.world.home, self.variant, **kwargs)


def run_superx(args, env, cwd, variant="asan", stdin="", timeout=60):
    return subprocess.run([program(variant), *args], env=env, cwd=cwd, input=stdin, capture_output=True, text=True,
                          timeout=timeout)


# --- databases -----------------------------------------------------------------------------------------------------


class Database:
    """A scratch database of its own on the test server."""

    def __init__(self, world, create=True):
        base = os.environ.get("TEST_DATABASE_URL")
        if not base:
            raise StorySkipped("TEST_DATABASE_URL is not set (tools/with-postgres sets it)")
        parts = urllib.parse.urlsplit(base)
        self.name = f"superx_story_{os.getpid()}_{next(_ids)}_test"
        self.base = base
        self.url = urllib.parse.urlunsplit(parts._replace(path="/" + self.name))
        if create:
            self.psql(f'CREATE DATABASE "{self.name}"', self.base)

    def psql(self, sql, url=None):
        done = subprocess.run(["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", url or self.url, "-c", sql],
                              capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise StoryFailed(f"psql: {done.stderr.strip()}")
        return done.stdout.rstrip("\n")

    def wait_unused(self):
        """A session that was closed is a moment longer there."""
        wait_until("nobody is connected to the database", lambda: self.psql(
            f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{self.name}' AND backend_type = 'client backend'",
            self.base) == "0")

    def drop(self):
        subprocess.run(["psql", "-X", "-q", self.base, "-c", f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)'],
                       capture_output=True, timeout=60)


# --- a story's world --------------------------------------------------------------------------------------------------


def free_port():
    """Below the range from which the kernel gives ports to whoever wants any, and apart from with-postgres': it stays
    free until it is used."""
    while True:
        port = random.randrange(10000, 20000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class World:
    def __init__(self, store, variant="asan"):
        self.store, self.variant = store, variant
        self.temp = tempfile.TemporaryDirectory(prefix="superx-story-")
        self.home = self.folder("home")
        self.gateways, self.agents, self.things = [], [], []
        self.database = None
        self.database_url = None
        if store == "postgres":
            self.database = Database(self)
            self.database_url = self.database.url

    def folder(self, name):
        path = Path(self.temp.name) / name
        path.mkdir(exist_ok=True)
        return str(path)

    def agent(self, version="0.3", behave=None, **kwargs):
        agent = FakeAgent(version, behave, **kwargs)
        self.agents.append(agent)
        return agent

    def add(self, agent):
        """An agent that somebody made himself; closed with the world."""
        self.agents.append(agent)
        return agent

    def gateway(self, agents=None, **kwargs):
        if self.database_url and "args" not in kwargs:
            kwargs["args"] = ["--migrate"]
        return Gateway(self, agents, **kwargs)

    def stored(self, agent, task_id):
        """The stored document, read from the database behind the gateway's back; None if there is none."""
        where = "t.agent = '{}' AND t.task_id = '{}'".format(agent.replace("'", "''"), task_id.replace("'", "''"))
        if self.database:
            out = self.database.psql(f"SELECT d.doc FROM superx.tasks t JOIN superx.task_docs d USING (key) WHERE {where}")
            return out or None
        import sqlite3
        path = Path(self.folder("data")) / "superx.db"
        if not path.exists():
            return None
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        try:
            row = db.execute(f"SELECT d.doc FROM tasks t JOIN task_docs d USING (key) WHERE {where}").fetchone()
            return row[0] if row else None
        finally:
            db.close()

    def close(self):
        for g in self.gateways:
            if g.process and g.process.poll() is None:
                g.kill()
        for a in self.agents:
            a.close()
        for t in self.things:
            t.close()
        if self.database:
            self.database.drop()
        self.temp.cleanup()

    def check_sanitizers(self):
        """A sanitizer's report anywhere in a gateway's log fails the story."""
        for g in self.gateways:
            for i, line in enumerate(g.lines):
                if "AddressSanitizer" in line or "runtime error:" in line or "LeakSanitizer" in line \
                        or line.startswith("BUG:"):
                    raise StoryFailed("the gateway reported: " + "\n".join(g.lines[i:i + 25]))
