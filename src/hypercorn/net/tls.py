"""TLS contexts from the configuration, and the context that is in use, which is made anew when its files change."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol
from weakref import WeakKeyDictionary

from hypercorn._cpython.certificates import client_certificates
from hypercorn.errors import ConfigError

if TYPE_CHECKING:
    from hypercorn.logs.logger import ErrorLog

CHECK_SECONDS = 1.0  # seconds between two looks at the files, at the least
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
SETTINGS = (  # that a context is made of
    "certfile",
    "keyfile",
    "keyfile_password",
    "ca_certs",
    "crl_file",
    "certificates",
    "dev_tls",
    "acme",
    "ciphers",
    "tls13_ciphers",
    "tls_min_version",
    "verify_mode",
    "verify_flags",
    "alpn_protocols",
)
TCP_PROTOCOLS = ("h2", "http/1.1")  # that ALPN offers on a stream; HTTP/3 is QUIC's

_certificates: WeakKeyDictionary[ssl.SSLContext, str] = WeakKeyDictionary()  # of contexts made here, as PEM
_suites: WeakKeyDictionary[ssl.SSLContext, dict[str, int]] = WeakKeyDictionary()


class TLSSettings(Protocol):
    """The options of TLS, as `Config` has them."""

    certfile: str | None
    keyfile: str | None
    keyfile_password: str | None
    ca_certs: str | None
    crl_file: str | None
    certificates: list[str]
    certificate_reload: bool
    ciphers: str
    tls13_ciphers: str | None
    tls_min_version: Literal["1.2", "1.3"]
    verify_mode: ssl.VerifyMode | None
    verify_flags: ssl.VerifyFlags | None
    alpn_protocols: list[str]

    def create_ssl_context(self) -> ssl.SSLContext | None:
        """The context of TLS connections, or None without TLS."""

    @property
    def certificate_files(self) -> tuple[str | None, str | None]:
        """The paths of the certificate and of its key."""

    def prepare_certificate(self) -> None:
        """Makes them, where that is for the server to do. Raises ConfigError."""


def create_ssl_context(config: TLSSettings) -> ssl.SSLContext:
    """A server's context, with another for each of `certificates`, which a client chooses by SNI (RFC 6066).

    TLS 1.2 or later, no compression, ALPN as `alpn_protocols` says, and all that `ssl.create_default_context` sets.
    Raises ConfigError, which names the option whose file is missing, unreadable or no certificate.
    """
    context = _create(config, *config.certificate_files, config.keyfile_password)
    named = {}
    for text in config.certificates:
        name, certfile, keyfile = read_certificate(text)
        other = _create(config, certfile, keyfile, config.keyfile_password, "certificates")
        other.set_alpn_protocols([name for name in config.alpn_protocols if name in TCP_PROTOCOLS])
        named[name.lower()] = other
    if named:
        context.sni_callback = _chooser(named)
    return context


def _create(
    config: TLSSettings, certfile: str | None, keyfile: str | None, password: str | None, option: str = "certfile"
) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with _blame("ciphers", config.ciphers):
        context.set_ciphers(config.ciphers)
    context.minimum_version = VERSIONS[config.tls_min_version]
    if config.tls13_ciphers is not None:
        _set_suites(context, config.tls13_ciphers)
    context.options |= ssl.OP_NO_COMPRESSION
    # One for each connection: a resumed connection gets the next, and each costs a twentieth of the handshake.
    context.num_tickets = 1
    context.set_alpn_protocols(config.alpn_protocols)
    if certfile is not None and keyfile is not None:
        _load_chain(context, certfile, keyfile, password, option)
    if config.ca_certs is not None:
        with _blame("ca_certs", config.ca_certs):
            context.load_verify_locations(config.ca_certs)
    if config.verify_mode is not None:
        context.verify_mode = config.verify_mode
    if config.verify_flags is not None:
        context.verify_flags = config.verify_flags
    if config.crl_file is not None:
        with _blame("crl_file", config.crl_file):
            context.load_verify_locations(config.crl_file)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def _set_suites(context: ssl.SSLContext, suites: str) -> None:
    set_suites: Callable[[str], object] | None = getattr(context, "set_ciphersuites", None)
    if set_suites is None:
        raise ConfigError("tls13_ciphers cannot be set: the ssl module of this Python has no set_ciphersuites()")
    with _blame("tls13_ciphers", suites):
        set_suites(suites)


def _load_chain(context: ssl.SSLContext, certfile: str, keyfile: str, password: str | None, option: str) -> None:
    # OpenSSL's error does not say which of the two files is missing, so each is opened once before.
    names = ("certfile", "keyfile") if option == "certfile" else (option, option)
    for name, path in zip(names, (certfile, keyfile), strict=True):
        with _blame(name, path), open(path, "rb") as file:
            if path == certfile:
                text = file.read().decode("latin-1")
    pair = "certfile and keyfile" if option == "certfile" else option
    with _blame(pair, f"{certfile}, {keyfile}"):
        # A password that is not there must be an error, not a question on the terminal.
        context.load_cert_chain(certfile=certfile, keyfile=keyfile, password=password or _no_password)
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    _certificates[context] = begin + text.partition(begin)[2].partition(end)[0] + end + "\n"


def _no_password() -> str:
    raise OSError("the key needs a password")


@contextmanager
def _blame(option: str, value: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(f"{option} {value!r} cannot be used: {error.strerror or error}") from error


# -- several certificates


def read_certificate(text: str) -> tuple[str, str, str]:
    """Name, certificate and key of one of `certificates`. Raises ValueError."""
    import shlex  # which few need

    words = shlex.split(text)
    if len(words) not in (2, 3):
        raise ValueError("expected a host name, a certificate's path and its key's")
    return words[0], words[1], words[-1]


def _chooser(
    named: dict[str, ssl.SSLContext],
) -> Callable[[ssl.SSLSocket | ssl.SSLObject, str | None, ssl.SSLContext], None]:
    """Puts the context that fits a name in place of the default one."""

    def choose(connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        if name is not None:
            name = name.lower()
            found = named.get(name) or named.get("*." + name.partition(".")[2])
            if found is not None:
                connection.context = found

    return choose


# -- the context in use


class QUICLimits(Protocol):
    """The limits of a worker that are parameters of QUIC."""

    quic_idle_timeout: float
    quic_max_datagram_size: int
    h2_connection_window: int
    h2_stream_window: int


class LiveContext:
    """The context of a listener. Its files are looked at when a client comes: a new certificate is served from the next
    handshake on. A pair that cannot be used is logged once, and the old one stays."""

    def __init__(self, config: TLSSettings, log: ErrorLog, made: LiveContext | None = None) -> None:
        """Keeps the context of one that was `made` before, where it still fits. Raises ConfigError."""
        self.config = config
        self.log = log
        config.prepare_certificate()
        paths = [*config.certificate_files, config.ca_certs, config.crl_file]
        for text in config.certificates:
            paths += read_certificate(text)[1:]
        self.paths = [path for path in paths if path is not None]
        self.watching = config.certificate_reload
        self.checked_at = 0.0
        self.settings = [str(getattr(config, name)) for name in SETTINGS]
        self.seen = self.check_files()
        self.current: ssl.SSLContext
        if made is not None and (made.settings, made.seen) == (self.settings, self.seen):
            self.current = made.current
        else:
            self.current = self.create()

    def create(self) -> ssl.SSLContext:
        """A context of the files as they are. Raises ConfigError."""
        context = self.config.create_ssl_context()
        if context is None:
            raise ConfigError("create_ssl_context() gave no context")
        context.set_alpn_protocols([name for name in self.config.alpn_protocols if name in TCP_PROTOCOLS])
        return context

    def check_files(self) -> list[tuple[int, int, int] | None]:
        """A value that changes whenever the files do."""
        return [_state(path) for path in self.paths]

    def latest(self, now: float) -> ssl.SSLContext:
        """The context for a client that comes at `now` (seconds)."""
        if self.watching and now - self.checked_at >= CHECK_SECONDS:
            self.checked_at = now
            seen = self.check_files()
            if seen != self.seen:
                self.reload()
        return self.current

    def reload(self) -> bool:
        """Reads the files again. False, and one record in the log, where they cannot be used."""
        self.seen = self.check_files()
        try:
            self.current = self.create()
        except (ConfigError, OSError, ValueError) as error:
            self.log.log_error("The certificates could not be reloaded, the old ones stay: %s", error)
            return False
        self.log.log_info("The certificates were reloaded")
        return True


def _state(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


# -- what an application is told (ASGI TLS extension 0.2)

_VERSIONS = {"TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
# RFC 4514 section 3.
_ATTRIBUTES = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
    "emailAddress": "1.2.840.113549.1.9.1",
}


def tls_extension(connection: ssl.SSLObject) -> dict[str, object]:
    """The scope's `tls` extension for an `ssl.SSLObject` whose handshake is complete."""
    context = connection.context
    cipher = connection.cipher()
    peer = connection.getpeercert()
    return {
        "server_cert": _certificates.get(context),
        "client_cert_chain": tuple(client_certificates(connection)),
        "client_cert_name": distinguished_name(peer["subject"]) if peer else None,
        "client_cert_error": None,  # a certificate that is in error ends the handshake
        "tls_version": _VERSIONS.get(connection.version() or ""),
        "cipher_suite": None if cipher is None else _suite_numbers(context).get(cipher[0]),
    }


def _suite_numbers(context: ssl.SSLContext) -> dict[str, int]:
    numbers = _suites.get(context)
    if numbers is None:
        numbers = _suites[context] = {one["name"]: one["id"] & 0xFFFF for one in context.get_ciphers()}
    return numbers


def distinguished_name(subject: Any) -> str:
    """A subject as `getpeercert()` gives it, in the form of RFC 4514."""
    parts = []
    for attributes in reversed(subject):
        parts.append("+".join(f"{_ATTRIBUTES.get(name, name)}={_escape(value)}" for name, value in attributes))
    return ",".join(parts)


def _escape(value: str) -> str:
    text = "".join("\\" + character if character in '",+;<>\\' else character for character in value)
    text = text.replace("\x00", "\\00")
    if text[:1] in ("#", " "):
        text = "\\" + text
    if text.endswith(" ") and len(text) > 1:
        text = text[:-1] + "\\ "
    return text
