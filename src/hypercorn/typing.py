"""Types of applications, scopes and messages (ASGI 3.0); importing them costs no protocol library.

`ASGIFramework` takes every framework's application: each has its own types for scope and messages, and a
function that takes one of them is no function that takes another, so the arguments are left open.
"""

from __future__ import annotations

import typing
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NewType, Optional, Protocol, TypedDict

from hypercorn.application_types import ASGIFramework as ASGIFramework
from hypercorn.application_types import Framework as Framework
from hypercorn.application_types import WSGIFramework as WSGIFramework
from hypercorn.logs.access import ResponseSummary as ResponseSummary

if TYPE_CHECKING:
    from typing_extensions import NotRequired

    from hypercorn.config import Config
else:
    NotRequired = getattr(typing, "NotRequired", Optional)  # before Python 3.11: annotations are never evaluated there

H11SendableEvent = Any
WorkerFunc = Callable[[Any, Any, Any], None]  # config, sockets, shutdown event
LifespanState = dict[str, Any]
ConnectionState = NewType("ConnectionState", dict[str, Any])
Headers = Iterable[tuple[bytes, bytes]]


class ASGIVersions(TypedDict, total=False):
    spec_version: str
    version: Literal["2.0"] | Literal["3.0"]


class HTTPScope(TypedDict):
    type: Literal["http"]
    asgi: ASGIVersions
    http_version: str
    method: str
    scheme: str
    path: str
    raw_path: bytes
    query_string: bytes
    root_path: str
    headers: Headers
    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    state: ConnectionState
    extensions: dict[str, dict[Any, Any]]


class WebsocketScope(TypedDict):
    type: Literal["websocket"]
    asgi: ASGIVersions
    http_version: str
    scheme: str
    path: str
    raw_path: bytes
    query_string: bytes
    root_path: str
    headers: Headers
    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    subprotocols: Iterable[str]
    state: ConnectionState
    extensions: dict[str, dict[Any, Any]]


class LifespanScope(TypedDict):
    type: Literal["lifespan"]
    asgi: ASGIVersions
    state: LifespanState


WWWScope = HTTPScope | WebsocketScope
Scope = HTTPScope | WebsocketScope | LifespanScope


class HTTPRequestEvent(TypedDict):
    type: Literal["http.request"]
    body: bytes
    more_body: bool


class HTTPResponseStartEvent(TypedDict):
    type: Literal["http.response.start"]
    status: int
    headers: NotRequired[Headers]
    trailers: NotRequired[bool]


class HTTPResponseBodyEvent(TypedDict):
    type: Literal["http.response.body"]
    body: NotRequired[bytes]
    more_body: NotRequired[bool]


class HTTPResponseTrailersEvent(TypedDict):
    type: Literal["http.response.trailers"]
    headers: Headers
    more_trailers: NotRequired[bool]


class HTTPServerPushEvent(TypedDict):
    type: Literal["http.response.push"]
    path: str
    headers: Headers


class HTTPEarlyHintEvent(TypedDict):
    type: Literal["http.response.early_hint"]
    links: Iterable[bytes]


class HTTPDisconnectEvent(TypedDict):
    type: Literal["http.disconnect"]


class WebsocketConnectEvent(TypedDict):
    type: Literal["websocket.connect"]


class WebsocketAcceptEvent(TypedDict):
    type: Literal["websocket.accept"]
    subprotocol: NotRequired[str | None]
    headers: NotRequired[Headers]


class WebsocketReceiveEvent(TypedDict):
    type: Literal["websocket.receive"]
    bytes: bytes | None
    text: str | None


class WebsocketSendEvent(TypedDict):
    type: Literal["websocket.send"]
    bytes: NotRequired[bytes | None]
    text: NotRequired[str | None]


class WebsocketResponseStartEvent(TypedDict):
    type: Literal["websocket.http.response.start"]
    status: int
    headers: NotRequired[Headers]


class WebsocketResponseBodyEvent(TypedDict):
    type: Literal["websocket.http.response.body"]
    body: NotRequired[bytes]
    more_body: NotRequired[bool]


class WebsocketDisconnectEvent(TypedDict):
    type: Literal["websocket.disconnect"]
    code: int
    reason: NotRequired[str | None]


class WebsocketCloseEvent(TypedDict):
    type: Literal["websocket.close"]
    code: NotRequired[int]
    reason: NotRequired[str | None]


class LifespanStartupEvent(TypedDict):
    type: Literal["lifespan.startup"]


class LifespanShutdownEvent(TypedDict):
    type: Literal["lifespan.shutdown"]


class LifespanStartupCompleteEvent(TypedDict):
    type: Literal["lifespan.startup.complete"]


class LifespanStartupFailedEvent(TypedDict):
    type: Literal["lifespan.startup.failed"]
    message: NotRequired[str]


class LifespanShutdownCompleteEvent(TypedDict):
    type: Literal["lifespan.shutdown.complete"]


class LifespanShutdownFailedEvent(TypedDict):
    type: Literal["lifespan.shutdown.failed"]
    message: NotRequired[str]


ASGIReceiveEvent = (
    HTTPRequestEvent
    | HTTPDisconnectEvent
    | WebsocketConnectEvent
    | WebsocketReceiveEvent
    | WebsocketDisconnectEvent
    | LifespanStartupEvent
    | LifespanShutdownEvent
)
ASGISendEvent = (
    HTTPResponseStartEvent
    | HTTPResponseBodyEvent
    | HTTPResponseTrailersEvent
    | HTTPServerPushEvent
    | HTTPEarlyHintEvent
    | HTTPDisconnectEvent
    | WebsocketAcceptEvent
    | WebsocketSendEvent
    | WebsocketResponseStartEvent
    | WebsocketResponseBodyEvent
    | WebsocketCloseEvent
    | LifespanStartupCompleteEvent
    | LifespanStartupFailedEvent
    | LifespanShutdownCompleteEvent
    | LifespanShutdownFailedEvent
)
ASGIReceiveCallable = Callable[[], Awaitable[ASGIReceiveEvent]]
ASGISendCallable = Callable[[ASGISendEvent], Awaitable[None]]
_Send = Callable[[Any], Awaitable[None]]


class AppWrapper(Protocol):
    """An application of either kind: `sync_spawn` runs a function in a thread, `call_soon` returns from
    there.
    """

    async def __call__(
        self,
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        send: _Send,
        sync_spawn: Callable[..., Awaitable[Any]],
        call_soon: Callable[..., Any],
    ) -> None: ...


class H2SyncStream(Protocol):
    scope: dict[str, Any]

    def data_received(self, data: bytes) -> None: ...

    def ended(self) -> None: ...

    def reset(self) -> None: ...

    def close(self) -> None: ...

    async def handle_request(self, event: Any, scheme: str, client: Any, server: Any) -> None: ...


class H2AsyncStream(Protocol):
    scope: dict[str, Any]

    async def data_received(self, data: bytes) -> None: ...

    async def ended(self) -> None: ...

    async def reset(self) -> None: ...

    async def close(self) -> None: ...

    async def handle_request(self, event: Any, scheme: str, client: Any, server: Any) -> None: ...


class Event(Protocol):
    def __init__(self) -> None: ...

    async def clear(self) -> None: ...

    async def set(self) -> None: ...

    async def wait(self) -> None: ...

    def is_set(self) -> bool: ...


class TaskGroup(Protocol):
    async def spawn_app(self, app: AppWrapper, config: Config, scope: Scope, send: _Send) -> _Send: ...

    def spawn(self, func: Callable[..., Any], *args: Any) -> None: ...

    async def __aenter__(self) -> TaskGroup: ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None: ...


class SingleTask(Protocol):
    def __init__(self) -> None: ...

    async def restart(self, task_group: TaskGroup, action: Callable[..., Any]) -> None: ...

    async def stop(self) -> None: ...


class WorkerContext(Protocol):
    event_class: type[Event]
    single_task_class: type[SingleTask]
    terminate: Event
    terminated: Event

    async def mark_request(self) -> None: ...

    @staticmethod
    async def sleep(wait: float) -> None: ...

    @staticmethod
    def time() -> float: ...
