"""The states of a WebSocket after its handshake. Not compiled, so that compiled modules can share the numbers.

    OPEN         messages go both ways
    FAILING      the peer broke the protocol, and the application has not read all that came before; nothing more is
                 read, but the application may still answer
    CLOSING      the server's close frame is sent, the peer's is awaited; data frames are dropped
    LINGERING    the peer broke the protocol or is silent: half-closed, dropping what still comes, so that it can read
                 why (RFC 6455 section 7.1.7)
    ENDED        the transport was told to close, or is gone

RFC 6455 knows CONNECTING, OPEN, CLOSING and CLOSED. CONNECTING is not here because the HTTP connection answers the
handshake. FAILING and LINGERING are what "fail the WebSocket connection" takes in practice: a message that was received
whole is delivered although the next frame was malformed, and the peer gets the chance to read the close frame.

A WebSocket only moves down this list. So messages may be sent below CLOSING, and frames are read below LINGERING. ENDED
follows itself, because a transport is first told to close and is lost later.
"""

from __future__ import annotations

from hypercorn.protocol.states import Transitions

OPEN, FAILING, CLOSING, LINGERING, ENDED = range(5)

WEBSOCKET = Transitions(
    "WebSocket",
    ("OPEN", "FAILING", "CLOSING", "LINGERING", "ENDED"),
    {
        OPEN: (FAILING, CLOSING, LINGERING, ENDED),
        FAILING: (LINGERING, ENDED),
        CLOSING: (LINGERING, ENDED),
        LINGERING: (ENDED,),
        ENDED: (ENDED,),
    },
)

# What is known of the peer since the last look: nothing; something came; nothing, and a ping is unanswered.
QUIET, RECEIVED, PINGED = range(3)
