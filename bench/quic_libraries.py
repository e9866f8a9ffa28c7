"""What QUIC itself costs a server in aioquic and in qh3: bare connections, nothing of this project, no HTTP/3.

    python -m bench.quic_libraries [--size MIB] [--longest 1280 1452]

Each library's server is a process of its own, a loop around one socket that writes every datagram by itself; the
client, qh3's for both, is in this one. A rate is bits of body for each second that the server's core was busy. Needs
the extra `test`, and openssl.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from aioquic.buffer import Buffer
from aioquic.quic.packet import pull_quic_header

from bench.certificate import self_signed
from bench.http3 import MIB, PATIENCE, Cost, memory
from bench.processes import ServerError, cpu_seconds

LIBRARIES = ("aioquic", "qh3")
CLIENT = "qh3"
HELD = 4 * MIB  # octets that a server gives its library ahead of what was acknowledged, as hypercorn does
PIECE = bytes(65536)
PROTOCOL = "bare"


class Party:
    """One connection of a library, and its socket."""

    def __init__(self, library: str, **options: Any) -> None:
        self.library = library
        configuration = importlib.import_module(f"{library}.quic.configuration").QuicConfiguration
        own: dict[str, Any] = {"probe_datagram_size": False}
        if library == "aioquic":
            own = {"congestion_control_algorithm": "cubic"}
        self.configuration = configuration(alpn_protocols=[PROTOCOL], **own, **options)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * MIB)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.setblocking(False)
        self.quic: Any = None

    def connection(self, **options: Any) -> Any:
        """A connection as the configuration wants it."""
        module = importlib.import_module(f"{self.library}.quic.connection")
        return module.QuicConnection(configuration=self.configuration, **options)

    def turn(self) -> None:
        """Waits a little, receives, does what is due, sends."""
        timer = None if self.quic is None else self.quic.get_timer()
        wait = 0.05 if timer is None else max(0.0, min(0.05, timer - time.monotonic()))
        select.select([self.sock], [], [], wait)
        now = time.monotonic()
        for _ in range(128):
            try:
                data, address = self.sock.recvfrom(65536)
            except BlockingIOError:
                break
            self.received(data, address, now)
        if self.quic is None:
            return
        timer = self.quic.get_timer()
        if timer is not None and timer <= now:
            self.quic.handle_timer(now)
        while (event := self.quic.next_event()) is not None:
            self.use(type(event).__name__, event)
        self.send(now)

    def received(self, data: bytes, address: Any, now: float) -> None:
        self.quic.receive_datagram(data, address, now)

    def use(self, kind: str, event: Any) -> None:
        """One event."""
        raise NotImplementedError

    def send(self, now: float) -> None:
        for data, address in self.quic.datagrams_to_send(now):
            try:
                self.sock.sendto(data, address)
            except BlockingIOError:
                pass  # lost, as datagrams are


class Server(Party):
    """Answers a number by as many octets."""

    def __init__(self, library: str, certificate: str, key: str, longest: int) -> None:
        super().__init__(library, is_client=False, max_datagram_size=longest)
        self.configuration.load_cert_chain(certificate, key)
        self.left: dict[int, int] = {}  # octets of each answer that the library was not given

    def received(self, data: bytes, address: Any, now: float) -> None:
        if self.quic is None:
            wanted = pull_quic_header(Buffer(data=data), host_cid_length=8).destination_cid
            self.quic = self.connection(original_destination_connection_id=wanted)
        super().received(data, address, now)

    def use(self, kind: str, event: Any) -> None:
        if kind == "StreamDataReceived" and event.data:
            self.left[event.stream_id] = int(event.data)

    def send(self, now: float) -> None:
        for stream, left in list(self.left.items()):
            while left and self.held(stream) < HELD:
                left -= len(PIECE)
                self.quic.send_stream_data(stream, PIECE, not left)
            self.left[stream] = left
            if not left:
                del self.left[stream]
        super().send(now)

    def held(self, stream: int) -> int:
        """Octets of a stream that the library keeps."""
        if self.library == "qh3":
            return int(self.quic.get_send_buffer_size(stream))
        known = self.quic._streams.get(stream)
        return 0 if known is None else len(known.sender._buffer)


class Client(Party):
    """Asks for octets, and counts them."""

    def __init__(self, port: int, window: int) -> None:
        sizes = {"max_data": window, "max_stream_data": window, "max_datagram_size": 1452}
        super().__init__(CLIENT, is_client=True, server_name="localhost", **sizes)
        self.configuration.verify_mode = 0
        self.quic = self.connection()
        self.connected = self.closed = False
        self.got = 0
        self.over = False
        self.quic.connect(("127.0.0.1", port), time.monotonic())
        self.send(time.monotonic())
        self.until("connected")

    def use(self, kind: str, event: Any) -> None:
        if kind == "HandshakeCompleted":
            self.connected = True
        elif kind == "ConnectionTerminated":
            self.closed = True
        elif kind == "StreamDataReceived":
            self.got += len(event.data)
            self.over = event.end_stream

    def until(self, what: str) -> None:
        """Turns until this attribute is true. Raises ServerError where it will not be."""
        end = time.monotonic() + PATIENCE
        while not getattr(self, what):
            if self.closed or time.monotonic() > end:
                raise ServerError(f"not {what}, after {self.got} bytes")
            self.turn()

    def run(self, size: int) -> None:
        """One answer, to its end. Raises ServerError."""
        self.got, self.over = 0, False
        self.quic.send_stream_data(self.quic.get_next_available_stream_id(), b"%d" % size, True)
        self.send(time.monotonic())
        self.until("over")
        if self.got != size:
            raise ServerError(f"{self.got} bytes came, not {size}")


def measure(library: str, size: int, longest: int) -> Cost:
    """One transfer from a fresh server, after a small one. Raises ServerError."""
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = self_signed(Path(folder))
        command = [sys.executable, "-m", "bench.quic_libraries", "--serve", library, certificate, key, str(longest)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert server.stdout is not None
        try:
            told = server.stdout.readline()
            if not told:
                raise ServerError("the server did not start")
            client = Client(int(told), size + 2 * MIB)
            client.run(MIB)
            before, cpu, began = memory(server.pid, "VmRSS"), cpu_seconds(server.pid), time.monotonic()
            client.run(size)
            used = cpu_seconds(server.pid) - cpu
            return Cost(size, time.monotonic() - began, used, before, memory(server.pid, "VmHWM"))
        finally:
            server.terminate()
            server.wait()
            server.stdout.close()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=100, help="MiB")
    parser.add_argument("--longest", type=int, nargs="+", default=[1280, 1452], help="octets of a datagram")
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        library, certificate, key, longest = options.serve
        server = Server(library, certificate, key, int(longest))
        print(server.sock.getsockname()[1], flush=True)
        while True:
            server.turn()
    for longest in options.longest:
        for library in LIBRARIES:
            name = f"{library} {importlib.metadata.version(library)}"
            print(f"{longest:5} {name:14} {measure(library, options.size * MIB, longest)}", flush=True)


if __name__ == "__main__":
    main()
