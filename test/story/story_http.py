# SPDX-License-Identifier: MIT
"""Below JSON: malformed, slow, broken-off and pipelined HTTP, on raw sockets."""
import socket
import time

import http_cases
from telling import story
from world import Client, check, equal, message, rpc_body, wait_until


@story(stores=("sqlite",))
def every_malformed_case(world):
    """Each case whole, one byte at a time, and cut oddly."""
    gw = world.gateway({"a": world.agent()})
    for piece in (None, 1, 7):
        equal(http_cases.run_all("127.0.0.1", gw.port, piece), [], f"cases sent in pieces of {piece}")
    check("result" in gw.send("a").json, "a good request afterwards failed")


@story(stores=("sqlite",))
def pipelined_requests_are_answered_in_order(world):
    gw = world.gateway({"a": world.agent()})
    client = Client(gw.port)
    data = b""
    for i in range(200):
        body = rpc_body("message/send", {"message": message(f"n{i}")}, id_=i)
        data += (b"POST /agents/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                 % len(body)) + body
    import threading
    threading.Thread(target=client.send, args=(data,), daemon=True).start()
    for i in range(200):
        answer = client.read_answer().json
        equal(answer["id"], i, "order")
        check("result" in answer, "pipelined call")


@story(stores=("sqlite",))
def half_closed_clients_are_answered(world):
    gw = world.gateway({"a": world.agent()})
    client = Client(gw.port)
    body = rpc_body("message/send", {"message": message()})
    client.send(b"POST /agents/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                % len(body) + body)
    client.finish()
    check("result" in client.read_answer().json, "no answer after FIN")
    check(client.is_closed_by_peer(), "the connection stayed open")


@story(stores=("sqlite",))
def one_byte_at_a_time(world):
    gw = world.gateway({"a": world.agent()})
    client = Client(gw.port)
    body = rpc_body("message/send", {"message": message()})
    for byte in (b"POST /agents/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                 % len(body) + body):
        client.send(bytes([byte]))
    check("result" in client.read_answer().json, "a request sent byte by byte")


@story(stores=("sqlite",))
def broken_off_requests_cost_nothing(world):
    gw = world.gateway({"a": world.agent()})
    for i in range(200):
        client = Client(gw.port)
        client.send(b"POST /agents/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"[:10 + i % 60])
        (client.reset if i % 2 else client.close)()
    wait_until("only the asking connection is open", lambda: gw.health()["connections"] <= 1)


@story(stores=("sqlite",))
def slow_heads_and_bodies_time_out(world):
    """A head gets 10 s in all, however steadily it drips; 300 such clients keep nobody from being served."""
    gw = world.gateway({"a": world.agent()})
    slow = [Client(gw.port) for _ in range(300)]
    began = time.monotonic()
    for c in slow:
        c.send(b"POST /agents/a HT")
    dripping = slow[0]
    dripping.sock.settimeout(0.2)
    text, answer = b"TP/1.1\r\nX-Slow: " + b"a" * 1000, b""
    for i in range(400):
        try:
            dripping.send(text[i:i + 1])
            answer = dripping.sock.recv(100)
            break
        except TimeoutError:
            check("result" in gw.send("a").json, "a fast client beside slow ones")
        except OSError:
            break
    check(time.monotonic() - began < 30, "the dripping client was never cut off")
    check(answer == b"" or answer.startswith(b"HTTP/1.1 408"), f"answer to the dripping client: {answer!r}")
    equal(slow[1].read_answer().status, 408, "a silent client")
    for c in slow:
        c.close()


@story(stores=("sqlite",))
def request_ids_are_echoed(world):
    gw = world.gateway({"a": world.agent()})
    answer = gw.rpc("a", "message/send", {"message": message()}, {"X-Request-Id": "abc-123"})
    equal(answer.header("x-request-id"), "abc-123", "echo")
    gw.wait_log("request=abc-123", "msg=\"call\"")
    own = gw.rpc("a", "tasks/get", {"id": "x"}, {"X-Request-Id": "x" * 200}).header("x-request-id")
    check(own and own != "x" * 200, "an oversized id was echoed")
    check(gw.http("GET", "/health").header("x-request-id"), "none given: one is made")


@story(stores=("sqlite",))
def connections_are_bounded(world):
    gw = world.gateway({"a": world.agent()}, env={"MAX_CONNECTIONS": "20"})
    held = [Client(gw.port) for _ in range(19)]
    for c in held:
        equal(c.request("GET", "/health/live").status, 200, "within the bound")
    extra = [Client(gw.port) for _ in range(10)]
    refused = 0
    for c in extra:
        try:
            answer = c.request("GET", "/health/live")
            refused += answer is None or answer.status == 503
        except OSError:
            refused += 1
    check(refused >= 9, f"only {refused} of 10 were refused above the bound")
    for c in held + extra:
        c.close()
    wait_until("there is room again", lambda: _works(gw))


def _works(gw):
    try:
        return gw.http("GET", "/health/live").status == 200
    except OSError:
        return False
