# SPDX-License-Identifier: MIT
"""An A2A agent that does what a story asks of it: speaks 0.3 or 1.0 or both, shows any card or none, misbehaves.

What it does with a JSON-RPC request is said by `behave(agent, request)`. Without one it completes every message and
remembers its tasks; `scripted` takes the first word of the message as the order (see there). GETs are for cards and
are counted apart: `requests` holds the JSON-RPC requests only, `card_requests` the others.
"""
import json
import os
import re
import socket
import ssl
import threading

_ids = iter(range(1, 10**9))


class AgentRequest:
    def __init__(self, head, body):
        self.head, self.body = head, body
        self.verb, self.path = head.split(" ", 2)[:2]
        self.headers = {}
        for line in head.split("\r\n")[1:]:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def version(self):
        """By the grammar of the method."""
        return "0.3" if "/" in self.json["method"] else "1.0"

    @property
    def text(self):
        """Of the message's first part."""
        return str(self.json["params"]["message"]["parts"][0].get("text"))


class Raw:
    """Bytes to send as they are; then the connection is closed unless keep."""

    def __init__(self, data, keep=False):
        self.data, self.keep = data, keep


def http_json(body, status=200, keep=True, extra=""):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    head = (f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{extra}\r\n")
    return Raw(head.encode() + body, keep=keep)


def reply(req, result):
    """A result given as text goes out byte for byte."""
    if not isinstance(result, str):
        result = json.dumps(result)
    return http_json(f'{{"jsonrpc":"2.0","id":{json.dumps(req.json["id"])},"result":{result}}}'.encode())


STATES = ("submitted", "working", "completed", "failed", "canceled", "input-required", "rejected", "auth-required")
TERMINAL = ("completed", "failed", "canceled", "rejected")


def state_name(state, version):
    return "TASK_STATE_" + state.upper().replace("-", "_") if version == "1.0" else state


class FakeAgent:
    """version: "0.3", "1.0" or "hybrid" (speaks both). card: None (404), "0.2", "0.3", "1.0", "hybrid", "garbage",
    "empty", "html", "500", "slow" (never answers), "down" (closes), a dict or bytes, or a function of the agent and
    the request. path: where JSON-RPC is spoken; others are 404 then. tls: an ssl.SSLContext."""

    def __init__(self, version="0.3", behave=None, card=None, path=None, tenant=None, tls=None, host="127.0.0.1"):
        self.version, self.behave, self.card = version, behave, card
        self.path, self.tenant, self.tls = path, tenant, tls
        self.cancel = "yes"  # or "refuse", "async", "slow", or a result
        self.tasks, self.left = {}, {}  # by id; GetTasks until a working task ends
        self.requests, self.card_requests, self.failed_handshakes = [], [], []
        self.lock = threading.Lock()
        self.release = threading.Event()  # set: whoever hangs goes on
        self.closing = False
        self.open_now = 0
        self.most_open = 0
        self.host = host
        self.port = 0
        self.socks = set()
        self.open()

    @property
    def base(self):
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    @property
    def url(self):
        return self.base + "/"

    @property
    def endpoint(self):
        return self.base + (self.path or "/")

    def open(self):
        """Listens, after close() on the port it had."""
        self.closing = False
        self.release.clear()
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def close(self):
        self.closing = True
        self.release.set()
        # A thread blocked in accept() keeps the port until it is woken.
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        with self.lock:
            socks = list(self.socks)
        for s in socks:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self, listener):
        while not self.closing:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.socks.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        plain, data = sock, b""
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            while not self.closing:
                while b"\r\n\r\n" not in data:
                    more = sock.recv(65536)
                    if not more:
                        return
                    data += more
                    if data[0] < 0x20:  # no letter: a TLS handshake, to which HTTP servers say so
                        sock.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                        return
                head, data = data.split(b"\r\n\r\n", 1)
                found = re.search(rb"(?im)^content-length: *(\d+)", head)
                length = int(found.group(1)) if found else 0
                while len(data) < length:
                    more = sock.recv(65536)
                    if not more:
                        return
                    data += more
                body, data = data[:length], data[length:]
                if not self._answer(sock, AgentRequest(head.decode("latin-1"), body)):
                    return
        except ssl.SSLError as e:
            with self.lock:
                self.failed_handshakes.append(str(e))
        except OSError:
            pass
        finally:
            sock.close()
            with self.lock:
                self.socks.discard(plain)

    def _answer(self, sock, req):
        is_call = req.verb == "POST"
        with self.lock:
            (self.requests if is_call else self.card_requests).append(req)
            if is_call:
                self.open_now += 1
                self.most_open = max(self.most_open, self.open_now)
        try:
            result = self._call(req) if is_call else self._show_card(req)
            if result is None:
                self.release.wait(600)
                return False
        finally:
            if is_call:
                with self.lock:
                    self.open_now -= 1
        if isinstance(result, (dict, str)):
            result = reply(req, result)
        if hasattr(result, "run"):  # a stream (live_agent.py): writes until it is over
            result.run(sock)
            return False
        sock.sendall(result.data)
        return result.keep

    def _call(self, req):
        if self.path and req.path.split("?")[0] != self.path:
            return http_json(b'{"error":"no agent here"}', status=404)
        return (self.behave or FakeAgent.complete)(self, req)

    # --- cards

    def make_card(self, form, **members):
        """form: 0.2, 0.3, 1.0 or hybrid."""
        card = {"name": f"Fake {form}", "description": "does as it is told", "version": "7.8.9",
                "capabilities": {"streaming": True, "pushNotifications": True}, "defaultInputModes": ["text/plain"],
                "defaultOutputModes": ["text/plain"],
                "skills": [{"id": "s1", "name": "obey", "description": "does it", "tags": ["t"]}]}
        if form in ("0.2", "0.3", "hybrid"):
            card["url"] = self.endpoint
            card["protocolVersion"] = "0.2.5" if form == "0.2" else "0.3.0"
        if form in ("0.3", "hybrid"):
            card["preferredTransport"] = "JSONRPC"
        if form in ("1.0", "hybrid"):
            one = {"url": self.endpoint, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
            if self.tenant:
                one["tenant"] = self.tenant
            card["supportedInterfaces"] = [one]
            if form == "hybrid":
                card["supportedInterfaces"].append(
                    {"url": self.endpoint, "protocolBinding": "JSONRPC", "protocolVersion": "0.3"})
        card.update(members)
        return card

    def _show_card(self, req):
        name = req.path.split("?")[0]
        card = self.card(self, req) if callable(self.card) else self.card
        wanted = "agent.json" if card == "0.2" else "agent-card.json"
        if card == "slow":
            return None
        if card == "down":
            return Raw(b"")
        if isinstance(card, Raw):
            return card
        if card is None or not name.endswith("/.well-known/" + wanted):
            return http_json(b'{"detail":"Not Found"}', status=404)
        if card == "garbage":
            return http_json(b'{"name": "half a card", ')
        if card == "empty":
            return http_json(b"{}")
        if card == "html":
            return Raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>", keep=True)
        if card == "500":
            return http_json(b"oops", status=500)
        if isinstance(card, str):
            card = self.make_card(card)
        return http_json(card)

    # --- the well-behaved agent

    def make_task(self, text, state="completed", version=None, **members):
        """A task as this agent says it, remembered."""
        version = version or self.version
        with self.lock:
            n = len(self.tasks) + 1
        task_id = members.pop("id", f"task-{os.getpid()}-{self.port}-{n}-{next(_ids)}")
        new = version == "1.0"
        part = {"text": text} if new else {"kind": "text", "text": text}
        task = {"id": task_id, "contextId": "ctx-1",
                "status": {"state": state_name(state, version), "timestamp": "2026-01-02T03:04:05.678Z"},
                "artifacts": [{"artifactId": "a1", "parts": [part]}]}
        if not new:
            task["kind"] = "task"
        task.update(members)
        with self.lock:
            self.tasks[task_id] = task
        return task

    def wrap(self, task, version=None):
        return {"task": task} if (version or self.version) == "1.0" else task

    def complete(self, req):
        call = req.json
        version = self._version_of(req)
        if not version:
            return self.error(req, -32601, "Method not found")
        if call["method"] in ("message/send", "SendMessage"):
            return self.wrap(self.make_task("echo: " + req.text, version=version), version)
        task = self.tasks.get(call["params"].get("id"))
        if task is None:
            return self.error(req, -32001, "Task not found")
        return task

    def _version_of(self, req):
        """In which version to answer; None if this agent does not know the method."""
        if self.version in ("hybrid", req.version):
            return req.version
        return None

    def error(self, req, code, text, data=None):
        error = {"code": code, "message": text}
        if data is not None:
            error["data"] = data
        return http_json({"jsonrpc": "2.0", "id": req.json["id"], "error": error})

    # --- what stories do to it

    def forget(self):
        """Restarted with an empty memory."""
        with self.lock:
            self.tasks.clear()
            self.left.clear()

    def move(self, task_id, state, text=None, **members):
        """The task goes on."""
        with self.lock:
            task = dict(self.tasks[task_id])
        version = "0.3" if "kind" in task else "1.0"
        if text is not None:
            members["artifacts"] = [{"artifactId": "a1", "parts": [
                {"text": text} if version == "1.0" else {"kind": "text", "text": text}]}]
        task["status"] = {"state": state_name(state, version), "timestamp": "2026-01-02T03:04:06.000Z"}
        task.update(members)
        with self.lock:
            self.tasks[task_id] = task
        return task

    def asked(self, *methods):
        """The requests with one of these methods."""
        with self.lock:
            return [r for r in self.requests if r.json.get("method") in methods]

    def state_of(self, task_id):
        return self.tasks[task_id]["status"]["state"].replace("TASK_STATE_", "").lower().replace("_", "-")


SENDS, GETS, CANCELS = ("message/send", "SendMessage"), ("tasks/get", "GetTask"), ("tasks/cancel", "CancelTask")


def scripted(agent, req):
    """The first word of a message says what becomes of it:

        message          answered with a message          work N     working, over at the N-th GetTask
        ask, auth        input- or auth-required; the next message to it completes it
        late             no answer before agent.release is set; then completed
        error CODE       a JSON-RPC error                 anything else: completed
    """
    call, method = req.json, req.json["method"]
    version = agent._version_of(req)
    if not version:
        return agent.error(req, -32601, "Method not found")
    if method in SENDS:
        return _scripted_send(agent, req, call["params"]["message"], version)
    task_id = call["params"].get("id")
    if task_id not in agent.tasks:
        return agent.error(req, -32001, "Task not found")
    if method in CANCELS:
        return _scripted_cancel(agent, req, task_id)
    if method in GETS:
        with agent.lock:
            if task_id in agent.left:
                agent.left[task_id] -= 1
            is_over = agent.left.get(task_id) == 0
        return agent.move(task_id, "completed", "worked") if is_over else agent.tasks[task_id]
    return agent.error(req, -32601, "Method not found")


def _scripted_send(agent, req, message, version):
    known = message.get("taskId")
    if known:
        if known not in agent.tasks:
            return agent.error(req, -32001, "Task not found")
        return agent.wrap(agent.move(known, "completed", "continued: " + req.text), version)
    word, _, rest = req.text.partition(" ")
    members = {"version": version}
    if message.get("contextId"):
        members["contextId"] = message["contextId"]
    if word == "message":
        answer = {"messageId": f"r-{next(_ids)}", "role": "ROLE_AGENT", "parts": [{"text": "told: " + rest}]}
        if version != "1.0":
            answer = {"kind": "message", "messageId": answer["messageId"], "role": "agent",
                      "parts": [{"kind": "text", "text": "told: " + rest}]}
        return {"message": answer} if version == "1.0" else answer
    if word == "error":
        return agent.error(req, int(rest), f"the agent's error {rest}")
    if word == "work":
        task = agent.make_task("", "working", artifacts=[], **members)
        agent.left[task["id"]] = int(rest or "1")
        return agent.wrap(task, version)
    if word in ("ask", "auth"):
        return agent.wrap(agent.make_task("?", "input-required" if word == "ask" else "auth-required", **members), version)
    if word == "late":
        agent.release.wait(600)
    return agent.wrap(agent.make_task("echo: " + req.text, **members), version)


def _scripted_cancel(agent, req, task_id):
    if not isinstance(agent.cancel, str):
        return agent.cancel
    if agent.cancel == "slow":
        agent.release.wait(600)
    if agent.cancel == "refuse" or agent.state_of(task_id) in TERMINAL:
        return agent.error(req, -32002, "Task cannot be canceled")
    if agent.cancel == "async":
        agent.left.pop(task_id, None)
        return agent.tasks[task_id]
    agent.left.pop(task_id, None)
    return agent.move(task_id, "canceled")
