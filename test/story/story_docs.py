# SPDX-License-Identifier: MIT
"""What the documents say is run: every marked command of docs/postgresql.md, the samples, the compose file's facts."""
import os
import re
import subprocess
import threading

from telling import story
from world import ROOT, Database, check, contains, equal, program, request, wait_until


def marked_blocks(path):
    return re.findall(r"<!-- run -->\s*```sh\n(.*?)```", (ROOT / path).read_text(), re.S)


@story(stores=("postgres",))
def every_command_of_the_postgresql_page(world):
    blocks = marked_blocks("docs/postgresql.md")
    check(len(blocks) >= 5, f"only {len(blocks)} marked blocks")
    everything = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/postgresql.md").read_text(), re.S)
    unmarked = [b for b in everything if b not in blocks]
    for block in unmarked:
        check("docker" in block or "make test" in block, f"a command of the page is not run: {block}")
    gw = world.gateway(args=["--demo", "--migrate"])
    env = dict(os.environ, DATABASE_URL=world.database_url, SUPERX_URL=f"http://127.0.0.1:{gw.port}",
               PORT=str(gw.port), PATH=f"{os.path.dirname(program('release'))}:{os.environ['PATH']}")
    os.symlink(program("release"), os.path.join(world.home, "superx"))
    for block in blocks:
        if re.search(r"db (reset|drop)", block):
            gw.stop()
            world.database.wait_unused()
        elif gw.process.poll() is not None and not re.search(r"\bdb\b|serve", block):
            gw.restart()
            env.update(SUPERX_URL=f"http://127.0.0.1:{gw.port}", PORT=str(gw.port))
        done = subprocess.run(["bash", "-e", "-c", block], cwd=world.home, env=env, capture_output=True, text=True,
                              timeout=60)
        equal(done.returncode, 0, f"{block}\n{done.stdout}{done.stderr}")


# Those of the first SuperX's page, in its order, so that who knows that one finds his way.
HEADINGS = ["Quick Start", "1. Start PostgreSQL", "2. Set Database URL", "3. Create Database & Run Migrations",
            "4. Run the Server", "Running Tests", "Architecture", "Performance", "Benefits", "Database Schema", "tasks",
            "agents", "push_configs", "Configuration", "Environment Variables", "Example", "Troubleshooting",
            "Database connection issues", "Reset database", "Check database status"]


@story(stores=("sqlite",))
def the_postgresql_page_has_the_first_ones_headings(world):
    equal(re.findall(r"^##+ (.*)$", (ROOT / "docs/postgresql.md").read_text(), re.M), HEADINGS, "headings")


@story(stores=("sqlite",))
def the_sample_agents_file_is_read(world):
    env = {"WEATHER_TOKEN": "x"}
    text = (ROOT / "agents.yml.example").read_text()
    for name in re.findall(r"\$\{(\w+)\}", text):
        env.setdefault(name, "sample")
    gw = world.gateway(agents_text=text, env=env)
    check(gw.http("GET", "/health").json["local_workers"] >= 1, "agents of the sample")
