"""The atoms of an access record: what `%(r)s` and the others stand for.

Only the atoms that the format names are computed. Everything that a peer can choose is escaped as nginx does
it: control characters, quotes, backslashes and bytes that are not ASCII become `\\xNN`.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from typing_extensions import NotRequired

Headers = Sequence[tuple[bytes, bytes]]
_UNSAFE = re.compile(r"[^ !#-\[\]-~]")
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def escape(text: str) -> str:
    """`text` as it can stand between quotes in one line."""
    if _UNSAFE.search(text) is None:
        return text
    return _UNSAFE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if character in '"\\':
        return "\\" + character
    code = ord(character)
    if code < 256:
        return f"\\x{code:02x}"
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))


def _bytes(value: bytes) -> str:
    return escape(value.decode("latin-1"))


Scope = Mapping[str, Any]  # of ASGI, which leaves open what servers and applications add


class ResponseSummary(TypedDict):
    """A response as an access record has it; `body_bytes` is the number of octets sent of its body."""

    status: int
    headers: Headers
    body_bytes: NotRequired[int]


class AccessLogAtoms(dict[str, object]):
    """The atoms of one request, as a mapping for `%` formatting; each is computed when first asked for.

    `response` has `status`, `headers` and, if known, `body_bytes`; it is None for a request that got none.
    `request_time` is seconds. Unknown atoms are "-".
    """

    def __init__(
        self, request: Scope, response: ResponseSummary | None, request_time: float, *, client_port: bool = True
    ) -> None:
        super().__init__(l="-")
        self.request = request
        self.response = response
        self.request_time = request_time
        self.client_port = client_port

    def __missing__(self, name: str) -> object:
        value = self[name] = _getter(name)(self)
        return value


JSON = "json"
# As nginx writes them: the address alone, the path with its query.
NAMED = {
    "short": "%(m)s %(Uq)s %(s)s %(M)s ms",  # as a logger of a program's own writes it
    "common": '%(h)s - %(u)s %(t)s "%(R)s" %(s)s %(B)s',
    "combined": '%(h)s - %(u)s %(t)s "%(R)s" %(s)s %(B)s "%(f)s" "%(a)s"',
}

Getter = Callable[[AccessLogAtoms], object]


@lru_cache(maxsize=256)
def _getter(name: str) -> Getter:
    known = _GETTERS.get(name)
    if known is not None:
        return known
    inner, kind = name[1:-2], name[-2:]
    if name.startswith("{") and kind == "}i":
        wanted = inner.lower().encode("latin-1", "replace")
        return lambda atoms: _header(atoms.request.get("headers", ()), wanted)
    if name.startswith("{") and kind == "}o":
        wanted = inner.lower().encode("latin-1", "replace")
        return lambda atoms: _header(atoms.response["headers"], wanted) if atoms.response else "-"
    if name.startswith("{") and kind == "}e":
        return lambda atoms: _environ(inner)
    return lambda atoms: "-"


def _header(headers: Headers, wanted: bytes) -> str:
    found = [value for name, value in headers if len(name) == len(wanted) and bytes(name).lower() == wanted]
    return ",".join(_bytes(bytes(value)) for value in found) if found else "-"


def _environ(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        folded = name.lower()
        value = next((os.environ[key] for key in os.environ if key.lower() == folded), None)
    return "-" if value is None else escape(value)


def _client(atoms: AccessLogAtoms) -> str:
    client = atoms.request.get("client")
    if client is None:
        return "-"
    host, port = client
    if not atoms.client_port or port is None:
        return escape(str(host))
    # An IPv6 address keeps the form that log readers of earlier releases know: no brackets.
    return escape(f"{host}:{port}")


def _user(atoms: AccessLogAtoms) -> str:
    """The user name of HTTP basic authentication (RFC 7617), which nobody has verified at this point."""
    from base64 import b64decode

    for name, value in atoms.request.get("headers", ()):
        if name.lower() == b"authorization" and value[:6].lower() == b"basic ":
            try:
                user, colon, _ = b64decode(value[6:].strip(), validate=True).partition(b":")
            except ValueError:
                return "-"
            return (_bytes(user) or "-") if colon else "-"
    return "-"


_clock: tuple[int, str] = (0, "")


def _time(atoms: AccessLogAtoms) -> str:
    global _clock
    now = int(time.time())
    if _clock[0] != now:
        _clock = (now, time.strftime("[%d/%b/%Y:%H:%M:%S %z]", time.localtime(now)))
    return _clock[1]


def _path(atoms: AccessLogAtoms) -> str:
    raw = atoms.request.get("raw_path")
    if raw is not None:
        return _bytes(raw)
    return escape(atoms.request.get("path", ""))


def _query(atoms: AccessLogAtoms) -> str:
    return _bytes(atoms.request.get("query_string", b""))


def _path_and_query(atoms: AccessLogAtoms) -> str:
    query = _query(atoms)
    return f"{_path(atoms)}?{query}" if query else _path(atoms)


def _method(atoms: AccessLogAtoms) -> str:
    # A WebSocket's scope has no method; its request was a GET, or a CONNECT that stood for one (RFC 8441).
    return escape(atoms.request.get("method", "GET"))


def _version(atoms: AccessLogAtoms) -> str:
    return "HTTP/" + escape(atoms.request.get("http_version", "1.1"))


def _protocol(atoms: AccessLogAtoms) -> str:
    if atoms.request.get("type") == "websocket":
        return "ws"
    return escape(atoms.request.get("http_version", "ws"))


def _size(atoms: AccessLogAtoms) -> int | None:
    """Bytes of body sent. A response that does not say (an older caller) is taken at its content-length."""
    if atoms.response is None:
        return None
    sent = atoms.response.get("body_bytes", -1)
    if sent >= 0:
        return int(sent)
    length = _header(atoms.response["headers"], b"content-length")
    return int(length) if length.isdigit() else None


def _phrase(atoms: AccessLogAtoms) -> str:
    if atoms.response is None:
        return "-"
    status = int(atoms.response["status"])
    return _PHRASES.get(status, f"<???{status}???>")


_GETTERS: dict[str, Getter] = {
    "h": _client,
    "l": lambda atoms: "-",
    "u": _user,
    "t": _time,
    "r": lambda atoms: f"{_method(atoms)} {_path(atoms)} {_version(atoms)}",
    "R": lambda atoms: f"{_method(atoms)} {_path_and_query(atoms)} {_version(atoms)}",
    "m": _method,
    "U": _path,
    "Uq": _path_and_query,
    "q": _query,
    "H": _protocol,
    "S": lambda atoms: escape(str(atoms.request.get("scheme", "-"))),
    "s": lambda atoms: "-" if atoms.response is None else atoms.response["status"],
    "st": _phrase,
    "b": lambda atoms: _size(atoms) or "-",
    "B": lambda atoms: "-" if _size(atoms) is None else _size(atoms),
    "f": lambda atoms: _header(atoms.request.get("headers", ()), b"referer"),
    "a": lambda atoms: _header(atoms.request.get("headers", ()), b"user-agent"),
    "T": lambda atoms: int(atoms.request_time),
    "M": lambda atoms: int(atoms.request_time * 1000),
    "D": lambda atoms: int(atoms.request_time * 1_000_000),
    "L": lambda atoms: f"{atoms.request_time:.6f}",
    "p": lambda atoms: f"<{os.getpid()}>",
}
