"""The states of an HTTP/3 connection, and of what a client sends on a request stream (RFC 9114, RFC 9000 section 3).

A connection goes one way, and takes less at each step:

    HANDSHAKE -> SERVING     QUIC's handshake is over; the server has opened its three streams
              -> DRAINING    a first GOAWAY asked for no more requests; those on their way are served
              -> LEAVING     a second one said which requests are not (section 5.2); the rest is delivered
              -> ENDED       CONNECTION_CLOSE was sent or received

There are two GOAWAYs because requests cross the first one: only a round trip later can the server name a request above
which it has served none. LEAVING is no ENDED, as CONNECTION_CLOSE would cut off what the client has not acknowledged.

A stream has two halves that end each on their own. Whether they have ended is the state of the stream as a whole, which
is that of HTTP/2 (`mux.states`). HTTP/2 says no more: its HEADERS come whole, and END_STREAM is a flag of the last
frame. Here frames arrive in pieces, the end is QUIC's and may come alone, and a field section may have to wait for
another stream. So what comes in has states of its own, while there is a reader for it:

    HEAD -> BODY -> TRAILERS                              and from each of these to DONE
    HEAD -> HEAD_BLOCKED -> BODY -> TRAILERS_BLOCKED -> TRAILERS

DATA may come in BODY, HEADERS in HEAD and BODY, and anything else that is known nowhere (section 4.1). In the blocked
states nothing is read, as it would overtake the section that waits for QPACK's table (RFC 9204 section 2.1.2). A
request is complete when its stream ends, not with its trailers: until then its client can still break the protocol,
or take the request back. DONE is the end, of the stream or of the server's interest in it. RESET_STREAM leads there,
too, and counts only before: once the end has come, QUIC drops a reset (RFC 9000 section 3.2). STOP_SENDING concerns the
response, and is never too late.
"""

from __future__ import annotations

from hypercorn.protocol.mux import states as mux
from hypercorn.protocol.states import Transitions

HANDSHAKE, SERVING, DRAINING, LEAVING, ENDED = range(5)
assert (HANDSHAKE, ENDED) == (mux.SERVING, mux.ENDED)  # `Multiplexer` knows where a connection begins and ends

CONNECTION = Transitions(
    "HTTP/3 connection",
    ("HANDSHAKE", "SERVING", "DRAINING", "LEAVING", "ENDED"),
    {
        HANDSHAKE: (SERVING, ENDED),
        SERVING: (DRAINING, LEAVING, ENDED),
        DRAINING: (LEAVING, ENDED),
        LEAVING: (ENDED,),
        ENDED: (),
    },
)

HEAD, HEAD_BLOCKED, BODY, TRAILERS_BLOCKED, TRAILERS, DONE = range(6)
WAITING = (HEAD_BLOCKED, TRAILERS_BLOCKED)  # for QPACK's table
REQUEST = Transitions(
    "request of HTTP/3",
    ("HEAD", "HEAD_BLOCKED", "BODY", "TRAILERS_BLOCKED", "TRAILERS", "DONE"),
    {
        HEAD: (HEAD_BLOCKED, BODY, DONE),
        HEAD_BLOCKED: (BODY, DONE),
        BODY: (TRAILERS_BLOCKED, TRAILERS, DONE),
        TRAILERS_BLOCKED: (TRAILERS, DONE),
        TRAILERS: (DONE,),
        DONE: (),
    },
)
