"""Anything may happen in any order: what a connection keeps to all the same."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.harness import body, read_response, request, serve, start

from hypercorn.testing import Client, sleep

KINDS = ("plain", "slow", "reads", "stream", "late", "trailers", "hints", "raises", "breaks", "returns", "lies")
FIELDS = ("te: trailers", "connection: close", "connection: keep-alive", "bad field: x")
MISTAKES = ("raises", "breaks", "returns", "lies")


class Anything:
    """An application whose behaviour is in the path: /kind/number."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        self.calls.append(path)
        kind = path.split("/")[1]
        headers = [(b"x-path", path.encode())]
        if kind == "slow":
            await sleep(3)
        if kind == "reads":
            while (await receive()).get("more_body"):
                pass
        if kind == "raises":
            raise ValueError(path)
        if kind == "hints":
            await send({"type": "http.response.early_hint", "links": [b"</x>"]})
        if kind == "lies":
            headers.append((b"content-length", b"4"))
        await send(start(headers=headers, trailers=kind == "trailers"))
        if kind in ("stream", "breaks", "returns"):
            for _ in range(4):
                await send(body(b"x" * 30_000, more=True))
                await sleep(0.5)
        if kind == "breaks":
            raise ValueError(path)
        if kind == "returns":
            return
        await send(body(path.encode()))
        if kind == "trailers":
            await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})
        if kind == "late":
            await sleep(20)


def requests() -> st.SearchStrategy[Any]:
    return st.tuples(
        st.just("request"),
        st.sampled_from(KINDS),
        st.sampled_from(["GET", "GET", "HEAD", "POST", "PUT"]),
        st.sampled_from(["1.1", "1.1", "1.1", "1.0"]),
        st.lists(
            st.sampled_from(["te: trailers", "connection: close", "connection: keep-alive", "bad field: x"]), max_size=2
        ),
        st.sampled_from([0, 1, 700, 1_000_000]),
    )


ACTIONS = st.one_of(
    requests(),
    requests(),
    st.tuples(st.just("advance"), st.sampled_from([0.1, 1, 4, 9, 31])),
    st.tuples(st.just("read"), st.sampled_from([1, 5000, 60_000])),
    st.sampled_from([("stop",), ("go",), ("end",), ("disconnect",), ("shutdown",)]),
)


def build(number: int, kind: str, method: str, version: str, fields: list[str], cut: int) -> bytes:
    """A request with what its method carries; `cut` leaves the end of it out where it is 1."""
    target = f"/{kind}/{number}"
    if method == "POST":
        data = request(target, *fields, method=method, version=version, body=b"b" * 300)
    elif method == "PUT" and version == "1.1":
        head = request(target, *fields, "transfer-encoding: chunked", "expect: 100-continue", method=method)
        data = head + b"12c\r\n" + b"b" * 300 + b"\r\n0\r\nx-end: 1\r\n\r\n"
    else:
        data = request(target, *fields, method=method, version=version)
    return data[:-5] if cut == 1 else data


def act(client: Client, number: int, action: Any) -> str | None:
    """Does one thing. Returns the method of a request."""
    name, *rest = action
    if name == "request":
        kind, method, version, fields, size = rest
        client.send(build(number, kind, method, version, fields, size), size=size if size > 1 else 0)
        return str(method)
    if name == "advance":
        client.advance(rest[0])
    elif name == "read":
        client.transport.peer_read(rest[0])
        client.runtime.run()
    elif name == "stop":
        client.stop_reading()
    elif name == "go":
        client.start_reading()
    elif name == "end":
        client.end()
    elif name == "disconnect":
        client.disconnect()
    else:
        client.server.shutdown()
    return None


def check_wire(client: Client, methods: dict[str, str], left: bool) -> None:
    """What arrived is a row of whole responses in the order of the requests; only the last may be cut."""
    ended = client.closed and not client.aborted and not left  # the server's polite end, which may end a body
    data = bytes(client.transport.arrived)
    order: list[str] = []
    while b"\r\n\r\n" in data:
        # Which request it answers stands in the application's responses; the server's own have a body even for GET.
        head = data.partition(b"\r\n\r\n")[0]
        path = head.partition(b"x-path: ")[2].partition(b"\r\n")[0].decode()
        method = methods.get(path, "HEAD" if b"content-length: 0" in head else "GET")
        found, data = read_response(data, method, closed=ended)
        if path and found.status >= 200:
            order.append(path)
            if found.complete and method != "HEAD" and not path.startswith(tuple(f"/{kind}/" for kind in MISTAKES)):
                assert found.body.endswith(path.encode())
        assert found.complete or data == b""
        assert found.get(b"connection") != b"close" or data == b"", "a response behind the announced end"
    numbers = [int(path.rpartition("/")[2]) for path in order]
    assert numbers == sorted(set(numbers))


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(ACTIONS, max_size=12), st.booleans(), st.booleans())
def test_whatever_happens(actions: list[Any], eager: bool, small: bool) -> None:
    """Responses in order and whole, one record for each request, nothing left at the end, no error but the
    application's own."""
    app = Anything()
    options = {"write_buffer_size": 1000, "max_app_queue_size": 1, "max_unread_body": 100} if small else {}
    client = serve(app, eager=eager, **options)
    methods: dict[str, str] = {}
    left = False
    for number, action in enumerate(actions):
        left = left or (action[0] == "disconnect" and not client.closed)
        method = act(client, number, action)
        if method is not None:
            methods[f"/{action[1]}/{number}"] = method
        check_wire(client, methods, left)
    client.start_reading()
    client.advance(1)
    check_wire(client, methods, left)
    client.end()
    client.advance(200)
    check_wire(client, methods, left)
    assert client.closed
    server = client.server
    assert server.runtime.tasks == set()
    assert server.deadlines.connections == set()
    client.advance(200)
    assert [timer for _, _, timer in server.runtime.timers if not timer.cancelled] == []
    recorded = [entry.path.decode() for entry in client.access]
    for path in app.calls:
        assert recorded.count(path) == 1, path
    assert len(recorded) - len(app.calls) <= 1  # at most one refusal: it ends the connection
    for entry in client.errors:
        assert any(f"/{kind}/" in entry.text for kind in MISTAKES), entry
