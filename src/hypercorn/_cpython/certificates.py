"""The certificates that a TLS client sent, before Python 3.13 made `SSLObject.get_unverified_chain` public.

From Python 3.10 on the C object below `ssl.SSLObject`, its private attribute `_sslobj`, has a method of that name. It
is the only way to the certificates between the client's own and its root, which the ASGI TLS extension lists.

Invariant: `get_unverified_chain()` gives objects with `public_bytes()`, which is a certificate in PEM, the client's own
first, or None where the client sent none.
What breaks it: a Python 3.10 to 3.12 without the attribute or its method. Then, or under `HYPERCORN_PLAIN=1`, the
extension lists the client's own certificate alone.
"""

from __future__ import annotations

import ssl

from hypercorn._cpython import PLAIN


def client_certificates(connection: ssl.SSLObject) -> list[str]:
    """The certificates of the client of an `ssl.SSLObject`, as PEM, its own first. Empty where it sent none."""
    own = connection.getpeercert(True)
    if not own:
        return []
    public = getattr(connection, "get_unverified_chain", None)
    if public is not None:
        return [ssl.DER_cert_to_PEM_cert(one) for one in public()]
    inner = None if PLAIN else getattr(connection, "_sslobj", None)
    chain = getattr(inner, "get_unverified_chain", None)
    return [one.public_bytes() for one in chain() or ()] if chain is not None else [ssl.DER_cert_to_PEM_cert(own)]
