"""A server's certificate: what it says, and whether a client that trusts the system's authorities takes it."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import TypeAlias

from hypercorn.cli.check.connecting import Resolved, TimedLine
from hypercorn.cli.check.report import Certificate
from hypercorn.cli.check.target import Target

Name: TypeAlias = "tuple[tuple[Sequence[str], ...], ...]"
Described: TypeAlias = "dict[str, str | tuple[tuple[tuple[str, str], ...], ...] | tuple[tuple[str, str], ...]]"
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def client_context(cafile: str | None, verify: bool, *protocols: str) -> ssl.SSLContext:
    """A client's context that offers these protocols by ALPN (RFC 7301). Raises OSError for a bad file."""
    context = ssl.create_default_context(cafile=cafile)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    return context


def read_certificate(target: Target, resolved: Resolved, cafile: str | None, timeout: float) -> Certificate:
    """The certificate that a server shows. Raises OSError where there is no handshake, whatever is trusted."""
    line = TimedLine(target, resolved, timeout)
    try:
        verified = line.encrypt(client_context(cafile, True, "h2", "http/1.1"))
        return from_verified(verified.getpeercert())
    except ssl.SSLCertVerificationError as error:
        reason = error.verify_message or str(error)
    finally:
        line.close()
    line = TimedLine(target, resolved, timeout)
    try:
        return from_der(line.encrypt(client_context(cafile, False, "h2", "http/1.1")).getpeercert(True), reason)
    finally:
        line.close()


def from_verified(found: Described | None) -> Certificate:
    """A certificate as `SSLSocket.getpeercert` describes one that was verified."""
    certificate = Certificate(verified=True)
    for key, value in (found or {}).items():
        if key == "notAfter" and isinstance(value, str):
            # Not `fromtimestamp`, for which some systems of 32 bits know no time after January 2038.
            _set_end(certificate, EPOCH + timedelta(seconds=ssl.cert_time_to_seconds(value)))
        elif key == "subject" and isinstance(value, tuple):
            certificate.subject = _name(value)
        elif key == "issuer" and isinstance(value, tuple):
            certificate.issuer = _name(value)
        elif key == "subjectAltName" and isinstance(value, tuple):
            certificate.names = [str(one[1]) for one in value]
    return certificate


def from_der(data: bytes | None, reason: str) -> Certificate:
    """A certificate that was not verified. `ssl` describes no such one: cryptography does, if it is installed."""
    certificate = Certificate(verified=False, reason=reason)
    if not data:
        return certificate
    try:
        from cryptography import x509
    except ImportError:
        certificate.reason = f"{reason} (to see what it says, install hypercorn[h3])"
        return certificate
    try:
        found = x509.load_der_x509_certificate(data)
        certificate.subject = found.subject.rfc4514_string() or None
        certificate.issuer = found.issuer.rfc4514_string() or None
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        certificate.names = [str(one.value) for one in names]
    except x509.ExtensionNotFound:
        pass
    except ValueError as error:
        certificate.reason = f"{reason}; it cannot be read: {error}"
        return certificate
    _set_end(certificate, found.not_valid_after_utc)
    return certificate


def _set_end(certificate: Certificate, end: datetime) -> None:
    certificate.not_after = end.isoformat()
    certificate.days_left = (end - datetime.now(timezone.utc)).days


SHORT = {
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "localityName": "L",
    "stateOrProvinceName": "ST",
}


def _name(parts: Name) -> str | None:
    """A distinguished name as RFC 4514 writes it, the most specific part first."""
    pairs = [f"{SHORT.get(str(pair[0]), pair[0])}={pair[1]}" for part in reversed(parts) for pair in part]
    return ",".join(pairs) or None
