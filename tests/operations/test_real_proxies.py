"""Behind nginx and HAProxy as Debian has them, over connections that they keep open."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.live import BACKENDS, Live, eventually, respond
from tests.peer import Peer

NGINX = shutil.which("nginx") or (shutil.which("nginx", path="/usr/sbin") or "")
HAPROXY = shutil.which("haproxy") or (shutil.which("haproxy", path="/usr/sbin") or "")
with_nginx = pytest.mark.skipif(not NGINX, reason="nginx is not installed")
with_haproxy = pytest.mark.skipif(not HAPROXY, reason="haproxy is not installed")

NGINX_CONF = """
{user} daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream app {{ server {upstream}; keepalive 4; }}
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certfile}; ssl_certificate_key {keyfile};
    location / {{
      proxy_pass http://app; proxy_http_version 1.1;
      proxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Forwarded-Port $server_port;
      proxy_set_header X-Forwarded-Prefix "";
    }}
    location /shop/ {{
      proxy_pass http://app/; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-Prefix /shop;
    }}
  }}
}}
"""
HAPROXY_CONF = """
defaults
  mode {mode}
  timeout connect 10s
  timeout client 30s
  timeout server 30s
frontend front
  bind 127.0.0.1:{port}
  default_backend app
backend app
  {more}
  server one {upstream}
"""


async def show(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what the scope says of the client; echoes WebSocket messages after it."""
    names = ("client", "scheme", "server", "path", "root_path")
    text = json.dumps(
        {**{name: scope.get(name) for name in names}, "host": dict(scope.get("headers", ())).get(b"host", b"").decode()}
    )
    if scope["type"] == "http":
        await respond(send, text.encode())
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": text})
        await receive()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def process(port: int, *command: str) -> Iterator[None]:
    """A proxy that runs once its port takes connections."""
    running = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:

        def listens() -> bool:
            assert running.poll() is None, running.stderr and running.stderr.read()
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                return True
            return False

        eventually(listens)
        yield
    finally:
        running.terminate()
        running.wait(10.0)
        if running.stderr is not None:
            running.stderr.close()


@contextmanager
def nginx(folder: Path, upstream: str, files: dict[str, str]) -> Iterator[int]:
    port = free_port()
    conf = folder / "nginx.conf"
    conf.write_text(
        NGINX_CONF.format(
            folder=folder, upstream=upstream, port=port, user="user root;" if os.geteuid() == 0 else "", **files
        )
    )
    with process(port, NGINX, "-e", "stderr", "-p", str(folder), "-c", str(conf)):
        yield port


@contextmanager
def haproxy(folder: Path, upstream: str, mode: str, more: str) -> Iterator[int]:
    port = free_port()
    conf = folder / "haproxy.cfg"
    conf.write_text(HAPROXY_CONF.format(mode=mode, more=more, upstream=upstream, port=port))
    with process(port, HAPROXY, "-db", "-f", str(conf)):
        yield port


@with_nginx
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("over", ["tcp", "unix"])
def test_nginx(backend: str, over: str, tmp_path: Path, authority: Any) -> None:
    files = authority.issue("localhost")
    options: dict[str, Any] = {"trusted_proxies": ["127.0.0.1" if over == "tcp" else "unix"], "access": True}
    if over == "unix":
        options["bind"] = [f"unix:{tmp_path}/app"]
    with Live(show, backend, lifespan="off", **options) as live:
        upstream = f"127.0.0.1:{live.port}" if over == "tcp" else f"unix:{tmp_path}/app"
        with nginx(tmp_path, upstream, files) as port:
            for _ in range(2):
                with Peer(("127.0.0.1", port), tls=authority.client()) as peer:
                    for claim in (
                        "X-Forwarded-For: 1.2.3.4",
                        "X-Forwarded-For: 127.0.0.1, ::1",
                        "Forwarded: for=9.9.9.9",
                    ):
                        told = json.loads(peer.get("/a", claim, "X-Forwarded-Proto: gopher").body)
                        # nginx is on the same machine as its client, whose claim is no better for it
                        assert told["client"][0] in ("127.0.0.1", "1.2.3.4", "::1")
                        assert told["scheme"] == "https"
                        assert told["host"] == f"localhost:{port}"
                        assert told["server"] == ["localhost", port]
            with Peer(("127.0.0.1", port), tls=authority.client()) as peer:
                told = json.loads(peer.get("/shop/cart").body)
                assert (told["root_path"], told["path"]) == ("/shop", "/shop/cart")
                peer.send(
                    b"GET /ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                )
                assert peer.response().status == 101
                length = peer.take(4) if peer.buffer[1:2] == b"\x7e" else peer.take(2)
                told = json.loads(peer.take(int.from_bytes(length[2:], "big") if len(length) > 2 else length[1]))
                assert told["scheme"] == "wss"
                peer.send(b"\x88\x82\0\0\0\0\x03\xe8")
        assert all(record.levelname == "INFO" for record in live.access.records)


@with_nginx
def test_a_client_cannot_move_its_address_through_nginx(tmp_path: Path, authority: Any) -> None:
    """F-47, with a client that is elsewhere: here on another address of this machine."""
    with Live(show, "asyncio", lifespan="off", trusted_proxies=["127.0.0.1"]) as live:  # noqa: SIM117
        with nginx(tmp_path, f"127.0.0.1:{live.port}", authority.issue("localhost")) as port:
            sock = socket.create_connection(("127.0.0.1", port), 10.0, source_address=("127.0.0.77", 0))
            with authority.client().wrap_socket(sock, server_hostname="localhost") as tls:
                for claim in ("1.2.3.4", "127.0.0.1", "", '"', "unknown", ", ,"):
                    tls.sendall(f"GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: {claim}\r\n\r\n".encode())
                    received = b""
                    while b"}" not in received:
                        received += tls.recv(65536)
                    assert json.loads(received.partition(b"\r\n\r\n")[2])["client"] == ["127.0.0.77", 0]


@with_haproxy
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_haproxy_with_the_proxy_protocol(backend: str, version: str, tmp_path: Path) -> None:
    options = {"trusted_proxies": ["127.0.0.1"], "proxy_protocol": True}
    with Live(show, backend, lifespan="off", **options) as live:
        with haproxy(tmp_path, f"127.0.0.1:{live.port} {version}", "tcp", "") as port:  # noqa: SIM117
            with Peer(("127.0.0.1", port)) as peer:
                for _ in range(3):
                    told = json.loads(peer.get().body)
                    assert told["client"] == ["127.0.0.1", peer.port]
                    assert told["server"] == ["127.0.0.1", port]
        assert live.errors() == []


@with_haproxy
@pytest.mark.parametrize("family", ["x-forwarded", "forwarded"])
def test_haproxy_with_fields_over_connections_that_it_shares(family: str, tmp_path: Path) -> None:
    forwarded = 'http-request add-header Forwarded "for=%[src];proto=https"'
    fields = "option forwardfor\n  http-request set-header X-Forwarded-Proto https"
    more = f"http-reuse always\n  {fields if family == 'x-forwarded' else forwarded}"
    with Live(show, "asyncio", lifespan="off", trusted_proxies=["127.0.0.1"], proxy_headers=family) as live:  # noqa: SIM117
        with haproxy(tmp_path, f"127.0.0.1:{live.port}", "http", more) as port:
            for number in range(5):
                address = f"127.0.0.{10 + number}"
                with socket.create_connection(("127.0.0.1", port), 10.0, source_address=(address, 0)) as sock:
                    sock.sendall(b'GET / HTTP/1.1\r\nhost: a\r\nforwarded: for="\r\nx-forwarded-for: 4.4.4.4\r\n\r\n')
                    received = b""
                    while b"}" not in received:
                        received += sock.recv(65536)
                told = json.loads(received.partition(b"\r\n\r\n")[2])
                assert told["client"] == [address, 0]
                assert told["scheme"] == "https"
