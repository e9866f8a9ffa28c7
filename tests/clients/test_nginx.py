"""nginx in front of every loop: HTTP/1.1 upstream for its own clients of both versions, HTTP/2 upstream for gRPC."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from tests.clients.test_http2_clients import LARGE, app, grpc_app, plain
from tests.support.live import BACKENDS, DRIVERS, Live, eventually
from tests.support.peer import Peer

SERVER = """
    server {{
        listen 127.0.0.1:{front} http2;
        client_max_body_size 64m;
        location /test/ {{ grpc_pass grpc://127.0.0.1:{back}; }}
    }}
    server {{
        listen 127.0.0.1:{front1};
        client_max_body_size 64m;
        location / {{
            proxy_pass http://127.0.0.1:{back};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
"""
CONFIGURATION = """
daemon off; master_process off; pid {place}/pid; error_log {place}/error.log warn; worker_processes 1;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
    {servers}
}}
"""


async def both(scope: Any, receive: Any, send: Any) -> None:
    await (grpc_app if scope["path"].startswith("/test/") else app)(scope, receive, send)


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def listens(port: int) -> bool:
    try:
        Peer(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[list[tuple[int, int]]]:
    """For each loop and driver, the port of nginx that speaks HTTP/2 and the one that speaks HTTP/1.1."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/bin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    servers = [Live(both, backend, lifespan="off", runtime=driver) for backend in BACKENDS for driver in DRIVERS]
    ports = free_ports(2 * len(servers))
    pairs = list(zip(ports[::2], ports[1::2], strict=True))
    blocks = [
        SERVER.format(front=two, front1=one, back=live.port) for (two, one), live in zip(pairs, servers, strict=True)
    ]
    (tmp_path / "nginx.conf").write_text(CONFIGURATION.format(place=tmp_path, servers="".join(blocks)))
    process = subprocess.Popen([nginx, "-p", str(tmp_path), "-c", "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: process.poll() is not None or all(listens(port) for port in ports))
        assert process.poll() is None, (tmp_path / "error.log").read_text()
        yield pairs
    finally:
        process.terminate()
        process.wait(20)
        for live in servers:
            live.stop()
    assert [live.errors() for live in servers] == [[]] * len(servers)


def test_requests_and_calls(proxied: list[tuple[int, int]]) -> None:
    for two, one in proxied:
        with httpx.Client(trust_env=False, timeout=20) as client:
            url = f"http://127.0.0.1:{one}"
            assert client.get(url).text == "HTTP/1.1 http"
            assert client.get(f"{url}/large").content == LARGE
            assert client.post(f"{url}/echo", content=LARGE).content == LARGE
            assert [client.get(url).status_code for _ in range(20)] == [200] * 20
        kinds = {"request_serializer": plain, "response_deserializer": plain}
        with grpc.insecure_channel(f"127.0.0.1:{two}") as channel:
            echo = channel.unary_unary("/test/Echo", **kinds)
            assert echo(b"hello", timeout=20) == b"hello"
            assert echo(LARGE, timeout=20) == LARGE
            futures = [echo.future(b"%d" % number, timeout=20) for number in range(50)]
            assert [future.result() for future in futures] == [b"%d" % number for number in range(50)]
            stream = channel.stream_stream("/test/Echo", **kinds)
            assert list(stream(iter([b"a", b"b", b"c"]), timeout=20)) == [b"a", b"b", b"c"]
            with pytest.raises(grpc.RpcError) as failed:
                channel.unary_unary("/test/Fail", **kinds)(b"", timeout=20)
            assert failed.value.code() == grpc.StatusCode.NOT_FOUND
