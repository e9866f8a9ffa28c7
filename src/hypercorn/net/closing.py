"""Taking a listening socket out of service without a client that notices.

Between the last `accept` and `close` somebody may still connect, and would be reset. On Linux a filter stops that: no
handshake begins any more, while those that have begun complete. Who comes meanwhile asks again a second later, as after
any lost packet, and is refused.
"""

from __future__ import annotations

import socket
import struct
import sys

SO_ATTACH_FILTER = 26
FLAGS_OFFSET = 13  # the octet of a TCP head (RFC 9293 section 3.1) that has them
SYN, ACK = 0x02, 0x10
_INSTRUCTION = struct.Struct("HBBI")  # struct sock_filter: code, jump if true, if false, operand
_PROGRAM = (
    (0x30, 0, 0, FLAGS_OFFSET),  # load the octet
    (0x54, 0, 0, SYN | ACK),  # and with
    (0x15, 0, 1, SYN),  # where nothing but SYN is left:
    (0x06, 0, 0, 0),  # drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # else take it whole
)


def hold_off(sock: socket.socket) -> bool:
    """No more handshakes begin on a listening TCP socket, in whichever process it is. False where that cannot be."""
    tcp = sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM
    if not tcp or not sys.platform.startswith("linux"):
        return False
    from ctypes import addressof, create_string_buffer

    program = b"".join(_INSTRUCTION.pack(*one) for one in _PROGRAM)
    memory = create_string_buffer(program, len(program))
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(_PROGRAM), addressof(memory)))
    except OSError:
        return False
    return True
