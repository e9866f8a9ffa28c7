"""HTTPToHTTPSRedirectMiddleware."""

from __future__ import annotations

import pytest
from tests.middleware.asking import ask, saying, upgrade

from hypercorn.middleware import HTTPToHTTPSRedirectMiddleware

APP = saying("inner")


@pytest.mark.parametrize(
    ("target", "root", "host", "asked", "location"),
    [
        ("/a%20b?c=%2F", "", None, "h.example", "https://h.example/a%20b?c=%2F"),
        ("/", "", None, "h.example:8000", "https://h.example:8000/"),
        ("/", "", None, "h.example:80", "https://h.example/"),
        ("/", "", None, "[::1]:81", "https://[::1]:81/"),
        ("/x", "", "other.example", "evil", "https://other.example/x"),
        ("/x", "/r", None, "h", "https://h/r/x"),
        ("/r/x", "/r", None, "h", "https://h/r/x"),
        ("//evil.example/", "", None, "h", "https://h//evil.example/"),
    ],
)
def test_locations(target: str, root: str, host: str | None, asked: str, location: str) -> None:
    """Q-M-2."""
    answer = ask(HTTPToHTTPSRedirectMiddleware(APP, host), target, host=asked, root_path=root)
    assert (answer.status, answer.fields["location"]) == (308, location)


def test_websockets_are_redirected_to_wss() -> None:
    answer = ask(HTTPToHTTPSRedirectMiddleware(APP, None), "/x?y", *upgrade())
    assert (answer.status, answer.fields["location"]) == (308, "wss://localhost/x?y")


def test_without_a_host_there_is_no_place_to_send_to() -> None:
    answer = ask(HTTPToHTTPSRedirectMiddleware(APP, None), host=None)
    assert (answer.status, answer.errors) == (400, [])
    assert ask(HTTPToHTTPSRedirectMiddleware(APP, "h"), host=None).fields["location"] == "https://h/"


@pytest.mark.parametrize("host", ["evil@h/y", "h y", "h#x", "h?x", ""])
def test_what_is_no_host_leads_nowhere(host: str) -> None:
    """Also where a server lets it through."""
    scope = {"headers": [(b"host", host.encode())], "path": "/", "raw_path": b"/", "query_string": b""}
    assert HTTPToHTTPSRedirectMiddleware(APP, None).location(scope, "https") == b""


def test_what_came_with_tls_passes() -> None:
    assert ask(HTTPToHTTPSRedirectMiddleware(APP, None), scheme="https").body == b"inner  /"


@pytest.mark.parametrize("root", ["", "/r"])
def test_options_of_the_server_itself(root: str) -> None:
    """RFC 9112 section 3.2.4: a URL without a path is what `OPTIONS *` is about."""
    for host, location in ((None, "https://h.example:81"), ("other.example", "https://other.example")):
        middleware = HTTPToHTTPSRedirectMiddleware(APP, host)
        answer = ask(middleware, "*", method="OPTIONS", host="h.example:81", root_path=root)
        assert (answer.status, answer.fields["location"], answer.errors) == (308, location, [])


def test_what_is_no_path_leads_nowhere() -> None:
    """An authority, as CONNECT has it, must not come behind the host."""
    scope = {"headers": [(b"host", b"h")], "path": ".evil:443", "raw_path": b".evil:443", "query_string": b""}
    assert HTTPToHTTPSRedirectMiddleware(APP, None).location(scope, "https") == b""
