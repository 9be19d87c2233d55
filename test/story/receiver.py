# SPDX-License-Identifier: MIT
"""test/peers/receiver.mjs as a story uses it: webhooks go there, and it says what it was sent."""
import json

import node
from fake_agent import TERMINAL
from world import check, equal, request, wait_until


def states_of(body):
    """(kind, state) of what a webhook brought, in the words of 0.3."""
    body = body.get("streamResponse", body)
    for name, kind in (("task", "task"), ("statusUpdate", "status"), ("artifactUpdate", "artifact"), ("message", "message")):
        if isinstance(body.get(name), dict) and len(body) == 1:
            body = body[name]
            break
    else:
        kind = {"task": "task", "status-update": "status", "artifact-update": "artifact", "message": "message"}[body["kind"]]
    state = body.get("status", {}).get("state", "").replace("TASK_STATE_", "").lower().replace("_", "-")
    return kind, state, body


class Post:
    def __init__(self, seen):
        self.path, self.id, self.headers, self.how = seen["path"], seen["id"], seen["headers"], seen["how"]
        self.problems, self.text = seen["problems"], seen["body"]
        self.json = json.loads(self.text)
        self.kind, self.state, self.thing = states_of(self.json)

    @property
    def task_id(self):
        return self.thing["id"] if self.kind == "task" else self.thing.get("taskId")

    @property
    def parts(self):
        """The texts of all artifacts' parts in it."""
        artifacts = self.thing.get("artifacts", []) if self.kind == "task" else [self.thing.get("artifact", {})]
        return [p["text"] for a in artifacts for p in a.get("parts", [])]

    def __repr__(self):
        return f"<{self.path} {self.kind} {self.state} {self.id} -> {self.how}>"


class Receiver:
    def __init__(self, world, key=None, cert=None):
        self.world = world
        folder = node.folder(world, f"receiver-{len(world.things)}", "test/peers/receiver.mjs",
                             packages={"standardwebhooks": "standardwebhooks", "fast-sha256": "fast-sha256",
                                       "@stablelib/base64": "@stablelib/base64"})
        command = [node.node(), "receiver.mjs", *([str(key), str(cert)] if key else [])]
        self.process = node.Process(world, command, folder)
        self.port, self.secure_port = map(int, self.process.first.split())

    def url(self, path, host="127.0.0.1"):
        return f"http://{host}:{self.port}{path}"

    def order(self, path, **what):
        equal(request(self.port, "POST", "/_order", json.dumps({"path": path, **what}).encode(), {}).status, 200, "order")

    def seen(self, path=None):
        posts = [Post(one) for one in json.loads(request(self.port, "GET", "/_seen", b"", {}).body)]
        return [p for p in posts if path is None or p.path == path]

    def taken(self, path):
        """What it has acknowledged, repetitions left out; a repetition must be word for word what came before."""
        first = {}
        for post in self.seen(path):
            if post.how != 200 and not (isinstance(post.how, dict) and post.how.get("status") == 200):
                continue
            first.setdefault(post.id, post)
        return list(first.values())

    def wait_for(self, what, condition, seconds=30):
        wait_until(what, condition, seconds)

    def wait_end(self, path, seconds=30):
        wait_until(f"{path} has heard the end", lambda: any(p.state in TERMINAL for p in self.taken(path)), seconds)
        return self.taken(path)

    def check_proofs(self):
        for post in self.seen():
            equal(post.problems, [], f"what is wrong with {post}: {post.headers}")
        check(self.seen(), "nothing was received")
