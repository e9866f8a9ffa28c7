"""The dicts of ASGI as the server handles them, and the states of an access record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]  # an event that an application receives or sends, with its "type"
Scope = dict[str, Any]  # a connection scope (ASGI 3.0)
Receive = Callable[[], Awaitable[Any]]  # of any server or middleware: each has types of its own for messages
Send = Callable[[Any], Awaitable[None]]
Environ = dict[str, Any]  # of a WSGI call (PEP 3333)

# How far the record of an exchange is: nothing is recorded; it is, but for a call that its peer has left; all is. Not
# compiled, so that compiled modules can share the numbers.
PENDING, LOGGED, COUNTED = range(3)
