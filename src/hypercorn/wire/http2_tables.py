"""Constants of the HTTP/2 codec: numbers of the protocol, the static table, the meaning of field names."""

from __future__ import annotations

from typing import Final

# Error codes (RFC 9113 section 7).
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED = range(6)
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(6, 12)
INADEQUATE_SECURITY, HTTP_1_1_REQUIRED = 12, 13

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 section 3.4

# What the name of a field means to a server. Pseudo fields come first.
REGULAR, METHOD, SCHEME, AUTHORITY, PATH, PROTOCOL, BAD_PSEUDO = range(7)
HOST, LENGTH, COOKIE, TE, FORBIDDEN, EXPECT, PRIORITY, DATE, SERVER = range(7, 16)

KINDS: Final[dict[bytes, int]] = {
    b":method": METHOD,
    b":scheme": SCHEME,
    b":authority": AUTHORITY,
    b":path": PATH,
    b":protocol": PROTOCOL,
    b"host": HOST,
    b"content-length": LENGTH,
    b"cookie": COOKIE,
    b"te": TE,
    b"expect": EXPECT,
    b"priority": PRIORITY,
    b"date": DATE,
    b"server": SERVER,
    # Of one connection only: a message that has them is malformed (RFC 9113 section 8.2.2).
    b"connection": FORBIDDEN,
    b"keep-alive": FORBIDDEN,
    b"proxy-connection": FORBIDDEN,
    b"transfer-encoding": FORBIDDEN,
    b"upgrade": FORBIDDEN,
}

# RFC 7541 appendix A.
STATIC: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    *((b":status", status) for status in (b"200", b"204", b"206", b"304", b"400", b"404", b"500")),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    *(
        (name, b"")
        for name in (
            b"accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control "
            b"content-disposition content-encoding content-language content-length content-location content-range "
            b"content-type cookie date etag expect expires from host if-match if-modified-since if-none-match "
            b"if-range if-unmodified-since last-modified link location max-forwards proxy-authenticate "
            b"proxy-authorization range referer refresh retry-after server set-cookie strict-transport-security "
            b"transfer-encoding user-agent vary via www-authenticate"
        ).split()
    ),
)
STATIC_NAMES: Final[dict[bytes, int]] = {name: index for index, (name, _) in reversed(list(enumerate(STATIC, 1)))}

OVERHEAD_BYTES = 32  # octets that an entry counts beside its name and value (RFC 7541 section 4.1)
MAX_RESIZES = 2  # size updates at the start of one block; no more than two make sense (RFC 7541 section 4.2)

# Verdicts about a request, beside a status to answer with.
GOOD, MALFORMED = 0, -1
