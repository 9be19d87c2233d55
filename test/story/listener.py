# SPDX-License-Identifier: MIT
"""A caller of streams: reads server-sent events from a socket by hand, keeps all it was told and where, and comes back
with its cursor."""
import json
import threading
import time

from fake_agent import TERMINAL
from world import PATIENCE, Client, StoryFailed, check, rpc_body, wait_until

STREAM = {"0.3": "message/stream", "1.0": "SendStreamingMessage"}
SUBSCRIBE = {"0.3": "tasks/resubscribe", "1.0": "SubscribeToTask"}


class Event:
    """One event as it came. `kind`: task, message, status, artifact or error; `thing` without any wrapper."""

    def __init__(self, cursor, name, data):
        self.cursor, self.name, self.data = cursor, name, data
        self.json = json.loads(data)
        self.result, self.error = self.json.get("result"), self.json.get("error")
        self.kind, self.thing = "error", self.error
        if self.result is not None:
            self.kind, self.thing = self._unwrap(self.result)

    @staticmethod
    def _unwrap(result):
        for wrapper, kind in (("task", "task"), ("message", "message"), ("statusUpdate", "status"),
                              ("artifactUpdate", "artifact")):
            if len(result) == 1 and isinstance(result.get(wrapper), dict):
                return kind, result[wrapper]
        return {"task": "task", "message": "message", "status-update": "status",
                "artifact-update": "artifact"}[result["kind"]], result

    @property
    def state(self):
        """In the words of 0.3; None if it has none."""
        if self.kind not in ("task", "status"):
            return None
        return self.thing["status"]["state"].replace("TASK_STATE_", "").lower().replace("_", "-")

    @property
    def is_terminal(self):
        return self.state in TERMINAL

    def __repr__(self):
        return f"<{self.kind} {self.state or ''} {self.data[:160]!r}>"


class EventReader:
    """Bytes of a chunked (or close-delimited) event stream -> events. `comments` counts keep-alives."""

    def __init__(self, chunked):
        self.chunked, self.raw, self.text = chunked, b"", b""
        self.is_ended = False  # properly: the last chunk has come
        self.comments = 0

    def feed(self, data):
        self.raw += data
        if not self.chunked:
            self.text, self.raw = self.text + self.raw, b""
        while self.chunked and b"\r\n" in self.raw:
            size, rest = self.raw.split(b"\r\n", 1)
            n = int(size.split(b";")[0], 16)
            if len(rest) < n + 2:
                break
            self.is_ended = n == 0
            self.text, self.raw = self.text + rest[:n], rest[n + 2:]
            if self.is_ended:
                break
        found = []
        while b"\n\n" in self.text:
            block, self.text = self.text.split(b"\n\n", 1)
            event = self._event(block.decode())
            if event:
                found.append(event)
        return found

    def _event(self, block):
        cursor, name, data = None, None, []
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if not field:
                self.comments += 1
            elif field == "data":
                data.append(value)
            elif field == "id":
                cursor = value
            elif field == "event":
                name = value
        return Event(cursor, name, "\n".join(data)) if data else None


class Stream:
    """One connection with an open stream."""

    def __init__(self, port, path, body, cursor=None, headers=None, timeout=PATIENCE):
        self.client = Client(port, timeout=timeout)
        head = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": str(len(body)),
                "Accept": "text/event-stream", **(headers or {})}
        if cursor is not None:
            head["Last-Event-ID"] = cursor
        self.client.send((f"POST {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in head.items()) +
                          "\r\n").encode() + body)
        self.status, self.headers, self.answer, self.events = None, {}, None, []
        self.reader = None
        self._read_head()

    def _read_head(self):
        while b"\r\n\r\n" not in self.client.pending:
            if not self.client._more():
                raise OSError("closed before the head")
        head, rest = self.client.pending.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.headers = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        if self.is_stream:
            self.client.pending = b""
            self.reader = EventReader(self.headers.get("transfer-encoding") == "chunked")
            self.events += self.reader.feed(rest)
        else:
            self.answer = self.client.read_answer()
            self.client.close()

    @property
    def is_stream(self):
        return self.headers.get("content-type", "").startswith("text/event-stream")

    @property
    def is_ended(self):
        return self.reader.is_ended

    def more(self):
        """Reads once. False: the connection is closed."""
        data = self.client.sock.recv(65536)
        self.events += self.reader.feed(data)
        return bool(data)

    def read_until(self, what, look, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while not look(self):
            if self.is_ended or not self.more():
                if look(self):
                    break
                raise StoryFailed(f"the stream ended before {what}: {self.events[-3:]!r}")
            if time.monotonic() > deadline:
                raise StoryFailed(f"waited {patience:.0f} s in vain until {what}: {self.events[-3:]!r}")
        return self

    def read_events(self, n):
        return self.read_until(f"{n} events have come", lambda s: len(s.events) >= n).events

    def read_to_end(self, patience=PATIENCE):
        """To the proper end of the answer."""
        deadline = time.monotonic() + patience
        while not self.is_ended:
            if not self.more():
                if self.reader.chunked:
                    raise StoryFailed(f"the stream was cut: {self.events[-3:]!r}")
                break
            check(time.monotonic() < deadline, f"no end within {patience:.0f} s: {self.events[-3:]!r}")
        self.close()
        return self.events

    @property
    def cursor(self):
        return next((e.cursor for e in reversed(self.events) if e.cursor), None)

    def close(self):
        self.client.close()


def open_stream(gw, agent, method, params, version=None, path=None, **rest):
    headers = {**rest.pop("headers", {}), **({"A2A-Version": version} if version else {})}
    return Stream(gw.port, path or f"/agents/{agent}", rpc_body(method, params), headers=headers, **rest)


def send_stream(gw, agent, message, version="1.0", configuration=None, **rest):
    params = {"message": message}
    if configuration:
        params["configuration"] = configuration
    return open_stream(gw, agent, STREAM[version], params, **rest)


def subscribe(gw, agent, task_id, version="1.0", **rest):
    return open_stream(gw, agent, SUBSCRIBE[version], {"id": task_id}, **rest)


def numbers_of(events):
    """What the numbered parts of artifact "out" are to somebody who was told these events, in any version."""
    parts = []
    for event in events:
        artifacts = event.thing.get("artifacts", []) if event.kind == "task" else []
        append = False
        if event.kind == "artifact":
            artifacts, append = [event.thing["artifact"]], event.thing.get("append", False)
        for artifact in artifacts:
            if artifact["artifactId"] == "out":
                fresh = [int(p["text"].rstrip(".")) for p in artifact["parts"]]
                parts = parts + fresh if append else fresh
    return parts


class Listener(threading.Thread):
    """Listens to one task until its end, through every break: comes back with its cursor, in the version it likes
    (`versions` are taken in turn). `events` are all that it was told, over all connections."""

    def __init__(self, gateways, agent, message, versions=("1.0",), rng=None, chance_to_leave=0.0):
        super().__init__(daemon=True)
        self.gateways, self.agent, self.message, self.versions = gateways, agent, message, versions
        self.rng, self.chance_to_leave = rng, chance_to_leave
        self.events, self.breaks, self.failure, self.cursor = [], 0, None, None
        self.done = threading.Event()
        self.stopping = False
        self.leaving = False

    @property
    def task_id(self):
        first = next((e for e in self.events if e.kind == "task"), None)
        return first.thing["id"] if first else None

    def leave(self):
        """Hangs up at the next event, and comes back."""
        self.leaving = True

    def run(self):
        try:
            while not self.stopping and not self._listen():
                self.breaks += 1
                time.sleep(0.02)
        except BaseException as e:
            self.failure = e
        finally:
            self.done.set()

    def _listen(self):
        """Whether the task's end was told."""
        version = self.versions[self.breaks % len(self.versions)]
        gw = self.gateways[self.breaks % len(self.gateways)]
        try:
            stream = send_stream(gw, self.agent, self.message, version=version, cursor=self.cursor, timeout=40)
        except OSError:
            return self._nothing_yet()
        if not stream.is_stream:
            return self._refused(stream)
        seen = 0
        try:
            while True:
                for event in stream.events[seen:]:
                    if event.kind == "error":
                        return False
                    self.events.append(event)
                    self.cursor = event.cursor or self.cursor
                    if event.is_terminal:
                        return True
                seen = len(stream.events)
                if self.leaving or (self.rng and self.rng.random() < self.chance_to_leave):
                    self.leaving = False
                    return False
                if stream.is_ended or not stream.more():
                    return False
        except OSError:
            return False
        finally:
            stream.close()

    def _nothing_yet(self):
        """The message may have been sent or not: who has no cursor must not send it again."""
        if self.cursor is None:
            self.stopping = True
        return False

    def _refused(self, stream):
        code = stream.answer.json.get("error", {}).get("code", 0)
        if self.cursor is None:
            self.stopping = True
            return False
        if stream.status == 503 or -31008 <= code <= -31002:
            return False
        raise StoryFailed(f"refused: {stream.status} {stream.answer.body[:300]!r}")


def wait_done(listeners, patience=120):
    for one in listeners:
        wait_until("every listener has heard the end", one.done.is_set, patience)
        if one.failure:
            raise one.failure


__all__ = ["Event", "EventReader", "Listener", "Stream", "numbers_of", "open_stream", "send_stream", "subscribe",
           "wait_done"]
