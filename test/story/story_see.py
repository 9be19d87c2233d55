# SPDX-License-Identifier: MIT
"""What a person sees: banner, log, pages, the demo, the command line, a clean stop."""
import json
import os
import re
import signal
import subprocess
import threading
import time

from telling import story
from world import Client, check, contains, equal, message, program, request, rpc_body, run_superx, wait_until


@story()
def banner_and_one_line_per_call(world):
    agent = world.agent()
    gw = world.gateway({"a": agent})
    banner = next(line for line in gw.lines if "SuperX starts" in line)
    for part in ("version=", "store=", "listen=", "agents=1"):
        contains(banner, part, "the banner")
    task = gw.send("a", "a secret payload").json["result"]
    gw.wait_log('msg="call"', "agent=a", "method=message/send", f"task={task['id']}", "state=completed", "ms=")
    gw.get("a", "nowhere")
    gw.wait_log('msg="call"', "task=nowhere", "error=TASK_NOT_FOUND")
    check(not gw.log_has("secret payload"), "a payload is in the log")
    if world.database_url:
        check(not gw.log_has(world.database_url.split("@")[0].split(":")[-1] + "@"), "a password is in the log")


@story(stores=("sqlite",))
def log_as_json(world):
    gw = world.gateway({"a": world.agent()}, env={"LOG_FORMAT": "json"})
    gw.send("a")
    wait_until("the call is logged", lambda: gw.log_has('"msg":"call"'))
    for line in gw.lines:
        json.loads(line)


@story(stores=("sqlite",))
def log_levels(world):
    gw = world.gateway({"a": world.agent()}, env={"LOG_LEVEL": "debug"})
    gw.send("a")
    gw.stop()
    check(gw.log_has('msg="call"'), "info below debug")
    bad = world.gateway({"a": world.agent()}, env={"LOG_LEVEL": "loud"}, wait=False)
    equal(bad.wait_end(20), 78, "unknown level")


@story()
def pages(world):
    gw = world.gateway({"a": world.agent()})
    front = gw.http("GET", "/")
    equal(front.status, 200, "/")
    contains(front.header("content-type"), "text/html", "/")
    contains(front.body.decode(), "/agents/a", "the agent on the front page")
    health = gw.health()
    equal(health["mode"], "postgresql" if world.database_url else "sqlite", "mode")
    for key in ("status", "mode", "node", "cluster_size", "local_workers"):
        check(key in health, f"/health lacks {key}")
    equal((health["status"], health["cluster_size"], health["local_workers"]), ("ok", 1, 1), "true values")
    gw.send("a")
    equal(gw.health()["store"]["appends"], 1, "appends after one send")
    equal(gw.http("GET", "/health/live").json, {"status": "ok"}, "live")
    equal(gw.http("GET", "/health/ready").status, 200, "ready")
    equal(gw.http("HEAD", "/health/ready").body, b"", "HEAD")


@story()
def sigterm_lets_calls_finish(world):
    go = threading.Event()

    def behave(a, req):
        go.wait(30)
        return a.make_task("finished", id="t1")

    agent = world.agent("0.3", behave)
    gw = world.gateway({"a": agent})
    answers = []
    t = threading.Thread(target=lambda: answers.append(gw.send("a", timeout=60)))
    t.start()
    wait_until("the call is at the agent", lambda: agent.requests)
    gw.process.send_signal(signal.SIGTERM)
    gw.wait_log("stopping")

    def refused():
        try:
            Client(gw.port, timeout=5).close()
            return False
        except OSError:
            return True

    wait_until("new connections are refused", refused)
    go.set()
    t.join()
    equal(answers[0].json["result"]["id"], "t1", "the call in flight")
    equal(gw.wait_end(30), 0, "exit code")
    check(world.stored("a", "t1"), "its task is stored")


@story(stores=("sqlite",))
def sigterm_does_not_wait_for_ever(world):
    agent = world.agent("0.3", lambda a, req: None)
    gw = world.gateway({"a": agent}, env={"SHUTDOWN_MS": "300"})
    t = threading.Thread(target=lambda: _try(gw), daemon=True)
    t.start()
    wait_until("the call is at the agent", lambda: agent.requests)
    equal(gw.stop(20), 0, "exit code")


def _try(gw):
    try:
        gw.send("a", timeout=60)
    except Exception:
        pass


@story(stores=("sqlite",))
def a_busy_port_is_named(world):
    gw = world.gateway({"a": world.agent()})
    second = world.gateway({"a": world.agent()}, env={"PORT": str(gw.port)}, data=world.folder("other"), wait=False)
    check(second.wait_end(20) != 0, "exit code")
    contains("\n".join(second.lines), str(gw.port), "the message")


@story(stores=("sqlite",))
def one_process_per_embedded_store(world):
    gw = world.gateway({"a": world.agent()})
    second = world.gateway({"a": world.agent()}, data=gw.data, wait=False)
    equal(second.wait_end(20), 78, "exit code")
    check(second.log_has(str(gw.process.pid)), f"who has it is not said: {second.log_tail()}")


@story(stores=("sqlite",))
def wrong_settings_are_named(world):
    for env, words in (({"PORT": "abc"}, "PORT"), ({"PORT": "70000"}, "65535"), ({"DB_POOL_SIZE": "1"}, "DB_POOL_SIZE"),
                       ({"DATABASE_URL": "mysql://x/y"}, "mysql")):
        gw = world.gateway({"a": world.agent()}, env=env, wait=False)
        equal(gw.wait_end(20), 78, f"exit code with {env}")
        contains("\n".join(gw.lines), words, f"with {env}")


# --- the demo ---------------------------------------------------------------------------------------------------


def children_of(pid):
    out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(x) for x in out.split()]


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@story()
def the_demo_as_the_readme_has_it(world):
    args = ["--demo"] + (["--migrate"] if world.database_url else [])
    gw = world.gateway(args=args)
    done = gw.cli("send", "demo", "hello")
    equal(done.returncode, 0, done.stderr)
    contains(done.stdout, "completed", "superx send")
    contains(done.stdout, "echo: hello", "superx send")
    task = re.search(r"task (\S+)", done.stdout).group(1)
    contains(gw.cli("tasks", "list").stdout, task, "superx tasks list")
    child = children_of(gw.process.pid)
    equal(len(child), 1, "demo agents")
    gw.kill()
    wait_until("the demo agent dies with the gateway", lambda: not is_running(child[0]))
    gw.restart()
    contains(gw.cli("tasks", "list").stdout, task, "superx tasks list after kill -9")
    contains(gw.cli("tasks", "get", "demo", task).stdout, "echo: hello", "superx tasks get")
    old = gw.send("demo-0.3", "hello", "0.3").json["result"]
    equal(old["status"]["state"], "completed", "the demo in 0.3")
    if world.database:
        equal(world.database.psql("SELECT count(*) FROM superx.agents WHERE id LIKE 'demo%'"), "0", "stored demo agents")


@story(stores=("sqlite",))
def demo_scripts(world):
    gw = world.gateway(args=["--demo"])

    def send(text, **kw):
        return gw.send("demo", text, "1.0", **kw).json

    equal(send("fail broken")["result"]["task"]["status"]["state"], "TASK_STATE_FAILED", "fail")
    equal(send("reject no")["result"]["task"]["status"]["state"], "TASK_STATE_REJECTED", "reject")
    equal(len(send("artifacts 3")["result"]["task"]["artifacts"]), 3, "artifacts")
    contains(json.dumps(send("message hi")["result"]["message"]), "hi", "message")
    equal(send("garbage")["error"]["code"], -32006, "garbage")
    equal(send("garbage html")["error"]["code"], -32006, "html")
    equal(send("garbage empty")["error"]["code"], -32006, "empty")
    equal(send("garbage 500")["error"]["code"], -31005, "500")
    equal(send("error")["error"]["code"], -32005, "error")
    equal(send("delay 1 done")["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "blocking delay")
    asked = send("ask what?")["result"]["task"]
    equal(asked["status"]["state"], "TASK_STATE_INPUT_REQUIRED", "ask")
    equal(send("this", taskId=asked["id"])["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "answered")


@story(stores=("sqlite",))
def the_demo_goes_on_after_a_restart(world):
    gw = world.gateway(args=["--demo"], env={"TASK_FRESH_MS": "0"})
    task = gw.send("demo", "delay 2 later", "1.0", configuration={"returnImmediately": True}).json["result"]["task"]
    equal(task["status"]["state"], "TASK_STATE_WORKING", "at once")
    gw.restart()
    wait_until("it completes", lambda: gw.get("demo", task["id"], "1.0").json["result"]["status"]["state"]
               == "TASK_STATE_COMPLETED")


@story(stores=("sqlite",))
def the_demo_is_refused_with_a_database_elsewhere(world):
    gw = world.gateway(args=["--demo"], database_url="postgresql://u:p@db.example.invalid/x", wait=False)
    equal(gw.wait_end(20), 78, "exit code")
    check(gw.log_has("--demo"), f"it is not said: {gw.log_tail()}")
    check(not gw.log_has("u:p@"), "the password was shown")


# --- the command line -----------------------------------------------------------------------------------------


@story(stores=("sqlite",))
def command_line(world):
    gw = world.gateway({"a": world.agent("0.3"), "f": world.agent("0.3", lambda a, r: a.make_task("x", "failed"))})
    sent = gw.cli("send", "a", "hi", "--json")
    equal(json.loads(sent.stdout)["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "send --json to a 0.3 agent")
    equal(gw.cli("send", "f", "hi").returncode, 1, "exit code of a failed task")
    nobody = gw.cli("send", "nobody", "hi")
    equal(nobody.returncode, 1, "exit code for an unknown agent")
    contains(nobody.stderr, "nobody", "the message")
    equal(json.loads(gw.cli("tasks", "list", "--json").stdout)["result"]["totalSize"], 2, "tasks list --json")
    gw.stop()
    gone = gw.cli("send", "a", "hi")
    equal(gone.returncode, 69, "exit code without a gateway")
    contains(gone.stderr, "superx serve", "what to do")
    for args in (["send"], ["tasks"], ["db"], ["frobnicate"], []):
        equal(run_superx(args, gw.env, world.home).returncode, 64, f"usage of {args}")
    for args in (["--help"], ["help"], ["send", "--help"], ["tasks", "--help"], ["agents", "--help"], ["db", "--help"]):
        done = run_superx(args, gw.env, world.home)
        equal(done.returncode, 0, f"exit code of {args}")
        contains(done.stdout, f"superx {args[0] if len(args) == 2 else 'serve'}", f"what {args} prints")
    contains(run_superx(["version"], gw.env, world.home).stdout, "superx 0.", "version")
    shown = run_superx(["config"], dict(gw.env, DATABASE_URL="postgresql://u:geheim@h/d", A2A_REMOTE_BEARER="geheim"),
                       world.home).stdout
    contains(shown, "DATABASE_URL", "config")
    check("geheim" not in shown, "a secret was shown")
