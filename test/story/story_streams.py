# SPDX-License-Identifier: MIT
"""Streams, from an agent that emits at its own pace to callers who read, leave, come back and fall behind."""
import json
import socket
import threading

from listener import SUBSCRIBE, numbers_of as numbers, open_stream, send_stream, subscribe
from live_agent import STREAMS, SUBSCRIBES, Framing, LiveAgent, http_json
from telling import story
from world import VERSIONS, Client, check, contains, equal, error_of, message, rpc_body, state_of, wait_until

PAIRS = [(caller, agent) for caller in VERSIONS for agent in VERSIONS]


def told(events):
    """What events say, without the request they answer."""
    return [(e.cursor, json.dumps(e.result, sort_keys=True)) for e in events]


def check_shapes(events, version):
    """Every event as the version of its reader has it."""
    equal(events[0].kind in ("task", "message"), True, f"the first event is a task or message: {events[0]}")
    for i, event in enumerate(events):
        check(event.error is None, f"an error in the stream: {event}")
        check(i == 0 or event.kind in ("status", "artifact"), f"event {i} is a {event.kind}")
        if version == "1.0":
            equal(len(event.result), 1, "members of a StreamResponse")
            check("kind" not in event.thing and "final" not in event.thing, f"0.3 words in 1.0: {event}")
        else:
            equal(event.result["kind"], {"task": "task", "message": "message", "status": "status-update",
                                         "artifact": "artifact-update"}[event.kind], "kind")
            if event.kind == "status":
                equal(event.thing["final"], i == len(events) - 1, f"final of event {i}: {event}")
        if i:
            check(event.thing["taskId"] and event.thing["contextId"], f"ids of {event}")
    cursors = [e.cursor for e in events if events[0].kind == "task"]
    check(all(cursors), "every event has a cursor")
    equal(len(set(cursors)), len(cursors), "cursors that differ")


def same_task(gw, agent_id, live, version):
    """What GetTask says here is what the agent has."""
    def ask():
        return gw.get(agent_id, live.id, live.version).json["result"]

    equal(ask(), live.snapshot(), f"GetTask of {live.id}, as its agent says it")
    equal(gw.get(agent_id, live.id, version).status, 200, f"GetTask in {version}")


@story()
def a_stream_as_it_happens(world):
    for caller, speaks in PAIRS:
        agent = world.add(LiveAgent(speaks))
        gw = world.gateway({"a": agent})
        stream = send_stream(gw, "a", message("count 12 5", caller), caller)
        equal((stream.status, stream.headers["content-type"]), (200, "text/event-stream"), f"{caller} to {speaks}")
        equal((stream.headers["cache-control"], stream.headers["x-accel-buffering"]), ("no-cache", "no"), "headers")
        events = stream.read_to_end()
        check_shapes(events, caller)
        equal(numbers(events), list(range(1, 13)), f"{caller} to {speaks}: numbered parts")
        check(sum(e.kind == "artifact" for e in events) >= 6, f"it came as it happened: {len(events)} events")
        equal(events[-1].state, "completed", "the last event")
        equal(len(agent.asked(*STREAMS)), 1, "streams the agent was asked for")
        same_task(gw, "a", agent.task(events[0].thing["id"]), caller)
        gw.stop()


@story()
def a_cursor_resumes_exactly_behind_it(world):
    agent = world.add(LiveAgent("1.0"))
    gw = world.gateway({"a": agent})
    first = send_stream(gw, "a", message("stages 6 20", "1.0"), "1.0")
    first.read_events(4)
    live = subscribe(gw, "a", first.events[0].thing["id"], cursor=first.events[1].cursor)
    whole = first.read_to_end()
    equal(told(live.read_to_end()), told(whole[2:]), "a live stream, resumed")
    task_id = whole[0].thing["id"]
    for restarted in (False, True):
        if restarted:
            gw.kill()
            gw.start()
        for i, event in enumerate(whole):
            rest = subscribe(gw, "a", task_id, cursor=event.cursor).read_to_end()
            equal(told(rest), told(whole[i + 1:]), f"behind event {i}, restarted: {restarted}")
        old = subscribe(gw, "a", task_id, "0.3", cursor=whole[3].cursor).read_to_end()
        equal([e.cursor for e in old], [e.cursor for e in whole[4:]], "the same events in the other version")
        check_kinds = [e.kind for e in old]
        equal(check_kinds, [e.kind for e in whole[4:]], "their kinds")
        equal(old[-1].thing["final"], True, "final of the last")
        query = open_stream(gw, "a", SUBSCRIBE["1.0"], {"id": task_id},
                            path="/agents/a?lastEventId=" + whole[5].cursor).read_to_end()
        equal(told(query), told(whole[6:]), "the cursor as a query parameter")
    check(len(agent.asked(*STREAMS)) == 1, "the message was sent once")


@story()
def a_send_with_a_cursor_is_a_reconnect(world):
    agent = world.add(LiveAgent("0.3"))
    gw = world.gateway({"a": agent})
    body = message("count 10 30", "0.3")
    first = send_stream(gw, "a", body, "0.3")
    first.read_events(3)
    first.close()
    again = send_stream(gw, "a", body, "0.3", cursor=first.cursor)
    rest = again.read_to_end()
    seen = len([e for e in first.events])
    equal(numbers(first.events[:seen] + rest), list(range(1, 11)), "both together")
    equal(len(agent.asked(*STREAMS)), 1, "the message was sent once")
    late = send_stream(gw, "a", body, "0.3", cursor=rest[-1].cursor)
    equal(late.read_to_end(), [], "behind the end is nothing")
    equal(len(agent.asked(*STREAMS)), 1, "still once")


@story(stores=("sqlite",))
def cursors_of_others_and_no_cursors(world):
    one, two = world.add(LiveAgent("1.0")), world.add(LiveAgent("1.0"))
    gw = world.gateway({"a": one, "b": two})
    here = send_stream(gw, "a", message("count 2 1", "1.0"), "1.0").read_to_end()
    other = send_stream(gw, "a", message("count 2 1", "1.0"), "1.0").read_to_end()
    there = send_stream(gw, "b", message("count 2 1", "1.0"), "1.0").read_to_end()
    task = here[0].thing["id"]
    cases = [("another task's", subscribe(gw, "a", task, cursor=other[1].cursor)),
             ("another agent's", subscribe(gw, "a", task, cursor=there[1].cursor)),
             ("another agent's, to a send", send_stream(gw, "a", message("count 1 1", "1.0"), "1.0", cursor=there[1].cursor)),
             ("garbage", subscribe(gw, "a", task, cursor="12")),
             ("long garbage", subscribe(gw, "a", task, cursor="x" * 5000)),
             ("a seq that is not there", subscribe(gw, "a", task, cursor=here[1].cursor + "00000"))]
    for what, stream in cases:
        check(not stream.is_stream, f"{what}: answered with a stream")
        equal(error_of(stream.answer)["code"], -32602, what)
        check(len(error_of(stream.answer)["message"]) > 10, f"{what}: says what is wrong")
    equal(len(one.asked(*STREAMS)), 2, "nothing was sent")


@story(stores=("sqlite",))
def a_subscription_to_a_task_that_is_over(world):
    agent = world.add(LiveAgent("1.0"))
    gw = world.gateway({"a": agent})
    task = send_stream(gw, "a", message("count 2 1", "1.0"), "1.0").read_to_end()[0].thing["id"]
    new = subscribe(gw, "a", task)
    check(not new.is_stream, "1.0 is answered with an error")
    equal(error_of(new.answer)["code"], -32004, "1.0")
    old = subscribe(gw, "a", task, "0.3").read_to_end()
    equal([e.kind for e in old], ["task"], "0.3: the task, then the end")
    equal(old[0].state, "completed", "its state")
    nobody = subscribe(gw, "a", "no-such-task")
    equal(error_of(nobody.answer)["code"], -32001, "a task nobody knows")


@story()
def interrupted_and_continued(world):
    for caller, speaks in PAIRS:
        for ends in (True, False):
            agent = world.add(LiveAgent(speaks))
            agent.ends_at_interrupted = ends
            gw = world.gateway({"a": agent})
            asked = send_stream(gw, "a", message("ask 3 5", caller), caller)
            if ends:
                events = asked.read_to_end()
                check_shapes(events, caller)
            else:  # the agent keeps its stream open, and so do we
                asked.read_until("it asks", lambda s: s.events and s.events[-1].state == "input-required")
                events = asked.events
                if caller == "0.3":
                    equal(events[-1].thing["final"], False, "the stream goes on")
            equal(events[-1].state, "input-required", f"{caller} to {speaks}")
            task = events[0].thing["id"]
            watching = subscribe(gw, "a", task, caller)
            watching.read_events(1)
            equal(watching.events[0].state, "input-required", "the snapshot")
            more = send_stream(gw, "a", message("go on", caller, taskId=task), caller).read_to_end()
            equal(more[0].kind, "task", "the first event of the second stream")
            equal(more[-1].state, "completed", "the end of the second stream")
            equal(watching.read_to_end()[-1].state, "completed", "the end of the subscription")
            equal(numbers(watching.events), list(range(1, 7)), "the subscriber's parts")
            equal(numbers(more), list(range(1, 7)), "the sender's parts")
            if not ends:
                equal(asked.read_to_end()[-1].state, "completed", "the end of the first stream")
                equal(numbers(asked.events), list(range(1, 7)), "its parts")
            same_task(gw, "a", agent.task(task), caller)
            gw.stop()


@story(stores=("sqlite",))
def agents_without_streams_give_their_callers_streams(world):
    for version in VERSIONS:
        agents = {}
        for name, streams_as in (("refuses", "no"), ("unknown", "unknown"), ("json", "json")):
            agents[name] = world.add(LiveAgent(version))
            agents[name].streams_as = streams_as
        agents["says-no"] = world.add(LiveAgent(version, card=lambda a, r: http_json(
            a.make_card(a.version, capabilities={"streaming": False}))))
        agents["says-no"].streams_as = "no"
        none = world.add(LiveAgent(version))
        agents["none"] = none
        file = {name: agent for name, agent in agents.items()}
        file["none"] = {"agent": none, "maxStreams": 0}
        gw = world.gateway(file, env={"POLL_MIN_MS": "20", "POLL_MAX_MS": "50"})
        for name, agent in agents.items():
            events = send_stream(gw, name, message("count 8 30", version), version).read_to_end()
            check_shapes(events, version)
            equal(numbers(events), list(range(1, 9)), f"{name}, {version}")
            equal(events[-1].state, "completed", f"{name}, {version}")
            check(any(e.kind == "artifact" for e in events), f"{name}: nothing came while it worked")
            equal(len(agent.live_tasks), 1, f"{name}: tasks begun at the agent")
        equal(len(none.asked(*STREAMS, *SUBSCRIBES)), 0, "streams asked of an agent with maxStreams 0")
        equal(len(agents["says-no"].asked(*STREAMS)), 0, "streams asked of an agent whose card has none")
        gw.stop()


@story(stores=("sqlite",))
def every_legal_framing(world):
    framings = [Framing(eol=eol, cut=cut) for eol in ("\n", "\r", "\r\n", "mixed") for cut in (0, 1)]
    framings += [Framing(space=False), Framing(comments=True, named=True), Framing(lines=4), Framing(pretty=True, cut=7),
                 Framing(bom=True, cut=1), Framing(last_blank=False),
                 Framing(eol="\r\n", cut=1, comments=True, named=True, lines=3, space=False, bom=True, last_blank=False)]
    for version in VERSIONS:
        agent = world.add(LiveAgent(version))
        gw = world.gateway({"a": agent})
        for chunked in (True, False):
            for framing in framings:
                agent.framing, agent.chunked = framing, chunked
                events = send_stream(gw, "a", message("count 4 1", version), version).read_to_end()
                equal(numbers(events), [1, 2, 3, 4], f"{version} {chunked} {vars(framing)}")
                equal(events[-1].state, "completed", f"{version} {chunked} {vars(framing)}")
        equal(len(agent.asked(*SUBSCRIBES)), 0, "streams that had to be attached to again")
        gw.stop()


@story()
def the_agents_connection_breaks(world):
    for how in ("snapshot", "bare", "closes", "absent", "no"):
        agent = world.add(LiveAgent("1.0"))
        agent.subscribes_as = how
        gw = world.gateway({"a": agent}, env={"POLL_MIN_MS": "20", "POLL_MAX_MS": "100"})
        stream = send_stream(gw, "a", message("count 30 10", "1.0"), "1.0")
        for n in (4, 9, 14):
            stream.read_until(f"{n} parts have come", lambda s, n=n: len(numbers(s.events)) >= n)
            wait_until("the agent's stream is there to be cut",
                       lambda: agent.break_streams() or how in ("closes", "absent", "no"))
        events = stream.read_to_end()
        check_shapes(events, "1.0")
        equal(numbers(events), list(range(1, 31)), f"subscribe answers with {how}")
        same_task(gw, "a", agent.task(events[0].thing["id"]), "1.0")
        equal(len(agent.asked(*STREAMS)), 1, "the message was sent once")
        check(len(agent.asked(*SUBSCRIBES)) >= 1, "it was attached to again")
        check(len(agent.asked(*SUBSCRIBES)) < 60, f"{how}: attached {len(agent.asked(*SUBSCRIBES))} times")
        gw.stop()


@story()
def who_leaves_loses_nothing(world):
    agent = world.add(LiveAgent("1.0"))
    gw = world.gateway({"a": agent})
    stream = send_stream(gw, "a", message("count 20 10", "1.0"), "1.0")
    stream.read_events(3)
    task = stream.events[0].thing["id"]
    stream.client.reset()
    gw.wait_state("a", task, "completed", "1.0")
    rest = subscribe(gw, "a", task, cursor=stream.cursor).read_to_end()
    equal(numbers(stream.events + rest), list(range(1, 21)), "what came while nobody listened")
    equal(len(agent.asked(*SUBSCRIBES)), 0, "the agent's stream was read on")


@story()
def the_gateway_is_killed(world):
    agent = world.add(LiveAgent("1.0"))
    gw = world.gateway({"a": agent}, env={"POLL_MIN_MS": "20"})
    stream = send_stream(gw, "a", message("count 40 25", "1.0"), "1.0")
    events = []
    for _ in range(3):
        stream.read_events(1)
        stream.read_until("some more, or the end", lambda s: len(s.events) > 4 or s.events[-1].is_terminal)
        events += stream.events
        gw.kill()
        gw.start()
        stream = subscribe(gw, "a", events[0].thing["id"], cursor=events[-1].cursor)
        if events[-1].is_terminal:
            break
    events += stream.read_to_end()
    equal(numbers(events), list(range(1, 41)), "over four lives of the gateway")
    check_shapes(events, "1.0")
    same_task(gw, "a", agent.task(events[0].thing["id"]), "1.0")
    equal(len(agent.asked(*STREAMS)), 1, "the message was sent once")


@story(stores=("postgres",))
def another_node_takes_over(world):
    agent = world.add(LiveAgent("1.0"))
    one = world.gateway({"a": agent})
    two = world.gateway({"a": agent})
    stream = send_stream(one, "a", message("count 200 60", "1.0"), "1.0")
    stream.read_events(4)
    task = stream.events[0].thing["id"]
    # A reader at the node that does not follow it is told from the log.
    watching = subscribe(two, "a", task, cursor=stream.events[1].cursor)
    watching.read_events(10)
    one.kill()
    whole = stream.events[:2] + watching.read_to_end(120)
    equal(numbers(whole), list(range(1, 201)), "over both nodes")
    check_shapes(whole, "1.0")
    equal(len(agent.asked(*STREAMS)), 1, "the message was sent once")
    same_task(two, "a", agent.task(task), "1.0")


@story(stores=("sqlite",))
def a_hundred_stalled_readers(world):
    agent = world.add(LiveAgent("1.0"))
    gw = world.gateway({"a": agent}, variant="release")
    first = send_stream(gw, "a", message("count 400 5 2000", "1.0"), "1.0")
    first.read_events(2)
    task = first.events[0].thing["id"]
    stalled = []
    for _ in range(100):
        c = Client(gw.port)
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        body = rpc_body(SUBSCRIBE["1.0"], {"id": task})
        c.send(b"POST /agents/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
               % len(body) + body)
        stalled.append(c)
    before = gw.rss_kb()
    others = [subscribe(gw, "a", task) for _ in range(20)]
    threads = [threading.Thread(target=s.read_to_end, args=(120,)) for s in others]
    for t in threads:
        t.start()
    events = first.read_to_end(120)
    for t in threads:
        t.join()
    equal(numbers(events), list(range(1, 401)), "the sender's parts")
    for other in others:
        equal(numbers(other.events), list(range(1, 401)), "another reader's parts")
    grown = gw.rss_kb() - before
    print(f"        100 stalled readers of a task of 800 KB: {grown} KB more", flush=True)
    check(grown < 100 * 256, f"memory grew by {grown} KB")
    for c in stalled:
        c.close()


@story(stores=("sqlite",))
def vanished_clients_are_noticed(world):
    agent = world.add(LiveAgent("1.0"))
    gw = world.gateway({"a": agent})
    stream = send_stream(gw, "a", message("hold", "1.0"), "1.0")
    stream.read_events(1)
    task = stream.events[0].thing["id"]
    more = [subscribe(gw, "a", task) for _ in range(3)]
    for s in more:
        s.read_events(1)

    def readers():
        return gw.health()["streams"]["readers"]

    equal(readers(), 4, "readers")
    more[0].client.reset()
    wait_until("the reset is noticed", lambda: readers() == 3)
    more[1].client.finish()
    wait_until("the FIN is noticed", lambda: readers() == 2)
    more[2].close()
    wait_until("the close is noticed", lambda: readers() == 1)
    agent.task(task).move("completed")
    equal(stream.read_to_end()[-1].state, "completed", "who stayed")
    wait_until("nobody is left", lambda: readers() == 0)


@story(stores=("sqlite",), variant="release", alone=True)
def five_thousand_chunks(world):
    agent = world.add(LiveAgent("1.0"))
    gw = world.gateway({"a": agent}, variant="release")
    before = gw.health()["store"]["bytes"]
    events = send_stream(gw, "a", message("count 5000 0 200", "1.0"), "1.0").read_to_end(240)
    equal(numbers(events), list(range(1, 5001)), "numbered parts")
    live = agent.task(events[0].thing["id"])
    same_task(gw, "a", live, "1.0")
    size = sum(len(json.dumps(update, separators=(",", ":"))) for _, update in live.events)
    written = gw.health()["store"]["bytes"] - before
    print(f"        5,000 chunks, {size} bytes of events, {written} bytes written: {written / size:.2f}x", flush=True)
    check(written <= 5 * size, f"{written} bytes written for {size}")


@story(stores=("sqlite",), variant="release", alone=True)
def a_thousand_tasks_at_once(world):
    agents = {f"a{i}": world.add(LiveAgent("1.0" if i % 2 else "0.3")) for i in range(4)}
    gw = world.gateway(agents, variant="release", env={"AGENT_MAX_IN_FLIGHT": "1000"})
    streams, failures = [], []

    def listen(i):
        try:
            version = "1.0" if i % 3 else "0.3"
            s = send_stream(gw, f"a{i % 4}", message("count 5 400", version), version, timeout=120)
            streams.append((s, s.read_to_end(240)))
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=listen, args=(i,)) for i in range(1000)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    equal([repr(f) for f in failures[:3]], [], "failures")
    equal(len(streams), 1000, "streams")
    for _, events in streams:
        equal(numbers(events), [1, 2, 3, 4, 5], "numbered parts")


@story(stores=("sqlite",))
def on_rpc(world):
    agent = world.add(LiveAgent("1.0"))
    gw = world.gateway({"a": agent})
    events = open_stream(gw, "a", "message.stream", {"agentId": "a", "message": message("count 6 20")}, path="/rpc")
    equal(events.headers["content-type"], "text/event-stream", "message.stream")
    whole = events.read_to_end()
    check_shapes(whole, "0.3")
    equal(numbers(whole), list(range(1, 7)), "numbered parts")
    held = send_stream(gw, "a", message("hold", "1.0"), "1.0")
    held.read_events(1)
    task = held.events[0].thing["id"]
    watching = open_stream(gw, "a", "tasks.subscribe", {"taskId": task, "agentId": "a"}, path="/rpc")
    watching.read_events(1)
    agent.task(task).part("1")
    watching.read_events(2)
    agent.task(task).move("completed", "done")
    tasks = watching.read_to_end()
    equal([e.kind for e in tasks], ["task"] * len(tasks), "whole tasks")
    equal([e.result["kind"] for e in tasks], ["task"] * len(tasks), "in 0.3 shapes")
    equal([len(e.thing.get("artifacts", [])) for e in tasks[:2]], [0, 1], "as it grew")
    equal(tasks[-1].state, "completed", "the last")
    plain = gw.own("message.stream", {"agentId": "a", "message": message("hold")}, headers={"Accept": "application/json"})
    equal(plain.header("content-type"), "application/json", "a caller who cannot read streams")
    equal(plain.json["result"]["kind"], "task", "gets the task")


@story(stores=("sqlite",))
def messages_errors_and_lies(world):
    for version in VERSIONS:
        agent = world.add(LiveAgent(version))
        gw = world.gateway({"a": agent})
        said = send_stream(gw, "a", message("reply hello", version), version).read_to_end()
        equal([e.kind for e in said], ["message"], "a message is the whole stream")
        refused = send_stream(gw, "a", message("refuse -32005", version), version)
        check(not refused.is_stream, "an error before the stream is a plain answer")
        equal(error_of(refused.answer)["code"], -32005, "the agent's error")
        stream = send_stream(gw, "a", message("hold", version), version)
        stream.read_events(1)
        live = agent.task(stream.events[0].thing["id"])
        open_now = agent.streams[0]
        live.part("1")
        stream.read_events(2)
        foreign = {"taskId": "somebody-elses", "contextId": "c", "artifact": {"artifactId": "out", "parts": []}}
        with live.changed:  # what is only said, not true
            open_now._write(open_now._wrap("artifact", foreign))
            open_now._write(open_now._wrap("artifact", {**live.events[0][1]}))  # once more
            open_now._write(open_now._wrap("task", live.snapshot()))
        live.part("2")
        stream.read_until("part 2 has come", lambda s: 2 in numbers(s.events))
        live.move("completed")
        events = stream.read_to_end()
        equal([e for e in events if e.thing.get("taskId") == "somebody-elses"], [], "foreign events")
        equal(sum(e.kind == "task" for e in events), 1, "tasks in the stream")
        equal(numbers(events), [1, 2], "what is true, told to the end")
        same_task(gw, "a", live, version)
        gw.stop()


@story(stores=("sqlite",))
def how_messages_are_said(world):
    for version in VERSIONS:
        streamed, waited = world.add(LiveAgent(version)), world.add(LiveAgent(version))
        gw = world.gateway({"s": {"agent": streamed, "send": "stream"}, "w": {"agent": waited, "send": "async"}},
                           env={"POLL_MIN_MS": "20"})
        for name, agent in (("s", streamed), ("w", waited)):
            blocking = {"blocking": True} if version == "0.3" else None
            answer = gw.send(name, "count 5 20", version, configuration=blocking)
            result = answer.json["result"]
            task = result["task"] if version == "1.0" else result
            equal(state_of(task), "completed", f"{name}, {version}: a send that waits")
            events = send_stream(gw, name, message("count 5 20", version), version).read_to_end()
            equal(numbers(events), [1, 2, 3, 4, 5], f"{name}, {version}: a stream")
        equal(len(waited.asked(*STREAMS)), 0, "streams with send: async")
        equal(len(streamed.asked("message/send", "SendMessage")), 0, "sends with send: stream")
        gw.stop()


@story(stores=("sqlite",))
def quiet_streams_say_that_they_live(world):
    agent = world.add(LiveAgent("1.0"))
    gw = world.gateway({"a": agent})
    stream = send_stream(gw, "a", message("hold", "1.0"), "1.0")
    stream.read_events(1)
    stream.read_until("a comment has come", lambda s: s.reader.comments > 0)
    equal(len(stream.events), 1, "events")
    gw.process.terminate()
    last = stream.read_to_end()[-1]
    check(last.kind == "error" or last.kind == "task", f"the gateway's farewell: {last}")
    equal(gw.wait_end(), 0, "exit code")


@story(stores=("sqlite",))
def on_the_command_line(world):
    agent = world.add(LiveAgent("1.0"))
    gw = world.gateway({"a": agent}, env={"POLL_MIN_MS": "20"})
    done = gw.cli("send", "a", "count 5 20", "--stream")
    equal(done.returncode, 0, done.stderr)
    equal([line for line in done.stdout.split("\n") if line.isdigit()], ["1", "2", "3", "4", "5"], "what it prints")
    contains(done.stdout, "state completed", "the end")
    task = done.stdout.split("\n")[0].split()[1]
    over = gw.cli("tasks", "watch", task)
    equal(over.returncode, 0, over.stderr)
    contains(over.stdout, "state completed", "watching what is over")
    failed = gw.cli("send", "a", "fail 2 5", "--stream", "--json")
    equal(failed.returncode, 1, "exit code of a task that failed")
    equal(all(json.loads(line)["result"] for line in failed.stdout.strip().split("\n")), True, "JSON, line by line")
    results = []
    gw.env["PORT"] = str(gw.port)
    thread = threading.Thread(target=lambda: results.append(gw.cli("send", "a", "count 60 50", "--stream")))
    thread.start()
    wait_until("it runs", lambda: any(len(t.events) > 5 for t in agent.live_tasks.values() if t.text.startswith("count 60")))
    gw.kill()
    gw.start()
    thread.join(60)
    equal(results[0].returncode, 0, results[0].stderr)
    equal([line for line in results[0].stdout.split("\n") if line.isdigit()], [str(i) for i in range(1, 61)],
          "what it prints over a restart")
    contains(results[0].stderr, "connection lost", "it says so")


@story(stores=("sqlite",))
def the_demo_agent_counts(world):
    gw = world.gateway(args=("--demo",))
    for name in ("demo", "demo-0.3"):
        done = gw.cli("send", name, "count to 5", "--stream")
        equal(done.returncode, 0, done.stderr)
        equal([line for line in done.stdout.split("\n") if line.isdigit()], ["1", "2", "3", "4", "5"], "what it prints")
