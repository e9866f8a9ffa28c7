"""gRPC by hand over HTTP/2, with no more than ASGI: `hypercorn examples.grpc:app`.

Three methods of a service `Words`, whose messages are plain UTF-8: `Shout` takes one and gives one, `Split` gives the
words of one as a stream, `Join` takes a stream and gives one. A real service would decode protobuf here; the framing
(a flag, four bytes of length) and the status in the trailers are all that gRPC adds to HTTP.
"""

from __future__ import annotations

from typing import Any

LARGEST = 4 * 1024 * 1024  # bytes of a message, as gRPC has it by default
OK, INVALID, TOO_LARGE, UNIMPLEMENTED = 0, 3, 8, 12


class Refused(Exception):
    """A call that ends with a status that is not OK."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Call:
    """One call: its messages, in and out."""

    def __init__(self, receive: Any, send: Any) -> None:
        self.receive = receive
        self.send = send
        self.buffer = bytearray()
        self.more = True

    async def next(self) -> str | None:
        """The next message, or None after the last. Raises Refused."""
        while self.more or self.buffer:
            size = int.from_bytes(self.buffer[1:5], "big") if len(self.buffer) >= 5 else 0
            if size > LARGEST:
                raise Refused(TOO_LARGE, "a message is too large")
            if len(self.buffer) >= 5 + size:
                return self.cut(size)
            if not self.more:
                raise Refused(INVALID, "the request ends within a message")
            part = await self.receive()
            if part["type"] == "http.disconnect":
                return None
            self.buffer += part["body"]
            self.more = part["more_body"]
        return None

    def cut(self, size: int) -> str:
        """Takes a message of that size off the buffer."""
        if self.buffer[0]:
            raise Refused(UNIMPLEMENTED, "compression is not understood")
        data = bytes(self.buffer[5 : 5 + size])
        del self.buffer[: 5 + size]
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise Refused(INVALID, "this is no UTF-8") from None

    async def say(self, text: str) -> None:
        """Sends a message."""
        await self.send({"type": "http.response.body", "body": framed(text), "more_body": True})


def framed(text: str) -> bytes:
    """A message on the wire."""
    data = text.encode()
    return b"\0" + len(data).to_bytes(4, "big") + data


async def shout(call: Call) -> None:
    """Each message, loud."""
    while (text := await call.next()) is not None:
        await call.say(text.upper())


async def split(call: Call) -> None:
    """The words of a message, one by one."""
    while (text := await call.next()) is not None:
        for word in text.split():
            await call.say(word)


async def join(call: Call) -> None:
    """All messages as one."""
    texts = []
    while (text := await call.next()) is not None:
        texts.append(text)
    await call.say(" ".join(texts))


METHODS = {"/Words/Shout": shout, "/Words/Split": split, "/Words/Join": join}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The application."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] != "http" or scope["http_version"] == "1.1":
        raise ValueError("gRPC needs HTTP/2")
    headers = [(b"content-type", b"application/grpc"), (b"trailer", b"grpc-status, grpc-message")]
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
    status, problem = OK, ""
    try:
        method = METHODS.get(scope["path"])
        if method is None:
            raise Refused(UNIMPLEMENTED, "no such method")
        await method(Call(receive, send))
    except Refused as error:
        status, problem = error.status, str(error)
    await send({"type": "http.response.body", "body": b""})
    trailers = [(b"grpc-status", b"%d" % status), (b"grpc-message", problem.encode())]
    await send({"type": "http.response.trailers", "headers": trailers})
