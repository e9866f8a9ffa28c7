"""Keys and certificates (RFC 5280), by the library `cryptography`, which the extras `tls` and `acme` bring."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key: TypeAlias = ec.EllipticCurvePrivateKey
EARLIER = timedelta(hours=1)  # that a certificate is valid before it is made, for clocks that are slow
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def new_key() -> Key:
    """A key of the curve P-256, which every client knows."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Key) -> bytes:
    """A key as PEM (PKCS #8), without a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def read_key(pem: bytes) -> Key:
    """The reverse. Raises ValueError."""
    key = load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("it is a key of another kind")
    return key


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """A certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM)


def new_authority(key: Key, name: str, days: int) -> x509.Certificate:
    """The certificate of an authority that signs servers' certificates, and no other authority's."""
    made = builder(common_name(name), common_name(name), key.public_key(), key.public_key(), days)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return made.add_extension(usage("key_cert_sign", "crl_sign"), critical=True).sign(key, hashes.SHA256())


def new_certificate(
    key: Key,
    names: Iterable[str],
    days: int,
    authority: x509.Certificate | None = None,
    authority_key: Key | None = None,
) -> x509.Certificate:
    """A server's certificate for host names and addresses. Without an authority it signs itself."""
    names = list(names)
    signing = key if authority_key is None else authority_key
    subject = common_name(names[0])
    issuer = subject if authority is None else authority.subject
    made = builder(subject, issuer, key.public_key(), signing.public_key(), days)
    made = made.add_extension(x509.SubjectAlternativeName([general_name(name) for name in names]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    made = made.add_extension(usage("digital_signature"), critical=True)
    made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return made.sign(signing, hashes.SHA256())


def self_signed(names: Iterable[str], days: int) -> bytes:
    """A certificate that signs itself, and its key, as PEM."""
    key = new_key()
    return certificate_pem(new_certificate(key, names, days)) + key_pem(key)


def builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    issuer_public: ec.EllipticCurvePublicKey,
    days: int,
) -> x509.CertificateBuilder:
    """What all certificates here have."""
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_public), critical=False)
    )


def common_name(text: str) -> x509.Name:
    """A name with one attribute, which has 64 characters at the most (RFC 5280 appendix A.1)."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def general_name(text: str) -> x509.GeneralName:
    """A host name or an address as a certificate has it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def usage(*names: str) -> x509.KeyUsage:
    """What a key may be used for (RFC 5280 section 4.2.1.3)."""
    return x509.KeyUsage(**{name: name in names for name in USAGES})


def names_of(certificate: x509.Certificate) -> set[str]:
    """The host names and addresses of a certificate, as text."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))}


def left_of(certificate: x509.Certificate) -> float:
    """The part of its life that a certificate has before it: 1 at its beginning, 0 or less once it has expired."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return (end - datetime.now(timezone.utc)) / (end - begin)
