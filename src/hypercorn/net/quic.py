"""What QUIC needs of the configuration. The extra `h3` (aioquic) is imported only here and in `protocol/`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypercorn.errors import ConfigError

if TYPE_CHECKING:
    from hypercorn.config import Config


def create_quic_configuration(config: Config) -> Any:
    """aioquic's configuration from the options of TLS, with certificate and key as they are on disk now.

    Raises ConfigError where aioquic is not installed, and for files that cannot be used.
    """
    try:
        from aioquic.quic.configuration import QuicConfiguration
    except ImportError as error:
        raise ConfigError("HTTP/3 needs aioquic (pip install 'hypercorn[h3]')") from error
    configuration = QuicConfiguration(
        is_client=False,
        alpn_protocols=["h3"],
        congestion_control_algorithm="cubic",
        connection_id_length=10,
        idle_timeout=config.quic_idle_timeout,
        max_data=config.h2_connection_window,
        max_stream_data=config.h2_stream_window,
    )
    try:
        configuration.load_cert_chain(config.certfile or "", config.keyfile or "", config.keyfile_password)
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise ConfigError(f"certfile and keyfile cannot be used for HTTP/3: {error}") from error
    if config.verify_mode is not None:
        configuration.verify_mode = int(config.verify_mode)
    if config.ca_certs is not None:
        configuration.load_verify_locations(cafile=config.ca_certs)
    return configuration


def is_self_signed(configuration: Any) -> bool:
    """True where the certificate names itself as its issuer: browsers keep to TCP then."""
    certificate = configuration.certificate
    return bool(certificate.issuer == certificate.subject)
