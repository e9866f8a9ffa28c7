"""TLS."""

from __future__ import annotations

from hypercorn.config.options.option import UNSET, Option
from hypercorn.config.values import (
    CERTIFICATES,
    DIRECTORY,
    EAB_KEY,
    HOSTS,
    PATH,
    SWITCH,
    TEXT,
    TEXTS,
    VERIFY_FLAGS,
    VERIFY_MODE,
    choice,
    number,
    optional,
)

OPTIONS: tuple[Option, ...] = (
    Option("certfile", PATH, None, "TLS", "certificate chain (PEM)"),
    Option("keyfile", PATH, None, "TLS", "private key (PEM)"),
    Option(
        "keyfile_password",
        optional(TEXT),
        None,
        "TLS",
        "password of the key",
        secret=True,
    ),
    Option(
        "dev_tls",
        SWITCH,
        False,
        "TLS",
        "certificate for localhost and this machine's name, by a CA of your own, for development",
    ),
    Option(
        "acme",
        HOSTS,
        [],
        "TLS",
        "host name to get a certificate for, by ACME, agreeing to the authority's terms; may be repeated",
    ),
    Option("acme_email", optional(TEXT), None, "TLS", "address that the authority may write to"),
    Option("acme_directory", DIRECTORY, "production", "TLS", "ACME directory: a URL, or one of Let's Encrypt's"),
    Option("acme_state", PATH, None, "TLS", "folder of accounts and certificates (default: in the user's data folder)"),
    Option("acme_eab_kid", optional(TEXT), None, "TLS", "key identifier of an external account"),
    Option("acme_eab_hmac_key", EAB_KEY, None, "TLS", "key of an external account, in base64url", secret=True),
    Option("ca_certs", PATH, None, "TLS", "authorities that sign client certificates (PEM)"),
    Option("ciphers", TEXT, "ECDHE+AESGCM", "TLS", "ciphers of TLS 1.2, as OpenSSL names them"),
    Option(
        "verify_mode",
        VERIFY_MODE,
        None,
        "TLS",
        "client certificates: CERT_NONE, CERT_OPTIONAL or CERT_REQUIRED",
    ),
    Option("verify_flags", VERIFY_FLAGS, None, "TLS", "flags of ssl.SSLContext.verify_flags"),
    Option("alpn_protocols", TEXTS, ["h2", "http/1.1"], "TLS", "protocol to offer; may be repeated"),
    Option(
        "certificates",
        CERTIFICATES,
        [],
        "TLS",
        "certificate for clients that ask for this host (SNI): HOST CERTFILE KEYFILE; may be repeated",
        aliases=("certificate",),
    ),
    Option("certificate_reload", SWITCH, True, "TLS", "use a certificate that was replaced on disk"),
    Option("tls_min_version", choice("1.2", "1.3"), "1.2", "TLS", "oldest TLS version accepted"),
    Option("tls13_ciphers", optional(TEXT), None, "TLS", "cipher suites of TLS 1.3, if Python can set them"),
    Option("crl_file", PATH, None, "TLS", "revoked client certificates (PEM)"),
    Option(
        "cert_reqs",
        number(0, 2),
        UNSET,
        "TLS",
        "deprecated: use --verify-mode",
        alias_of="verify_mode",
    ),
)
