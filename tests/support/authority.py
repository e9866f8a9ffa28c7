"""Certificates for the tests of operations, and who issues them."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme


class Authority:
    """A certificate authority, the files of certificates that it issues, and clients that trust it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.file = str(folder / "ca.pem")
        self.ca.cert_pem.write_to_path(self.file)

    def issue(self, *names: str, file: str = "", **options: Any) -> dict[str, str]:
        """Writes a certificate and its key; gives `certfile` and `keyfile`."""
        issued = self.ca.issue_cert(*names, **options)
        stem = self.folder / (file or names[0])
        (self.folder / f"{stem}.key").write_bytes(issued.private_key_pem.bytes())
        (self.folder / f"{stem}.pem").write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
        return {"certfile": f"{stem}.pem", "keyfile": f"{stem}.key"}

    def client(self, *alpn: str) -> ssl.SSLContext:
        """A client's context."""
        context = ssl.create_default_context(cafile=self.file)
        context.set_alpn_protocols(list(alpn or ("http/1.1",)))
        return context


@pytest.fixture(name="authority")
def new_authority(tmp_path: Path) -> Authority:
    """A new one."""
    return Authority(tmp_path)
