"""Builds the compiled core: one extension, `hypercorn._core`, with all modules inside. pyproject.toml has the rest.

It is optional as a whole: where it does not build, the package is the pure build (one half of a compiled core could not
talk to the other). `hypercorn/_build.py` finds the modules in it, by the table of csrc/core.c.

    HYPERCORN_NO_EXTENSIONS=1       build none
    HYPERCORN_REQUIRE_EXTENSIONS=1  a failed compile is an error
    CFLAGS=-O0                      builds faster, for tests; any -O in it replaces -Og and -O2, and keeps the symbols
    HYPERCORN_SANITIZE=1            with the address and undefined-behaviour sanitizers (gcc or clang)
    HYPERCORN_KQUEUE=1              the reactor over the kqueue of tests/platforms/kqueue, for tests on Linux
    HYPERCORN_PROJECT_URL=URL       where the repository is: package indexes get links that work there (releases set it,
                                    and their sdist keeps it)
    HYPERCORN_AUTHOR_EMAIL=ADDRESS  whom package indexes name as the author's address (releases set it)
    HYPERCORN_FREE_THREADED=1       says that they need no GIL; not the default before the tests have run without one
"""

import os
import platform
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from email import message_from_file
from glob import glob

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

SKIP = os.environ.get("HYPERCORN_NO_EXTENSIONS") == "1"
REQUIRE = os.environ.get("HYPERCORN_REQUIRE_EXTENSIONS") == "1"
SANITIZE = os.environ.get("HYPERCORN_SANITIZE") == "1"
KQUEUE = os.environ.get("HYPERCORN_KQUEUE") == "1"
FREE_THREADED = os.environ.get("HYPERCORN_FREE_THREADED") == "1"

# Twins: a .pyx beside a .py of the same name and contract.
TWINS = ["logs.access_json", "clock", "objects", "wire.http1_primitives", "wire.octets", "wire.primitives"]
# Compiled only: where it is missing, the loops' own transports do the same work.
if sys.platform != "win32":
    TWINS.append("runtime.reactor")
# Ordinary Python that Cython compiles by the .pxd beside it.
TWICE = sorted(
    path[len("src/hypercorn/") : -len(".pxd")].replace(os.sep, ".")
    for path in glob("src/hypercorn/**/*.pxd", recursive=True)
    if os.path.exists(path[: -len(".pxd")] + ".py") and not os.path.exists(path[: -len(".pxd")] + ".pyx")
)
# What each request of HTTP/1.1 goes through, and what touches octets: compiled with -O2. The rest has -Og, which takes
# 2/5 of the time; bench/NOTES.md has the figures.
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
    "wire.http1_primitives",
    "wire.octets",
    "wire.primitives",
    "wire.websocket",
    "wire.writing",
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
# many instructions more. And integers are read by Python's own functions, not by their digits.
COLD_DIRECTIVES = {"binding": False, "optimize.unpack_method_calls": False}
COLD_MACROS = [("CYTHON_USE_PYLONG_INTERNALS", "0")]


# Cython's own functions, once for all modules instead of in each.
SHARED = "_cython"
C_FILES = ["csrc/core.c", "csrc/hpack.c", "csrc/http1.c", "csrc/websocket.c"]


class BuildCore(build_ext):
    """Compiles all modules, several at once, and links them into one extension, or leaves none behind."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count() or 1

    def build_extension(self, ext: Extension) -> None:
        target = self.get_ext_fullpath(ext.name)
        try:
            ext.extra_objects = self.compile_modules()
            ext.depends = [*ext.depends, *ext.extra_objects]  # linked again where one of them is newer
            ext.include_dirs = [*INCLUDES, self.build_temp]
            super().build_extension(ext)
        except Exception as error:
            if REQUIRE:
                raise
            if os.path.exists(target):
                os.unlink(target)
            print(f"hypercorn: the compiled core was not built ({error}); installing the pure build", file=sys.stderr)
            self.extensions = []

    def compile_modules(self) -> list[str]:
        """Makes the list of modules for csrc/core.c, and an object of each module; returns the objects."""
        os.makedirs(self.build_temp, exist_ok=True)
        names = [SHARED, *modules()]
        table = "".join(f'MODULE({name.replace(".", "_")}, "hypercorn.{name}")\n' for name in names)
        with open(os.path.join(self.build_temp, "core_modules.h"), "w", encoding="utf-8") as file:
            file.write(table)
        names.sort(key=lambda name: -os.path.getsize(source(name)) if name != SHARED else -1_000_000)
        # One more than processors: Cython runs in this process, one module at a time, beside the compilers.
        with ThreadPoolExecutor(self.parallel + 1) as threads:
            return [path for paths in threads.map(self.compile_module, names) for path in paths]

    def compile_module(self, name: str) -> list[str]:
        """One module into C, and that into an object whose initialiser is named after the whole path."""
        if name == SHARED:
            path = os.path.join(self.build_temp, f"{name}.c")
            flag = ["-X", f"freethreading_compatible={FREE_THREADED}"]
            subprocess.run([sys.executable, "-m", "cython", *flag, f"--generate-shared={path}"], check=True)
        else:
            path = self.translate(name)
        last = name.rpartition(".")[2]
        macros = [(f"PyInit_{last}", f"PyInit_{name.replace('.', '_')}")] if last != name else []
        if name not in HOT:
            macros += COLD_MACROS
        if KQUEUE:
            macros.append(("HC_KQUEUE", "1"))
        objects = self.compiler.object_filenames([path], output_dir=self.build_temp)
        if not self.force and not newer_group([path, *glob("csrc/*.h")], objects[0]):
            return objects
        return self.compiler.compile(
            [path],
            output_dir=self.build_temp,
            macros=macros,
            include_dirs=INCLUDES,
            extra_postargs=compiler_flags(name),
        )

    def translate(self, name: str) -> str:
        """The C file of a module, made by Cython where the sources are newer."""
        from Cython.Build import cythonize

        (made,) = cythonize(
            [Extension(f"hypercorn.{name}", [source(name)])],
            force=bool(self.force),
            quiet=True,
            build_dir=self.build_temp,
            include_path=["src"],
            compiler_directives={**DIRECTIVES, **({} if name in HOT else COLD_DIRECTIVES)},
            shared_utility_qualified_name=f"hypercorn.{SHARED}",
        )
        return made.sources[0]


INCLUDES = ["csrc", *(["tests/platforms/kqueue"] if KQUEUE else [])]


def modules() -> list[str]:
    """The names of all compiled modules, below the package."""
    return [name for name in [*TWINS, *TWICE] if os.path.exists(source(name))]


def source(name: str) -> str:
    """The file of a module that Cython reads."""
    return f"src/hypercorn/{name.replace('.', '/')}.{'pyx' if name in TWINS else 'py'}"


def compiler_flags(name: str = "") -> list[str]:
    """For the compiler, of one module, or of the files in C.

    -g0 drops the debug information that Python's own flags ask for: a third of the time to build, 4/5 of the size.
    """
    if sys.platform == "win32":
        return []
    common = ["-fno-strict-aliasing", "-Wno-unused-function"]
    if sys.maxsize < 1 << 32 and platform.machine() in {"i386", "i486", "i586", "i686", "x86_64"}:
        # The x87 computes with more digits than a double has: a variable gets what a float of Python would have.
        common.append("-fexcess-precision=standard")
    if SANITIZE:
        checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
        return [*common, *checks, "-O1", "-g", "-fno-omit-frame-pointer"]
    if "-O" in os.environ.get("CFLAGS", ""):  # somebody has chosen
        return [*common, "-g0"]
    return [*common, "-O2" if name in HOT or not name else "-Og", "-g0"]


def linker_flags() -> list[str]:
    """For the linker. -s drops the names of static functions: a seventh of the size."""
    if SANITIZE:
        return ["-fsanitize=address,undefined"]
    return ["-Wl,-s"] if sys.platform == "linux" and "-O" not in os.environ.get("CFLAGS", "") else []


def extensions() -> list:
    """The core, or nothing where it is switched off (an sdist always lists it)."""
    if SKIP and "sdist" not in sys.argv:
        return []
    try:
        import Cython  # noqa: F401
    except ImportError:
        if REQUIRE:
            raise
        return []
    files = [source(name) for name in modules()]
    return [
        Extension(
            "hypercorn._core",
            C_FILES,
            include_dirs=INCLUDES,
            define_macros=[("HC_FREE_THREADED", "1")] if FREE_THREADED else [],
            extra_compile_args=compiler_flags(),
            extra_link_args=linker_flags(),
            depends=[*files, *glob("csrc/*.[ch]"), *glob("src/hypercorn/**/*.px[di]", recursive=True)],
        )
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
        cmdclass={"build_ext": BuildCore},
        author="The Hypercorn authors",
        author_email=os.environ.get("HYPERCORN_AUTHOR_EMAIL", email),
        long_description=description(project),
        long_description_content_type="text/markdown",
        project_urls=project_urls(project),
    )
