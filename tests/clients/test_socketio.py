"""Socket.IO and NiceGUI in Chromium, whose WebSockets are streams of HTTP/2 (RFC 8441): engine.io looks for the fields
of the handshake over HTTP/1.1, and refuses what has none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.runtime.test_tls import Certificates, certificates
from tests.support.browser import Browser
from tests.support.live import Live, respond
from tests.support.peer import PATIENCE

__all__ = ("certificates",)  # a fixture

TALK = """new Promise(done => {
  const socket = new WebSocket(location.origin.replace("https", "wss") + "/socket.io/?EIO=4&transport=websocket")
  const got = []
  socket.onmessage = ({data}) => {
    if (data[0] == "0") socket.send("40")  // open: connect to the namespace
    else if (data.startsWith("40")) socket.send('42["say","hello"]')
    else if (data.startsWith("42")) { got.push(data); socket.close() }
  }
  socket.onclose = () => done(got.join())
})"""


class Versions:
    """An application, and the HTTP versions of its WebSockets."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.seen: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            self.seen.append(scope["http_version"])
        elif scope["type"] == "http" and scope["path"] == "/plain":
            await respond(send, b"<!doctype html>", headers=[(b"content-type", b"text/html")])
            return
        await self.app(scope, receive, send)


@contextmanager
def serving(app: Any, certificates: Certificates, **options: Any) -> Iterator[Live]:
    """A server on asyncio, the only loop that both libraries know."""
    live = Live(app, "asyncio", certfile=certificates.certfile, keyfile=certificates.keyfile, **options)
    try:
        yield live
    finally:
        # Not `stop`, which minds the tasks that engine.io never ends.
        live.wake()
        live.thread.join(PATIENCE)
    assert not live.thread.is_alive()
    assert live.failure is None


@pytest.mark.parametrize("extended", [True, False])
def test_python_socketio(certificates: Certificates, extended: bool) -> None:
    socketio = pytest.importorskip("socketio", reason="python-socketio is not installed")
    server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")

    @server.event  # type: ignore[untyped-decorator, unused-ignore]
    async def say(session: str, text: str) -> None:
        await server.emit("said", text.upper(), to=session)

    app = Versions(socketio.ASGIApp(server))
    with serving(app, certificates, websocket_extended_connect=extended) as live, Browser.start() as browser:
        assert browser.open(f"{live.url}/plain").run(TALK) == '42["said","HELLO"]'
        assert live.errors() == []
    assert app.seen == ["2" if extended else "1.1"]


def test_nicegui(certificates: Certificates) -> None:
    """Its page comes to life by Socket.IO: a click is answered."""
    nicegui = pytest.importorskip("nicegui", reason="nicegui is not installed")
    fastapi = pytest.importorskip("fastapi")
    inner = fastapi.FastAPI()

    @nicegui.ui.page("/")  # type: ignore[untyped-decorator, unused-ignore]
    def page() -> None:
        label = nicegui.ui.label("nothing yet")
        nicegui.ui.button("press", on_click=lambda: label.set_text("it was pressed"))

    nicegui.ui.run_with(inner)
    app = Versions(inner)
    with serving(app, certificates) as live, Browser.start() as browser:
        tab = browser.open(live.url)
        tab.wait("window.socket?.connected && window.socket.io.engine.transport.name == 'websocket'")
        tab.run("document.querySelector('button').click()")
        tab.wait("document.body.innerText.includes('it was pressed')")
    assert set(app.seen) == {"2"}
