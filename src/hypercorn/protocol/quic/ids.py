"""Connection ids and address tokens of one worker (RFC 9000 sections 5.1, 8.1 and 10.3).

An id names the worker that made it, and the token that resets its connection is derived from a key, so a worker can
route and reset connections of which it keeps no state.
"""

from __future__ import annotations

import hmac
import os
from hashlib import sha256

from hypercorn.net.address import InternetAddress

ID_BYTES = 10  # octets of a connection id: two for the worker, eight of chance
SEAL_BYTES = 16  # octets of a token that prove it
TOKEN_SECONDS = 30.0  # seconds: clients send a token back at once


class ConnectionIds:
    """Makes the connection ids of one worker, and tells whose an id is."""

    def __init__(self, worker: int = 0, key: bytes | None = None) -> None:
        self.worker = worker
        self.prefix = worker.to_bytes(2, "big")
        self.key = os.urandom(32) if key is None else key

    def new(self) -> bytes:
        """A fresh id."""
        return self.prefix + os.urandom(ID_BYTES - 2)

    def owner(self, connection_id: bytes) -> int:
        """The worker that an id names, or -1 where the id is not of this server's making."""
        return int.from_bytes(connection_id[:2], "big") if len(connection_id) == ID_BYTES else -1

    def new_token(self, original_id: bytes, address: InternetAddress, retry_id: bytes, now: float) -> bytes:
        """Returns a token that a client sends back to prove its address (RFC 9000 section 8.1.4)."""
        content = int(now * 1000).to_bytes(8, "big") + original_id
        return content + self.seal(content, address, retry_id)

    def read_token(self, token: bytes, address: InternetAddress, retry_id: bytes, now: float) -> bytes | None:
        """The id that the client chose first; None where the token is not of this server, this client, or lately."""
        content, seal = token[:-SEAL_BYTES], token[-SEAL_BYTES:]
        if len(content) < 8 or not hmac.compare_digest(seal, self.seal(content, address, retry_id)):
            return None
        if abs(now - int.from_bytes(content[:8], "big") / 1000) > TOKEN_SECONDS:
            return None
        return content[8:]

    def seal(self, content: bytes, address: InternetAddress, retry_id: bytes) -> bytes:
        """Binds what a token says to the address and the id that it was made for."""
        where = f"{address[0]} {address[1]} ".encode()
        return hmac.digest(self.key, b"retry" + where + bytes((len(retry_id),)) + retry_id + content, sha256)[
            :SEAL_BYTES
        ]

    def reset_token(self, connection_id: bytes) -> bytes:
        """Returns the token of a stateless reset (RFC 9000 section 10.3)."""
        return hmac.digest(self.key, connection_id, sha256)[:16]
