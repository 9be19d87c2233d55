# SPDX-License-Identifier: MIT
"""Malformed and odd HTTP/1.1, as data: what a hostile or careless client sends, and what must come back.

CASES is a list of (name, request bytes, expected statuses, expect close). The statuses are those of all
responses, in order; ANSWERED stands for any status that the request's handler chose, as opposed to one of
REFUSED, which are given to bytes that are not a request. Where bytes that could be taken for a second
request stand behind a refused first one, exactly one status is expected: that is what request smuggling is
about.

The first 49 are the cases by which the parsers were compared before one was chosen; most of the others are
what the chosen one lets pass and we refuse. Each case is sent over a connection of its own. That a
connection stays open is proved by using it: a last request is sent, and must be the next thing answered.

As a program: http_cases.py PORT [HOST] runs all of them and ends with "N passed, N failed".
"""

import socket
import sys

ANSWERED = 0
REFUSED = frozenset((400, 408, 413, 414, 417, 431, 501, 505))

PATH = b"/rpc"
BODY = b'{"a":1}'  # 7 bytes of JSON
# What would be answered, if somebody took it for a request.
SMUGGLED = b"GET /health/live HTTP/1.1\r\nHost: smuggled\r\n\r\n"
PROBE = b"GET /health/live HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"

TLS_HELLO = (bytes.fromhex("16030100c5010000c10303") + bytes(range(32)) + b"\x00" * 120
             + b"\r\n\r\n")
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def post(*lines, body=BODY, version=b"HTTP/1.1", host=b"Host: h\r\n", start=None):
    """A POST of PATH with these header lines (without their ends) and this body."""
    first = start or b"POST " + PATH + b" " + version
    return first + b"\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def chunked(body, *lines):
    return post(b"Transfer-Encoding: chunked", *lines, body=body)


def get(target=PATH, version=b"HTTP/1.1", lines=b"Host: h\r\n", method=b"GET"):
    return method + b" " + target + b" " + version + b"\r\n" + lines + b"\r\n"


CHUNKS = b"7\r\n" + BODY + b"\r\n0\r\n\r\n"
LENGTH = b"Content-Length: 7"

CASES = [
    # --- the length of a body -----------------------------------------------------------------
    ("Content-Length and chunked",
     chunked(b"0\r\n\r\n" + SMUGGLED, b"Content-Length: 50"), (400,), True),
    ("two different Content-Lengths",
     post(LENGTH, b"Content-Length: 0", body=BODY + SMUGGLED), (400,), True),
    ("two identical Content-Lengths", post(LENGTH, LENGTH), (400,), True),
    ("Content-Length: 7, 7", post(b"Content-Length: 7, 7"), (400,), True),
    ("Content-Length: +7", post(b"Content-Length: +7"), (400,), True),
    ("Content-Length: -1", post(b"Content-Length: -1"), (400,), True),
    ("Content-Length: 0x7", post(b"Content-Length: 0x7"), (400,), True),
    ("Content-Length: 7 7", post(b"Content-Length: 7 7"), (400,), True),
    ("Content-Length: 2^64 + 7", post(b"Content-Length: 18446744073709551623"), (400,), True),
    ("space before the colon", post(b"Content-Length : 7"), (400,), True),
    ("Transfer-Encoding: xchunked and a length",
     post(LENGTH, b"Transfer-Encoding: xchunked"), (400,), True),
    ("Transfer-Encoding: chunked, identity",
     post(b"Transfer-Encoding: chunked, identity", body=CHUNKS),
     (400,), True),
    ("Transfer-Encoding: identity",
     post(b"Transfer-Encoding: identity", body=b""), (501,), True),
    ("Transfer-Encoding: VT chunked",
     post(b"Transfer-Encoding:\x0bchunked", body=CHUNKS), (400,), True),
    ("Transfer-Encoding: chunked twice",
     chunked(CHUNKS, b"Transfer-Encoding: chunked"), (400,), True),
    ("Transfer-Encoding in HTTP/1.0",
     post(b"Transfer-Encoding: chunked", version=b"HTTP/1.0", body=CHUNKS), (400,), True),
    ("chunk size ended by a bare LF", chunked(b"7\n" + BODY + b"\r\n0\r\n\r\n"), (400,), True),
    ("chunk not followed by CR LF", chunked(b"7\r\n" + BODY + b"XX0\r\n\r\n"), (400,), True),
    ("chunk size 0x7", chunked(b"0x7\r\n" + BODY + b"\r\n0\r\n\r\n"), (400,), True),
    ("chunk size of 17 digits",
     chunked(b"10000000000000007\r\n" + BODY + b"\r\n0\r\n\r\n"), (400,), True),
    ("bare LF in a chunk extension", chunked(b"7;x\n" + BODY + b"\r\n0\r\n\r\n"), (400,), True),
    # --- lines --------------------------------------------------------------------------------
    ("bare LF line ends", post(LENGTH).replace(b"\r\n", b"\n"), (400,), True),
    ("bare CR in a value", post(LENGTH, b"X: a\rb"), (400,), True),
    ("folded header", post(LENGTH, b"X: a\r\n b"), (400,), True),
    ("fold as the first header", post(LENGTH, host=b" folded\r\nHost: h\r\n"), (400,), True),
    ("NUL in a value", post(LENGTH, b"X: a\x00b"), (400,), True),
    ("NUL in a name", post(LENGTH, b"X\x00Y: a"), (400,), True),
    ("no Host", post(LENGTH, host=b""), (400,), True),
    ("two Hosts", post(LENGTH, host=b"Host: a\r\nHost: b\r\n"), (400,), True),
    ("header without colon", post(LENGTH, b"nonsense"), (400,), True),
    ("header without name", post(LENGTH, b": value"), (400,), True),
    ("bad byte in the method", get(method=b"GE(T"), (400,), True),
    ("unknown method", get(method=b"FOO"), (501,), True),
    ("HTTP/1.2", get(version=b"HTTP/1.2"), (505,), True),
    ("HTTP/3.7", get(version=b"HTTP/3.7"), (505,), True),
    ("HTTP/0.9", b"GET " + PATH + b"\r\n\r\n", (400,), True),
    ("two spaces in the request line", get(target=b" " + PATH), (400,), True),
    ("byte 0x80 in the target", get(target=b"/\x80"), (400,), True),
    ("byte 0x01 in the target", get(target=b"/\x01"), (400,), True),
    # --- sizes --------------------------------------------------------------------------------
    ("a header of 64 KB", get(lines=b"Host: h\r\nX: " + b"x" * 65536 + b"\r\n"), (431,), True),
    ("2000 headers", get(lines=b"Host: h\r\n" + b"X: y\r\n" * 2000), (431,), True),
    ("a target of 64 KB", get(target=b"/" + b"x" * 65536), (414,), True),
    ("Content-Length of 10 GB", post(b"Content-Length: 10737418240", body=b""), (413,), True),
    # --- what is allowed ----------------------------------------------------------------------
    ("three in one write", post(LENGTH) * 3, (ANSWERED,) * 3, False),
    ("Expect: 100-continue by one who does not wait",
     post(LENGTH, b"Expect: 100-continue"), (ANSWERED,),
     False),
    ("empty line in front", b"\r\n" + post(LENGTH), (ANSWERED,), False),
    ("POST without any length", post(body=BODY + b"\r\n\r\n"), (ANSWERED, 400), True),
    # --- other protocols ----------------------------------------------------------------------
    ("TLS", TLS_HELLO, (400,), True),
    ("HTTP/2", H2_PREFACE, (400,), True),
    # --- what the parser lets pass and we do not ----------------------------------------------
    ("folded Content-Length", post(b"Content-Length:\r\n 7"), (400,), True),
    ("Content-Length folded with HTAB", post(b"Content-Length:\r\n\t7"), (400,), True),
    ("Content-Length folded inside the digits", post(b"Content-Length: 1\r\n 7"), (400,), True),
    ("folded Transfer-Encoding",
     post(b"Transfer-Encoding:\r\n chunked", body=CHUNKS), (400,), True),
    ("fold in a trailer",
     chunked(b"7\r\n" + BODY + b"\r\n0\r\nX: a\r\n b\r\n\r\n"), (400,), True),
    ("trailer without name", chunked(b"7\r\n" + BODY + b"\r\n0\r\n: a\r\n\r\n"), (400,), True),
    ("bare LF in a trailer", chunked(b"7\r\n" + BODY + b"\r\n0\r\nX: a\n\r\n"), (400,), True),
    ("two identical Hosts", post(LENGTH, host=b"Host: h\r\nHost: h\r\n"), (400,), True),
    ("empty name that hides a length", post(b":Content-Length: 0", LENGTH), (400,), True),
    ("two spaces before the version", get(target=PATH + b" "), (400,), True),
    ("space behind the version", get(version=b"HTTP/1.1 "), (400,), True),
    ("HTAB in the request line", get(target=b"\t" + PATH), (400,), True),
    ("Transfer-Encoding and a length in HTTP/1.0",
     post(b"Transfer-Encoding: chunked", LENGTH, version=b"HTTP/1.0", body=CHUNKS), (400,), True),
    ("a chunked body that grows beyond the maximum by its first size",
     chunked(b"7fffffffffffffff\r\n" + b"x" * 1024), (413,), True),
    ("absolute target of another host", get(target=b"http://other/rpc"), (400,), True),
    ("HTTP/1.0 without Host", get(version=b"HTTP/1.0", lines=b""), (ANSWERED,), True),
    ("HTTP/1.0 that wants to stay",
     get(version=b"HTTP/1.0", lines=b"Connection: keep-alive\r\n"),
     (ANSWERED,), False),
    ("Connection: close and more behind", get(lines=b"Host: h\r\nConnection: close\r\n") + SMUGGLED,
     (ANSWERED,), True),
    ("Upgrade is only a header",
     get(lines=b"Host: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"),
     (ANSWERED,), False),
    ("chunk extensions and trailers", chunked(b"7;a=b\r\n" + BODY + b"\r\n0\r\nX-T: v\r\n\r\n"),
     (ANSWERED,), False),
    ("a good request and a bad one",
     post(LENGTH) + b"bad\r\n\r\n" + SMUGGLED, (ANSWERED, 400), True),
]


class Responses:
    """Reads responses from a socket, one after the other."""

    def __init__(self, sock):
        self.sock = sock
        self.bytes = b""
        self.is_eof = False

    def _more(self):
        try:
            got = self.sock.recv(65536)
        except ConnectionResetError:
            got = b""
        self.is_eof = not got
        self.bytes += got
        return bool(got)

    def next(self):
        """The status of the next response, whose body is skipped; None at the end of the connection."""
        while b"\r\n\r\n" not in self.bytes:
            if not self._more():
                return None
        head, rest = self.bytes.split(b"\r\n\r\n", 1)
        lines = head.split(b"\r\n")
        status = int(lines[0].split(b" ")[1])
        length = 0
        for line in lines[1:]:
            name, value = line.split(b":", 1)
            if name.lower() == b"content-length":
                length = int(value)
        while len(rest) < length:
            if not self._more():
                return None
            rest = self.bytes.split(b"\r\n\r\n", 1)[1]
        self.bytes = rest[length:]
        return status

    def is_at_end(self):
        """Whether the server closes without another byte."""
        while not self.is_eof and not self.bytes:
            self._more()
        return self.is_eof and not self.bytes


def _send(sock, data):
    """Sends; a server that has refused and closed already is allowed not to listen."""
    try:
        sock.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        pass


def _matches(expected, got):
    return got not in REFUSED if expected == ANSWERED else expected == got


def _next(responses, expected):
    """The next status. An interim 100 counts only where it is expected: whether a body is still awaited when the head
    has been read, and so the 100 sent, is chance when a request comes in pieces."""
    status = responses.next()
    while status == 100 and expected != 100:
        status = responses.next()
    return status


def run_case(case, host, port, timeout=10.0, piece=None):
    """Runs one case; returns None if all was as expected, else a sentence. `piece` cuts what is sent."""
    _, request, expected, expect_close = case
    with socket.create_connection((host, port), timeout) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        responses = Responses(sock)
        size = piece or len(request)
        try:
            for at in range(0, len(request), size):
                _send(sock, request[at:at + size])
            statuses = []
            for status in expected:
                statuses.append(_next(responses, status))
            if None in statuses or not all(map(_matches, expected, statuses)):
                return "expected %r, got %r" % (expected, tuple(statuses))
            if expect_close:
                return None if responses.is_at_end() else "more was answered, or not closed"
            _send(sock, PROBE)
            status = responses.next()
            if status is None:
                return "the connection was closed"
            return None if responses.is_at_end() else "something else was answered"
        except socket.timeout:
            return "nothing came within %g s" % timeout


def run_all(host, port, piece=None):
    """Runs all cases; returns [(name, what went wrong)]."""
    wrong = ((case[0], run_case(case, host, port, piece=piece)) for case in CASES)
    return [(name, why) for name, why in wrong if why]


def main(args):
    host, port = (args[1] if len(args) > 1 else "127.0.0.1"), int(args[0])
    failures = []
    for piece in (None, 1, 7):  # whole, one byte at a time, and cut oddly
        failures += [(name, piece, why) for name, why in run_all(host, port, piece)]
    for name, piece, why in failures:
        print("FAIL %s (pieces: %s): %s" % (name, piece or "one", why))
    print("%d passed, %d failed" % (3 * len(CASES) - len(failures), len(failures)))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
