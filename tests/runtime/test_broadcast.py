"""The extension `hypercorn.websocket.broadcast` on live servers: topics, slow clients, mistakes."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.protocol.test_http2_websocket import CONNECT
from tests.runtime.test_http2 import Client
from tests.runtime.test_http2_websocket import until
from tests.support.http2 import headers
from tests.support.live import Live, eventually, respond
from tests.support.websocket import LiveWebSocket
from tests.wire.websocket_frames import Frame

from hypercorn.errors import ClientDisconnected

Serve = Callable[..., Live]
EXTENSION = "hypercorn.websocket.broadcast"
LARGE = "x" * 60_000


@pytest.fixture
def serve_app(serve_app: Serve) -> Serve:
    return partial(serve_app, graceful_timeout=0.1, websocket_broadcast=True)


class Hub:
    """WebSockets subscribe to the topic of their path. A request's path is a topic and a message; the number of those
    who got it is the response. `when_full` is that of the subscriptions."""

    def __init__(self, when_full: str = "wait") -> None:
        self.when_full = when_full
        self.members: list[Any] = []
        self.sent: list[int] = []  # what calls of `send` returned
        self.extension: Any = None  # the lifespan's

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            self.extension = scope["extensions"][EXTENSION]
            for stage in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{stage}.complete"})
        elif scope["type"] == "http":
            _, topic, text = scope["path"].split("/")
            count = await scope["extensions"][EXTENSION].send(topic, {"large": LARGE}.get(text, text))
            self.sent.append(count)
            await respond(send, b"%d" % count)
        else:
            await self.visit(scope, receive, send)

    async def visit(self, scope: Any, receive: Any, send: Any) -> None:
        """One WebSocket. What it sends goes to its topic; "leave" ends its subscription."""
        topic = scope["path"][1:]
        await receive()
        await send({"type": "websocket.accept"})
        subscriber = scope["extensions"][EXTENSION]
        subscriber.subscribe(topic, self.when_full)
        self.members.append(subscriber)
        while (message := await receive())["type"] == "websocket.receive":
            if message["text"] == "leave":
                subscriber.unsubscribe(topic)
                subscriber.unsubscribe(topic)  # which does nothing
                await send({"type": "websocket.send", "text": "left"})
            else:
                await subscriber.send(topic, message["text"] or message["bytes"])
        self.members.remove(subscriber)


def member(live: Live, topic: str, hub: Hub, *fields: str, **more: Any) -> LiveWebSocket:
    """A WebSocket that has subscribed to a topic."""
    before = len(hub.members)
    ws = LiveWebSocket(live.connect(**more), *fields, target=f"/{topic}")
    assert ws.status == 101
    assert eventually(lambda: len(hub.members) > before)
    return ws


def tell(live: Live, path: str) -> bytes:
    """The response to a request that sends a message."""
    with live.connect() as peer:
        peer.send(f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
        return bytes(peer.response().body)


def test_subscribers_of_a_topic_get_its_messages(serve_app: Serve) -> None:
    hub = Hub()
    live = serve_app(hub)
    news = [member(live, "news", hub) for _ in range(5)]
    sport = member(live, "sport", hub)
    assert tell(live, "/news/one") == b"5"
    assert tell(live, "/sport/two") == b"1"
    assert tell(live, "/nothing/three") == b"0"
    news[0].send(2, b"four")  # from a member, to itself too
    for ws in news:
        assert [ws.read(), ws.read()] == [Frame(1, b"one", True, 0), Frame(2, b"four", True, 0)]
    news[1].send(1, b"leave")
    assert news[1].read().payload == b"left"
    assert tell(live, "/news/five") == b"4"
    assert sport.read().payload == b"two"
    news[2].close(1000)
    assert news[2].read().payload == b"five"
    assert eventually(lambda: len(hub.members) == 5)
    assert tell(live, "/news/six") == b"3"
    assert live.errors() == []
    for ws in (*news, sport):
        ws.peer.close()
    assert eventually(lambda: not hub.members and not hub.extension.topics), "topics without subscribers are forgotten"


def test_the_lifespan_sends_too(serve_app: Serve) -> None:
    hub = Hub()
    live = serve_app(hub)
    ws = member(live, "a", hub)
    coroutine = hub.extension.send("a", "from outside of a request")

    def run() -> int | None:
        try:
            coroutine.send(None)
        except StopIteration as stopped:
            return int(stopped.value)
        return None

    assert live.on_loop(run) == 1
    assert ws.read().payload == b"from outside of a request"


def test_websockets_over_http2(serve_app: Serve) -> None:
    hub = Hub()
    live = serve_app(hub)
    client = Client(live.connect())
    fields = [(name, b"/a" if name == b":path" else value) for name, value in CONNECT]
    client.send(*(headers(stream, fields, False) for stream in (1, 3)))
    assert eventually(lambda: len(hub.members) == 2)
    ws = member(live, "a", hub)
    assert tell(live, "/a/all") == b"3"
    assert ws.read().payload == b"all"
    for stream in (1, 3):
        assert until(client, stream, 1)[0].payload == b"all"


def stuck(live: Live, hub: Hub) -> LiveWebSocket:
    """A member that has not read what fills all buffers up to it."""
    ws = member(live, "a", hub, receive_buffer=4096)
    subscriber = hub.members[-1]

    def full() -> bool:
        exchange = subscriber._exchange
        for _ in range(4):
            if not exchange.must_wait():
                exchange.socket.send_message(LARGE)
        return bool(exchange.must_wait())

    assert eventually(lambda: live.on_loop(full))
    return ws


def test_who_does_not_read_can_miss_messages(serve_app: Serve) -> None:
    hub = Hub("drop")
    live = serve_app(hub)
    slow, quick = stuck(live, hub), member(live, "a", hub)
    assert tell(live, "/a/one") == b"1"
    assert tell(live, "/a/two") == b"1"
    assert [quick.read().payload, quick.read().payload] == [b"one", b"two"]
    assert hub.members[0].dropped == 2
    subscriber = hub.members[0]
    while not live.on_loop(lambda: not subscriber._exchange.must_wait()):
        assert slow.read().payload == LARGE.encode()
    assert tell(live, "/a/three") == b"2"
    while (last := slow.read().payload) == LARGE.encode():
        pass
    assert last == b"three"


def test_who_does_not_read_can_be_closed(serve_app: Serve) -> None:
    hub = Hub("close")
    live = serve_app(hub)
    slow, quick = stuck(live, hub), member(live, "a", hub)
    assert tell(live, "/a/one") == b"1"
    assert quick.read().payload == b"one"
    while (frame := slow.read()).opcode == 1:
        assert frame.payload == LARGE.encode()
    assert (frame.opcode, frame.payload) == (8, b"\x03\xf5slow consumer")


def test_who_does_not_read_can_make_senders_wait(serve_app: Serve) -> None:
    hub = Hub()
    live = serve_app(hub)
    slow, quick = stuck(live, hub), member(live, "a", hub)
    senders = []
    for text in (b"one", b"two"):
        sender = live.connect()
        sender.send(b"GET /a/%b HTTP/1.1\r\nhost: a\r\n\r\n" % text)
        assert quick.read().payload == text, "the others do not wait"
        senders.append(sender)
    time.sleep(0.1)
    assert hub.sent == []
    while (payload := slow.read().payload) == LARGE.encode():
        pass
    assert [payload, slow.read().payload] == [b"one", b"two"], "in the order of the calls"
    assert [sender.response().body for sender in senders] == [b"2", b"2"]


def test_senders_do_not_wait_for_who_is_gone(serve_app: Serve) -> None:
    hub = Hub()
    live = serve_app(hub)
    slow = stuck(live, hub)
    sender = live.connect()
    sender.send(b"GET /a/one HTTP/1.1\r\nhost: a\r\n\r\n")
    time.sleep(0.1)
    assert hub.sent == []
    slow.peer.reset()
    assert sender.response().body == b"0"
    assert live.errors() == []


def test_a_sender_that_is_cancelled_takes_its_message_back(serve_app: Serve) -> None:
    hub = Hub()
    live = serve_app(hub)
    slow = stuck(live, hub)
    subscriber = hub.members[0]
    coroutine = hub.extension.send("a", "withdrawn")
    live.on_loop(lambda: coroutine.send(None))
    assert len(subscriber.waiting) == 1
    live.on_loop(coroutine.close)
    assert not subscriber.waiting
    sender = live.connect()
    sender.send(b"GET /a/kept HTTP/1.1\r\nhost: a\r\n\r\n")
    while (payload := slow.read().payload) == LARGE.encode():
        pass
    assert payload == b"kept"
    assert sender.response().body == b"1"


def test_a_message_is_compressed_once(serve_app: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    from hypercorn.wire import deflate

    made: list[int] = []
    new = deflate.Compression.new_compressor
    hub = Hub()
    live = serve_app(hub, websocket_compression="threshold=0,no_context_takeover=on")
    offer = "sec-websocket-extensions: permessage-deflate; server_no_context_takeover"
    sockets = [member(live, "a", hub, offer) for _ in range(4)]
    extension = hub.members[0]._exchange.socket.extension

    class Counting:
        def __init__(self, compressor: Any) -> None:
            self.compressor = compressor

        def compress(self, data: bytes) -> bytes:
            made.append(len(data))
            return bytes(self.compressor.compress(data))

        def flush(self, mode: int) -> bytes:
            return bytes(self.compressor.flush(mode))

    shared = extension.compression.shared
    shared[extension.deflate_bits] = Counting(new(extension.compression, extension.deflate_bits))
    assert tell(live, "/a/" + "y" * 1000) == b"4"
    frames = [ws.read() for ws in sockets]
    assert frames == [frames[0]] * 4
    assert len(frames[0].payload) < 100
    assert made == [1000]


def test_many_subscribers_give_way_to_other_tasks(serve_app: Serve) -> None:
    """A topic with many subscribers: every message reaches all, in order, while requests are answered."""
    hub = Hub()
    live = serve_app(hub)
    sockets = [member(live, "a", hub) for _ in range(100)]
    senders = [live.connect() for _ in range(10)]
    for number, sender in enumerate(senders):
        sender.send(b"GET /a/%d HTTP/1.1\r\nhost: a\r\n\r\n" % number)
    assert [sender.response().body for sender in senders] == [b"100"] * 10
    orders = [tuple(ws.read().payload for _ in senders) for ws in sockets]
    assert {tuple(sorted(order)) for order in orders} == {tuple(sorted(b"%d" % n for n in range(10)))}
    assert len(set(orders)) == 1, "all subscribers get them in one order"


def test_mistakes_are_told(serve_app: Serve) -> None:
    told: list[str] = []
    ended: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        subscriber = scope["extensions"][EXTENSION]
        await receive()
        for call in (lambda: subscriber.subscribe("a"), lambda: subscriber.subscribe("a", "later")):
            with pytest.raises((RuntimeError, ValueError)) as caught:
                call()
            told.append(str(caught.value))
        await send({"type": "websocket.accept"})
        with pytest.raises(TypeError):
            subscriber.subscribe(b"a")
        subscriber.subscribe("a")
        for message in (None, bytearray(b"a"), 7):
            with pytest.raises(TypeError):
                await subscriber.send("a", message)
        with pytest.raises(UnicodeEncodeError):
            await subscriber.send("a", "\ud800")
        assert await subscriber.send("a", "right") == 1
        await receive()
        with pytest.raises(ClientDisconnected):
            subscriber.subscribe("b")
        ended.append(await subscriber.send("a", "nobody hears"))

    live = serve_app(app, lifespan="off")
    ws = LiveWebSocket(live.connect())
    assert ws.read().payload == b"right"
    ws.peer.close()
    assert eventually(lambda: ended == [0])
    assert told == [
        "send websocket.accept before you subscribe",
        'when_full is "wait", "drop" or "close", not \'later\'',
    ]
    assert live.errors() == []


def test_no_application_is_offered_it_unasked(serve_app: Serve) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        if scope["type"] == "lifespan":
            raise RuntimeError("no lifespan")
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
        else:
            await respond(send, b"")

    live = serve_app(app, websocket_broadcast=False)
    assert tell(live, "/a") == b""
    LiveWebSocket(live.connect())
    assert [scope["type"] for scope in seen] == ["lifespan", "http", "websocket"]
    assert all(EXTENSION not in scope.get("extensions", {}) for scope in seen)
