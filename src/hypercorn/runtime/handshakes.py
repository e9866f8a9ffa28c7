"""The TLS handshakes of a worker, which take turns, so that a crowd of new connections does not hold up the others.

A step of a handshake takes OpenSSL as long as an application takes for many small requests, and clients come in crowds,
such as all of them when a server has started again. In one round of the event loop, handshakes take TURN_SECONDS. Those
that are left go on in the next rounds, in their order, and their sockets are not read meanwhile.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from hypercorn.protocol.ports import Transport
from hypercorn.protocol.runtime import Runtime
from hypercorn.protocol.turns import TURN_SECONDS


class Handshaking(Protocol):
    """A connection whose handshake is not complete."""

    @property
    def transport(self) -> Transport:
        """Where its bytes come from."""

    def shake_hands(self) -> None:
        """Goes on with the handshake; does nothing once it has failed."""


class Handshakes:
    """The order in which handshakes go on."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.left = TURN_SECONDS  # seconds for handshakes in this round
        self.waiting: deque[Handshaking] = deque()
        self.scheduled = False  # `begin_round` is going to be called

    def go_on(self, connection: Handshaking) -> None:
        """Goes on with a handshake whose peer has sent something: now, or in its turn."""
        if self.left > 0.0 and not self.waiting:
            self.run(connection)
        else:
            connection.transport.pause_reading()
            self.waiting.append(connection)
        self.schedule()

    def run(self, connection: Handshaking) -> None:
        """Goes on with a handshake now."""
        since = self.runtime.now()
        connection.shake_hands()
        self.left -= self.runtime.now() - since

    def schedule(self) -> None:
        """Has the loop begin a round."""
        if not self.scheduled:
            self.scheduled = True
            self.runtime.call_soon(self.begin_round)

    def begin_round(self) -> None:
        """Goes on with those that wait."""
        self.scheduled = False
        self.left = TURN_SECONDS
        while self.waiting:
            connection = self.waiting.popleft()
            connection.transport.resume_reading()
            self.run(connection)
            if self.left <= 0.0:
                break
        if self.left < TURN_SECONDS:
            self.schedule()
