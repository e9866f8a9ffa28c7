"""Writes docs/reference/api.md from the docstrings of the package's public names.

python docs/make_api.py            writes the page
python docs/make_api.py --check    exits with 1 where it is not what the docstrings say
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("reference") / "api.md"
INTRODUCTION = """\
# Python API

<!-- Made from the docstrings by docs/make_api.py: change those and run that. -->

What the package promises to keep: these names, their arguments, and what is said of them. All of it is typed. What is
not on this page, [of the options](options.md) or [of ASGI](asgi.md) may change with any release.
"""
# Heading, what stands below it, and the names: a module and what of it; "*" is all that is public.
SECTIONS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Serving",
        "On whichever library's loop runs, or on one of their own. Guide: [embedding](../guide/embedding.md).",
        (("hypercorn.api", "run serve server"), ("hypercorn.runtime.server", "Server")),
    ),
    ("On asyncio and uvloop", "", (("hypercorn.asyncio", "serve server"),)),
    ("On trio", "", (("hypercorn.trio", "serve server"),)),
    ("Configuration", "The attributes are the [options](options.md).", (("hypercorn.config", "Config"),)),
    (
        "Worker processes",
        "Guide: [workers](../guide/workers.md#from-a-program).",
        (("hypercorn.supervisor", "Supervisor SupervisorError"),),
    ),
    (
        "Middleware",
        "Guide: [middleware](../guide/middleware.md).",
        (
            ("hypercorn.middleware.dispatcher", "AsyncioDispatcherMiddleware TrioDispatcherMiddleware"),
            ("hypercorn.middleware.wsgi", "AsyncioWSGIMiddleware TrioWSGIMiddleware"),
            ("hypercorn.middleware.static", "StaticFiles"),
            ("hypercorn.middleware.proxy_fix", "ProxyFixMiddleware"),
            ("hypercorn.middleware.http_to_https", "HTTPToHTTPSRedirectMiddleware"),
        ),
    ),
    (
        "Testing",
        "Guide: [testing](../guide/testing.md).",
        (
            ("hypercorn.testing", "TestServer connect"),
            ("hypercorn.testing.memory", "Client"),
            ("hypercorn.testing.clients", "*"),
            ("hypercorn.testing.http3", "*"),
        ),
    ),
    ("Logging", "Guide: [logging](../guide/logging.md).", (("hypercorn.logging", "Logger"),)),
    ("Errors", "", (("hypercorn.errors", "*"),)),
)
# Where users import what is defined elsewhere.
SHOWN = {"hypercorn.api": "hypercorn", "hypercorn.config": "hypercorn", "hypercorn.testing.memory": "hypercorn.testing"}
ARGUMENT = re.compile(r"^(\*{0,2}\w+(?:, \w+)*): (.*)$")


def page() -> str:
    """The text of the page."""
    parts = [INTRODUCTION]
    for heading, words, sources in SECTIONS:
        parts.append(f"## {heading}\n")
        if words:
            parts.append(f"{words}\n")
        for module_name, names in sources:
            module = importlib.import_module(module_name)
            for name in public_names(module) if names == "*" else names.split():
                parts.extend(entry(f"{SHOWN.get(module_name, module_name)}.{name}", getattr(module, name), "###"))
    return "\n".join(parts)


def public_names(module: Any) -> list[str]:
    """Its __all__, or the names of its own classes and functions."""
    own = [name for name, one in vars(module).items() if getattr(one, "__module__", "") == module.__name__]
    return list(getattr(module, "__all__", [name for name in own if not name.startswith("_")]))


def entry(name: str, value: Any, level: str) -> Iterator[str]:
    """A heading, the signature, the docstring; of a class its public methods too."""
    if not (inspect.isclass(value) or callable(value)):
        return
    yield f"{level} {name}\n"
    called = signature(value)
    if called and not (inspect.isclass(value) and issubclass(value, BaseException)):
        yield f"```text\n{name.rpartition('.')[2]}{called}\n```\n"
    yield f"{markdown(inspect.getdoc(value) or '')}\n"
    if inspect.isclass(value) and not issubclass(value, BaseException):
        for key, member in vars(value).items():
            kept = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
            if not key.startswith("_") and (inspect.isfunction(kept) or isinstance(kept, property)) and kept.__doc__:
                shown = signature(kept, method=not isinstance(member, staticmethod)) if inspect.isfunction(kept) else ""
                yield f"**`{key}{shown}`**: {markdown(inspect.getdoc(kept) or '')}\n"


class Words(str):
    """Text that stands for itself."""

    def __repr__(self) -> str:
        return str(self)


def signature(value: Any, method: bool = False) -> str:
    """The arguments as the source has them, without self; one in each line where they do not fit in one."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    parameters = []
    for one in list(found.parameters.values())[1 if method else 0 :]:
        if one.annotation is not one.empty:
            one = one.replace(annotation=Words(one.annotation))
        if inspect.isroutine(one.default):  # its address is another every time
            one = one.replace(default=Words("..."))
        parameters.append(one)
    returned = found.return_annotation
    shown = found.replace(
        parameters=parameters, return_annotation=returned if returned is found.empty else Words(returned)
    )
    text = str(shown)
    if len(text) <= 80 or method:
        return text
    lines, after_star = [], False
    for one in parameters:
        if one.kind is one.KEYWORD_ONLY and not after_star:
            lines.append("    *,")
            after_star = True
        lines.append(f"    {one},")
    end = "" if returned is found.empty else f" -> {returned}"
    return "\n".join(("(", *lines, f"){end}"))


def markdown(text: str) -> str:
    """A docstring as Markdown: lines "name: what it is" become a list; what is indented is code already."""
    lines = []
    listed = False
    for line in text.splitlines():
        found = ARGUMENT.match(line)
        if found is not None and not line.startswith(("Raises", "Returns")):
            if not listed:
                lines.append("")
            lines.append(f"- `{found[1]}`: {found[2]}")
            listed = True
        elif listed and line.startswith("    "):
            lines.append(f"  {line.strip()}")
        else:
            if listed and line:
                lines.append("")
            listed = False
            lines.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip().replace("<", "&lt;")


def main() -> int:
    """Writes or checks. Returns the exit code."""
    text = page()
    if "--check" in sys.argv:
        return int(PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
