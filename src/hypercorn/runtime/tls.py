"""TLS between a transport and a connection, over memory buffers: the same on every loop.

One session has two sides: the socket's transport calls a `TLSConnection`, and the protocol's connection writes to a
`TLSTransport`. A handshake that fails, or a peer that closes without close_notify, never raises.
"""

from __future__ import annotations

import ssl
from typing import Any

from hypercorn.errors import ProtocolError
from hypercorn.net.tls import tls_extension
from hypercorn.protocol.http1.connection import HTTP1Connection
from hypercorn.protocol.http1.states import ARRIVAL_SECONDS
from hypercorn.protocol.ports import Connection, Context, Exchange, Transport
from hypercorn.runtime.contract import WorkerBase

RECORD_BYTES = 16384  # bytes in a TLS record at the most (RFC 8446 section 5.1)
BATCH_BYTES = 65536  # decrypted bytes that go up at once
GATHER_BYTES = 262144  # encrypted bytes that leave before their turn ends, in one system call
SLICE_BYTES = 16384  # encrypted bytes that OpenSSL gets at once: it handles all KeyUpdates among them
# Bytes of records without data, such as KeyUpdates, that a peer may send in excess of its data: for 27 bytes OpenSSL
# has to derive two keys. It is more than one record, since the beginning of a record is not data yet.
MOST_EMPTY_BYTES = 49152
DATA_WEIGHT = 32  # of them that each byte of data makes up for: more than the overhead of the smallest record
take_in = ssl.MemoryBIO.write  # looked up once
take_out = ssl.MemoryBIO.read


def is_own_error(ssl_object: ssl.SSLObject, error: OSError) -> bool:
    """Whether a read from memory buffers failed with an error of its own. Where it did not, it can be tried again.

    Memory buffers make no system call, so a system error belongs to another TLS connection of this thread, such as one
    of the application's own clients. Python leaves the error of a failed write in OpenSSL's queue of the thread
    (python/cpython#148594), and each read that has to wait for more data reports it from there. Making a new object
    empties the queue.
    """
    if isinstance(error, ssl.SSLError):
        return True
    ssl_object.context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    return False


class TLSTransport(Transport):
    """The plain side of a TLS session."""

    __slots__ = ("closing", "session")

    def __init__(self, session: TLSConnection) -> None:
        lower = session.transport
        super().__init__(lower.runtime)
        self.session: TLSConnection = session
        lower.gather = GATHER_BYTES
        self.closing = False
        self.client = lower.client
        self.server = lower.server
        self.scheme = "https"
        self.trusted = lower.trusted

    def write_part(self, data: bytes, start: int, stop: int) -> None:
        # Not copied here: what was gathered is joined before it is encrypted.
        self.out.append(memoryview(data)[start:stop])
        self.gathered(stop - start)

    def send_bytes(self, data: bytes) -> None:
        if not self.closing:
            self.session.encrypt(data)

    def unsent(self) -> int:
        return self.session.transport.unsent()

    def close(self) -> None:
        self.write_eof()
        self.session.transport.close()

    def abort(self) -> None:
        self.closing = True
        self.session.transport.abort()

    def write_eof(self) -> None:
        if not self.closing:
            self.flush()
            self.closing = True
            self.session.send_close_notify()

    def begin_in_batch(self, exchange: Exchange) -> bool:
        return self.session.transport.begin_in_batch(exchange)

    def pause_reading(self) -> None:
        self.reading_paused = True
        self.session.transport.pause_reading()

    def resume_reading(self) -> None:
        self.reading_paused = False
        self.session.transport.resume_reading()

    def get_extra_info(self, name: str) -> object:
        if name == "ssl_object":
            return self.session.ssl_object
        if name == "alpn":
            ssl_object = self.session.ssl_object
            return None if ssl_object is None else ssl_object.selected_alpn_protocol()
        return self.session.transport.get_extra_info(name)


class TLSConnection(Connection):
    """The encrypted side of a TLS session."""

    __slots__ = (
        "begun",
        "empty_bytes",
        "handshaken",
        "incoming",
        "outgoing",
        "plain",
        "ssl_object",
        "worker",
    )

    def __init__(self, transport: Transport, context: Context, tls: ssl.SSLContext, worker: WorkerBase) -> None:
        super().__init__(transport, context)
        self.worker = worker
        # These are None once the connection is lost.
        self.incoming: Any = ssl.MemoryBIO()
        self.outgoing: Any = ssl.MemoryBIO()
        self.ssl_object: Any = tls.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.begun = False
        self.handshaken = False
        self.empty_bytes = 0  # bytes that came, less DATA_WEIGHT for each byte of data in them
        self.plain: TLSTransport = TLSTransport(self)
        self.deadline = context.runtime.now() + context.limits.ssl_handshake_timeout
        if self.deadline < context.next_sweep:
            context.arm(self.deadline)

    # -- from the socket

    def data_received(self, data: bytes) -> None:
        plain = self.plain
        if plain.closing:
            # Lingering: nobody reads this any more, only its amount counts.
            if plain.connection is not None:
                plain.connection.data_received(data)
            return
        if not self.begun:
            self.begun = True
            if 65 <= data[0] <= 90:  # a letter: the method of a plain request, as no record of TLS begins
                self.refuse_plain_http()
                return
        if not self.handshaken:
            take_in(self.incoming, data)
            self.worker.handshakes.go_on(self)
            return
        self.decrypt_in_turn(data)

    def shake_hands(self) -> None:
        """Goes on with the handshake, and with what follows it. Does nothing once it has failed."""
        if self.incoming is None or not (self.handshaken or self.deadline):
            return  # the connection was lost, or its time was up, while others had their turns
        if self.handshaken or self.handshake():
            self.decrypt_in_turn(take_out(self.incoming))

    def decrypt_in_turn(self, data: bytes) -> None:
        """Decrypts what came in a turn of the plain side."""
        plain = self.plain
        plain.begin_turn()
        self.decrypt(data)
        plain.end_turn()
        outgoing = self.outgoing
        if outgoing is not None and (outgoing.pending or self.empty_bytes > MOST_EMPTY_BYTES):
            self.flush_key_updates()

    def flush_key_updates(self) -> None:
        """Answers to KeyUpdates (RFC 8446 section 4.6.3) lie in `outgoing`: they leave now, or, where the peer does not
        read, with what is written next. A peer that sends little else is cut off."""
        waiting = self.outgoing.pending
        if self.empty_bytes > MOST_EMPTY_BYTES or (waiting > MOST_EMPTY_BYTES and self.plain.writing_paused):
            connection = self.plain.connection
            if connection is not None and not self.plain.closing:
                self.context.refused(connection, None, 400, "too many TLS records without data")
            self.plain.abort()
        elif waiting and not self.plain.writing_paused:
            self.send_encrypted()

    def refuse_plain_http(self) -> None:
        """Says in plain HTTP that this is the wrong port for it."""
        transport = self.transport
        transport.scheme = "http"
        connection = HTTP1Connection(transport, self.context)
        transport.hand_over(connection)
        connection.refuse(ProtocolError(400, "plain HTTP on a port that speaks TLS: use https"))

    def handshake(self) -> bool:
        """Goes on with the handshake. True once it is complete."""
        try:
            self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            self.send_encrypted()
            return False
        except (ssl.SSLError, OSError) as error:
            self.send_encrypted()
            self.plain.closing = True
            self.deadline = 0.0
            self.worker.handshake_failed(error, self.transport)
            self.transport.close()
            return False
        self.send_encrypted()
        if self.outgoing is None:
            return False  # the connection was lost over it
        self.handshaken = True
        self.deadline = 0.0
        self.plain.tls = tls_extension(self.ssl_object)
        self.plain.hand_over(self.worker.open_connection(self.plain))
        return True

    def decrypt(self, data: bytes) -> None:
        """Hands up everything that can be decrypted. `data`: what came; what came before was taken by the last read."""
        plain = self.plain
        incoming = self.incoming
        ssl_object = self.ssl_object
        encrypted = data
        end = len(encrypted)
        at = self.feed(encrypted, 0)
        waiting = at
        pieces: list[bytes] | None = None
        size = 0
        full = True  # the last read may have left a part of a record
        tried_again = False
        while True:
            # Asked first, since a read that finds nothing raises, which costs more than the rest of a small request.
            if not waiting and not (full and ssl_object.pending()):
                if at == end or self.empty_bytes > MOST_EMPTY_BYTES:
                    break
                waiting = self.feed(encrypted, at)
                at += waiting
            # No plain text is longer than what it was decrypted from.
            wanted = RECORD_BYTES if waiting == 0 or waiting > RECORD_BYTES else waiting
            try:
                data = ssl_object.read(wanted)
            except ssl.SSLWantReadError:
                waiting = 0
                full = False
                continue
            except OSError as error:
                if not tried_again and not is_own_error(ssl_object, error):
                    tried_again = True
                    continue
                data = b""  # garbage, or close_notify: either way no more will come
            if not data:
                if pieces:
                    self.deliver(b"".join(pieces))
                if not plain.closing and plain.connection is not None:
                    plain.connection.eof_received()
                return
            full = len(data) == wanted
            waiting = incoming.pending
            self.empty_bytes = max(0, self.empty_bytes - DATA_WEIGHT * len(data))
            if pieces is None:
                if not waiting and not full and at == end:
                    self.deliver(data)  # a small request, by itself
                    return
                pieces = []
            pieces.append(data)
            size += len(data)
            if size >= BATCH_BYTES:
                self.deliver(b"".join(pieces))
                pieces = []
                size = 0
                if plain.closing:
                    return
        if pieces:
            self.deliver(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def feed(self, encrypted: bytes, at: int) -> int:
        """Gives OpenSSL the slice at `at`. Returns its size."""
        size = min(len(encrypted) - at, SLICE_BYTES)
        take_in(self.incoming, encrypted if size == len(encrypted) else memoryview(encrypted)[at : at + size])
        self.empty_bytes += size
        return size

    def deliver(self, data: bytes) -> None:
        """Gives plain bytes to the connection."""
        connection = self.plain.connection
        if connection is not None:
            connection.data_received(data)

    def eof_received(self) -> None:
        connection = self.plain.connection
        if not self.handshaken or connection is None:
            self.transport.close()
        else:
            connection.eof_received()

    def connection_lost(self) -> None:
        self.deadline = 0.0
        self.plain.closing = True
        # The two sides refer to each other, so the collector frees them later: what is large is freed now.
        self.ssl_object = self.incoming = self.outgoing = None
        connection = self.plain.connection
        if connection is not None:
            self.plain.connection = None
            self.worker.disconnected(connection)

    def pause_writing(self) -> None:
        self.plain.pause_output()

    def resume_writing(self) -> None:
        self.plain.resume_output()

    # -- from the plain side

    def encrypt(self, data: bytes) -> None:
        """Sends plain bytes."""
        try:
            self.ssl_object.write(data)
        except (ssl.SSLError, OSError):
            self.transport.abort()
            return
        self.send_encrypted()

    def send_encrypted(self) -> None:
        """Hands what was encrypted to the socket."""
        data = take_out(self.outgoing)
        if data:
            self.transport.write(data)
            if not self.transport.turn:
                self.transport.flush()

    def send_close_notify(self) -> None:
        """Sends close_notify (RFC 8446 section 6.1); does not wait for the peer's."""
        if self.handshaken:
            try:
                self.ssl_object.unwrap()
            except (ssl.SSLError, OSError):
                pass  # it wants the peer's close_notify, which nobody waits for
            self.send_encrypted()

    # -- from the runtime

    def expired(self, now: float) -> None:
        self.deadline = 0.0
        if not self.handshaken:
            self.worker.handshake_failed(TimeoutError("TLS handshake timed out"), self.transport)
            self.transport.abort()

    def shutdown(self) -> None:
        context = self.context
        if self.handshaken:
            return
        # A client that has just connected has perhaps sent all of its handshake.
        self.deadline = context.runtime.now() + max(context.limits.idle_grace, ARRIVAL_SECONDS)
        if self.deadline < context.next_sweep:
            context.arm(self.deadline)

    def abort(self) -> None:
        self.transport.abort()
