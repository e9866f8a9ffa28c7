"""Builds the compiled core. Everything else stands in pyproject.toml.

The extensions are optional as a whole: either all of them build, or none is installed and the package is
the pure build (one half of a compiled core could not talk to the other).

    HYPERCORN_NO_EXTENSIONS=1       build none
    HYPERCORN_REQUIRE_EXTENSIONS=1  a failed compile is an error
    CFLAGS=-O0                      builds faster, for tests; any -O in it replaces -O1 and -O2, and keeps the symbols
    HYPERCORN_SANITIZE=1            with the address and undefined-behaviour sanitizers (gcc or clang)
    HYPERCORN_KQUEUE=1              the reactor over the kqueue of tests/platforms/kqueue, for tests on Linux
    HYPERCORN_PROJECT_URL=URL       where the repository is: package indexes get links that work there (releases set it,
                                    and their sdist keeps it)
    HYPERCORN_AUTHOR_EMAIL=ADDRESS  whom package indexes name as the author's address (releases set it)
    HYPERCORN_FREE_THREADED=1       says that they need no GIL; not the default before the tests have run without one
"""

import os
import re
import sys
from email import message_from_file
from glob import glob

from setuptools import setup
from setuptools.command.build_ext import build_ext

SKIP = os.environ.get("HYPERCORN_NO_EXTENSIONS") == "1"
REQUIRE = os.environ.get("HYPERCORN_REQUIRE_EXTENSIONS") == "1"
SANITIZE = os.environ.get("HYPERCORN_SANITIZE") == "1"
KQUEUE = os.environ.get("HYPERCORN_KQUEUE") == "1"
FREE_THREADED = os.environ.get("HYPERCORN_FREE_THREADED") == "1"

# Twins: a .pyx beside a .py of the same name and contract, with the C files that it needs.
TWINS = {
    "logs.access_json": [],
    "clock": [],
    "objects": [],
    "wire.http1": ["csrc/http1.c"],
    "wire.octets": [],
    "wire.primitives": ["csrc/hpack.c", "csrc/http1.c", "csrc/websocket.c"],
}
# Compiled only: where it is missing, the loops' own transports do the same work.
if sys.platform != "win32":
    TWINS["runtime.reactor"] = []
# Ordinary Python that Cython compiles by the .pxd beside it.
TWICE = sorted(
    path[len("src/hypercorn/") : -len(".pxd")].replace(os.sep, ".")
    for path in glob("src/hypercorn/**/*.pxd", recursive=True)
    if os.path.exists(path[: -len(".pxd")] + ".py") and not os.path.exists(path[: -len(".pxd")] + ".pyx")
)
# What each request of HTTP/1.1 goes through, and what touches octets: compiled with -O2. The rest has -O1, which takes
# half of the time.
HOT = {
    "asgi.context",
    "asgi.exchange",
    "asgi.http",
    "asgi.scope",
    "asyncio.loop",
    "protocol.http1.connection",
    "protocol.http1.response",
    "protocol.progress",
    "protocol.ports",
    "protocol.records",
    "protocol.response_fields",
    "wire.head",
    "wire.hpack",
    "wire.http1",
    "wire.octets",
    "wire.primitives",
    "wire.websocket",
}
DIRECTIVES = {
    "language_level": "3",
    "annotation_typing": False,  # C types come from the .pxd alone
    "boundscheck": False,
    "wraparound": False,
    "freethreading_compatible": FREE_THREADED,
    "embedsignature": False,
    "auto_pickle": False,  # nothing of this is ever pickled, and the code for it is a quarter of all
}
# Outside of HOT: functions and methods as those of C, a fifth less to compile and to load; a bound method takes half as
# many instructions more.
COLD_DIRECTIVES = {"binding": False, "optimize.unpack_method_calls": False}


class BuildAllOrNone(build_ext):
    """Compiles every extension, several at once, or leaves none behind."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count() or 1

    def build_extensions(self) -> None:
        try:
            super().build_extensions()
        except Exception as error:
            if REQUIRE:
                raise
            for extension in self.extensions:
                for path in (self.get_ext_fullpath(extension.name),):
                    if os.path.exists(path):
                        os.unlink(path)
            print(f"hypercorn: the compiled core was not built ({error}); installing the pure build", file=sys.stderr)
            self.extensions = []


def compiler_flags(name: str) -> tuple[list[str], list[str]]:
    """For the compiler and the linker of one module.

    -g0 drops the debug information that Python's own flags ask for: a third of the time to build, 4/5 of the size.
    -s drops the names of static functions: a seventh of the size.
    """
    if sys.platform == "win32":
        return [], []
    common = ["-fno-strict-aliasing", "-Wno-unused-function"]
    if SANITIZE:
        checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
        return [*common, *checks, "-O1", "-g", "-fno-omit-frame-pointer"], checks
    if "-O" in os.environ.get("CFLAGS", ""):  # somebody has chosen
        return [*common, "-g0"], []
    return [*common, "-O2" if name in HOT else "-O1", "-g0"], ["-Wl,-s"] if sys.platform == "linux" else []


def extensions() -> list:
    """All extensions, or none where they are switched off (an sdist always lists them)."""
    if SKIP and "sdist" not in sys.argv:
        return []
    try:
        from Cython.Distutils import Extension
    except ImportError:
        if REQUIRE:
            raise
        return []
    depends = glob("csrc/*.[ch]") + glob("src/hypercorn/**/*.px[di]", recursive=True)
    names = [(name, [f"src/hypercorn/{name.replace('.', '/')}.pyx", *c]) for name, c in TWINS.items()]
    names += [(name, [f"src/hypercorn/{name.replace('.', '/')}.py"]) for name in TWICE]
    return [
        Extension(
            f"hypercorn.{name}",
            sources,
            include_dirs=["csrc", *(["tests/platforms/kqueue"] if KQUEUE else [])],
            define_macros=[("HC_KQUEUE", "1")] if KQUEUE else [],
            extra_compile_args=compiler_flags(name)[0],
            extra_link_args=compiler_flags(name)[1],
            depends=depends,
            cython_include_dirs=["src"],
            cython_directives={**DIRECTIVES, **({} if name in HOT else COLD_DIRECTIVES)},
            cython_c_in_temp=True,
        )
        for name, sources in names
        if os.path.exists(sources[0])
    ]


def version() -> str:
    """The version, read from the source."""
    with open("src/hypercorn/__init__.py", encoding="utf-8") as file:
        return re.findall(r'^__version__ = "(.*)"$', file.read(), re.MULTILINE)[0]


def description(url: str) -> str:
    """README.md as package indexes show it. Relative links lead nowhere there, so they become links to this version's
    files in the repository at `url`, if that is known; pictures are taken from there as they are."""
    with open("README.md", encoding="utf-8") as file:
        text = file.read()
    if not url:
        return text
    text = re.sub(r"(!\[[^\]]*\]\()(?![a-z]+:|#)", rf"\1{url}/raw/v{version()}/", text)
    return re.sub(r"((?<!!)\[[^\]!]*\]\()(?![a-z]+:|#)", rf"\1{url}/blob/v{version()}/", text)


def project_urls(url: str) -> dict[str, str]:
    """The links that an index shows beside the description."""
    if not url:
        return {}
    tag = f"{url}/blob/v{version()}"
    return {
        "Homepage": url,
        "Documentation": f"{tag}/docs/index.md",
        "Source": url,
        "Issues": f"{url}/issues",
        "Changelog": f"{tag}/CHANGELOG.md",
        "Security": f"{tag}/SECURITY.md",
    }


def of_the_sdist() -> tuple[str, str | None]:
    """The repository's URL and the author's address that the release wrote into its sdist: what is built from that has
    them too, on whatever machine. Empty in a checkout."""
    if not os.path.exists("PKG-INFO"):
        return "", None
    with open("PKG-INFO", encoding="utf-8") as file:
        said = message_from_file(file)
    urls = dict(line.split(", ", 1) for line in said.get_all("Project-URL", []))
    return urls.get("Source", ""), said["Author-email"]


if __name__ == "__main__":
    url, email = of_the_sdist()
    project = os.environ.get("HYPERCORN_PROJECT_URL", url).rstrip("/")
    setup(
        ext_modules=extensions(),
        cmdclass={"build_ext": BuildAllOrNone},
        author="The Hypercorn authors",
        author_email=os.environ.get("HYPERCORN_AUTHOR_EMAIL", email),
        long_description=description(project),
        long_description_content_type="text/markdown",
        project_urls=project_urls(project),
    )
