# SPDX-License-Identifier: MIT
"""The bench's webhooks: how many are delivered in a second, and how old events are when healthy receivers have them."""
import asyncio
import json
import re
import socket
import subprocess
import threading
import time

from servers import ROOT, BenchFailed, build, pinned, request

STAMP = re.compile(rb"@(\d+)@")


def build_calls():
    return build("calls", "-DLIB_GROUND", f"-I{ROOT / 'src'}", str(ROOT / "build" / "release" / "libsuperx.a"), "-luv",
                 "-lssl", "-lcrypto", "-lpthread")


def raw_calls(port, clients, seconds, size):
    """Calls per second, and per second of CPU time, of the egress client alone."""
    done = subprocess.run(pinned("0", [str(build_calls()), str(port), str(clients), str(seconds), str(size)]),
                          capture_output=True, text=True, timeout=seconds + 30)
    if done.returncode:
        raise BenchFailed(f"calls: {done.stderr}")
    _, n, _, ns = done.stdout.split()
    return int(n) / seconds, int(n) * 1e9 / int(ns)


def post(gateway, path, method, params):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    return request(gateway.port, "POST", path, body, {"Content-Type": "application/json"}).json


def delivered(gateway):
    return gateway.health()["webhooks"]["delivered"]


class Delays:
    """A receiver in a thread of its own: answers 200 to everything, notes how old each event is on the paths that count."""

    def __init__(self):
        self.ages, self.counts = [], False
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000))
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    async def _serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(re.search(rb"[Cc]ontent-[Ll]ength: (\d+)", head).group(1))
                body = await reader.readexactly(size)
                stamp = STAMP.search(body)
                if stamp and self.counts and head.startswith(b"POST /counts"):
                    self.ages.append((time.monotonic_ns() - int(stamp.group(1))) / 1e6)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _end(self):
        self.server.close()
        mine = asyncio.current_task()
        for task in asyncio.all_tasks():
            if task is not mine:
                task.cancel()

    def close(self):
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result(5)
        time.sleep(0.2)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)


class BlackHoles:
    """Receivers that take connections and say nothing."""

    def __init__(self, n):
        self.sockets = []
        for _ in range(n):
            s = socket.socket()
            s.bind(("127.0.0.1", 0))
            s.listen(128)
            self.sockets.append(s)

    def ports(self):
        return [s.getsockname()[1] for s in self.sockets]

    def close(self):
        for s in self.sockets:
            s.close()


def p99_of(ages):
    if len(ages) < 100:
        raise BenchFailed(f"only {len(ages)} events arrived")
    return sorted(ages)[int(len(ages) * 0.99)]


def delays(bench, gateway, begin, others, n_tasks=20, per_task=50):
    """p99 of the age of events at `per_task` healthy webhooks of each of `n_tasks` tasks, each of which has as many more
    to `others(i)`."""
    receiver = Delays()
    for i in range(n_tasks):
        task = begin(gateway)
        for k in range(per_task):
            for name, url in ((f"h{k}", f"http://127.0.0.1:{receiver.port}/counts"), (f"o{k}", others(receiver, i * per_task + k))):
                answer = post(gateway, "/agents/task", "CreateTaskPushNotificationConfig", {"taskId": task, "id": name, "url": url})
                if "result" not in answer:
                    raise BenchFailed(f"no webhook: {answer}")
    time.sleep(2)
    receiver.counts = True
    time.sleep(max(bench.seconds * 3, 12))
    receiver.counts = False
    receiver.close()
    return p99_of(receiver.ages), len(receiver.ages)
