"""The opening of a WebSocket (RFC 6455 section 4.2; RFC 8441 without the key): what the request's fields must say.

It runs once for each connection, so it is plain Python.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import NamedTuple

from hypercorn.errors import ProtocolError

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
VERSION = b"13"
GOING_DOWN = "the server is going down"  # the reason of a 503

Headers = Iterable[tuple[bytes, bytes]]


class Handshake(NamedTuple):
    """The handshake that a client asks for. `extensions` are the values of its Sec-WebSocket-Extensions fields."""

    key: bytes
    subprotocols: list[str]
    extensions: list[bytes]


def read_handshake(headers: Headers, origins: frozenset[bytes] = frozenset(), *, with_key: bool = True) -> Handshake:
    """Judges the fields of a WebSocket request; `origins` (lower case) are the allowed ones, none: any.

    Raises ProtocolError: 400 for a malformed handshake, 426 for another version, 403 for an origin that is not allowed.
    A request without an Origin comes from no browser, and no allow list could hold it back.
    """
    keys: list[bytes] = []
    versions: list[bytes] = []
    found_origins: list[bytes] = []
    protocols: list[bytes] = []
    extensions: list[bytes] = []
    wanted = {
        b"sec-websocket-key": keys,
        b"sec-websocket-version": versions,
        b"origin": found_origins,
        b"sec-websocket-protocol": protocols,
        b"sec-websocket-extensions": extensions,
    }
    for name, value in headers:
        into = wanted.get(name.lower())
        if into is not None:
            into.append(value)
    if not versions:
        raise ProtocolError(400, "no Sec-WebSocket-Version")
    if versions != [VERSION]:
        raise ProtocolError(426, "WebSocket version not supported")
    if with_key and (len(keys) != 1 or not is_key(keys[0])):
        raise ProtocolError(400, "malformed Sec-WebSocket-Key")
    if origins and any(origin.lower() not in origins for origin in found_origins):
        raise ProtocolError(403, "origin not allowed")
    return Handshake(keys[0] if with_key else b"", subprotocols(protocols), extensions)


def is_key(value: bytes) -> bool:
    """True for 16 bytes in base64."""
    try:
        return len(value) == 24 and len(b64decode(value, validate=True)) == 16
    except ValueError:
        return False


def subprotocols(values: list[bytes]) -> list[str]:
    """The tokens of all Sec-WebSocket-Protocol fields, in order. Raises ProtocolError 400 for what is no token."""
    found: list[str] = []
    for value in values:
        for part in value.split(b","):
            token = part.strip(b" \t")
            if not token:
                continue
            if TOKEN.fullmatch(token) is None:
                raise ProtocolError(400, "malformed Sec-WebSocket-Protocol")
            found.append(token.decode("ascii"))
    return found


def accept_value(key: bytes) -> bytes:
    """The value of Sec-WebSocket-Accept."""
    from hashlib import sha1  # which handshakes alone need

    return b64encode(sha1(key + GUID, usedforsecurity=False).digest())
