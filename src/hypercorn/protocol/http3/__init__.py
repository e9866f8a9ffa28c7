"""HTTP/3: the connection, its streams and what they carry (RFC 9114)."""
