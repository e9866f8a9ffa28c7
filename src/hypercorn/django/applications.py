"""The application of a Django project, as its settings name it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework


def load_asgi() -> ASGIFramework | None:
    """The ASGI application of the settings, or None where they name none. Raises ImproperlyConfigured."""
    name = getattr(settings, "ASGI_APPLICATION", None)
    if name is None:
        return None
    try:
        found: ASGIFramework = import_string(name)
        return found
    except ImportError as error:
        raise ImproperlyConfigured(f"ASGI_APPLICATION {name!r} cannot be loaded: {error}") from error


def application_path() -> str:
    """The application as Hypercorn's command names it: "site.asgi:application", or "wsgi:..." where the settings have
    no ASGI_APPLICATION."""
    asgi = getattr(settings, "ASGI_APPLICATION", None)
    if asgi is not None:
        return ":".join(("asgi", *asgi.rsplit(".", 1)))
    wsgi = getattr(settings, "WSGI_APPLICATION", None)
    if wsgi is not None:
        return ":".join(("wsgi", *wsgi.rsplit(".", 1)))
    return "wsgi:django.core.wsgi:get_wsgi_application()"
