"""The app's configuration, which Django finds by itself."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import Error, register

NAME = "hypercorn.django"
# Apps whose `runserver` would win over this one's from above it.
RIVALS = ("django.contrib.staticfiles", "daphne", "channels")


class HypercornConfig(AppConfig):  # type: ignore[misc]
    """The app `hypercorn.django`."""

    name = NAME
    label = "hypercorn"
    verbose_name = "Hypercorn"

    def ready(self) -> None:
        register(check_order)


def check_order(app_configs: object, **_: object) -> list[Error]:
    """Finds apps above this one that have a `runserver` of their own."""
    names = [name.removesuffix(".apps.HypercornConfig") for name in settings.INSTALLED_APPS]
    if NAME not in names:  # as a subclass of the configuration
        return []
    return [
        Error(
            f'"{name}" stands above "{NAME}" in INSTALLED_APPS, so its runserver is the one that runs.',
            hint=f'Put "{NAME}" at the top of INSTALLED_APPS.',
            id="hypercorn.E001",
        )
        for name in names[: names.index(NAME)]
        if name in RIVALS
    ]
