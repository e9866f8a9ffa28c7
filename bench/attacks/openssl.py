"""A TLS client that can send KeyUpdates, which Python's ssl cannot: the OpenSSL that it is linked to, by ctypes."""

from __future__ import annotations

import _ssl
import ctypes
import socket
import struct
from types import TracebackType

REQUESTED = 1  # SSL_KEY_UPDATE_REQUESTED: the peer is to renew its keys as well


class OpenSSLClient:
    """A connection after its handshake. It checks no certificate. `alpn` names one protocol, or none.

    Raises OSError where the handshake fails.
    """

    def __init__(self, host: str, port: int, alpn: bytes = b"", patience: int = 5) -> None:
        self.library = library = ctypes.CDLL(_ssl.__file__)
        for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new", "SSL_get_wbio"):
            getattr(library, name).restype = ctypes.c_void_p
        library.BIO_number_written.restype = ctypes.c_uint64
        self.sock = socket.create_connection((host, port), timeout=patience)
        self.sock.setblocking(True)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self.sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", patience, 0))
        self.context = ctypes.c_void_p(library.SSL_CTX_new(ctypes.c_void_p(library.TLS_client_method())))
        self.session = ctypes.c_void_p(library.SSL_new(self.context))
        library.SSL_set_fd(self.session, self.sock.fileno())
        if alpn:
            offered = bytes((len(alpn),)) + alpn
            library.SSL_set_alpn_protos(self.session, offered, len(offered))
        if library.SSL_connect(self.session) != 1:
            self.close()
            raise OSError("the TLS handshake failed")

    @property
    def sent(self) -> int:
        """Bytes sent so far, those of the handshake too."""
        return int(self.library.BIO_number_written(ctypes.c_void_p(self.library.SSL_get_wbio(self.session))))

    def update_keys(self) -> bool:
        """Sends a KeyUpdate that asks for one in return. False where the connection is lost."""
        library = self.library
        return library.SSL_key_update(self.session, REQUESTED) == 1 and library.SSL_do_handshake(self.session) == 1

    def write(self, data: bytes) -> bool:
        """Sends data. False where the connection is lost."""
        return bool(self.library.SSL_write(self.session, data, len(data)) == len(data))

    def read(self, most: int = 65536) -> bytes:
        """What came; nothing at the end, and where nothing comes in time."""
        buffer = ctypes.create_string_buffer(most)
        size = self.library.SSL_read(self.session, buffer, most)
        return buffer.raw[:size] if size > 0 else b""

    def close(self) -> None:
        """Closes the socket without a word."""
        if self.session:
            self.library.SSL_free(self.session)
            self.library.SSL_CTX_free(self.context)
            self.session = self.context = ctypes.c_void_p()
        self.sock.close()

    def __enter__(self) -> OpenSSLClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
