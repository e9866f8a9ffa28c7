"""One message for many WebSockets of a worker: the ASGI extension `hypercorn.websocket.broadcast`.

The application subscribes WebSockets to topics, and sends messages to topics. A message is encoded once, and compressed
once where compression keeps no context between messages. A subscriber that does not read does not hold up the others:
each subscription says what happens to its messages then.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Protocol

from hypercorn.errors import ClientDisconnected
from hypercorn.protocol.turns import TURN_SECONDS
from hypercorn.wire.websocket import encode_message

if TYPE_CHECKING:
    from hypercorn.asgi.messages import Scope
    from hypercorn.protocol.runtime import Runtime, Waiter

EXTENSION = "hypercorn.websocket.broadcast"
WAIT, DROP, CLOSE = "wait", "drop", "close"  # what `when_full` may be
TRY_AGAIN_LATER = 1013  # close code (IANA's registry of RFC 6455 section 11.7)


class Socket(Protocol):
    """The connection of a WebSocket."""

    def send_message(self, message: str | bytes) -> bool:
        """Sends a message, whether the client reads or not."""

    def end_by_server(self, code: int, reason: str) -> None:
        """Closes the WebSocket."""


class WebSocket(Protocol):
    """The exchange of a WebSocket."""

    scope: Scope

    @property
    def socket(self) -> Socket | None:
        """The connection, once the handshake is accepted."""

    def must_wait(self) -> bool:
        """True while the client does not read fast enough to send more."""


class Delivery:
    """A message for one subscriber. It waits for the client to read until it is `sent`."""

    __slots__ = ("message", "sent", "waiter")

    def __init__(self, message: str | bytes, waiter: Waiter | None) -> None:
        self.message = message
        self.waiter = waiter
        self.sent = False


class Topic:
    """The subscribers of a topic, in the order in which they subscribed. One sender at a time goes through them, so
    that all of them get the messages in the same order."""

    __slots__ = ("runtime", "senders", "sending", "subscribers")

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.subscribers: dict[Subscriber, None] = {}
        self.sending = False
        self.senders: deque[Waiter] = deque()  # senders that wait for their turn, in the order of their calls

    async def take_turn(self) -> None:
        """Waits until all earlier senders are through. The caller calls `end_turn` afterwards, unless this raises."""
        if not self.sending:
            self.sending = True
            return
        waiter = self.runtime.waiter()
        self.senders.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter in self.senders:
                self.senders.remove(waiter)
            else:
                self.end_turn()  # its turn had come already
            raise

    def end_turn(self) -> None:
        """Lets the next sender go."""
        if self.senders:
            self.runtime.wake(self.senders.popleft())
        else:
            self.sending = False


class Broadcast:
    """The topics of one worker. It is the extension in the scopes of HTTP requests and of the lifespan."""

    __slots__ = ("runtime", "topics")

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.topics: dict[str, Topic] = {}  # those with subscribers

    async def send(self, topic: str, message: str | bytes) -> int:
        """Sends a message to the subscribers of a topic in this worker, and returns how many of them it was sent to.

        Messages of a topic reach each subscriber in the order of the calls. Once all others have the message, the call
        waits for subscribers with `when_full="wait"` that do not read; if it is cancelled meanwhile, they do not get
        the message. It lets other tasks run after 5 milliseconds. Raises TypeError for a message that is neither str
        nor bytes, and UnicodeEncodeError for text with lone surrogates; nothing is sent then.
        """
        encode_message(message)
        found = self.topics.get(topic)
        if found is None:
            return 0
        waiting: dict[Delivery, Subscriber] = {}
        try:
            await found.take_turn()
            try:
                sent = await self.deliver(topic, message, found, waiting)
            finally:
                found.end_turn()
            for delivery in waiting:
                if delivery.waiter is not None:
                    await delivery.waiter
        finally:
            for delivery, subscriber in waiting.items():
                subscriber.waiting.pop(delivery, None)
        return sent + sum(delivery.sent for delivery in waiting)

    async def deliver(self, topic: str, message: str | bytes, found: Topic, waiting: dict[Delivery, Subscriber]) -> int:
        """Gives a message to the subscribers of a topic, and notes whom it waits for. Returns how many have it."""
        sent = 0
        since = self.runtime.now()
        for subscriber in tuple(found.subscribers):
            if self.runtime.now() - since > TURN_SECONDS:
                await self.next_round()
                since = self.runtime.now()
            delivery = subscriber.deliver(topic, message)
            if delivery is None:
                continue
            if delivery.sent:
                sent += 1
            else:
                waiting[delivery] = subscriber
        return sent

    async def next_round(self) -> None:
        """Gives the other tasks of the loop their turn."""
        waiter = self.runtime.waiter()
        self.runtime.call_soon(partial(self.runtime.wake, waiter))
        await waiter

    def offer_to(self, scope: Scope) -> None:
        """Adds the extension to the scope of a request or of the lifespan."""
        scope.setdefault("extensions", {})[EXTENSION] = self

    def offer(self, exchange: WebSocket) -> Subscriber:
        """Adds the extension to the scope of a WebSocket. The exchange tells the result when the client reads
        again, and when the WebSocket has ended."""
        subscriber = exchange.scope["extensions"][EXTENSION] = Subscriber(self, exchange)
        return subscriber


class Subscriber:
    """The extension in the scope of one WebSocket: its subscriptions.

    dropped: number of messages left out because the client did not read
    """

    __slots__ = ("_broadcast", "_exchange", "_topics", "dropped", "waiting")

    def __init__(self, broadcast: Broadcast, exchange: WebSocket) -> None:
        self._broadcast = broadcast
        self._exchange: WebSocket | None = exchange  # until it ends
        self._topics: dict[str, str] = {}  # and what to do where the client does not read
        self.dropped = 0
        self.waiting: dict[Delivery, None] = {}  # in the order of the messages

    def subscribe(self, topic: str, when_full: str = WAIT) -> None:
        """Subscribes to a topic, until `unsubscribe` or the end of the WebSocket. A second call changes `when_full`.

        when_full: what happens to a message while more than `write_buffer_size` bytes wait for the client: with "wait"
        the sender waits, with "drop" the message is left out, with "close" the WebSocket is closed with 1013.

        Raises ValueError for another `when_full`, TypeError for a topic that is no str, RuntimeError before
        `websocket.accept`, and `ClientDisconnected` once the WebSocket has ended.
        """
        if when_full not in (WAIT, DROP, CLOSE):
            raise ValueError(f'when_full is "wait", "drop" or "close", not {when_full!r}')
        if not isinstance(topic, str):
            raise TypeError(f"a topic is a str, not {type(topic).__name__}")
        if self._exchange is None:
            raise ClientDisconnected("the client is gone")
        if self._exchange.socket is None:
            raise RuntimeError("send websocket.accept before you subscribe")
        self._topics[topic] = when_full
        topics = self._broadcast.topics
        found = topics.get(topic)
        if found is None:
            found = topics[topic] = Topic(self._broadcast.runtime)
        found.subscribers[self] = None

    def unsubscribe(self, topic: str) -> None:
        """Ends a subscription; does nothing without one."""
        if self._topics.pop(topic, None) is not None:
            found = self._broadcast.topics[topic]
            del found.subscribers[self]
            if not found.subscribers:
                del self._broadcast.topics[topic]

    async def send(self, topic: str, message: str | bytes) -> int:
        """Sends a message to all subscribers of a topic, including this one, as `Broadcast.send` does."""
        return await self._broadcast.send(topic, message)

    def deliver(self, topic: str, message: str | bytes) -> Delivery | None:
        """Sends a message of a topic, or has it wait. Returns None where the client is not going to get it."""
        exchange, when_full = self._exchange, self._topics.get(topic)
        if exchange is None or exchange.socket is None or when_full is None:
            return None  # it unsubscribed after the sender had begun
        if not self.waiting and not exchange.must_wait():
            delivery = Delivery(message, None)
            delivery.sent = True
            exchange.socket.send_message(message)
            return delivery
        if when_full == WAIT:
            delivery = Delivery(message, self._broadcast.runtime.waiter())
            self.waiting[delivery] = None
            return delivery
        if when_full == DROP:
            self.dropped += 1
        else:
            exchange.socket.end_by_server(TRY_AGAIN_LATER, "slow consumer")
        return None

    # -- from the exchange

    def writable(self) -> None:
        """The client reads again."""
        exchange = self._exchange
        while self.waiting and exchange is not None and exchange.socket is not None and not exchange.must_wait():
            delivery = next(iter(self.waiting))
            del self.waiting[delivery]
            delivery.sent = True
            exchange.socket.send_message(delivery.message)
            self._broadcast.runtime.wake(delivery.waiter)

    def ended(self) -> None:
        """The WebSocket has ended: nothing more is sent to it."""
        self._exchange = None
        for topic in tuple(self._topics):
            self.unsubscribe(topic)
        waiting, self.waiting = self.waiting, {}
        for delivery in waiting:
            self._broadcast.runtime.wake(delivery.waiter)
