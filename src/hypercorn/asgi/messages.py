"""The dicts of ASGI as the server handles them; `hypercorn.typing` has their exact types for applications."""

from __future__ import annotations

from typing import Any

Message = dict[str, Any]  # an event that an application receives or sends, with its "type"
Scope = dict[str, Any]  # a connection scope (ASGI 3.0)
