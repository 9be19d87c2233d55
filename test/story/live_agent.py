# SPDX-License-Identifier: MIT
"""An A2A agent whose tasks live: they emit at their own pace, whether or not anybody is connected, and can be streamed,
subscribed to, asked for and canceled. Built on FakeAgent, so its connections, cards and requests are those.

    count N MS [SIZE]    N numbered parts appended to artifact "out", one every MS ms, each SIZE bytes or so; completed
    stages N MS          N artifacts of one part each, a status message between any two; completed
    hold                 works until move() says otherwise
    ask N MS             N parts, then input-required; the next message to it: N more parts, completed
    reply TEXT           a message instead of a task         refuse CODE     an error before the stream
    fail N MS            N parts, then failed

What goes wrong is set on the agent: see __init__. Chaos is somebody else's: break_streams() cuts what is open.
"""
import json
import random
import threading
import time

from fake_agent import CANCELS, GETS, SENDS, TERMINAL, FakeAgent, http_json, reply, state_name

STREAMS = ("message/stream", "SendStreamingMessage")
SUBSCRIBES = ("tasks/resubscribe", "SubscribeToTask")
INTERRUPTED = ("input-required", "auth-required")


def part_of(text, version):
    return {"text": text} if version == "1.0" else {"kind": "text", "text": text}


class LiveTask:
    """A task and all it ever emitted. `doc` is the agent's truth, folded here as the reference says."""

    def __init__(self, agent, task_id, context, version, text):
        self.agent, self.id, self.context, self.version, self.text = agent, task_id, context, version, text
        self.changed = threading.Condition()
        self.events = []
        self.said = 0  # messages to it
        self.doc = {"id": task_id, "contextId": context,
                    "status": {"state": state_name("working", version), "timestamp": "2026-01-02T03:04:05.678Z"}}
        if version != "1.0":
            self.doc["kind"] = "task"

    @property
    def state(self):
        return self.doc["status"]["state"].replace("TASK_STATE_", "").lower().replace("_", "-")

    def snapshot(self):
        return json.loads(json.dumps(self.doc))

    def _emit(self, kind, update):
        update = {"taskId": self.id, "contextId": self.context, **update}
        with self.changed:
            if self.state in TERMINAL:
                return False
            self._fold(kind, update)
            self.events.append((kind, update))
            self.changed.notify_all()
        return True

    def _fold(self, kind, update):
        if kind == "status":
            old = self.doc["status"].get("message")
            if old:
                self.doc["history"] = self.doc.get("history", []) + [old]
            self.doc["status"] = update["status"]
            return
        fresh = update["artifact"]
        for artifact in self.doc.setdefault("artifacts", []):
            if artifact["artifactId"] == fresh["artifactId"] and update.get("append"):
                artifact["parts"] = artifact["parts"] + fresh["parts"]
                return
            if artifact["artifactId"] == fresh["artifactId"]:
                artifact.clear()
                artifact.update(fresh)
                return
        self.doc["artifacts"].append(dict(fresh))

    def part(self, text, artifact="out", append=True, last=False):
        known = any(a["artifactId"] == artifact for a in self.doc.get("artifacts", []))
        return self._emit("artifact", {"artifact": {"artifactId": artifact, "parts": [part_of(text, self.version)]},
                                       "append": append and known, "lastChunk": last})

    def move(self, state, text=None):
        status = {"state": state_name(state, self.version), "timestamp": "2026-01-02T03:04:06.000Z"}
        if text is not None:
            status["message"] = {"messageId": f"s-{len(self.events)}", "taskId": self.id, "contextId": self.context,
                                 "role": "ROLE_AGENT" if self.version == "1.0" else "agent",
                                 "parts": [part_of(text, self.version)]}
            if self.version != "1.0":
                status["message"] = {"kind": "message", **status["message"]}
        return self._emit("status", {"status": status})

    def live(self):
        """What its message ordered, at its own pace."""
        words = self.text.split()
        what = words[0] if words else ""
        n = int(words[1]) if len(words) > 1 else 0
        pace = float(words[2]) / 1000 if len(words) > 2 else 0
        size = int(words[3]) if len(words) > 3 else 0
        first = self.doc.get("artifacts", [{"parts": []}])[0]["parts"] if what == "ask" else []
        for i in range(n):
            if self.agent.pauses.wait_if_set() or self.state in TERMINAL:
                return
            if pace:
                time.sleep(pace)
            number = len(first) + 1 if what == "ask" else i + 1
            if what == "stages":
                self.part(f"{number}", artifact=f"a{number}")
                self.move("working", f"stage {number}")
            else:
                self.part(f"{number}".ljust(size, "."), last=i + 1 == n)
            first = self.doc.get("artifacts", [{"parts": []}])[0]["parts"] if what == "ask" else []
        if what == "ask" and self.said == 0:
            self.move("input-required", "and then?")
        elif what == "fail":
            self.move("failed", "as ordered")
        elif what != "hold":
            self.move("completed")

    def numbers(self):
        return [int(p["text"].rstrip(".")) for a in self.doc.get("artifacts", []) if a["artifactId"] == "out"
                for p in a["parts"]]


class Pauses:
    """Stops all tasks of an agent at their next step: wait_if_set() blocks; True: for ever."""

    def __init__(self):
        self.go = threading.Event()
        self.go.set()
        self.ended = False

    def wait_if_set(self):
        self.go.wait(600)
        return self.ended


class Framing:
    """How events become bytes. eol: "\\n", "\\r", "\\r\\n" or "mixed". cut: bytes per write, 0: whole events."""

    def __init__(self, eol="\n", cut=0, space=True, comments=False, named=False, lines=1, bom=False, last_blank=True,
                 pretty=False):
        self.eol, self.cut, self.space, self.comments, self.named = eol, cut, space, comments, named
        self.lines, self.bom, self.last_blank, self.pretty = lines, bom, last_blank, pretty

    def bytes_of(self, answer, number, is_last):
        text = json.dumps(answer, indent=1 if self.pretty else None)
        colon = ": " if self.space else ":"
        out = []
        if self.comments:
            out += [": a comment", ":"]
        if self.named:
            out += [f"event{colon}message", f"id{colon}{number}", f"retry{colon}3000", "unknown" + colon + "field"]
        lines = text.split("\n")
        if self.lines > 1 and not self.pretty:
            # JSON may be broken between any two of its tokens: here, behind commas.
            lines = text.replace(", ", ",\n", self.lines - 1).split("\n")
        out += [f"data{colon}{line}" for line in lines]
        if not (is_last and not self.last_blank):
            out.append("")
        eols = {"mixed": ["\n", "\r", "\r\n"]}.get(self.eol, [self.eol])
        body = "".join(line + eols[i % len(eols)] for i, line in enumerate(out))
        return ("\ufeff" if self.bom and number == 0 else "").encode() + body.encode()


class Stream:
    """One open stream of a task, or of a message: written by the connection's own thread."""

    def __init__(self, agent, req, task, after, first):
        self.agent, self.req, self.task, self.after, self.first = agent, req, task, after, first
        self.version = task.version if task else agent._version_of(req)
        self.number = 0
        self.sock = None

    def _wrap(self, kind, thing):
        if self.version == "1.0":
            name = {"task": "task", "message": "message", "status": "statusUpdate", "artifact": "artifactUpdate"}[kind]
            return {name: thing}
        if kind == "status":
            return {"kind": "status-update", **thing, "final": self._ends_at(kind, thing)}
        return {"kind": "artifact-update", **thing} if kind == "artifact" else thing

    def _write(self, result=None, error=None, is_last=False):
        answer = {"jsonrpc": "2.0", "id": self.req.json["id"]}
        answer.update({"error": error} if error else {"result": result})
        data = self.agent.framing.bytes_of(answer, self.number, is_last)
        self.number += 1
        if self.agent.chunked:
            data = f"{len(data):x}\r\n".encode() + data + b"\r\n"
        cut = self.agent.framing.cut or len(data)
        for i in range(0, len(data), cut):
            self.sock.sendall(data[i:i + cut])

    def run(self, sock):
        self.sock = sock
        with self.agent.lock:
            self.agent.streams.append(self)
        try:
            sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n" +
                         (b"transfer-encoding: chunked\r\n" if self.agent.chunked else b"connection: close\r\n") + b"\r\n")
            if self.first is not None:
                self._write(self._wrap(*self.first), is_last=self.task is None)
            if self.task:
                self._follow()
            if self.agent.chunked:
                sock.sendall(b"0\r\n\r\n")
        finally:
            with self.agent.lock:
                self.agent.streams.remove(self)

    def _ends_at(self, kind, thing):
        if kind != "status":
            return False
        state = thing["status"]["state"].replace("TASK_STATE_", "").lower().replace("_", "-")
        return state in TERMINAL or (state in INTERRUPTED and self.agent.ends_at_interrupted)

    def _follow(self):
        at, task = self.after, self.task
        if self.first and self.first[0] == "task" and task.state in TERMINAL and at == len(task.events):
            return
        while not self.agent.closing:
            with task.changed:
                while at == len(task.events) and not self.agent.closing:
                    task.changed.wait(0.2)
                    if not self._is_open():
                        return
                fresh = task.events[at:]
            for kind, thing in fresh:
                at += 1
                is_end = self._ends_at(kind, thing)
                self._write(self._wrap(kind, thing), is_last=is_end)
                if is_end:
                    return

    def _is_open(self):
        return self.sock.fileno() >= 0


class LiveAgent(FakeAgent):
    """streams: "sse"; "json" (plain JSON with the task, at once); "no" (-32004); "unknown" (-32601).
    subscribes: "snapshot" (Task first, as A2A 1.0 has it); "bare" (only what comes, as some 0.3 servers do);
    "closes" (the snapshot, then the end); "absent" (-32001); "no" (-32004).
    ends_at_interrupted: a stream ends at input-required, else it stays open."""

    def __init__(self, version="1.0", card="own", **rest):
        super().__init__(version, behave=LiveAgent._behave, card=version if card == "own" else card, **rest)
        self.live_tasks, self.streams = {}, []
        self.streams_as, self.subscribes_as = "sse", "snapshot"
        self.ends_at_interrupted, self.chunked = True, True
        self.begins_with_update = False  # the stream of a new task begins with a status update (0.3 servers do)
        self.framing = Framing()
        self.pauses = Pauses()

    # --- what stories do to it

    def task(self, task_id):
        return self.live_tasks[task_id]

    def break_streams(self, chance=1.0, rng=random):
        """Cuts open streams, in the middle of whatever they say."""
        with self.lock:
            open_now = [s for s in self.streams if rng.random() < chance]
        for stream in open_now:
            try:
                stream.sock.shutdown(2)
            except OSError:
                pass
        return len(open_now)

    def close(self):
        self.pauses.ended = True
        self.pauses.go.set()
        super().close()

    # --- what it does

    def _begin(self, req, version):
        sent = req.json["params"]["message"]
        known = sent.get("taskId")
        if known:
            task = self.live_tasks.get(known)
            if task and task.state in INTERRUPTED:
                task.said += 1
                task.move("working")
                threading.Thread(target=task.live, daemon=True).start()
            return task
        with self.lock:
            n = len(self.live_tasks) + 1
        task = LiveTask(self, f"live-{self.port}-{n}-{random.randrange(10**9)}", sent.get("contextId") or f"ctx-{n}",
                        version, req.text)
        with self.lock:
            self.live_tasks[task.id] = task
        threading.Thread(target=task.live, daemon=True).start()
        return task

    def _behave(self, req):
        call, method = req.json, req.json["method"]
        version = self._version_of(req)
        if not version:
            return self.error(req, -32601, "Method not found")
        if method in SENDS + STREAMS:
            return self._sent(req, method, version)
        task = self.live_tasks.get(call["params"].get("id"))
        if task is None or (method in SUBSCRIBES and self.subscribes_as == "absent"):
            return self.error(req, -32001, "Task not found")
        if method in GETS:
            return task.snapshot()
        if method in CANCELS:
            return task.snapshot() if task.move("canceled") else self.error(req, -32002, "it is over")
        if method in SUBSCRIBES:
            return self._subscribed(req, task)
        return self.error(req, -32601, "Method not found")

    def _sent(self, req, method, version):
        word, _, rest = req.text.partition(" ")
        if word == "refuse":
            return self.error(req, int(rest), "as ordered")
        if method in STREAMS and self.streams_as in ("no", "unknown"):
            return self.error(req, -32004 if self.streams_as == "no" else -32601, "no streams here")
        if word == "reply":
            said = {"messageId": "r-1", "role": "ROLE_AGENT" if version == "1.0" else "agent",
                    "parts": [part_of(rest, version)]}
            said = said if version == "1.0" else {"kind": "message", **said}
            if method in STREAMS and self.streams_as == "sse":
                return Stream(self, req, None, 0, ("message", said))
            return {"message": said} if version == "1.0" else said
        task = self._begin(req, version)
        if task is None:
            return self.error(req, -32001, "Task not found")
        if method in STREAMS and self.streams_as == "sse":
            return self._stream_from_here(req, task, not self.begins_with_update)
        if method in SENDS and self._waits(req, version):
            with task.changed:
                while task.state == "working" and not self.closing:
                    task.changed.wait(0.2)
        return self.wrap(task.snapshot(), version)

    @staticmethod
    def _waits(req, version):
        configuration = req.json["params"].get("configuration") or {}
        if version == "1.0":
            return not configuration.get("returnImmediately")
        return configuration.get("blocking", False)

    def _stream_from_here(self, req, task, with_task):
        with task.changed:
            if with_task:
                return Stream(self, req, task, len(task.events), ("task", task.snapshot()))
            status = {"taskId": task.id, "contextId": task.context, "status": task.snapshot()["status"]}
            return Stream(self, req, task, len(task.events), ("status", status))

    def _subscribed(self, req, task):
        if self.subscribes_as == "no" or task.state in TERMINAL:
            return self.error(req, -32004, "nothing to subscribe to")
        if self.subscribes_as == "closes":
            with task.changed:
                first = task.snapshot()
            return Once(self, req, first)
        with task.changed:
            first = ("task", task.snapshot()) if self.subscribes_as == "snapshot" else None
            return Stream(self, req, task, len(task.events), first)


class Once(Stream):
    """A subscription that tells the task and closes."""

    def __init__(self, agent, req, snapshot):
        super().__init__(agent, req, None, 0, ("task", snapshot))


__all__ = ["CANCELS", "GETS", "SENDS", "STREAMS", "SUBSCRIBES", "Framing", "LiveAgent", "LiveTask", "http_json", "reply"]
