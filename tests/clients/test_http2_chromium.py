"""A browser against every loop: headless Chromium over TLS. The script of a page tries what pages do, and reports."""

from __future__ import annotations

import json
from typing import Any

from tests.runtime.test_tls import Certificates, certificates
from tests.support.browser import Browser
from tests.support.live import BACKENDS, DRIVERS, Live, body_of, eventually, lifespan, pause, respond

__all__ = ("certificates",)  # a fixture

PAGE = b"""<!doctype html><title>test</title><script>
const WITH = {credentials: "include"}  // so that requests and WebSockets may share a connection
const LARGE = "x".repeat(1000000)
performance.setResourceTimingBufferSize(10000)
async function attempt(origin) {
  const found = {}
  const text = (path, options) => fetch(origin + path, {...WITH, ...options}).then(answer => answer.text())
  found.many = (await Promise.all([...Array(60).keys()].map(n => text("/n/" + n)))).join()
  found.upload = Number(await text("/length", {method: "POST", body: LARGE}))
  found.large = (await text("/large")).length
  const stopped = new AbortController()
  const endless = await fetch(origin + "/events", {...WITH, signal: stopped.signal})
  await endless.body.getReader().read()
  stopped.abort()
  found.events = await new Promise(done => {
    const source = new EventSource(origin + "/events", {withCredentials: true})
    const got = []
    source.onmessage = event => { got.push(event.data); if (got.length == 3) { source.close(); done(got.join()) } }
  })
  found.socket = await new Promise(done => {
    const socket = new WebSocket(origin.replace("https", "wss") + "/ws")
    const got = []
    socket.onopen = () => { for (let n = 0; n < 20; n++) socket.send("m" + n) }
    socket.onmessage = event => { got.push(event.data); if (got.length == 20) socket.send("close") }
    socket.onclose = event => done(got.join() + " " + event.code + " " + event.wasClean)
    socket.onerror = () => got.push("error")
  })
  const entries = performance.getEntriesByType("resource").filter(entry => entry.name.startsWith(origin + "/n/"))
  found.protocols = [...new Set(entries.map(entry => entry.nextHopProtocol))].join()
  return found
}
(async () => {
  const origins = ORIGINS
  const report = {}
  for (const origin of origins) {
    try { report[origin] = await attempt(origin) } catch (error) { report[origin] = {error: String(error)} }
  }
  window.report = report
})()
</script>"""


class Site:
    """The pages, on each server."""

    def __init__(self) -> None:
        self.origins: list[str] = []
        self.versions: set[tuple[str, str]] = set()
        self.left: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        self.versions.add((scope["type"], scope["http_version"]))
        if scope["type"] == "websocket":
            await self.socket(receive, send)
            return
        path = scope["path"]
        origin = dict(scope["headers"]).get(b"origin", b"null")
        open_to_all = [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-credentials", b"true"),
            (b"timing-allow-origin", b"*"),
        ]
        if path == "/":
            page = PAGE.replace(b"ORIGINS", json.dumps(self.origins).encode())
            await respond(send, page, headers=[(b"content-type", b"text/html")])
        elif path == "/length":
            await respond(send, b"%d" % len(await body_of(receive)), headers=open_to_all)
        elif path == "/large":
            await respond(send, bytes(3_000_000), headers=open_to_all)
        elif path == "/events":
            await self.events(send, [*open_to_all, (b"content-type", b"text/event-stream")])
        else:
            await respond(send, path[3:].encode(), headers=open_to_all)

    async def events(self, send: Any, fields: list[tuple[bytes, bytes]]) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": fields})
            for number in range(10_000):
                await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
                await pause(0.01)
        finally:
            self.left.append("events")

    async def socket(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            if message["text"] == "close":
                await send({"type": "websocket.close", "code": 3456})
            else:
                await send({"type": "websocket.send", "text": message["text"]})


def test_chromium(certificates: Certificates) -> None:
    """Requests side by side, uploads, downloads, server-sent events that are left, and WebSockets: all over HTTP/2."""
    site = Site()
    files = {"certfile": certificates.certfile, "keyfile": certificates.keyfile}
    servers = [
        Live(site, backend, lifespan="off", runtime=driver, **files) for backend in BACKENDS for driver in DRIVERS
    ]
    try:
        site.origins = [live.url for live in servers]
        with Browser.start() as browser:
            report = browser.open(site.origins[0] + "/").wait("window.report")
        for origin in site.origins:
            assert report[origin] == {
                "many": ",".join(map(str, range(60))),
                "upload": 1_000_000,
                "large": 3_000_000,
                "events": "0,1,2",
                "socket": ",".join(f"m{number}" for number in range(20)) + " 3456 true",
                "protocols": "h2",
            }
        assert site.versions == {("http", "2"), ("websocket", "2")}
        eventually(lambda: len(site.left) == 2 * len(servers))
    finally:
        for live in servers:
            live.stop()
    assert [live.errors() for live in servers] == [[]] * len(servers)
