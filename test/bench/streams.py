# SPDX-License-Identifier: MIT
"""The bench's streams: who emits (streamer.c), who reads (readers.c), and the least a fan-out can do (fanout.c)."""
import json
import socket
import statistics
import subprocess
import time

from servers import LOAD_CPU, PATIENCE, BenchFailed, Server, build, pinned, request

HEAD = "POST /agents/task HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n"


def sending(rate, seconds, size):
    """The request that makes the streamer emit."""
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "message/stream", "params": {"message": {
        "kind": "message", "messageId": "m-1", "role": "user",
        "parts": [{"kind": "text", "text": f"{rate} {seconds} {size}"}]}}})


def subscribing(task_id):
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tasks/resubscribe", "params": {"id": task_id}})


class Streamer(Server):
    """The agent that emits at its own pace."""

    def __init__(self, bench, cpu=LOAD_CPU):
        super().__init__(bench, "streamer", cpu)
        self.spawn([str(build("streamer", "-luv"))], stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline().split()[1])


class Fanout(Server):
    def __init__(self, bench, cpu, *words):
        super().__init__(bench, "fanout", cpu)
        self.spawn([str(build("fanout", "-luv")), *map(str, words)], stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline().split()[1])


def chunks(gateway, body, n):
    """The first n chunks of a stream; its reader leaves then."""
    with socket.create_connection(("127.0.0.1", gateway.port), PATIENCE) as s, s.makefile("rb") as stream:
        s.sendall(HEAD.format(len(body)).encode() + body.encode())
        if b" 200 " not in stream.readline():
            raise BenchFailed(f"the gateway does not stream: {stream.read(2000)!r}")
        while stream.readline() != b"\r\n":
            pass
        return [stream.read(int(stream.readline(), 16) + 2)[:-2] for _ in range(n)]


def begin(gateway, rate, seconds, size):
    """A task that emits; its id. Nobody listens."""
    first = chunks(gateway, sending(rate, seconds, size), 1)[0]
    return json.loads(first[first.index(b"data: ") + 6:].split(b"\n")[0])["result"]["id"]


def wait_for_end(gateway, task_id):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": {"id": task_id}})
    deadline = time.monotonic() + PATIENCE
    while request(gateway.port, "POST", "/agents/task", body.encode()).json["result"]["status"]["state"] != "completed":
        if time.monotonic() > deadline:
            raise BenchFailed(f"task {task_id} does not end")
        time.sleep(0.1)


class Heard:
    """What the readers saw between the moment when all of them were in and the end of the window, and what it cost the
    server; `rss_kb` is how much it grew by."""

    def __init__(self, server, path, body, count, stalled, seconds, cpu=LOAD_CPU):
        rss = server.rss_kb() if hasattr(server, "rss_kb") else 0
        program = pinned(cpu, [str(build("readers")), str(server.port), path, str(count), str(stalled), str(seconds)])
        with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as readers:
            readers.stdin.write(body)
            readers.stdin.close()
            if readers.stdout.readline() != "open\n":
                raise BenchFailed(f"not all of {count} readers could begin")
            before = server.cpu_ns()
            if not count or rss:
                time.sleep(seconds / 2)
                self.rss_kb = server.rss_kb() - rss if rss else 0
            said = json.loads(readers.stdout.readline())
        self.cpu_ns = server.cpu_ns() - before
        self.n, self.p50_ms, self.p99_ms, self.n_open = said["events"], said["p50_ms"], said["p99_ms"], said["open"]

    @property
    def per_cpu_second(self):
        return self.n / (self.cpu_ns / 1e9)


def fan_out(bench, gateway, rate, size, readers):
    """One busy task and its readers, through the gateway and by the least program. Gives both as functions."""
    looked_at = begin(gateway, rate, 2, size)
    event = len(chunks(gateway, subscribing(looked_at), 3)[2])
    window = bench.seconds

    def ours():
        task = begin(gateway, rate, window + 3, size)
        heard = Heard(gateway, "/agents/task", subscribing(task), readers, 0, window)
        if heard.n < 0.9 * rate * window * readers or heard.n_open != readers:
            raise BenchFailed(f"{heard.n} events for {heard.n_open} readers: not all were told all")
        wait_for_end(gateway, task)
        return heard

    def theirs():
        server = Fanout(bench, gateway.cpu, rate, window + 2, readers, event)
        heard = Heard(server, "/", "", readers, 0, window)
        server.stop()
        return heard

    return event, ours, theirs


def with_stalled(bench, gateway, rate, size, readers, stalled):
    def run():
        task = begin(gateway, rate, bench.seconds + 3, size)
        heard = Heard(gateway, "/agents/task", subscribing(task), readers, stalled, bench.seconds, cpu=None)
        if heard.n < 0.9 * rate * bench.seconds * readers:
            raise BenchFailed(f"{heard.n} events for {readers} readers")
        wait_for_end(gateway, task)
        return heard

    return run


def idle_kb(gateway, body, count):
    """KB per stream that is open and hears nothing."""
    heard = Heard(gateway, "/agents/task", body, count, 0, 4, cpu=None)
    if heard.n_open != count:
        raise BenchFailed(f"{count - heard.n_open} of {count} idle streams were closed")
    return heard.rss_kb / count


def median_ms(runs):
    return statistics.median(run.p50_ms for run in runs)
