"""HTTP/3 over real sockets on every loop: the doors to it, bodies, certificates, ends, and what goes on beside it."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.runtime.test_tls import Certificates, certificates
from tests.support.http3 import LiveClient, request
from tests.support.live import DRIVERS, Gate, Live, body_of, echo, eventually, hello, respond
from tests.support.peer import PATIENCE

from hypercorn.config import Config
from hypercorn.config.options import limits_of
from hypercorn.errors import ConfigError
from hypercorn.protocol.limits import Limits
from hypercorn.wire.http3 import H3_REQUEST_CANCELLED

__all__ = ("certificates",)  # a fixture


@pytest.fixture(params=DRIVERS[:1])
def driver(request: pytest.FixtureRequest) -> str:
    """UDP is the loop's, whoever moves the bytes of TCP."""
    return str(request.param)


@pytest.fixture
def serve(serve_app: Any, certificates: Certificates) -> Any:
    """`serve_app` with HTTP/3 beside TCP."""

    def start(app: Any, **options: Any) -> Live:
        files = {"certfile": certificates.certfile, "keyfile": certificates.keyfile}
        live: Live = serve_app(app, lifespan="off", **{"http3": True, **files, **options})
        return live

    return start


def test_one_switch(serve: Any, certificates: Certificates) -> None:
    live = serve(hello)
    assert live.addresses == [f"https://127.0.0.1:{live.port}"]
    assert f"Running on https://127.0.0.1:{live.port} (QUIC) (CTRL + C to quit)" in live.log.texts()
    over_tcp = live.connect(tls=certificates.client).get()
    assert dict(over_tcp.headers)["alt-svc"] == f'h3=":{live.port}"; ma=3600'
    with LiveClient(live.port) as client:
        answer = client.ask()
        assert answer.body == b"hello"
        assert b"alt-svc" not in answer.headers  # Q-H3-10
    assert not live.errors()


def test_quic_bind_and_alt_svc_of_ones_own(serve: Any, certificates: Certificates) -> None:
    live = serve(hello, http3=False, quic_bind=["127.0.0.1:0"], alt_svc_headers=['h3=":443"; ma=60'])
    assert len(live.addresses) == 2  # Q-T-3: the real port is told
    port = int(live.addresses[1].rsplit(":", 1)[1])
    assert dict(live.connect(tls=certificates.client).get().headers)["alt-svc"] == 'h3=":443"; ma=60'
    with LiveClient(port) as client:
        assert client.ask().body == b"hello"


def test_automatic_alt_svc_of_quic_bind(serve: Any, certificates: Certificates) -> None:
    live = serve(hello, http3=False, quic_bind=["127.0.0.1:0"], alt_svc_max_age=120)
    port = int(live.addresses[1].rsplit(":", 1)[1])
    assert dict(live.connect(tls=certificates.client).get().headers)["alt-svc"] == f'h3=":{port}"; ma=120'


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_ipv6(serve: Any) -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await respond(send)

    try:
        live = serve(app, bind=["[::1]:0"])
    except OSError as error:
        pytest.skip(str(error))
    with LiveClient(live.port, socket.AF_INET6) as client:
        assert client.ask().status == 200
    assert scopes[0]["client"][0] == "::1"
    assert scopes[0]["server"] == ("::1", live.port)


def test_bodies_both_ways(serve: Any) -> None:
    live = serve(echo)
    data = bytes(range(256)) * 4000
    with LiveClient(live.port, max_data=1 << 22, max_stream_data=1 << 22) as client:
        assert client.ask(request(b"/", b"POST"), data).body == data
        assert client.ask(request(b"/", b"POST"), b"").body == b""
    assert not live.errors()


def test_h3_05_a_large_answer_through_a_path_that_loses_a_little(serve: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(20):
            await send({"type": "http.response.body", "body": b"x" * 262144, "more_body": True})
        await send({"type": "http.response.body"})

    live = serve(app)
    with LiveClient(live.port, max_data=1 << 25, max_stream_data=1 << 25) as client:
        count = 0

        def lose(_: bytes) -> bool:
            nonlocal count
            count += 1
            return count % 400 == 0

        client.lose = lose
        stream = client.send(request())
        client.wire.settle(lambda: client.answer(stream).over or client.closed, 90)
        assert len(client.answer(stream).body) == 20 * 262144
    assert not live.errors()


def test_files(serve: Any, tmp_path: Path) -> None:
    """The extensions for files are those of the other versions; a client that reads slowly is read for as slowly."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(400_000))
    content = path.read_bytes()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/path":
            await send({"type": "http.response.pathsend", "path": str(path)})
        else:
            with path.open("rb") as file:
                part = {"type": "http.response.zerocopysend", "file": file, "offset": 5, "count": 300_000}
                await send({**part, "more_body": True})
            await send({"type": "http.response.body", "body": b"end"})

    live = serve(app)
    for window in (1 << 20, 10_000):
        with LiveClient(live.port, max_stream_data=window) as client:
            answer = client.ask(request(b"/path"))
            assert answer.headers[b"content-length"] == b"400000"
            assert answer.body == content
            assert client.ask(request(b"/part")).body == content[5:300_005] + b"end"
    assert not live.errors()


def test_the_first_event_of_a_stream_is_not_held_back(serve: Any) -> None:
    gate = Gate()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await gate.wait()
        await send({"type": "http.response.body", "body": b"data: 2\n\n"})

    live = serve(app)
    with LiveClient(live.port) as client:
        stream = client.send(request())
        client.wire.settle(lambda: client.answer(stream).body == b"data: 1\n\n")
        gate.set()
        client.wire.settle(lambda: client.answer(stream).over)
        assert client.answer(stream).body == b"data: 1\n\ndata: 2\n\n"


def test_q_h3_2_nonsense_ends_no_listener(serve: Any) -> None:
    live = serve(hello)
    nonsense = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for data in (b"", b"x", bytes(1200), b"\xff" * 1400, b"\xc0\x00\x00\x00\x01" + b"\xff" * 1300, b"\x40" * 50):
        nonsense.sendto(data, ("127.0.0.1", live.port))
    with LiveClient(live.port) as client:
        connect = [(b":method", b"CONNECT"), (b":authority", b"localhost")]
        assert client.ask(connect).status == 405
        assert client.ask(request(b"/\xff")).reset or client.answer(4).status == 400
        assert client.ask().body == b"hello"
    nonsense.close()
    assert not live.errors()


def test_h3_09_q_h3_8_a_client_that_vanished_ends_no_listener(serve: Any) -> None:
    """What the system says of a port where nobody listens any more comes back to the server's socket."""
    live = serve(hello, graceful_timeout=0.2)
    for _ in range(3):
        client = LiveClient(live.port)
        client.start()
        client.send(request())
        client.wire.flush()
        client.wire.sock.close()
    with LiveClient(live.port) as client:
        assert client.ask().body == b"hello"
    assert not live.errors()


def test_h3_10_stop_says_goodbye(serve: Any) -> None:
    gate = Gate()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await gate.wait()
        await respond(send, b"done")

    live = serve(app, graceful_timeout=20.0)
    busy, idle = LiveClient(live.port).start(), LiveClient(live.port).start()
    assert idle.ask().body == b"done"
    stream = busy.send(request(b"/slow"))
    busy.wire.flush()
    eventually(lambda: live.on_loop(lambda: live.running._worker.runtime.active_calls()))
    live.wake()
    idle.wire.settle(lambda: idle.closed)
    assert idle.closed is not None
    assert idle.closed.error_code == 0x100
    gate.set()
    busy.wire.settle(lambda: busy.answer(stream).over)
    assert busy.answer(stream).body == b"done"
    busy.wire.settle(lambda: busy.closed)
    assert busy.closed is not None
    assert busy.closed.error_code == 0x100
    live.stop()
    idle.wire.sock.close()
    busy.wire.sock.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", live.port))


def test_stop_does_not_wait_for_those_that_do_not_read(serve: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})

    live = serve(app, graceful_timeout=0.2)
    client = LiveClient(live.port).start()
    client.send(request())
    client.wire.settle(lambda: len(client.answer(0).body) > 100000)
    began = time.monotonic()
    live.stop()
    assert time.monotonic() - began < 15
    client.wire.sock.close()


def client_certificate(authority: trustme.CA, folder: Path, name: str) -> tuple[str, str]:
    issued = authority.issue_cert(f"{name}@example.org")
    issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
    issued.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
    return str(folder / f"{name}.pem"), str(folder / f"{name}.key")


@pytest.mark.parametrize("mode", [ssl.CERT_REQUIRED, ssl.CERT_OPTIONAL])
def test_q_p_18_client_certificates(serve: Any, tmp_path: Path, mode: ssl.VerifyMode) -> None:
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    live = serve(hello, verify_mode=mode, ca_certs=str(tmp_path / "ca.pem"))
    for issuer, allowed in ((authority, True), (other, False), (None, mode == ssl.CERT_OPTIONAL)):
        client = LiveClient(live.port)
        if issuer is not None:
            files = client_certificate(issuer, tmp_path, "client")
            client.quic.configuration.load_cert_chain(*files)
            client.quic.tls.certificate = client.quic.configuration.certificate
            client.quic.tls.certificate_chain = client.quic.configuration.certificate_chain
            client.quic.tls.certificate_private_key = client.quic.configuration.private_key
        client.start()
        if allowed:
            assert client.ask().body == b"hello"
        else:
            client.ask()
            assert client.closed is not None
            assert 0x100 <= client.closed.error_code < 0x200  # CRYPTO_ERROR: an alert of TLS
        client.close()
    assert not live.errors()


def test_h3_07_q_p_18_a_key_with_a_password(serve: Any, certificates: Certificates, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", certificates.keyfile, "-out", locked, "-passout", "pass:secret"],
        check=True,
        capture_output=True,
    )
    live = serve(hello, keyfile=str(locked), keyfile_password="secret")
    with LiveClient(live.port) as client:
        assert client.ask().body == b"hello"


def serial(client: LiveClient) -> int:
    number: int = client.quic.tls._peer_certificate.serial_number
    return number


def test_certificates_are_reloaded(serve: Any, certificates: Certificates, tmp_path: Path) -> None:
    for name in ("certfile", "keyfile"):
        shutil.copy(getattr(certificates, name), tmp_path / name)
    live = serve(hello, certfile=str(tmp_path / "certfile"), keyfile=str(tmp_path / "keyfile"))
    with LiveClient(live.port) as old:
        before = serial(old)
        (tmp_path / "certfile").write_text("nonsense")
        assert not live.on_loop(live.running._worker.reload_certificates)
        with LiveClient(live.port) as client:
            assert serial(client) == before
        issued = trustme.CA().issue_cert("localhost")
        issued.private_key_pem.write_to_path(str(tmp_path / "keyfile"))
        issued.cert_chain_pems[0].write_to_path(str(tmp_path / "certfile"))
        assert live.on_loop(live.running._worker.reload_certificates)
        with LiveClient(live.port) as client:
            assert serial(client) != before
        assert old.ask().body == b"hello"


def test_an_upload_to_an_application_that_does_not_read_stands_still(serve: Any) -> None:
    gate = Gate()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await gate.wait()
        await respond(send, b"%d" % len(await body_of(receive)))

    live = serve(app)
    with LiveClient(live.port) as client:
        stream = client.send(request(b"/", b"POST"), b"x" * 3000000)
        client.wire.settle(lambda: client.quic._streams[stream].sender.highest_offset > 60000)
        end = time.monotonic() + 0.5
        client.wire.settle(lambda: time.monotonic() > end)
        assert client.quic._streams[stream].sender.highest_offset < 70000
        gate.set()
        client.wire.settle(lambda: client.answer(stream).over, 60)
        assert client.answer(stream).body == b"3000000"


RATES = {"min_receive_rate": 1000, "min_send_rate": 1_000_000, "min_rate_grace": 0.3}


def test_a_body_below_the_least_rate_is_answered_by_408(serve: Any) -> None:
    """Whoever sends fast enough on a connection of its own is served meanwhile, and the slow one's goes on."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with suppress(ConnectionError):  # the client's part is over
            await echo(scope, receive, send)

    live = serve(app, **RATES)
    with LiveClient(live.port) as slow, LiveClient(live.port) as steady:
        stream = slow.send(request(b"/", b"POST"), b"x", end=False)
        other = steady.send(request(b"/", b"POST"), b"x", end=False)
        began = time.monotonic()
        while not slow.answer(stream).heads:
            assert time.monotonic() < began + PATIENCE
            for client, number, size in ((slow, stream, 1), (steady, other, 5000)):
                client.http.send_data(number, b"x" * size, False)
                client.wire.settle(passing(0.02))
        assert time.monotonic() - began > 0.3
        assert slow.answer(stream).status == 408
        steady.http.send_data(other, b"x", True)
        steady.wire.settle(lambda: steady.answer(other).over)
        assert len(steady.answer(other).body) % 5000 == 2
        assert slow.ask().status == 200
    assert not live.errors()


@pytest.mark.parametrize("pieces", [1, 20_000], ids=["slow", "steady"])
def test_a_window_that_opens_below_the_least_rate(serve: Any, pieces: int) -> None:
    """That stream is reset and its application told; with room for what the rate asks for it goes on."""
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            for _ in range(80 if scope["path"] == "/large" else 1):
                await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
            await send({"type": "http.response.body"})
        except OSError:
            told.append(scope["path"])
            raise

    live = serve(app, **{**RATES, "min_send_rate": 100_000})
    with LiveClient(live.port, max_data=1 << 24, max_stream_data=100) as client:
        stream = client.send(request(b"/large"))
        open_by_hand(client, stream)
        answer = client.answer(stream)
        began = time.monotonic()
        room = 100
        while not answer.over and answer.reset is None:
            assert time.monotonic() < began + PATIENCE
            client.wire.settle(passing(0.02))
            room += pieces
            if stream in client.quic._streams:
                client.quic._streams[stream].max_stream_data_local = room
        assert answer.reset == (H3_REQUEST_CANCELLED if pieces == 1 else None)
        assert len(answer.body) == (800_000 if pieces > 1 else len(answer.body))
        if pieces == 1:
            assert time.monotonic() - began > 0.3
            eventually(lambda: told == ["/large"])
        assert client.ask().over
    assert told == ["/large"] * (pieces == 1)
    assert not live.errors()


def open_by_hand(client: LiveClient, stream: int) -> None:
    """Keeps aioquic from opening the window of a stream as data comes."""
    own = client.quic._write_stream_limits

    def limits(*, stream: Any, **options: Any) -> None:
        highest, receiver = stream.receiver.highest_offset, stream.receiver
        receiver.highest_offset = 0 if stream.stream_id == number else highest
        own(stream=stream, **options)
        receiver.highest_offset = highest

    number = stream
    client.quic._write_stream_limits = limits


def passing(seconds: float) -> Any:
    """A condition that comes about after some seconds."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def test_idle_clients_cost_no_wake_ups(serve: Any) -> None:
    live = serve(hello, keep_alive_timeout=1000.0, quic_idle_timeout=1000.0)
    clients = [LiveClient(live.port, idle_timeout=1000.0).start() for _ in range(2)]
    for client in clients:
        assert client.ask().body == b"hello"
        end = time.monotonic() + 0.2
        client.wire.settle(lambda end=end: time.monotonic() > end)
    endpoint = live.running._worker.quic.endpoint
    runs: list[float] = []
    due = endpoint.due

    def counted() -> None:
        runs.append(time.monotonic())
        due()

    def watch() -> None:
        endpoint.due = counted

    live.on_loop(watch)

    def quiet() -> bool:
        before = len(runs)
        time.sleep(0.4)
        return len(runs) == before

    eventually(quiet)
    for client in clients:
        client.close()


def test_without_gso_and_with_a_full_kernel(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from hypercorn.runtime import udp

    refused = threading.Event()
    original = udp.UDPSocket.to_kernel

    def to_kernel(self: Any, data: bytes, size: int, address: Any) -> int:
        if len(data) > 5000 and not refused.is_set():
            refused.set()
            return 11  # EAGAIN
        return original(self, data, size, address)

    monkeypatch.setattr(udp.UDPSocket, "to_kernel", to_kernel)
    live = serve(echo)
    data = b"x" * 300000
    with LiveClient(live.port, max_data=1 << 22, max_stream_data=1 << 22) as client:
        assert client.ask(request(b"/", b"POST"), data).body == data
        live.on_loop(lambda: [setattr(one.udp, "segments", False) for one in live.running._worker.quic.listeners])
        assert client.ask(request(b"/", b"POST"), data).body == data
    assert refused.is_set() or sys.platform != "linux"
    assert not live.errors()


@pytest.mark.parametrize("backend", ["asyncio"])  # its proactor loop is the only one
def test_loops_that_watch_no_descriptors(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import hypercorn.asyncio.udp as module

    def refuse(*_: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(module, "UDPListener", refuse)
    live = serve(echo)
    data = b"x" * 300000
    with LiveClient(live.port, max_data=1 << 22, max_stream_data=1 << 22) as client:
        assert client.ask(request(b"/", b"POST"), data).body == data
    assert not live.errors()


def test_h3_11_without_aioquic_everything_else_works(tmp_path: Path, certificates: Certificates) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "sys.modules['aioquic'] = sys.modules['pylsqpack'] = None\n"
        "import hypercorn.asyncio, hypercorn.trio, hypercorn.testing, hypercorn.__main__\n"
        "from hypercorn.config import Config\n"
        "from hypercorn.net.quic import create_quic_configuration\n"
        "from hypercorn.config.options import limits_of\n"
        "from hypercorn.protocol.limits import Limits\n"
        "config = Config()\n"
        f"config.certfile, config.keyfile = {certificates.certfile!r}, {certificates.keyfile!r}\n"
        "try:\n"
        "    create_quic_configuration(config, Limits(limits_of(config)))\n"
        "except Exception as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
    assert done.stdout == "HTTP/3 needs aioquic (pip install 'hypercorn[h3]')\n", done.stderr


def test_files_that_cannot_be_used(certificates: Certificates, tmp_path: Path) -> None:
    from hypercorn.net.quic import create_quic_configuration

    config = Config()
    config.certfile, config.keyfile = certificates.certfile, str(tmp_path / "missing.pem")
    with pytest.raises(ConfigError, match="HTTP/3"):
        create_quic_configuration(config, Limits(limits_of(config)))


def test_access_records(serve: Any) -> None:
    live = serve(hello, access=True, access_log_format="%(r)s %(s)s %(b)s")
    with LiveClient(live.port) as client:
        client.ask(request(b"/a?b"))
        eventually(lambda: live.access.texts())
    assert live.access.texts() == ["GET /a HTTP/3 200 5"]


def test_connections_are_counted(serve: Any) -> None:
    live = serve(hello, limit_concurrency=100, limit_connections=5)
    with LiveClient(live.port) as client:
        assert client.ask().body == b"hello"
    worker = live.running._worker
    counts = worker.context.records.counters.others
    eventually(lambda: counts["http3_closed"] == 1)
    assert counts["http3_opened"] == 1
    assert worker.operations.open == 0


def test_a_websocket_handshake_that_is_pending_at_shutdown_is_refused(serve: Any) -> None:
    """Long before `graceful_timeout` cancels the call."""
    reached, seen = threading.Event(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        reached.set()
        seen.append(await receive())

    live = serve(app, graceful_timeout=PATIENCE)
    with LiveClient(live.port) as client:
        fields = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *request()[1:]]
        stream = client.send([*fields, (b"sec-websocket-version", b"13")], end=False)
        client.wire.settle(reached.is_set)
        live.running.shutdown()
        client.wire.settle(lambda: bool(client.answer(stream).heads) or client.closed)
        assert client.answer(stream).status == 503
    assert eventually(lambda: seen) == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
    assert live.errors() == []
