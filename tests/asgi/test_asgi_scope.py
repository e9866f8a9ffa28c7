"""The scope of a request (ASGI HTTP specification 2.5), and what is whose: dicts, state, context variables."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import pytest
from tests.support.harness import EAGERNESS, GET, Answers, body, config, request, response, responses, serve, start

from hypercorn.testing import MemoryServer, sleep, start_task


def scope_of(data: bytes, **options: Any) -> dict[str, Any]:
    app = Answers()
    client = serve(app, **options)
    client.send(data)
    (scope,) = app.scopes
    return scope


def test_the_whole_scope() -> None:
    """APP-09: `path` is what was asked for, `root_path` what is configured."""
    scope = scope_of(request("/root/caf%C3%A9?q=%20&r", "X-Header:  v ", method="POST", body=b"x"), root_path="/root/")
    extensions = scope.pop("extensions")
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/root/caf\u00e9",
        "raw_path": b"/root/caf%C3%A9",
        "query_string": b"q=%20&r",
        "root_path": "/root",
        "headers": [(b"host", b"a"), (b"x-header", b"v"), (b"content-length", b"1")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
    assert {"http.response.early_hint", "http.response.trailers"} <= set(extensions)
    assert all(value == {} for value in extensions.values())


def test_types_of_the_scope() -> None:
    """Exactly these types: frameworks and C extensions look at them."""
    scope = scope_of(request("/x?y"))
    assert type(scope) is dict
    assert {key: type(value) for key, value in scope.items()} == {
        "type": str,
        "asgi": dict,
        "http_version": str,
        "method": str,
        "scheme": str,
        "path": str,
        "raw_path": bytes,
        "query_string": bytes,
        "root_path": str,
        "headers": list,
        "client": tuple,
        "server": tuple,
        "state": dict,
        "extensions": dict,
    }
    assert all(type(field) is tuple for field in scope["headers"])


@pytest.mark.parametrize(
    ("target", "path", "raw", "query"),
    [
        ("/", "/", b"/", b""),
        ("/?", "/", b"/", b""),
        ("/a//b/../c", "/a//b/../c", b"/a//b/../c", b""),
        ("/a%2Fb", "/a/b", b"/a%2Fb", b""),
        ("/?a=1?b=2", "/", b"/", b"a=1?b=2"),
        ("http://a/x?y", "/x", b"/x", b"y"),
        ("http://a", "/", b"/", b""),
    ],
)
def test_targets(target: str, path: str, raw: bytes, query: bytes) -> None:
    scope = scope_of(request(target))
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (path, raw, query)


def test_asterisk_form() -> None:
    assert scope_of(request("*", method="OPTIONS"))["path"] == "*"


def test_http10() -> None:
    scope = scope_of(b"GET / HTTP/1.0\r\n\r\n")
    assert (scope["http_version"], scope["headers"]) == ("1.0", [])


def test_repeated_headers_stay_apart_in_order() -> None:
    scope = scope_of(request("/", "cookie: a=1", "X: 1", "Cookie: b=2", "x: 2"))
    assert scope["headers"][1:] == [(b"cookie", b"a=1"), (b"x", b"1"), (b"cookie", b"b=2"), (b"x", b"2")]


def test_the_case_of_names_may_be_kept() -> None:
    scope = scope_of(b"GET / HTTP/1.1\r\nHost: a\r\nX-Y: z\r\n\r\n", h11_pass_raw_headers=True)
    assert scope["headers"] == [(b"Host", b"a"), (b"X-Y", b"z")]


@pytest.mark.parametrize(
    ("client", "server", "scheme"),
    [
        pytest.param(("::1", 50000), ("::1", 443), "https", id="APP-10-ipv6"),
        pytest.param(None, ("/run/app.sock", None), "http", id="unix"),
    ],
)
def test_addresses(client: Any, server: Any, scheme: str) -> None:
    app = Answers()
    peer = MemoryServer(app, config()).connect(client, server, scheme)
    peer.send(GET)
    (scope,) = app.scopes
    assert (scope["client"], scope["server"], scope["scheme"]) == (client, server, scheme)
    assert peer.access[0].scope["client"] == client


def mutable(value: Any) -> list[Any]:
    """Every dict and list inside of a scope."""
    if isinstance(value, dict):
        return [value] + [found for one in value.values() for found in mutable(one)]
    if isinstance(value, list):
        return [value]
    return []


@pytest.mark.parametrize("fields", [[], ["te: trailers"]])
def test_every_request_has_dicts_of_its_own(fields: list[str]) -> None:
    """APP-11: what one call does to its scope, even to the dicts inside, no other call sees."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        await Answers()(dict(scope), receive, send)
        for one in mutable(scope):
            one.clear()

    client = serve(app)
    other = client.server.connect()
    reference = scope_of(request("/", *fields))
    client.send(request("/", *fields) * 2)
    other.send(request("/", *fields))
    assert len(seen) == 3
    ids = [{id(one) for one in mutable(scope)} for scope in seen]
    assert len(set().union(*ids)) == sum(map(len, ids))
    app2 = Answers()
    client.server.context.app = app2
    client.send(request("/", *fields))
    assert app2.scopes == [reference]


def test_state_is_a_copy_for_each_request() -> None:
    """LC-07: what the lifespan left is in it; what a request adds is not."""
    seen: list[dict[str, Any]] = []
    pool = object()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(dict(scope["state"]))
        scope["state"]["user"] = scope["path"]
        scope["state"].pop("pool")
        await Answers()(scope, receive, send)

    client = serve(app)
    client.server.context.state["pool"] = pool
    client.send(request("/1") + request("/2"))
    assert seen == [{"pool": pool}, {"pool": pool}]
    assert client.server.context.state == {"pool": pool}


# -- N26: context variables

USER: ContextVar[str] = ContextVar("USER", default="nobody")


@EAGERNESS
@pytest.mark.parametrize("pause", [0, 1])
def test_variables_do_not_leak_between_requests(eager: bool, pause: float) -> None:
    """N26: pipelined, on one connection, from the plain part of an application and from its tasks."""
    seen: list[str] = []

    def app(scope: Any, receive: Any, send: Any) -> Any:
        seen.append(USER.get())
        USER.set("plain part of " + scope["path"])
        return call(scope, receive, send)

    async def call(scope: Any, receive: Any, send: Any) -> None:
        assert USER.get() == "plain part of " + scope["path"]
        USER.set("call of " + scope["path"])
        await sleep(pause)
        assert USER.get() == "call of " + scope["path"]

        async def child() -> None:
            assert USER.get() == "call of " + scope["path"]
            USER.set("child")
            await send(start())
            await send(body(USER.get().encode()))

        await start_task(child())
        assert USER.get() == "call of " + scope["path"]

    token = USER.set("test")
    try:
        client = serve(app, eager=eager)
        USER.set("later")
        client.send(request("/1") + request("/2") + request("/3"))
        client.advance(3.5)
        assert [found.body for found in responses(client)] == [b"child"] * 3
        client.send(GET)
        client.advance(3.5)
    finally:
        USER.reset(token)
    assert seen == ["test"] * 4
    assert client.errors == []


@EAGERNESS
def test_variables_do_not_leak_when_reading_goes_on(eager: bool) -> None:
    """N26: the request behind a paused body is opened by the step that reads the body."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(USER.get())
        USER.set(scope["path"])
        await sleep(1)
        while (await receive()).get("more_body"):
            pass
        await send(start())
        await send(body(b"ok"))

    client = serve(app, eager=eager)
    client.send(request("/upload", "content-length: 500000", method="POST") + b"x" * 300_000)
    assert client.paused
    client.send(b"x" * 200_000 + request("/next"))
    client.advance(5)
    assert [found.status for found in responses(client)] == [200, 200]
    assert seen == ["nobody", "nobody"]


def test_variables_of_the_servers_start_are_seen() -> None:
    """N26: those are the ones that every request starts from."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(USER.get())
        await Answers()(scope, receive, send)

    token = USER.set("start")
    client = serve(app)
    USER.reset(token)
    client.send(GET)
    assert response(client).status == 200
    assert seen == ["start"]
