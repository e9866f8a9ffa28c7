"""The certificate of `dev_tls`: an authority of the user's own, made once, and a certificate of this machine's names.

Browsers use HTTP/2, and what asks for a secure context, once the user has told the system to trust the authority. Its
key never leaves the user's folder.
"""

from __future__ import annotations

import getpass
import os
import shlex
import socket
import sys
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from hypercorn.certificates.folders import data_folder, locked, make_private, write
from hypercorn.certificates.issuing import (
    Key,
    certificate_pem,
    key_pem,
    left_of,
    names_of,
    new_authority,
    new_certificate,
    new_key,
    read_key,
)
from hypercorn.errors import ConfigError

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 365
RENEWED_AT = 1 / 3  # the part of its life that a certificate has left when another is made
ADVICE = "set XDG_DATA_HOME to a folder of your own"


def folder() -> Path:
    """Where it all is. Raises ConfigError."""
    return data_folder() / "dev-tls"


def authority_path() -> Path:
    """The authority's certificate, which is what users trust."""
    return folder() / "ca.pem"


def certificate_path() -> Path:
    """The server's certificate, with its key in the same file."""
    return folder() / "localhost.pem"


def machine_names() -> list[str]:
    """The names of this machine, as far as they are known without asking another one."""
    name = socket.gethostname().rstrip(".").lower()
    found = ["localhost", "127.0.0.1", "::1"]
    for one in (name, f"{name.partition('.')[0]}.local"):
        if all(part and len(part) < 64 and part.isascii() for part in one.split(".")) and one not in found:
            found.append(one)
    return found


def prepare() -> None:
    """Makes the authority and the certificate where there is none, and anew where one is near its end or the machine
    has another name. Servers that start at the same time wait for each other. Raises ConfigError."""
    make_private(folder(), ADVICE)
    try:
        with locked(folder() / "lock"):
            key, authority = current_authority()
            if not is_current(authority):
                made = new_key()
                found = new_certificate(made, machine_names(), CERTIFICATE_DAYS, authority, key)
                write(certificate_path(), certificate_pem(found) + key_pem(made))
    except OSError as error:
        raise ConfigError(f"dev_tls: {folder()} cannot be used: {error.strerror or error}; {ADVICE}") from error


def current_authority() -> tuple[Key, x509.Certificate]:
    """The authority, which is made where there is none that outlives a certificate. Raises OSError."""
    key_path = authority_path().with_suffix(".key")
    try:
        key = read_key(key_path.read_bytes())
        authority = x509.load_pem_x509_certificate(authority_path().read_bytes())
        if authority.public_key() == key.public_key() and left_of(authority) > CERTIFICATE_DAYS / AUTHORITY_DAYS:
            return key, authority
    except (FileNotFoundError, ValueError):
        pass
    key = new_key()
    authority = new_authority(key, f"Hypercorn development CA ({owner()})", AUTHORITY_DAYS)
    write(key_path, key_pem(key))
    write(authority_path(), certificate_pem(authority), 0o644)
    return key, authority


def owner() -> str:
    """Whose authority it is, for people who look at a list of them."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError, ImportError):  # a number that is no user's
        return socket.gethostname()


def is_current(authority: x509.Certificate) -> bool:
    """True where there is a certificate that can be used, and goes on to be for a while. Raises OSError."""
    try:
        pem = certificate_path().read_bytes()
        certificate = x509.load_pem_x509_certificate(pem)
        certificate.verify_directly_issued_by(authority)
        fits = certificate.public_key() == read_key(pem[pem.index(b"-----BEGIN PRIVATE KEY") :]).public_key()
    except (FileNotFoundError, ValueError, TypeError, InvalidSignature):  # the last: another authority's
        return False
    return fits and names_of(certificate) == set(machine_names()) and left_of(certificate) > RENEWED_AT


def trust_text() -> str:
    """Says in one line where the authority is, and by which command a browser of this user trusts it."""
    path = authority_path()
    if sys.platform == "darwin":
        command = (
            f"security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db {shlex.quote(str(path))}"
        )
    elif sys.platform == "win32":
        command = f'certutil -user -addstore Root "{path}"'
    else:
        database = f"sql:{os.path.expanduser('~')}/.pki/nssdb"
        command = f"certutil -d {shlex.quote(database)} -A -t C,, -n hypercorn-dev-tls -i {shlex.quote(str(path))}"
    return f"Certificate by your own CA, {path}; to have browsers trust it: {command}"
