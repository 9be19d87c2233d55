#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs stories: test/story/story_*.py, functions marked with @story. Last line: "N passed, N failed".

    test/story/run.py [--jobs N] [--repeat N] [--list] [part of a name ...]

Each story runs once for every store it names, in a world of its own, in a process of its own. What failed is said
where it failed, with the gateways' logs, and once more in short at the very end: the end is what survives when a
long output is cut.
"""
import argparse
import importlib
import multiprocessing
import os
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import world as w  # noqa: E402

LIMIT_S = 600
WHY_LINES = 6  # of each failure, at the end


def load():
    found = []
    for path in sorted(Path(__file__).resolve().parent.glob("story_*.py")):
        module = importlib.import_module(path.stem)
        for name, thing in vars(module).items():
            options = getattr(thing, "story", None)
            if options and thing.__module__ == path.stem:
                for store in options["stores"]:
                    found.append((f"{path.stem[6:]}.{name}[{store}]", path.stem, name, store, options))
    return found


def run_one(entry, results):
    name, module, function, store, options = entry
    begun = time.monotonic()
    world = None
    try:
        world = w.World(store, options["variant"])
        getattr(importlib.import_module(module), function)(world)
        world.check_sanitizers()
        outcome, why = "passed", ""
    except w.StorySkipped as e:
        outcome, why = "skipped", str(e)
    except w.StoryFailed as e:
        outcome, why = "failed", str(e)
    except BaseException:
        outcome, why = "failed", traceback.format_exc()
    if outcome == "failed" and world:
        for g in world.gateways:
            why += "\n  --- log ---\n  " + "\n  ".join(line[:1000] for line in g.lines[-12:])
    try:
        if world:
            world.close()
    except BaseException:
        why += traceback.format_exc()
    results.put((name, outcome, why, time.monotonic() - begun))


def say_failures(failures):
    """A traceback says most in its last lines, a sentence in its first."""
    for name, why in failures:
        lines = why.split("\n  --- log ---")[0].strip().splitlines()
        lines = lines[-WHY_LINES:] if lines and lines[0].startswith("Traceback") else lines[:WHY_LINES]
        print(f"FAILED {name}", *(f"    {line[:300]}" for line in lines), sep="\n", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=int(os.environ.get("STORY_JOBS", "2")))
    parser.add_argument("--repeat", type=int, default=1, help="each story this many times: finds those that are flaky")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    entries = [e for e in load() if not args.names or any(n in e[0] for n in args.names)]
    if args.list:
        print("\n".join(e[0] for e in entries))
        return 0
    if args.repeat > 1:
        entries = [(f"{e[0]}#{i + 1}", *e[1:]) for i in range(args.repeat) for e in entries]
    results = multiprocessing.Queue()
    waiting, running, failures = list(entries), {}, []
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    while waiting or running:
        alone = any(e[4]["alone"] for _, e, _ in running.values())
        while waiting and not alone and len(running) < args.jobs:
            if waiting[0][4]["alone"] and running:
                break
            entry = waiting.pop(0)
            process = multiprocessing.Process(target=run_one, args=(entry, results))
            process.start()
            running[entry[0]] = (process, entry, time.monotonic())
            alone = entry[4]["alone"]
        try:
            name, outcome, why, seconds = results.get(timeout=0.5)
        except Exception:
            for name, (process, entry, begun) in list(running.items()):
                if time.monotonic() - begun > LIMIT_S or (not process.is_alive() and results.empty()):
                    process.kill()
                    results.put((name, "failed", "died, or took too long", time.monotonic() - begun))
            continue
        if name not in running:
            continue
        running.pop(name)[0].join(10)
        counts[outcome] += 1
        print(f"{outcome:7} {name} ({seconds:.1f} s)" + (f": {why}" if why else ""), flush=True)
        if outcome == "failed":
            failures.append((name, why))
    say_failures(failures)
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['passed']} passed, {counts['failed']} failed{skipped}")
    return 1 if counts["failed"] or not (counts["passed"] + counts["skipped"]) else 0


if __name__ == "__main__":
    sys.exit(main())
