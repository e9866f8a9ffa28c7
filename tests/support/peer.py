"""A client over a raw socket: it says exactly what a test wants, and shows exactly what came."""

from __future__ import annotations

import re
import selectors
import socket
import ssl
import struct
from typing import Any, NamedTuple

PATIENCE = 30.0  # seconds after which a test that waits has failed
read = ssl.SSLSocket.read
spare_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def read_without_old_errors(self: ssl.SSLSocket, *arguments: Any) -> Any:
    """`SSLSocket.read` without the errors of this thread's other connections, which Python may leave in OpenSSL's queue
    (python/cpython#148594). Making a new object empties the queue."""
    spare_context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
    return read(self, *arguments)


ssl.SSLSocket.read = read_without_old_errors  # type: ignore[method-assign]
HEAD = re.compile(rb"HTTP/1\.[01] (\d{3}) ?[^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")


def readable(thing: Any, seconds: float) -> bool:
    """Whether a socket or descriptor has something to read within that time; unlike select, for any descriptor."""
    with selectors.DefaultSelector() as selector:
        selector.register(thing, selectors.EVENT_READ)
        return bool(selector.select(seconds))


class Response(NamedTuple):
    """A response as it came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    head: bytes

    def header(self, name: str) -> str | None:
        """The value of a field, or None. Fails where it came more than once."""
        values = [value for key, value in self.headers if key.lower() == name]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None


class Peer:
    """A client that says exactly what the test wants, and reads exactly what came."""

    opened: list[Peer] = []  # closed when the test ends

    @classmethod
    def close_all(cls) -> None:
        """Closes what a test left open."""
        for peer in cls.opened:
            peer.close()
        cls.opened.clear()

    def __init__(
        self,
        address: Any,
        *,
        tls: ssl.SSLContext | None = None,
        timeout: float = PATIENCE,
        receive_buffer: int = 0,
    ):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        if not isinstance(address, str) and ":" in address[0]:
            family = socket.AF_INET6
        self.sock = socket.socket(family)
        self.opened.append(self)
        self.sock.settimeout(timeout)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.buffer = b""
        try:
            self.sock.connect(address)
            if family != socket.AF_UNIX:
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self.sock = tls.wrap_socket(self.sock, server_hostname="localhost", suppress_ragged_eofs=False)
        except BaseException:
            self.sock.close()
            raise

    @property
    def port(self) -> int:
        """Its own port, by which an application can tell connections apart."""
        return int(self.sock.getsockname()[1])

    def send(self, data: bytes) -> None:
        """Sends all."""
        self.sock.sendall(data)

    def get(self, target: str = "/", *fields: str, method: str = "GET") -> Response:
        """One request without a body, and its response."""
        self.send(request(target, *fields, method=method))
        return self.response(head=method == "HEAD")

    def end(self) -> None:
        """Half-closes."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Closes with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """Closes."""
        self.sock.close()

    def more(self) -> bool:
        """Reads once into the buffer. False at the end."""
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def take(self, size: int) -> bytes:
        """Exactly that many bytes."""
        while len(self.buffer) < size:
            assert self.more(), f"the connection ended; got {self.buffer[:200]!r}"
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def until(self, mark: bytes) -> bytes:
        """Everything up to a mark, with it."""
        while mark not in self.buffer:
            assert self.more(), f"the connection ended; got {self.buffer[:200]!r}"
        return self.take(self.buffer.index(mark) + len(mark))

    def rest(self) -> bytes:
        """Everything until the server ends the connection."""
        while self.more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def ended(self) -> bool:
        """True once the server has closed, politely or not, without another byte."""
        try:
            return not self.buffer and not self.more()
        except ConnectionError:
            return True

    def head(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """A response head."""
        raw = self.until(b"\r\n\r\n")
        match = HEAD.fullmatch(raw)
        assert match is not None, f"no response head: {raw!r}"
        fields = [line.partition(": ") for line in match[2].decode("latin-1").split("\r\n")[:-1]]
        return int(match[1]), [(name, value) for name, _, value in fields], raw

    def response(self, *, head: bool = False) -> Response:
        """A whole response; one to HEAD has no body."""
        status, headers, raw = self.head()
        names = {name.lower(): value for name, value in headers}
        body = b""
        if head or status in (204, 304) or status < 200:
            pass
        elif "content-length" in names:
            body = self.take(int(names["content-length"]))
        elif names.get("transfer-encoding") == "chunked":
            body = self.chunks()
        else:
            body = self.rest()
        return Response(status, headers, body, raw)

    def chunks(self) -> bytes:
        """A chunked body, its trailer fields dropped."""
        body = b""
        while True:
            size = int(self.until(b"\r\n"), 16)
            if not size:
                while self.until(b"\r\n") != b"\r\n":
                    pass
                return body
            body += self.take(size)
            assert self.take(2) == b"\r\n"

    def response_body_size(self) -> int:
        """The size of a chunked body whose head was read, without keeping it."""
        total = 0
        while size := int(self.until(b"\r\n"), 16):
            self.take(size)
            total += size
            assert self.take(2) == b"\r\n"
        assert self.take(2) == b"\r\n"
        return total

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


def request(target: str = "/", *fields: str, method: str = "GET", body: bytes = b"") -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
