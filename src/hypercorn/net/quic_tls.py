"""TLS inside of QUIC, from the same options as TLS over TCP: certificates by name, clients' certificates, suites.

aioquic has a TLS of its own, which leaves to its user what the `ssl` module does by itself. The extra `h3` is imported
only here and in `protocol/`.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from aioquic.quic.configuration import QuicConfiguration
from aioquic.tls import CipherSuite, SessionTicket
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from hypercorn.errors import ConfigError
from hypercorn.net.tls import QUICLimits, TLSSettings, read_certificate

# Alerts (RFC 8446 section 6), and which of OpenSSL's verdicts (X509_V_ERR_*) they tell; all others: unknown_ca.
UNSUPPORTED, UNKNOWN_CA, REQUIRED = 43, 48, 116
ALERTS = {9: 45, 10: 45, 23: 44}  # not valid yet, expired, revoked
AROUND_BYTES = 4096  # octets of a handshake beside the certificates: parameters, a signature of RSA, the end
MAY_BE_CLIENTS = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)


class Identity(NamedTuple):
    """A certificate, what leads to its authority, and its key."""

    certificate: x509.Certificate | None
    chain: list[x509.Certificate]
    key: Any


class Clients:
    """Judges the certificates of clients, as `verify_mode`, `ca_certs`, `crl_file` and `verify_flags` say."""

    def __init__(self, config: TLSSettings) -> None:
        """Raises ConfigError."""
        self.required = config.verify_mode == ssl.CERT_REQUIRED
        self.store = crypto.X509Store()
        flags = config.verify_flags
        flags = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).verify_flags if flags is None else flags
        for option, path in (("ca_certs", config.ca_certs), ("crl_file", config.crl_file)):
            if path is not None:
                try:
                    self.store.load_locations(path)
                except crypto.Error as error:
                    raise ConfigError(f"{option} {path!r} cannot be used for HTTP/3") from error
        if config.crl_file is not None:
            flags |= ssl.VERIFY_CRL_CHECK_LEAF
        self.store.set_flags(int(flags))

    def judge(self, certificate: x509.Certificate | None, chain: Sequence[x509.Certificate]) -> int:
        """The alert that a client is told, 0 where it may come in. `certificate` is None where it has shown none."""
        if certificate is None:
            return REQUIRED if self.required else 0
        try:
            others = [crypto.X509.from_cryptography(one) for one in chain]
            own = crypto.X509.from_cryptography(certificate)
            crypto.X509StoreContext(self.store, own, others).verify_certificate()
            usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except crypto.X509StoreContextError as error:
            code = error.errors[0] if error.errors else 0
            return ALERTS.get(code, UNKNOWN_CA) if isinstance(code, int) else UNKNOWN_CA
        except x509.ExtensionNotFound:
            return 0
        except (crypto.Error, ValueError):
            return UNKNOWN_CA
        return 0 if any(usage in MAY_BE_CLIENTS for usage in usages) else UNSUPPORTED


class Sessions:
    """The sessions that clients may resume (RFC 8446 section 2.2), each once, and those of one worker only: a client
    that comes to another one, or too late, has a whole handshake. There is no early data."""

    MOST = 1024  # sessions that are remembered, at a few hundred octets each

    def __init__(self) -> None:
        self.tickets: dict[bytes, tuple[SessionTicket, str | None]] = {}

    def keep(self, ticket: SessionTicket, name: str | None) -> None:
        """Remembers a session, and the host that the client has asked for; the oldest one is dropped."""
        if len(self.tickets) >= self.MOST:
            del self.tickets[next(iter(self.tickets))]
        self.tickets[ticket.ticket] = (ticket, name)

    def take(self, identity: bytes, name: str | None) -> SessionTicket | None:
        """The session of a ticket, where it is for the same host; None where there is none. It is forgotten."""
        ticket, known = self.tickets.pop(identity, (None, None))
        return ticket if known == name else None


@dataclass
class ServerConfiguration(QuicConfiguration):
    """aioquic's configuration, and what it does not have."""

    named: dict[str, Identity] = field(default_factory=dict)  # by host name in lower case, or "*." and a domain
    clients: Clients | None = None  # None: no certificates are asked for
    largest: int = 1452  # octets of a datagram at the most
    sessions: Sessions = field(default_factory=Sessions)  # new certificates, a new configuration: no old sessions

    @cached_property
    def handshake_size(self) -> int:
        """Octets that the server writes in the handshake at the most: the longest chain of certificates, and what is
        around it."""
        chains = [[self.certificate, *self.certificate_chain]]
        chains += [[one.certificate, *one.chain] for one in self.named.values()]
        return AROUND_BYTES + max(sum(len(one.public_bytes(Encoding.DER)) + 8 for one in chain) for chain in chains)

    def identity(self, name: str | None) -> Identity | None:
        """The certificate for a client that asks for `name` (RFC 6066 section 3); None for the default."""
        if name is None:
            return None
        name = name.lower()
        return self.named.get(name) or self.named.get("*." + name.partition(".")[2])


def server_configuration(config: TLSSettings, limits: QUICLimits) -> ServerConfiguration:
    """The configuration of a server. Raises ConfigError."""
    configuration = ServerConfiguration(
        is_client=False,
        alpn_protocols=["h3"],
        congestion_control_algorithm="cubic",
        connection_id_length=10,
        idle_timeout=limits.quic_idle_timeout,
        max_data=limits.h2_connection_window,
        max_stream_data=limits.h2_stream_window,
        largest=limits.quic_max_datagram_size,
    )
    password = config.keyfile_password
    config.prepare_certificate()
    certfile, keyfile = config.certificate_files
    load(configuration, "certfile and keyfile", certfile or "", keyfile or "", password)
    for text in config.certificates:
        name, certfile, keyfile = read_certificate(text)
        one = QuicConfiguration(is_client=False)
        load(one, "certificates", certfile, keyfile, password)
        configuration.named[name.lower()] = Identity(one.certificate, one.certificate_chain, one.private_key)
    if config.tls13_ciphers is not None:
        configuration.cipher_suites = cipher_suites(config.tls13_ciphers)
    if config.verify_mode not in (None, ssl.CERT_NONE):
        configuration.clients = Clients(config)
    return configuration


def load(configuration: QuicConfiguration, option: str, certfile: str, keyfile: str, password: str | None) -> None:
    """Reads a certificate and its key. Raises ConfigError."""
    try:
        configuration.load_cert_chain(certfile, keyfile, password)
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise ConfigError(f"{option} cannot be used for HTTP/3: {error}") from error


def cipher_suites(names: str) -> list[CipherSuite]:
    """The suites of `tls13_ciphers` that QUIC has here. Raises ConfigError where there is none."""
    known = {f"TLS_{suite.name}": suite for suite in CipherSuite if suite.value >> 8 == 0x13}
    found = [known[name] for name in names.split(":") if name in known]
    if not found:
        raise ConfigError(f"tls13_ciphers {names!r} leaves HTTP/3 none of {', '.join(known)}")
    return found


# -- what an application is told (ASGI TLS extension 0.2)


def tls_extension(tls: Any) -> dict[str, object]:
    """The scope's `tls` extension for aioquic's TLS whose handshake is complete."""
    peer = tls._peer_certificate
    return {
        "server_cert": pem(tls.certificate),
        "client_cert_chain": () if peer is None else tuple(map(pem, (peer, *tls._peer_certificate_chain))),
        "client_cert_name": None if peer is None else peer.subject.rfc4514_string(),
        "client_cert_error": None,  # a certificate that is in error ends the connection
        "tls_version": 0x0304,
        "cipher_suite": int(tls.key_schedule.cipher_suite),
    }


def pem(certificate: x509.Certificate) -> str:
    """A certificate as text."""
    return certificate.public_bytes(Encoding.PEM).decode("ascii")
