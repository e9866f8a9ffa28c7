"""The states of a connection of many streams, and of each stream (RFC 9113 section 5.1, RFC 9114 section 4.1).

A stream has two directions that end one by one, and a server sees this much of the RFC's drawing:

    IDLE -> RESERVED -> HALF_CLOSED_REMOTE -> CLOSED      promised by the server, and its response
    IDLE -> OPEN -> HALF_CLOSED_REMOTE -> CLOSED          the usual: the request ends, then the response
            OPEN -> HALF_CLOSED_LOCAL -> DISCARDING -> CLOSED     the response ends first, and the rest is dropped
    all but IDLE -> CLOSED                                RST_STREAM of either side, or the end of the connection

The RFC has no DISCARDING. Here it is apart from HALF_CLOSED_LOCAL, in which a WebSocket still reads what its client
sends, as octets of the one are worth a window and a deadline and those of the other are not. The order of the numbers
is the order of the two questions that are asked for each frame: below OPEN the peer sends no more, above it the server
does not. So "may I send" is `state <= OPEN`, and "may the peer" is `OPEN <= state < CLOSED`. Streams that nobody has
opened are no objects: their ids are above the last one.

A connection goes one way as well, and takes less at each step:

    SERVING -> DRAINING    the peer was asked to open no more streams; those on their way are served
            -> LEAVING     and told which ones are not (RFC 9113 section 6.8)
            -> LINGERING   an error was reported; what still comes is dropped, so that the peer can read the report
            -> ENDED       closed, or about to be: nothing is written any more

What the peer has said (GOAWAY, or the end of its input) is no state of this kind, as it holds in each of them.
"""

from __future__ import annotations

from hypercorn.protocol.states import Transitions

# Not compiled, so that compiled modules can share the numbers.
IDLE, RESERVED, HALF_CLOSED_REMOTE, OPEN, HALF_CLOSED_LOCAL, DISCARDING, CLOSED = range(7)
SERVING, DRAINING, LEAVING, LINGERING, ENDED = range(5)
# Of an application's call. It is orphaned when its stream is reset, and counted until it has ended.
NOT_CALLED, RUNNING, ORPHANED, RETURNED = range(4)
# What a request's octets are: a body; one that the client keeps back until it has seen a 100 (Continue); a tunnel's, of
# an extended CONNECT (RFC 8441).
PLAIN, EXPECTING, TUNNEL = range(3)
# How far the response is: its head was not sent; it was; and the response ends with what is pending.
NO_HEAD, STARTED, ENDING = range(3)
# What follows the head of the response.
WITH_BODY, WITH_TRAILERS, BODYLESS = range(3)

STREAM = Transitions(
    "stream",
    ("IDLE", "RESERVED", "HALF_CLOSED_REMOTE", "OPEN", "HALF_CLOSED_LOCAL", "DISCARDING", "CLOSED"),
    {
        IDLE: (RESERVED, OPEN, HALF_CLOSED_REMOTE),
        RESERVED: (HALF_CLOSED_REMOTE, CLOSED),
        OPEN: (HALF_CLOSED_REMOTE, HALF_CLOSED_LOCAL, CLOSED),
        HALF_CLOSED_REMOTE: (CLOSED,),
        HALF_CLOSED_LOCAL: (DISCARDING, CLOSED),
        DISCARDING: (CLOSED,),
        CLOSED: (),
    },
)
CONNECTION = Transitions(
    "connection",
    ("SERVING", "DRAINING", "LEAVING", "LINGERING", "ENDED"),
    {
        SERVING: (DRAINING, LEAVING, LINGERING, ENDED),
        DRAINING: (LEAVING, LINGERING, ENDED),
        LEAVING: (LINGERING, ENDED),
        LINGERING: (ENDED,),
        ENDED: (),
    },
)
