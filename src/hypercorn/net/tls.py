"""TLS contexts from the configuration."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hypercorn.errors import ConfigError

if TYPE_CHECKING:
    from hypercorn.config import Config


def create_ssl_context(config: Config) -> ssl.SSLContext:
    """A server's context from `certfile`, `keyfile`, `ca_certs`, `ciphers`, `verify_mode` and `verify_flags`.

    TLS 1.2 or later, no compression, ALPN as `alpn_protocols` says. Raises ConfigError, which names the
    option whose file is missing, unreadable or no certificate.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with _blame("ciphers", config.ciphers):
        context.set_ciphers(config.ciphers)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(config.alpn_protocols)
    if config.certfile is not None and config.keyfile is not None:
        _load_chain(context, config.certfile, config.keyfile, config.keyfile_password)
    if config.ca_certs is not None:
        with _blame("ca_certs", config.ca_certs):
            context.load_verify_locations(config.ca_certs)
    if config.verify_mode is not None:
        context.verify_mode = config.verify_mode
    if config.verify_flags is not None:
        context.verify_flags = config.verify_flags
    return context


def _load_chain(context: ssl.SSLContext, certfile: str, keyfile: str, password: str | None) -> None:
    # OpenSSL's error does not say which of the two files is missing, so each is opened once before.
    for name, path in (("certfile", certfile), ("keyfile", keyfile)):
        with _blame(name, path), open(path, "rb"):
            pass
    with _blame("certfile and keyfile", f"{certfile}, {keyfile}"):
        context.load_cert_chain(certfile=certfile, keyfile=keyfile, password=password)


@contextmanager
def _blame(option: str, value: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(f"{option} {value!r} cannot be used: {error.strerror or error}") from error
