"""The configuration of QUIC, where the extra `h3` (aioquic) is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypercorn.errors import ConfigError

if TYPE_CHECKING:
    from hypercorn.net.quic_tls import ServerConfiguration
    from hypercorn.net.tls import QUICLimits, TLSSettings


def create_quic_configuration(config: TLSSettings, limits: QUICLimits) -> ServerConfiguration:
    """aioquic's configuration from the options of TLS, with certificates and keys as they are on disk now.

    `limits` are the worker's (`protocol.limits.Limits`). Raises ConfigError where aioquic is not installed, and for
    files that cannot be used.
    """
    try:
        from hypercorn.net.quic_tls import server_configuration
    except ImportError as error:
        raise ConfigError("HTTP/3 needs aioquic (pip install 'hypercorn[h3]')") from error
    return server_configuration(config, limits)


def is_self_signed(configuration: ServerConfiguration) -> bool:
    """True where the certificate names itself as its issuer: browsers keep to TCP then."""
    certificate = configuration.certificate
    return certificate is not None and certificate.issuer == certificate.subject
