"""TLS contexts from the configuration."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from hypercorn.config import Config
from hypercorn.errors import ConfigError


@pytest.fixture(name="files", scope="module")
def _files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    paths = {name: str(folder / f"{name}.pem") for name in ("certfile", "keyfile", "ca_certs")}
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(paths["certfile"], append=number > 0)
    issued.private_key_pem.write_to_path(paths["keyfile"])
    authority.cert_pem.write_to_path(paths["ca_certs"])
    return paths


def test_context(files: dict[str, str]) -> None:
    config = Config.from_mapping(files, verify_mode="CERT_REQUIRED", verify_flags="VERIFY_X509_STRICT")
    context = config.create_ssl_context()
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.num_tickets == 1
    assert context.verify_flags == ssl.VerifyFlags.VERIFY_X509_STRICT
    assert len(context.get_ca_certs()) == 1
    assert all("GCM" in cipher["name"] or "TLS_" in cipher["name"] for cipher in context.get_ciphers())


def test_hardened_options_are_kept(files: dict[str, str]) -> None:
    """Q-P-17."""
    context = Config.from_mapping(files).create_ssl_context()
    assert context is not None
    default = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).options
    assert context.options & default == default
    assert context.options & ssl.OP_NO_COMPRESSION


def test_without_files_there_is_none(files: dict[str, str]) -> None:
    assert Config().create_ssl_context() is None
    config = Config.from_mapping(certfile=files["certfile"])
    assert not config.ssl_enabled
    assert config.create_ssl_context() is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"certfile": "nowhere.pem"}, "certfile 'nowhere.pem' cannot be used: No such file"),
        ({"keyfile": "nowhere.pem"}, "keyfile 'nowhere.pem' cannot be used: No such file"),
        ({"ca_certs": "nowhere.pem"}, "ca_certs 'nowhere.pem' cannot be used: No such file"),
        ({"ciphers": "SECRET-SAUCE"}, "ciphers 'SECRET-SAUCE' cannot be used"),
    ],
)
def test_errors_name_the_option(change: dict[str, str], message: str, files: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=message):
        Config.from_mapping(files, **change).create_ssl_context()


def test_a_key_that_does_not_fit(files: dict[str, str], tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(str(other))
    with pytest.raises(ConfigError, match=r"certfile and keyfile .* cannot be used: .*MISMATCH"):
        Config.from_mapping(files, keyfile=str(other)).create_ssl_context()


def test_tls_decides_what_each_bind_is(files: dict[str, str]) -> None:
    binds = {"bind": "127.0.0.1:0", "insecure_bind": "127.0.0.1:0", "quic_bind": "127.0.0.1:0"}
    sockets = Config.from_mapping(binds).create_sockets()
    counts = [len(kind) for kind in (sockets.secure_sockets, sockets.insecure_sockets, sockets.quic_sockets)]
    sockets.close()
    assert counts == [0, 1, 0]
    config = Config.from_mapping(files, **binds)
    sockets = config.create_sockets()
    counts = [len(kind) for kind in (sockets.secure_sockets, sockets.insecure_sockets, sockets.quic_sockets)]
    port = sockets.quic_sockets[0].getsockname()[1]
    sockets.close()
    assert counts == [1, 1, 1]
    assert (b"alt-svc", b'h3=":%d"; ma=3600' % port) in config.response_headers("h2")


def test_quic_on_a_unix_socket_cannot_be_advertised(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config.from_mapping(files, bind="127.0.0.1:0", quic_bind="unix:quic.sock")
    with pytest.warns(Warning, match='Cannot create a alt-svc header for the QUIC socket with address "quic.sock"'):
        sockets = config.create_sockets()
    sockets.close()
    assert not any(name == b"alt-svc" for name, _ in config.response_headers("h2"))
