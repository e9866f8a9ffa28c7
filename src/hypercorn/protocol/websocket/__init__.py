"""WebSockets (RFC 6455), over whatever carries their bytes."""
