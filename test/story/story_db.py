# SPDX-License-Identifier: MIT
"""PostgreSQL as people meet it: commands, migrations, views, a database that is away."""
import json
import os
import re
import subprocess
import threading
import urllib.parse

from cluster import Cluster
from telling import story
from world import ROOT, Database, check, contains, equal, free_port, program, run_superx, wait_until

PG = ("postgres",)


def superx(world, *args, url=None, **kwargs):
    env = {"PATH": os.environ["PATH"], "HOME": world.home, "DATABASE_URL": url or world.database_url,
           "SUPERX_DATA": world.folder("data"), **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}}
    return run_superx(args, env, world.home, world.variant, **kwargs)


def fresh(world):
    """A database that does not exist yet."""
    database = Database(world, create=False)
    world.things.append(Dropper(database))
    return database


class Dropper:
    def __init__(self, database):
        self.database = database

    def close(self):
        self.database.drop()


@story(stores=PG)
def setup_create_migrate_status_reset_drop(world):
    db = fresh(world)
    status = superx(world, "db", "status", url=db.url)
    equal(status.returncode, 69, "status without a database")
    contains(status.stderr, "superx db create", "what to do")
    equal(superx(world, "db", "create", url=db.url).returncode, 0, "create")
    equal(superx(world, "db", "create", url=db.url).returncode, 0, "create again")
    status = superx(world, "db", "status", url=db.url)
    equal(status.returncode, 3, "status with pending migrations")
    contains(status.stdout, "down", "status")
    equal(superx(world, "db", "migrate", url=db.url).returncode, 0, "migrate")
    equal(superx(world, "db", "migrate", url=db.url).returncode, 0, "migrate again")
    status = superx(world, "db", "status", url=db.url)
    equal(status.returncode, 0, "status")
    check("down" not in status.stdout, "a migration is down")
    contains(status.stdout, "up", "status")
    equal(superx(world, "db", "reset", url=db.url).returncode, 1, "reset without --yes")
    db.psql("INSERT INTO superx.agents (id, url, version, source) VALUES ('x', 'http://x', '0.3', 'test')")
    db.wait_unused()
    equal(superx(world, "db", "reset", "--yes", url=db.url).returncode, 0, "reset --yes")
    equal(db.psql("SELECT count(*) FROM superx.agents"), "0", "rows after reset")
    db.wait_unused()
    equal(superx(world, "db", "drop", "--yes", url=db.url).returncode, 0, "drop")
    equal(superx(world, "db", "setup", url=db.url).returncode, 0, "setup")
    equal(superx(world, "db", "status", url=db.url).returncode, 0, "status after setup")


@story(stores=PG)
def reset_and_drop_name_sessions_in_the_way(world):
    gw = world.gateway({"a": world.agent()})
    for command in ("reset", "drop"):
        done = superx(world, "db", command, "--yes")
        equal(done.returncode, 4, f"{command} while a gateway runs")
        contains(done.stderr, "superx", "the session's name")
        contains(done.stderr, "pid", "the session's pid")
    check("result" in gw.send("a").json, "the gateway is unharmed")


@story(stores=PG)
def two_nodes_migrate_at_once(world):
    for _ in range(5):
        db = fresh(world)
        equal(superx(world, "db", "create", url=db.url).returncode, 0, "create")
        results = []
        threads = [threading.Thread(target=lambda: results.append(superx(world, "db", "migrate", url=db.url)))
                   for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        equal([r.returncode for r in results], [0] * 4, f"four at once: {[r.stderr for r in results]}")
        equal(db.psql("SELECT count(*) - count(DISTINCT number) FROM superx.migrations"), "0", "applied twice")


@story(stores=PG)
def serving_with_pending_migrations_is_refused(world):
    gw = world.gateway({"a": world.agent()}, args=[], wait=False)
    equal(gw.wait_end(30), 78, "exit code")
    check(gw.log_has("superx db migrate"), f"what to do is not said: {gw.log_tail()}")
    served = world.gateway({"a": world.agent()}, args=["--migrate"])
    check("result" in served.send("a").json, "with --migrate")


@story(stores=PG)
def a_newer_database_keeps_serving(world):
    gw = world.gateway({"a": world.agent()})
    gw.stop()
    world.database.psql("INSERT INTO superx.migrations (number, name) VALUES (9999, 'from_the_future')")
    gw = world.gateway({"a": world.agent()}, args=[])
    check("result" in gw.send("a").json, "served")


@story(stores=PG)
def tables_of_the_first_superx_are_left_alone(world):
    world.database.psql("CREATE TABLE tasks (id varchar PRIMARY KEY, status jsonb NOT NULL, message jsonb, context_id varchar, "
                        "agent_id varchar, result jsonb, artifacts jsonb[], metadata jsonb, inserted_at timestamp, "
                        "updated_at timestamp); INSERT INTO tasks (id, status) VALUES ('old', '{}')")
    done = superx(world, "db", "migrate")
    equal(done.returncode, 0, done.stderr)
    contains(superx(world, "db", "status").stdout, "first SuperX", "it is said")
    gw = world.gateway({"a": world.agent()})
    check("result" in gw.send("a").json, "a send beside the old tables")
    check(gw.log_has("first SuperX"), "it is logged")
    equal(world.database.psql("SELECT id FROM public.tasks"), "old", "the old row")


@story()
def views_a_person_can_query(world):
    """State, messages, results, artifacts; also where jsonb cannot hold the text."""
    agent = world.agent()
    gw = world.gateway({"a": agent})
    task = gw.send("a", "what I asked").json["result"]
    agent.behave = lambda a, r: a.make_task("with a \u0000 inside", id="nul")
    gw.send("a")
    prefix = "superx." if world.database else ""

    def ask(sql):
        if world.database:
            return world.database.psql(sql)
        import sqlite3
        db = sqlite3.connect(os.path.join(gw.data, "superx.db"))
        rows = db.execute(sql).fetchall()
        db.close()
        return "\n".join("|".join("" if v is None else str(v) for v in row) for row in rows)

    row = ask(f"SELECT state, messages, artifacts FROM {prefix}task_view WHERE id = '{task['id']}'")
    contains(row, "completed", "state")
    contains(row, "what I asked", "messages")
    contains(row, "echo: what I asked", "artifacts")
    contains(ask(f"SELECT state FROM {prefix}task_view WHERE id = 'nul'"), "completed", "state of a task with NUL")
    wait_until("the agents are stored", lambda: ask(f"SELECT id, url FROM {prefix}agent_view") == f"a|{agent.url}")
    equal(ask(f"SELECT count(*) FROM {prefix}push_config_view"), "0", "push configs")
    gw.write_agents({"b": agent})
    wait_until("the agents follow the file", lambda: ask(f"SELECT id FROM {prefix}agent_view") == "b")


# --- databases that are away ----------------------------------------------------------------------------------------


@story(stores=("sqlite",))
def unreachable_at_start(world):
    """One clear line with host, port, database and user, never the password; not ready; then it comes up by itself."""
    port = free_port()
    gw = world.gateway({"a": world.agent()}, database_url=f"postgresql://ada:geheim@127.0.0.1:{port}/away", wait=False)
    gw.wait_listening()
    gw.wait_log("level=error", "127.0.0.1", str(port), "away", "ada")
    check(not gw.log_has("geheim"), "the password is in the log")
    ready = gw.http("GET", "/health/ready")
    equal(ready.status, 503, "ready")
    check(ready.json["reason"], "the reason")
    equal(gw.http("GET", "/health/live").status, 200, "live")
    refused = gw.send("a")
    equal((refused.status, refused.json["error"]["code"]), (503, -31006), "a send meanwhile")
    check(int(refused.header("retry-after")) >= 1, "Retry-After")


@story(stores=("sqlite",), alone=True)
def comes_up_when_the_database_does(world):
    cluster = Cluster()
    world.things.append(cluster)
    cluster.stop()
    gw = world.gateway({"a": world.agent()}, database_url=cluster.url, args=["--migrate"], wait=False)
    gw.wait_listening()
    equal(gw.http("GET", "/health/ready").status, 503, "ready while the database is down")
    cluster.start()
    wait_until("ready", gw._ready)
    check("result" in gw.send("a").json, "a send")


@story(stores=("sqlite",), alone=True)
def lost_while_running(world):
    """Reads of what is cached go on; a send is taken to the agent, its caller is told after five seconds, and its task is
    there when the database is back, without a restart."""
    cluster = Cluster()
    world.things.append(cluster)
    agent = world.agent()
    gw = world.gateway({"a": agent}, database_url=cluster.url, args=["--migrate"])
    task = gw.send("a").json["result"]
    cluster.kill()
    wait_until("it is noticed", lambda: gw.http("GET", "/health/ready").status == 503)
    equal(gw.get("a", task["id"]).json["result"], task, "a cached task while the database is gone")
    agent.behave = lambda a, r: a.make_task("kept", id="kept-1")
    told = gw.send("a", timeout=60)
    equal((told.status, told.json["error"]["code"]), (503, -31006), "the send while it is gone")
    agent.behave = None
    cluster.start()
    wait_until("ready again", gw._ready)
    wait_until("the queued task is stored", lambda: cluster.psql(
        "SELECT count(*) FROM superx.tasks WHERE task_id = 'kept-1'", "orchestrator_test") == "1")
    check("result" in gw.send("a").json, "a send afterwards")


@story(stores=("sqlite",))
def wrong_names_and_passwords_are_told(world):
    base = Database(world).base if os.environ.get("TEST_DATABASE_URL") else None
    if not base:
        from world import StorySkipped
        raise StorySkipped("TEST_DATABASE_URL is not set")
    parts = urllib.parse.urlsplit(base)
    url = urllib.parse.urlunsplit(parts._replace(path="/no_such_database_test"))
    done = superx(world, "db", "status", url=url)
    equal(done.returncode, 69, "exit code")
    contains(done.stderr, "no_such_database_test", "the database")
    contains(done.stderr, "superx db create", "what to do")
    away = superx(world, "db", "status", url=f"postgresql://u:geheim@127.0.0.1:{free_port()}/d")
    equal(away.returncode, 69, "exit code")
    contains(away.stderr, "refused", "the cause")
    check("geheim" not in away.stderr, "the password was shown")


@story(stores=PG)
def database_url_spellings(world):
    """ecto://, postgres://, a socket path, sslmode, percent-encoding."""
    gw = world.gateway({"a": world.agent()})
    gw.stop()
    parts = urllib.parse.urlsplit(world.database_url)
    urls = [parts._replace(scheme=s).geturl() for s in ("ecto", "postgres", "postgresql")]
    urls.append(parts._replace(query="sslmode=prefer").geturl())
    urls.append(parts._replace(path="/" + "".join(f"%{ord(c):02x}" for c in parts.path[1:])).geturl())
    socket_dir = world.database.psql("SHOW unix_socket_directories").split(",")[0].strip()
    if parts.hostname and socket_dir:
        user = urllib.parse.quote(parts.username or "postgres")
        user += ":" + parts.password if parts.password else ""
        query = "host=" + urllib.parse.quote(socket_dir, safe="") + f"&port={parts.port or 5432}"
        urls.append(f"postgresql://{user}@/{parts.path[1:]}?{query}")
        urls.append(f"postgresql://{user}@{urllib.parse.quote(socket_dir, safe='')}:{parts.port or 5432}{parts.path}")
    for url in urls:
        done = superx(world, "db", "status", url=url)
        equal(done.returncode, 0, f"{url}: {done.stderr}")


@story(stores=PG)
def pool_size_bounds_connections(world):
    for size in (3, 10):
        gw = world.gateway({"a": world.agent()}, env={"DB_POOL_SIZE": str(size)})
        threads = [threading.Thread(target=lambda: [gw.send("a") for _ in range(10)]) for _ in range(16)]
        for t in threads:
            t.start()
        most = 0
        while any(t.is_alive() for t in threads):
            most = max(most, int(world.database.psql(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'superx%'")))
        check(0 < most <= size, f"{most} connections with DB_POOL_SIZE={size}")
        gw.stop()
        world.database.wait_unused()


@story(stores=PG)
def two_gateways_on_one_database(world):
    """Both serve, each from its own cache; what one writes the other reads."""
    agent = world.agent("0.3", lambda a, r: a.make_task("x", "working", id="shared")
                        if r.json["method"] == "message/send" and not r.json["params"]["message"].get("taskId")
                        else a.make_task("y", "completed", id="shared"))
    one = world.gateway({"a": agent}, env={"TASK_FRESH_MS": "3600000"})
    two = world.gateway({"a": agent}, env={"TASK_FRESH_MS": "3600000"}, data=world.folder("data2"))
    wait_until("they see each other", lambda: one.health()["cluster_size"] == 2 and two.health()["cluster_size"] == 2)
    equal(one.send("a").json["result"]["status"]["state"], "working", "started at one")
    equal(two.send("a", taskId="shared").json["result"]["status"]["state"], "completed", "continued at two")
    wait_until("one knows", lambda: one.get("a", "shared").json["result"]["status"]["state"] == "completed")
    equal(one.send("a", taskId="shared").json["error"]["code"], -32004, "one refuses more")


@story(stores=("sqlite",))
def embedded_store_commands(world):
    def run(*args, **kw):
        env = {"PATH": os.environ["PATH"], "HOME": world.home, "SUPERX_DATA": world.folder("data")}
        return run_superx(args, env, world.home, world.variant, **kw)

    equal(run("db", "setup").returncode, 0, "setup")
    contains(run("db", "status").stdout, "up", "status")
    gw = world.gateway({"a": world.agent()})
    equal(run("db", "reset", "--yes").returncode, 4, "reset while it is served")
    gw.stop()
    equal(run("db", "reset", "--yes").returncode, 0, "reset")
    equal(run("db", "drop", "--yes").returncode, 0, "drop")
