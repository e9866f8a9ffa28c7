"""The environ of a WSGI call (PEP 3333), made from an ASGI scope."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from hypercorn import __version__
from hypercorn.asgi.messages import Environ, Scope
from hypercorn.asgi.wsgi_response import FileWrapper

SOFTWARE = f"hypercorn/{__version__}"
# `Proxy` would become HTTP_PROXY, which many programs take for their own proxy setting (CVE-2016-5385). The chunks are
# gone from the body, but Bottle would look for them.
DROPPED = frozenset({"PROXY", "TRANSFER_ENCODING"})
UNPREFIXED = frozenset({"CONTENT_LENGTH", "CONTENT_TYPE"})
NAMES_KEPT = 1024  # field names whose key is remembered

# What a field name is called in an environ; "" where it must not come in.
_keys: dict[bytes, str] = {}


class InvalidPathError(Exception):
    """The request's path does not lie under `root_path`."""


def build_environ(scope: Scope, body: object, multiprocess: bool = True) -> Environ:
    """The environ of a request whose `wsgi.input` is `body`. Raises InvalidPathError if the path does not lie under
    `root_path`."""
    path = scope["path"]
    root = scope.get("root_path", "")
    if root:
        root = root.rstrip("/")
        if root and path != root and not path.startswith(root + "/"):
            raise InvalidPathError
        path = path[len(root) :]
    query = scope["query_string"]
    server = scope.get("server")
    name, port = server if server is not None and server[1] is not None else named_by_host(scope)
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root if root.isascii() else latin(root),
        "PATH_INFO": path if path.isascii() else latin(path),
        "QUERY_STRING": query.decode("latin-1"),
        "SERVER_NAME": name,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/" + scope["http_version"],
        "SERVER_SOFTWARE": SOFTWARE,
        "REMOTE_ADDR": "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.multithread": True,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
    }
    raw = scope.get("raw_path")
    if raw is not None:
        target = raw + b"?" + query if query else raw
        environ["REQUEST_URI"] = environ["RAW_URI"] = target.decode("latin-1")
    client = scope.get("client")
    if client is not None:
        environ["REMOTE_ADDR"] = client[0]
        environ["REMOTE_PORT"] = str(client[1])
    if environ["wsgi.url_scheme"] == "https":
        environ["HTTPS"] = "on"
        tls = scope.get("extensions", {}).get("tls")
        if tls is not None:
            add_tls(environ, tls)
    add_headers(environ, scope["headers"])
    return environ


def add_tls(environ: Environ, tls: dict[str, Any]) -> None:
    """The variables of Apache's mod_ssl, from the ASGI TLS extension."""
    chain = list(tls["client_cert_chain"])
    values = {
        "SSL_PROTOCOL": {0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}.get(tls["tls_version"]),
        "SSL_CLIENT_VERIFY": "SUCCESS" if tls["client_cert_name"] is not None else "NONE",
        "SSL_CLIENT_S_DN": tls["client_cert_name"],
        "SSL_CLIENT_CERT": chain[0] if chain else None,
        "SSL_SERVER_CERT": tls["server_cert"],
    }
    values.update((f"SSL_CLIENT_CERT_CHAIN_{number}", one) for number, one in enumerate(chain[1:]))
    environ.update((name, value) for name, value in values.items() if value is not None)


def add_headers(environ: Environ, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Adds the request's fields; those of one name are joined."""
    for name, raw in headers:
        key = _keys.get(name)
        if key is None:
            key = key_of(name)
        if key:
            value = raw.decode("latin-1")
            if key in environ:
                value = environ[key] + ("; " if key == "HTTP_COOKIE" else ",") + value
            environ[key] = value


def key_of(name: bytes) -> str:
    """The key of a field name, or "" for one that would pass for another: a name with `_` and that with `-` are the
    same in an environ, so it could stand in for what a proxy has set."""
    key = name.decode("latin-1").upper().replace("-", "_")
    if b"_" in name or key in DROPPED:
        key = ""
    elif key not in UNPREFIXED:
        key = "HTTP_" + key
    if len(_keys) < NAMES_KEPT:
        _keys[name] = key
    return key


def latin(text: str) -> str:
    """A path as PEP 3333 wants it: its bytes, each as one character."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def named_by_host(scope: Scope) -> tuple[str, str]:
    """SERVER_NAME and SERVER_PORT behind a unix socket, both never empty: the Host field says them."""
    port = "443" if scope.get("scheme") == "https" else "80"
    for name, value in scope["headers"]:
        if name.lower() == b"host" and value:
            host, colon, after = value.decode("latin-1").rpartition(":")
            if colon and after.isdigit():
                return host, after
            return value.decode("latin-1"), port
    return "localhost", port
