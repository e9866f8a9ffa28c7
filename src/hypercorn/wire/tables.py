"""Numbers and words of the HTTP/1.1 codec: errors, kinds of fields, status lines. What is numbered here is numbered
alike in csrc/http1.h or in http1_primitives.pyx."""

from __future__ import annotations

from typing import Final

__all__ = ("DROPPED_TRAILERS", "ERRORS", "FORBIDDEN_TRAILERS", "STATUS_LINES")

# Status and words of every refusal. `enum h1_error` of csrc/http1.h counts the same way; 0 is none.
ERRORS: Final[tuple[tuple[int, str], ...]] = (
    (0, ""),
    (400, "a line is not ended by CRLF, or holds a control character"),
    (400, "too many empty lines before a request"),
    (400, "malformed method"),
    (414, "the request line is too long"),
    (400, "malformed request line"),
    (505, "HTTP version not supported"),
    (400, "malformed request target"),
    (421, "the request target names a scheme that is not served here"),
    (405, "CONNECT is not supported"),
    (431, "too many header fields"),
    (431, "the header section is too large"),
    (400, "malformed header field"),
    (400, "malformed Host field"),
    (400, "more than one Host field"),
    (400, "no Host field"),
    (400, "Host is not the host of the request target"),
    (400, "malformed Content-Length"),
    (400, "more than one Content-Length"),
    (413, "Content-Length is too large"),
    (431, "Content-Length has too many digits"),
    (400, "malformed Transfer-Encoding"),
    (400, "Transfer-Encoding with Content-Length"),
    (400, "Transfer-Encoding in HTTP/1.0"),
    (501, "transfer coding not supported"),
    (417, "expectation not supported"),
    (405, "TRACE with content"),
    (400, "malformed chunk size line"),
    (413, "the chunk is too large"),
    (400, "malformed chunk extension"),
    (400, "chunk extensions are too long"),
    (400, "chunk data is not followed by CRLF"),
    (431, "too many trailer fields"),
    (431, "the trailer section is too large"),
    (400, "forbidden trailer field"),
)

_PHRASES: Final[dict[int, str]] = {
    100: "Continue",
    101: "Switching Protocols",
    102: "Processing",
    103: "Early Hints",
    200: "OK",
    201: "Created",
    202: "Accepted",
    203: "Non-Authoritative Information",
    204: "No Content",
    205: "Reset Content",
    206: "Partial Content",
    207: "Multi-Status",
    208: "Already Reported",
    226: "IM Used",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    305: "Use Proxy",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    416: "Range Not Satisfiable",
    417: "Expectation Failed",
    418: "I'm a Teapot",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    423: "Locked",
    424: "Failed Dependency",
    425: "Too Early",
    426: "Upgrade Required",
    428: "Precondition Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    451: "Unavailable For Legal Reasons",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
    506: "Variant Also Negotiates",
    507: "Insufficient Storage",
    508: "Loop Detected",
    510: "Not Extended",
    511: "Network Authentication Required",
}

# The space after an unknown code stays (RFC 9112 section 4).
# By status, up to the last that three digits can say.
STATUS_LINES: Final[tuple[bytes, ...]] = tuple(
    f"HTTP/1.1 {code:03} {_PHRASES.get(code, '')}\r\n".encode("ascii") for code in range(1000)
)

# Names of the indexes into ERRORS, as in csrc/http1.h.
(
    E_LINE,
    E_EMPTY_LINES,
    E_METHOD,
    E_LINE_LONG,
    E_REQUEST_LINE,
    E_VERSION,
    E_TARGET,
    E_SCHEME,
    E_CONNECT,
    E_COUNT,
    E_SECTION_LONG,
    E_FIELD,
    E_HOST,
    E_HOST_TWICE,
    E_HOST_MISSING,
    E_HOST_DIFFERS,
    E_LENGTH,
    E_LENGTH_TWICE,
    E_LENGTH_LARGE,
    E_LENGTH_DIGITS,
    E_CODING,
    E_CODING_LENGTH,
    E_CODING_OLD,
    E_CODING_UNKNOWN,
    E_EXPECT,
    E_TRACE,
    E_CHUNK,
    E_CHUNK_LARGE,
    E_CHUNK_EXT,
    E_CHUNK_EXT_LONG,
    E_CHUNK_END,
    E_TRAILER_COUNT,
    E_TRAILER_LONG,
    E_TRAILER_FORBIDDEN,
) = range(1, len(ERRORS))

# What `http1_primitives.field_lines` says: more data is needed, the section has ended, or which field was read last.
MORE, END, OTHER, HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE, EXPECT = range(9)

# Options of Connection, as bits.
OPTION_CLOSE, OPTION_KEEP_ALIVE, OPTION_UPGRADE = 1, 2, 4

# What `http1_primitives.field_kind` says of a response field: its kind, or minus what is wrong with it.
K_OTHER, K_DATE, K_SERVER, K_LENGTH, K_CODING, K_CONNECTION = range(6)
W_NAME, W_PSEUDO, W_VALUE = 1, 2, 3

# What frames, routes, authenticates or controls a message (RFC 9110 section 6.5.1), in every version.
FORBIDDEN_TRAILERS: Final = frozenset(
    b"content-length transfer-encoding host authorization trailer te connection expect max-forwards cache-control "
    b"set-cookie upgrade keep-alive".split()
)
# What only describes the content comes too late there: it is dropped, and the request goes on.
DROPPED_TRAILERS: Final = frozenset((b"content-type", b"content-encoding", b"content-range"))
