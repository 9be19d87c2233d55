# SPDX-License-Identifier: MIT
"""JavaScript beside a story: scripts of the tree, run with the packages that tools/peers has put into build/peers."""
import os
import shutil
import subprocess
from pathlib import Path

from world import ROOT, StoryFailed

PEERS = ROOT / "build" / "peers"


def node():
    path = PEERS / "node"
    if not (PEERS / "stamp").exists() or not path.exists():
        why = ROOT / "build" / "peers.why"
        reason = why.read_text().strip() if why.exists() else "run tools/bootstrap test, as make test does"
        raise StoryFailed(f"the JavaScript SDK is not there: {reason}")
    return str(path)


def folder(world, name, *scripts, packages):
    """A folder with copies of the scripts in which `packages` (name as imported: name in build/peers) are found."""
    node()
    path = Path(world.folder(name))
    for script in scripts:
        shutil.copy(ROOT / script, path)
    for name, source in packages.items():
        link = path / "node_modules" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(PEERS / "node_modules" / source)
    return path


class Process:
    """A program that serves until its story ends; its first line of output holds what it has to say (its port). Its
    standard input is a pipe that closes with us, so that it never outlives the tests."""

    def __init__(self, world, command, cwd, env=None):
        self.errors = open(os.path.join(cwd, f"{os.path.basename(command[-1])}.errors"), "w+b")
        self.process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors)
        world.things.append(self)
        self.first = self.process.stdout.readline().decode().strip()
        if not self.first:
            self.process.wait(10)
            raise StoryFailed(f"{command} ended: {self.said()}")

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace")[-2000:]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()


def run(command, cwd, env=None, timeout=120):
    """Runs to its end; what it printed. A failure is told with its last words."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise StoryFailed(f"{command} ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-2500:]}")
    return done.stdout
