"""The states of an HTTP/1 connection, and what its deadline waits for. Not compiled, so that compiled modules can share
the numbers.

HTTP/1 has one exchange at a time (RFC 9112 section 9.3), so one state serves both directions. Which half of an exchange
has ended is not part of it: the parser knows whether the request is complete, the response writer whether a head was
sent. Either half may end first, and a state for each combination would say nothing that these do not. (h11 has a
machine for each side, because a client and a server share it, and because its user drives both halves by hand.)

    IDLE         between requests, or inside the head of one
    EXCHANGE     a request is received, or its response sent, or both
    UPGRADING    the same of a WebSocket's handshake
    LINGERING    the response is over, and so is the connection: half-closed, dropping what still comes, so that the
                 peer can read the response before its own data resets the connection (RFC 9112 section 9.6)
    CLOSING      the transport was told to close; what was written may still leave
    CLOSED       the transport is gone, or has the connection of another protocol

A connection moves down this list, and up in one place only, from EXCHANGE to IDLE. So the order of the numbers answers
what is asked at every read: an exchange is open above IDLE and below LINGERING, input counts below LINGERING, and
output below CLOSING. Two transitions are missing on purpose. An exchange begins in IDLE alone, so responses leave in
the order of their requests. UPGRADING never returns to IDLE: what follows a handshake is meant for a WebSocket, and a
server that reads it as a request after it refused the handshake lets clients smuggle requests past a proxy.
"""

from __future__ import annotations

from hypercorn.protocol.states import Transitions

IDLE, EXCHANGE, UPGRADING, LINGERING, CLOSING, CLOSED = range(6)

CONNECTION = Transitions(
    "connection over HTTP/1",
    ("IDLE", "EXCHANGE", "UPGRADING", "LINGERING", "CLOSING", "CLOSED"),
    {
        IDLE: (EXCHANGE, UPGRADING, LINGERING, CLOSING, CLOSED),
        EXCHANGE: (IDLE, LINGERING, CLOSING, CLOSED),
        UPGRADING: (LINGERING, CLOSING, CLOSED),
        LINGERING: (CLOSING, CLOSED),
        CLOSING: (CLOSED,),
        CLOSED: (),
    },
)

# What the deadline waits for. LAST_HEAD is the next request of an idle connection, at shutdown; DRAIN is the peer's end
# while lingering.
NOTHING, FIRST_HEAD, NEXT_HEAD, PARTIAL_HEAD, REQUEST_BODY, WRITE_PROGRESS, DRAIN, HANDSHAKE, LAST_HEAD = range(9)

# How the end of a response's body is told (RFC 9112 section 6): not decided before its head is sent, except that a
# response to HEAD, or with the status 204 or 304, has none.
UNDECIDED, NO_BODY, SIZED, CHUNKED, UNTIL_CLOSE = range(5)

# At shutdown, how long a client that has just connected may stay: what it has sent with its connection is read first.
ARRIVAL_SECONDS = 0.1
