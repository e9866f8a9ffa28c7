"""Behind nginx, HAProxy and Caddy as Debian has them, and Traefik, over connections that they keep open."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import of
from tests.support.live import BACKENDS, Live, eventually, respond
from tests.support.peer import Peer

NGINX = shutil.which("nginx") or (shutil.which("nginx", path="/usr/sbin") or "")
HAPROXY = shutil.which("haproxy") or (shutil.which("haproxy", path="/usr/sbin") or "")
CADDY = shutil.which("caddy") or ""
TRAEFIK = shutil.which("traefik") or ""
with_caddy = pytest.mark.skipif(not CADDY, reason="caddy is not installed")
with_traefik = pytest.mark.skipif(not TRAEFIK, reason="traefik is not installed")
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
def process(port: int, *command: str, **variables: str) -> Iterator[None]:
    """A proxy that runs once its port takes connections."""
    running = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **variables}
    )
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
    options |= EVERYTHING
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


@with_haproxy
def test_haproxys_plain_health_check_over_http2(tmp_path: Path) -> None:
    """It names no host, and takes the server out of service where it is refused."""
    checks: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "OPTIONS":
            checks.append(scope)
        await show(scope, receive, send)

    with Live(app, "asyncio", lifespan="off") as live:
        check = f"127.0.0.1:{live.port} proto h2 check inter 100ms fall 1"
        with haproxy(tmp_path, check, "http", "option httpchk") as port:
            eventually(lambda: len(checks) > 3)
            assert (checks[0]["http_version"], dict(checks[0]["headers"]).get(b"host")) == ("2", None)
            with Peer(("127.0.0.1", port)) as peer:
                assert peer.get().status == 200
        assert live.errors() == []


# -- the text of the guide

FORGED = (
    "X-Forwarded-For: 6.6.6.6",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Host: evil.test",
    "X-Forwarded-Port: 66",
    "X-Forwarded-Prefix: /admin",
    "Forwarded: for=6.6.6.6;proto=http;host=evil.test",
)
# A proxy that drops the fields named here after it has set its own would leave those out.
HOP_BY_HOP = ("Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded",)
EVERYTHING = {"forwarded_host": True, "forwarded_port": True, "forwarded_prefix": True}


def guide(language: str) -> str:
    """The one block of that language in the guide to proxies."""
    (block,) = [block for block in of(language) if block.page == "docs/guide/proxies.md"]
    return block.text


def put(text: str, changes: dict[str, str]) -> str:
    """The text with names of files and ports that are those of this machine."""
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@contextmanager
def guides_nginx(folder: Path, files: dict[str, str], _: int) -> Iterator[int]:
    port = free_port()
    changes = {
        "unix:/run/app/http.sock": f"unix:{folder}/app",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "ssl_certificate cert.pem": f"ssl_certificate {files['certfile']}",
        "ssl_certificate_key key.pem": f"ssl_certificate_key {files['keyfile']}",
    }
    temporary = " ".join(f"{name}_temp_path {folder}/{name};" for name in ("proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"{'user root;' if os.geteuid() == 0 else ''} daemon off; pid {folder}/pid; error_log stderr;\n"
        "events { worker_connections 64; }\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; {temporary}\n{put(guide('nginx'), changes)}}}\n"
    )
    with process(port, NGINX, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")):
        yield port


@contextmanager
def guides_haproxy(folder: Path, files: dict[str, str], _: int) -> Iterator[int]:
    port = free_port()
    both = folder / "both.pem"
    both.write_text(Path(files["certfile"]).read_text() + Path(files["keyfile"]).read_text())
    changes = {
        "bind :443 ssl crt cert-and-key.pem": f"bind 127.0.0.1:{port} ssl crt {both}",
        "unix@/run/app/http.sock": f"unix@{folder}/app",
    }
    (folder / "haproxy.cfg").write_text(put(guide("haproxy"), changes))
    with process(port, HAPROXY, "-db", "-f", str(folder / "haproxy.cfg")):
        yield port


@contextmanager
def guides_caddy(folder: Path, files: dict[str, str], _: int) -> Iterator[int]:
    port = free_port()
    changes = {
        "example.org {": f"https://localhost:{port} {{\nbind 127.0.0.1\ntls {files['certfile']} {files['keyfile']}",
        "unix//run/app/http.sock": f"unix/{folder}/app",
    }
    (folder / "Caddyfile").write_text(
        f"{{\nadmin off\nauto_https off\nstorage file_system {folder}\n}}\n{put(guide('caddyfile'), changes)}"
    )
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    command = (CADDY, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile"))
    with process(port, *command, **home):
        yield port


@contextmanager
def guides_traefik(folder: Path, files: dict[str, str], upstream: int) -> Iterator[int]:
    port = free_port()
    changes = {"Host(`example.org`)": "Host(`localhost`)", "http://127.0.0.1:8000": f"http://127.0.0.1:{upstream}"}
    certificates = f"tls: {{certificates: [{{certFile: {files['certfile']}, keyFile: {files['keyfile']}}}]}}\n"
    (folder / "dynamic.yaml").write_text(put(guide("yaml"), changes) + certificates)
    (folder / "traefik.yaml").write_text(
        f'entryPoints: {{web: {{address: "127.0.0.1:{port}"}}}}\n'
        f"providers: {{file: {{filename: {folder}/dynamic.yaml, watch: false}}}}\n"
        "global: {checkNewVersion: false, sendAnonymousUsage: false}\n"
    )
    with process(port, TRAEFIK, f"--configFile={folder}/traefik.yaml"):
        eventually(lambda: routed(port))
        yield port


def routed(port: int) -> bool:
    """True once Traefik has read its rules: before, it knows no host."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        suppress(OSError),
        socket.create_connection(("127.0.0.1", port), 10.0) as sock,
        context.wrap_socket(sock) as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        return tls.recv(65536).startswith(b"HTTP/1.1 200 ")
    return False


PROXIES = [
    pytest.param(guides_nginx, marks=with_nginx, id="nginx"),
    pytest.param(guides_haproxy, marks=with_haproxy, id="haproxy"),
    pytest.param(guides_caddy, marks=with_caddy, id="caddy"),
    pytest.param(guides_traefik, marks=with_traefik, id="traefik"),
]


def binds(folder: Path) -> tuple[int, dict[str, Any]]:
    """A port, and the options of a server that trusts proxies there and on a unix socket."""
    port = free_port()
    return port, {"bind": [f"unix:{folder}/app", f"127.0.0.1:{port}"], "trusted_proxies": ["unix", "127.0.0.1"]}


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("family", ["x-forwarded", "forwarded"])
@pytest.mark.parametrize("more", [{}, EVERYTHING, {**EVERYTHING, "h2c_upgrade": True}], ids=["plain", "all", "h2c"])
def test_the_guides_text_lets_no_forged_field_through(
    proxy: Any, family: str, more: dict[str, Any], tmp_path: Path, authority: Any
) -> None:
    """Whatever is trusted: client, scheme, host and path stay those of the connection to the proxy."""
    upstream, places = binds(tmp_path)
    options = {**places, "proxy_headers": family, **more}
    here = "127.0.0.77"
    with (
        Live(show, "asyncio", lifespan="off", server_names=["localhost", "example.org"], **options),
        proxy(tmp_path, authority.issue("localhost"), upstream) as port,
    ):
        for fields in (FORGED, tuple(field.upper() for field in FORGED), FORGED + FORGED, FORGED + HOP_BY_HOP):
            sock = socket.create_connection(("127.0.0.1", port), 10.0, source_address=(here, 0))
            with authority.client().wrap_socket(sock, server_hostname="localhost") as tls:
                lines = "\r\n".join(("GET /public HTTP/1.1", "host: localhost", *fields, "connection: close", "", ""))
                tls.sendall(lines.encode())
                head, _, text = b"".join(iter(lambda tls=tls: tls.recv(65536), b"")).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            told = json.loads(text[text.index(b"{") : text.rindex(b"}") + 1])
            if family == "x-forwarded":
                assert (told["client"], told["scheme"]) == ([here, 0], "https")
            else:  # the guide's proxies write no Forwarded, and pass on none
                assert (told["client"] or ["127.0.0.1"])[0] == "127.0.0.1"  # the proxy; none on a unix socket
                assert told["scheme"] == "http"
            assert (told["host"], told["path"], told["root_path"]) == ("localhost", "/public", "")


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("switched_on", [False, True])
def test_no_h2c_upgrade_passes_a_proxy(proxy: Any, switched_on: bool, tmp_path: Path, authority: Any) -> None:
    """Behind the proxy's back the client would open requests that pass none of its rules."""
    upstream, options = binds(tmp_path)
    options["h2c_upgrade"] = switched_on
    with (
        Live(show, "asyncio", lifespan="off", **options),
        proxy(tmp_path, authority.issue("localhost"), upstream) as port,
        Peer(("127.0.0.1", port), tls=authority.client()) as peer,
    ):
        upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
        answer = peer.get("/public", *upgrade)
        assert (answer.status, json.loads(answer.body)["path"]) == (200, "/public")


@pytest.mark.parametrize("proxy", PROXIES)
def test_websockets_pass_the_guides_text(proxy: Any, tmp_path: Path, authority: Any) -> None:
    upstream, options = binds(tmp_path)
    with (
        Live(show, "asyncio", lifespan="off", **options),
        proxy(tmp_path, authority.issue("localhost"), upstream) as port,
        Peer(("127.0.0.1", port), tls=authority.client()) as peer,
    ):
        peer.send(
            b"GET /ws HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert peer.response().status == 101
