"""Telling ASGI applications from WSGI ones, and both from what is no application.

An object is judged by how it can be called. It is refused only where its calls would fail for certain; where the
signature is unknown (built-in functions) or open (`*args`), it is accepted.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from hypercorn.asgi.calling import without_partials
from hypercorn.errors import NoAppError

ASGI_ARGUMENTS = 3  # scope, receive, send
WSGI_ARGUMENTS = 2  # environ, start_response
DECORATORS = 32  # one over the other, that are looked through
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_OF_APPLICATIONS = ("start_response", "receive", "send")  # arguments that no factory has
_TYPES = re.compile(r"\b(WSGIEnvironment|StartResponse|ASGIReceiveCallable|ASGISendCallable|Receive|Send)\b")
_OTHERWISE = "If it is an application all the same, say which kind: {usage}"

FACTORY = "it looks like a factory (it can be called without arguments): {factory}"
ASYNC_FACTORY = "it is an async factory, which cannot be awaited here: create the application first"
CLASS = "it is a class, and calls of it do not serve requests: {instance}"
ASGI2 = (
    "it takes one argument, as ASGI 2 applications do: wrap it with "
    "asgiref.compatibility.guarantee_single_callable(), or port it to ASGI 3"
)
ARGUMENTS = (
    "it cannot be called with the three arguments of ASGI (scope, receive, send) nor with the two of WSGI "
    "(environ, start_response)"
)
ASYNC_ARGUMENTS = "it is async, but cannot be called with the three arguments of ASGI (scope, receive, send)"


def is_asgi(app: object, depth: int = DECORATORS) -> bool:
    """True for what is called as an ASGI application: an async function or object, also behind
    `functools.partial`; a class whose instances can be awaited; a callable of three arguments.

    Whether a plain function returns a coroutine is not known before it is called. One that takes both two and three
    arguments is taken for what it wraps (`__wrapped__`), else for WSGI; then the mode must be given
    (`asgi:module:app`).
    """
    if inspect.isclass(app) and not _has_own_call(app):
        return hasattr(app, "__await__")  # an instance is made for each request, and awaited
    if is_async(app):
        return True
    signature = _signature(app)
    if signature is None or not _fits(signature, ASGI_ARGUMENTS):
        return False
    if not _fits(signature, WSGI_ARGUMENTS):
        return True
    inner = getattr(app, "__wrapped__", None) if depth else None
    return next(iter(signature.parameters), "") == "scope" if inner is None else is_asgi(inner, depth - 1)


def is_async(app: Any) -> bool:
    """True where a call gives a coroutine for certain."""
    app = without_partials(app)
    if inspect.isclass(app):
        return inspect.iscoroutinefunction(type(app).__call__)
    call = getattr(app, "__call__", None)  # noqa: B004  the method, not whether it is there
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(call)


def find_kind(app: object, name: str | None) -> str:
    """ "asgi" or "wsgi". `name` is the path that the application was loaded from, or None for an object that was
    passed.

    Raises NoAppError, with advice, for an object that is neither.
    """
    asgi = is_asgi(app)
    problem = find_problem(app, asgi)
    if problem is not None:
        raise NoAppError(_refusal(app, name, problem))
    return "asgi" if asgi else "wsgi"


def find_problem(app: object, asgi: bool) -> str | None:
    """Why calls of the application are sure to fail, or None."""
    signature = _signature(app)
    if inspect.isclass(app) and not _has_own_call(app) and not asgi and not _makes_responses(app):
        return ASGI2 if _is_asgi2_class(app, signature) else CLASS
    if signature is None or _is_declared(app):
        return None
    fits = _fits(signature, ASGI_ARGUMENTS if asgi else WSGI_ARGUMENTS)
    if fits and not _looks_like_factory(signature):
        return None
    if fits or _fits(signature, 0):
        return ASYNC_FACTORY if is_async(app) else CLASS if inspect.isclass(app) else FACTORY
    if is_async(app):
        return ASYNC_ARGUMENTS
    return ASGI2 if _is_scope(signature) else CLASS if inspect.isclass(app) else ARGUMENTS


def _refusal(app: object, name: str | None, problem: str) -> str:
    """The text of the error: the object, the problem, and the way out."""
    if name is None:
        label = getattr(app, "__qualname__", None) or repr(app)
        start, usage = f"Cannot serve {label}, ", "mode='asgi' or mode='wsgi'"
        factory = instance = f"pass what {label}() returns"
    else:
        start, usage = f"Cannot load application from '{name}', ", f"asgi:{name} or wsgi:{name}"
        factory = f"add --factory, or write {name}()"
        instance = f"name an instance of it, such as {name}()"
    advice = problem.format(factory=factory, instance=instance)
    return f"{start}{advice}. {_OTHERWISE.format(usage=usage)}"


def _signature(app: Any) -> inspect.Signature | None:
    """Returns the signature of the object itself, whatever it wraps; None where that is not known."""
    try:
        return inspect.signature(app, follow_wrapped=False)
    except (TypeError, ValueError):
        return None


def _is_declared(app: Any) -> bool:
    """True where the signature is what somebody put on the object, and may not be how it is called."""
    app = without_partials(app)
    call = inspect.getattr_static(type(app), "__call__", None)
    return any(getattr(called, "__signature__", None) is not None for called in (app, call))


def _fits(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


def _looks_like_factory(signature: inspect.Signature) -> bool:
    """True where every argument has a default: `create_app(env="prod", debug=False)` can be called with WSGI's two
    arguments, but would not serve them.

    An application's arguments are required, as the server always gives them. One that has defaults all the same shows
    by the name or the annotation of an argument that is the server's; names of one letter tell nothing.
    """
    parameters = list(signature.parameters.values())
    if any(item.kind is inspect.Parameter.VAR_POSITIONAL for item in parameters) or not _fits(signature, 0):
        return False
    positional = [item for item in parameters if item.kind in _POSITIONAL]
    names = [item.name.strip("_").lower() for item in positional]
    if any(name in _OF_APPLICATIONS for name in names) or all(len(name) == 1 for name in names[:WSGI_ARGUMENTS]):
        return False
    return not any(_TYPES.search(_annotation(item)) for item in positional)


def _annotation(item: inspect.Parameter) -> str:
    """The text of an argument's annotation."""
    return item.annotation if isinstance(item.annotation, str) else inspect.formatannotation(item.annotation)


def _is_scope(signature: inspect.Signature) -> bool:
    """True for the one argument of an ASGI 2 application."""
    return _fits(signature, 1) and next(iter(signature.parameters), "") in ("scope", "_scope")


def _is_asgi2_class(app: type, signature: inspect.Signature | None) -> bool:
    """True for a class that is made with a scope and called with `receive` and `send`."""
    call = inspect.getattr_static(app, "__call__", None)
    return signature is not None and _is_scope(signature) and inspect.iscoroutinefunction(call)


def _makes_responses(app: type) -> bool:
    """True for a class whose instances may be what a WSGI application returns (PEP 3333: an iterable)."""
    return (
        any(hasattr(app, name) for name in ("__iter__", "__getitem__"))
        or inspect.getattr_static(app, "__new__") is not vars(object)["__new__"]
    )


def _has_own_call(app: type) -> bool:
    """True for a class whose metaclass says what a call of it does."""
    return type(app).__call__ is not type.__call__
