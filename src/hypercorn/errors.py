"""Every exception that the server raises or turns into an answer.

One tree, so that callers catch one class.
"""

from __future__ import annotations

from socket import SocketKind


class HypercornError(Exception):
    """The base of all errors of this package."""


class ProtocolError(HypercornError):
    """The peer broke the protocol. The connection answers it itself; it never reaches the runtime.

    `status` is the HTTP status of the answer (RFC 9110 section 15), `reason` says in plain words what was
    wrong and never repeats bytes of the peer.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.status} {self.reason}"


class ClientDisconnected(HypercornError, ConnectionError):
    """Raised by `send()` once the client is gone: an `OSError`, as the ASGI specification (2.4) asks."""


class UnexpectedMessageError(HypercornError):
    """The application sent a message that its exchange does not allow now."""

    def __init__(self, kind: object, state: str = "", advice: str = "") -> None:
        super().__init__(f"Unexpected message type, {kind}" + (f" given the state {state}" if state else "") + advice)


class SpecificationError(HypercornError):
    """The application broke the ASGI specification, and `validate_app` is on.

    The message says how, and ends with the rule and the section that has it.
    """


class NoAppError(HypercornError):
    """The application could not be found where the configuration says it is."""


class UnknownModeError(NoAppError, ValueError):
    """The application's name begins with neither of the modes, asgi: and wsgi:, and is not module:expression."""


class ConfigError(HypercornError, ValueError):
    """A wrong option.

    The message names the option, its value, what is expected, and where the value came from.
    """


class ConfigWarning(Warning):
    """An option that does not exist, or a setting that has no effect."""


class LifespanFailureError(HypercornError):
    """The application said that its startup or shutdown failed (ASGI lifespan)."""

    def __init__(self, stage: str, message: str = "") -> None:
        super().__init__(f"Lifespan failure in {stage}. '{message}'")
        self.stage = stage


class LifespanTimeoutError(HypercornError):
    """The application did not answer a lifespan event within `startup_timeout` or `shutdown_timeout`."""

    def __init__(self, stage: str) -> None:
        super().__init__(
            f"Timeout whilst awaiting {stage}. Your application may not support the ASGI Lifespan protocol "
            f"correctly, alternatively the {stage}_timeout configuration is incorrect."
        )
        self.stage = stage


class ShutdownError(HypercornError):
    """Raised inside a task group to end it; kept for programs written against earlier releases."""


class FrameTooLargeError(HypercornError):
    """A WebSocket message is larger than `websocket_max_message_size`."""


class SocketTypeError(HypercornError):
    """A file descriptor given as a bind is a socket of another type than this bind needs."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f'Unexpected socket type, wanted "{_kind(expected)}" got "{_kind(actual)}"')


class BindError(HypercornError, OSError):
    """An address cannot be bound.

    An `OSError` with the system's `errno`; the text says where, what and why.
    """

    def __init__(self, errno: int | None, address: str, problem: str, hint: str = "") -> None:
        super().__init__(errno, problem)
        self.address = address
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        return f"cannot bind {self.address}: {self.problem}" + (f" ({self.hint})" if self.hint else "")


def _kind(number: int) -> str:
    try:
        return SocketKind(number).name
    except ValueError:
        return str(number)
