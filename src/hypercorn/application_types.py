"""The types of applications.

`hypercorn.typing` has these names too, beside the types of scopes and messages. Those take long to make, and no start
needs them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

# Each framework has its own types for scope and messages, so these are left open.
ASGIFramework = Callable[[Any, Any, Any], Awaitable[Any]]
WSGIFramework = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Framework = ASGIFramework | WSGIFramework
