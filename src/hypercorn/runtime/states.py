"""The states of a transport's sending half. Not compiled, so that compiled modules can share the numbers.

    OPEN           takes what is written
    HALF_CLOSING   sends what is left, then ends the sending half (TCP: FIN)
    HALF_CLOSED    the sending half has ended; the peer may still send
    CLOSING        sends what is left, then closes
    CLOSED         the socket is closed; the connection is told in a step of its own

A transport only moves down this list. So output is taken in OPEN alone, and nothing leaves in HALF_CLOSED and CLOSED. A
state that is there already may be asked for once more: a connection closes its transport, and the peer resets it.
"""

from __future__ import annotations

from hypercorn.protocol.states import Transitions

OPEN, HALF_CLOSING, HALF_CLOSED, CLOSING, CLOSED = range(5)

SENDING = Transitions(
    "transport",
    ("OPEN", "HALF_CLOSING", "HALF_CLOSED", "CLOSING", "CLOSED"),
    {
        OPEN: (HALF_CLOSING, CLOSING, CLOSED),
        HALF_CLOSING: (HALF_CLOSING, HALF_CLOSED, CLOSING, CLOSED),
        HALF_CLOSED: (HALF_CLOSING, CLOSING, CLOSED),
        CLOSING: (CLOSING, CLOSED),
        CLOSED: (CLOSED,),
    },
)
