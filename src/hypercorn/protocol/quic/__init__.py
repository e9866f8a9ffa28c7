"""QUIC for servers: the endpoint, its connections and their datagrams (RFC 9000)."""
