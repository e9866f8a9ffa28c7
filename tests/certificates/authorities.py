"""Authorities that speak ACME: pebble, Let's Encrypt's own test server, and one that says what a test wants."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from tests.support.peer import Peer

NAME = "a.test"  # of the servers that get a certificate
KID, KEY = "kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
PATIENCE = 20.0  # seconds for a program to start


def free_port() -> int:
    """A port that nobody listens on, and that the system gives to nobody who asks for any port."""
    while True:
        port = random.SystemRandom().randrange(12000, 30000)
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


class Trusted:
    """A directory's own certificate, and the file that clients trust it by."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", "127.0.0.1")
        self.bundle = folder / "directory-ca.pem"
        authority.cert_pem.write_to_path(str(self.bundle))
        issued.private_key_pem.write_to_path(str(folder / "key.pem"))
        issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
        self.client = ssl.create_default_context(cafile=str(self.bundle))


class Pebble(Trusted):
    """A running pebble, and the name server that sends it to this machine. Skips the test where there is none."""

    def __init__(self, folder: Path, *, life: int = 86400, binding: bool = False, **variables: str) -> None:
        for program in ("pebble", "pebble-challtestsrv"):
            if shutil.which(program) is None:
                pytest.skip(f"{program} is missing (Debian: apt-get install pebble)")
        super().__init__(folder)
        # Where it asks for the answers to challenges: an address of this machine that no other test listens on.
        host = f"127.{random.SystemRandom().randrange(1, 255)}.{random.SystemRandom().randrange(1, 255)}.1"
        self.http_address = (host, free_port())
        listen, management, names, control = (free_port() for _ in range(4))
        self.url = f"https://localhost:{listen}/dir"
        self.management = f"https://localhost:{management}"
        settings = {
            "listenAddress": f"127.0.0.1:{listen}",
            "managementListenAddress": f"127.0.0.1:{management}",
            "certificate": str(folder / "cert.pem"),
            "privateKey": str(folder / "key.pem"),
            "httpPort": self.http_address[1],
            "tlsPort": free_port(),
            "ocspResponderURL": "",
            "certificateValidityPeriod": life,  # until release 2.6
            "profiles": {"default": {"description": "", "validityPeriod": life}},  # of later ones
            "retryAfter": {"authz": 1, "order": 1},
            "externalAccountBindingRequired": binding,
            "externalAccountMACKeys": {KID: KEY},
        }
        (folder / "pebble.json").write_text(json.dumps({"pebble": settings}))
        known = subprocess.run(["pebble-challtestsrv", "-help"], capture_output=True, text=True, check=False).stderr
        flags = dict.fromkeys(("-http01", "-https01", "-tlsalpn01", "-doh", "-defaultIPv6"), "")
        flags |= dict.fromkeys(("-dns01", "-dnsserver"), f"127.0.0.1:{names}")  # the second since release 2.8
        flags["-defaultIPv4"] = host
        flags["-management"] = f"127.0.0.1:{control}"
        quiet = [text for flag, value in flags.items() if f"  {flag} " in known for text in (flag, value)]
        environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "5", **variables}
        self.log = folder / "pebble.log"
        self.processes = []
        for arguments in (
            ["pebble-challtestsrv", *quiet],
            ["pebble", "-config", str(folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{names}"],
        ):
            with open(self.log, "ab") as output:
                self.processes.append(
                    subprocess.Popen(arguments, stdout=output, stderr=subprocess.STDOUT, env=environment)
                )
        try:
            end = time.monotonic() + PATIENCE
            while "ACME directory available" not in self.log.read_text():
                assert time.monotonic() < end, self.log.read_text()
                time.sleep(0.02)
        except BaseException:
            self.stop()
            raise

    @property
    def http_bind(self) -> str:
        """The same address as `insecure_bind` takes it."""
        return f"{self.http_address[0]}:{self.http_address[1]}"

    def root(self) -> str:
        """The root of the certificates that it issues, as PEM."""
        with urllib.request.urlopen(f"{self.management}/roots/0", context=self.client) as answer:
            return str(answer.read().decode())

    def trusting(self) -> ssl.SSLContext:
        """A client that trusts those certificates."""
        return ssl.create_default_context(cadata=self.root())

    def count(self, pattern: str) -> int:
        """How many lines of its log match."""
        return len(re.findall(pattern, self.log.read_text()))

    def stop(self) -> None:
        """Ends it."""
        for process in self.processes:
            process.kill()
            process.wait()

    def __enter__(self) -> Pebble:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Directory(Trusted):
    """A directory whose answers to orders are a test's: a status, a problem (RFC 7807) or anything else, and fields."""

    def __init__(self, folder: Path, answer: Callable[[], tuple[int, Any, dict[str, str]]]) -> None:
        super().__init__(folder)
        self.asked: list[str] = []  # paths
        self.payloads: list[Any] = []
        self.endless = False  # it does not come to the end of an answer
        directory = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if directory.endless:
                    self.send_response(200)
                    self.end_headers()
                    with suppress(OSError):
                        for _ in range(4096):
                            self.wfile.write(bytes(2**20))
                    return
                paths = {name: f"{directory.base}/{name}" for name in ("newNonce", "newAccount", "newOrder")}
                self.respond(200, paths, {})

            def do_HEAD(self) -> None:
                self.respond(200, None, {})

            def do_POST(self) -> None:
                text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                payload = text["payload"]
                directory.asked.append(self.path)
                directory.payloads.append(
                    json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)) or "{}")
                )
                if self.path == "/newAccount":
                    self.respond(201, {"status": "valid"}, {"Location": f"{directory.base}/account/1"})
                else:
                    self.respond(*answer())

            def respond(self, status: int, body: Any, fields: dict[str, str]) -> None:
                data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                nonce = base64.urlsafe_b64encode(os.urandom(12)).decode().rstrip("=")
                kind = "application/problem+json" if status >= 400 else "application/json"
                sent = {"Replay-Nonce": nonce, "Content-Type": kind, "Content-Length": str(len(data)), **fields}
                for name, value in sent.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.base = f"https://localhost:{self.server.server_address[1]}"
        self.url = f"{self.base}/directory"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def problem(name: str, detail: str = "") -> dict[str, str]:
    """A problem document of ACME (RFC 8555 section 6.7)."""
    return {"type": f"urn:ietf:params:acme:error:{name}", "detail": detail}


# -- servers that ask them


def options_for(pebble: Pebble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options of a server that gets a certificate from a pebble."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pebble.bundle))
    return {
        "acme": [NAME],
        "acme_directory": pebble.url,
        "acme_state": str(tmp_path / "state"),
        "insecure_bind": [pebble.http_bind],
    }


def flags(options: dict[str, Any], **others: str) -> list[str]:
    """The same options for the command."""
    found = []
    for name, value in {**options, **others}.items():
        for one in value if isinstance(value, list) else [value]:
            found += [f"--{name.replace('_', '-')}", one]
    return found


def served(address: tuple[str, int]) -> x509.Certificate:
    """The certificate that a client is shown."""
    with Peer(address) as peer:
        peer.sock = trusting_anybody().wrap_socket(peer.sock, server_hostname=NAME)
        found = peer.sock.getpeercert(True)  # type: ignore[attr-defined]
    return x509.load_der_x509_certificate(found)


def is_temporary(certificate: x509.Certificate) -> bool:
    """True for the one that signs itself."""
    return certificate.issuer == certificate.subject


def trusting_anybody() -> ssl.SSLContext:
    """A client that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
