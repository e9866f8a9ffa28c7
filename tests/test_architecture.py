"""The house: six floors, each of which imports only from below; and the rules that every source file keeps."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "hypercorn"
GROUND, WIRE, PROTOCOL, ASGI, RUNTIME, PROCESS = range(6)
LONGEST_FILE = 1000  # lines; a class that is one idea stays in one file
LONGEST_FUNCTION = 60  # lines; shorter than this

# The floor of every module and package; a longer name wins.
FLOORS = {
    "": GROUND,  # the package itself, which loads Config when asked
    "__pyinstaller": GROUND,
    "_cpython": GROUND,
    "_build": GROUND,
    "_toml": GROUND,
    "certificates": GROUND,
    "app_wrappers": GROUND,
    "application_types": GROUND,
    "clock": GROUND,
    "compat": GROUND,
    "config": GROUND,
    "errors": GROUND,
    "events": GROUND,
    "logging": GROUND,
    "logs": GROUND,
    "metrics": GROUND,
    "net": GROUND,
    "objects": GROUND,
    "statsd": GROUND,
    "typing": GROUND,
    "utils": GROUND,
    "wire": WIRE,
    "protocol": PROTOCOL,
    "asgi": ASGI,
    "middleware": ASGI,
    "middleware.dispatcher": RUNTIME,  # one class for each loop
    "middleware.wsgi": RUNTIME,  # the same
    "asyncio": RUNTIME,
    "trio": RUNTIME,
    "runtime": RUNTIME,
    "testing": RUNTIME,
    "__main__": PROCESS,
    "api": PROCESS,
    "cli": PROCESS,
    "django": PROCESS,
    "pytest_plugin": PROCESS,
    "run": PROCESS,
    "supervisor": PROCESS,
}
LOOPS = ("asyncio", "trio", "uvloop", "sniffio", "anyio")
CIMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+cimport\s+([\w, ()]+)|cimport\s+([\w.]+))", re.MULTILINE)
IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+import\s+|import\s+([\w.]+))", re.MULTILINE)

SOURCES = sorted(PACKAGE.rglob("*.py"))
CYTHON = sorted([*PACKAGE.rglob("*.pyx"), *PACKAGE.rglob("*.pxd")])


def name_of(path: Path) -> str:
    """The module that a file is, below the package: "protocol.http1", "asgi" for its __init__, "" for the package."""
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def floor_of(name: str) -> int:
    while name not in FLOORS:
        assert "." in name, f"{name} has no floor: add it to FLOORS"
        name = name.rpartition(".")[0]
    return FLOORS[name]


def imports_of(path: Path, for_checkers: bool = False) -> Iterator[str]:
    """Full names of the modules that a file imports; those for type checkers alone only with `for_checkers`."""
    text = path.read_text()
    if path.suffix == ".py":
        tree = ast.parse(text)
        for_types = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            for statement in node.body
            for inner in ast.walk(statement)
        }
        for node in ast.walk(tree):
            if id(node) in for_types and not for_checkers:
                continue
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path}: relative import"
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
    else:
        for match in CIMPORT.finditer(text):
            yield match[1] or match[3]
        for match in IMPORT.finditer(text):
            yield match[1] or match[2]


def ours(imported: str) -> str | None:
    """The module of this package that an imported name lies in, or None."""
    if imported.partition(".")[0] != "hypercorn":
        return None
    name = imported[len("hypercorn") :].lstrip(".")
    while name:
        base = PACKAGE.joinpath(*name.split("."))
        if base.is_dir() or any(base.with_suffix(suffix).exists() for suffix in (".py", ".pyx", ".pxd")):
            return name
        name = name.rpartition(".")[0]
    return ""


def ids(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", [*SOURCES, *CYTHON], ids=ids)
def test_imports_go_down(path: Path) -> None:
    name = name_of(path)
    floor = floor_of(name)
    for imported in imports_of(path):
        target = ours(imported)
        if target:
            assert floor_of(target) <= floor, f"{name or 'the package'} imports {imported}, which is on a floor above"


def import_graph(paths: Iterable[Path]) -> dict[str, set[str]]:
    """What each module imports of this package, at the top, inside of functions and for type checkers.

    Whoever imports a module imports the packages that it lies in too, but for those that the importer lies in.
    """
    graph: dict[str, set[str]] = {}
    for path in paths:
        name = name_of(path)
        targets = graph.setdefault(name, set())
        for imported in imports_of(path, for_checkers=True):
            target = ours(imported)
            while target:
                if target != name and not name.startswith(target + "."):
                    targets.add(target)
                target = target.rpartition(".")[0]
    return graph


def circles_of(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that import each other, directly or by way of others (Tarjan's algorithm)."""
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        numbers[name] = lowest[name] = len(numbers)
        stack.append(name)
        for target in graph.get(name, ()):
            if target not in numbers:
                visit(target)
            if target in stack:
                lowest[name] = min(lowest[name], lowest[target])
        if lowest[name] == numbers[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in graph:
        if name not in numbers:
            visit(name)
    return found


def test_no_modules_import_each_other() -> None:
    """No circle, those of type checkers and of imports inside of functions included. The package itself is left out:
    every module lies in it, and it loads `Config` when asked."""
    assert circles_of(import_graph([*SOURCES, *CYTHON])) == []


def test_circles_are_found() -> None:
    assert circles_of({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}, "e": {"a"}}) == [["b", "c", "d"]]
    assert circles_of({"a": {"b"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("path", [*SOURCES, *CYTHON], ids=ids)
def test_only_the_runtimes_know_an_event_loop(path: Path) -> None:
    name = name_of(path)
    package = name.partition(".")[0]
    for imported in imports_of(path):
        library = imported.partition(".")[0]
        if library in LOOPS:
            # `_cpython` marks functions for the loops' own libraries.
            assert floor_of(name) >= RUNTIME or package == "_cpython", f"{name} imports {library}"
            assert package not in ("runtime", "testing"), f"{name} is for every loop, and imports {library}"


@pytest.mark.parametrize("path", [*SOURCES, *CYTHON], ids=ids)
def test_the_two_runtimes_do_not_know_each_other(path: Path) -> None:
    package = name_of(path).partition(".")[0]
    others = {
        "asyncio": ("trio",),
        "trio": ("asyncio",),
        "runtime": ("asyncio", "trio"),
        "testing": ("asyncio", "trio"),
    }
    for imported in imports_of(path):
        target = ours(imported)
        if target and package in others:
            assert target.partition(".")[0] not in others[package], f"{name_of(path)} imports {imported}"


@pytest.mark.parametrize("path", [path for path in SOURCES if path.with_suffix(".pxd").exists()], ids=ids)
def test_compiled_files_have_no_coroutines(path: Path) -> None:
    """A coroutine of Cython is slower than Python's own, and no loop's tools know it."""
    tree = ast.parse(path.read_text())
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)] == []


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_files_and_functions_are_short_and_documented(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module says what it is for"
    assert text.count("\n") <= LONGEST_FILE
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            written = "Made from the option table" not in text  # else a script wrote a line for each option
            assert length < LONGEST_FUNCTION or not written, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", [path for path in CYTHON if path.suffix == ".pyx"], ids=ids)
def test_cython_files_are_short_and_documented(path: Path) -> None:
    text = path.read_text()
    assert text.partition("\n")[2].startswith('"""'), "a module says what it is for"
    assert text.count("\n") <= LONGEST_FILE


def kind_of(path: Path) -> str:
    """What a Cython file is, told from the files beside it."""
    if path.suffix == ".pyx":
        return f"twin of {path.stem}.py" if path.with_suffix(".py").exists() else "compiled only"
    for suffix in (".pyx", ".py"):
        if path.with_suffix(suffix).exists():
            return f"types of {path.stem}{suffix}"
    return "compiled only"


@pytest.mark.parametrize("path", CYTHON, ids=ids)
def test_the_first_line_of_a_cython_file_says_what_it_is(path: Path) -> None:
    assert path.read_text().partition("\n")[0] == f"# {kind_of(path)}"


def test_the_architecture_page_lists_the_cython_files() -> None:
    """All but those that only give an ordinary Python file its C types."""
    page = (PACKAGE.parents[1] / "docs" / "architecture.md").read_text()
    rows = dict(re.findall(r"^\| `([\w/]+\.p\w+)` \| ([^|]+) \|", page, re.MULTILINE))
    kinds = {path.relative_to(PACKAGE).as_posix(): kind_of(path) for path in CYTHON}
    assert rows == {name: kind for name, kind in kinds.items() if not kind.startswith("types of")}


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_annotations_are_never_evaluated(path: Path) -> None:
    """The code runs on Python 3.10, whatever its annotations use."""
    tree = ast.parse(path.read_text())
    has_code = any(not isinstance(node, ast.Expr) for node in tree.body)
    imports = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert not has_code or "annotations" in imports


def test_every_module_has_its_floor() -> None:
    names = {name_of(path).partition(".")[0] for path in SOURCES}
    assert names <= set(FLOORS), names - set(FLOORS)


def test_the_checks_see_what_they_look_for(tmp_path: Path) -> None:
    """They can fail."""
    source = tmp_path / "x.py"
    source.write_text(
        "def f():\n    import trio\nfrom hypercorn.asgi.http import HTTPExchange\nfrom hypercorn import cli\n"
        "if TYPE_CHECKING:\n    from hypercorn.config import Config\n"
    )
    assert "hypercorn.config.Config" in set(imports_of(source, for_checkers=True))
    found = set(imports_of(source))
    assert found == {"trio", "hypercorn.asgi.http.HTTPExchange", "hypercorn.cli"}
    assert {ours(name) for name in found} == {None, "asgi.http", "cli"}
    source = tmp_path / "x.pxd"
    source.write_text("from hypercorn.protocol.ports cimport Connection\ncimport cython\n")
    assert set(imports_of(source)) == {"hypercorn.protocol.ports", "cython"}


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("protocol.http1.connection", "HTTP1Connection"),
        ("protocol.http2.connection", "HTTP2Connection"),
        ("protocol.http2.stream", "HTTP2Stream"),
        ("protocol.http3.connection", "HTTP3Connection"),
        ("protocol.http3.stream", "HTTP3Stream"),
        ("protocol.websocket.connection", "WebSocketConnection"),
    ],
)
def test_a_connection_is_read_in_three_classes_at_most(module: str, name: str) -> None:
    if "http3" in module:
        pytest.importorskip("aioquic")
    found = getattr(importlib.import_module(f"hypercorn.{module}"), name)
    assert len(found.__mro__) - 1 <= 3  # object is none


def booleans_of(source: ast.ClassDef) -> set[str]:
    """The attributes of a class that hold True or False, as it declares or first assigns them."""
    found = set()
    for node in ast.walk(source):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool):
            found |= {x.attr for x in node.targets if isinstance(x, ast.Attribute) and ast.unparse(x.value) == "self"}
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "bool":
            found.add(ast.unparse(node.target).removeprefix("self."))
    return found


def test_classes_have_states_and_few_booleans() -> None:
    """Five that a class has of its own, at most: more of them are a state that nobody has named."""
    classes = {
        node.name: node
        for path in SOURCES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    }

    def inherited(node: ast.ClassDef) -> set[str]:
        bases = (classes.get(ast.unparse(base).rpartition(".")[2]) for base in node.bases)
        return set().union(*(booleans_of(base) | inherited(base) for base in bases if base is not None))

    assert "writing_paused" in booleans_of(classes["Transport"])
    for name, node in classes.items():
        found = booleans_of(node) - inherited(node)
        assert len(found) <= 5, (name, sorted(found))
    for path in CYTHON:
        if path.suffix != ".pxd":
            for text in re.split(r"^cdef class ", path.read_text(), flags=re.MULTILINE)[1:]:
                lines = re.findall(r"^    cdef [\w ]*bint ([\w, ]+?)\s*(?:#|$)", text, re.MULTILINE)
                assert len(", ".join(lines).split(", ")) <= 5, (path.name, text.splitlines()[0], lines)


def test_http3_is_no_http2() -> None:
    for path in (PACKAGE / "protocol" / "http3").glob("*.py"):
        assert "protocol.http2" not in path.read_text(), path


def test_what_is_optimised_is_compiled() -> None:
    """A module that was renamed keeps its flags only if setup.py names it anew."""
    text = (PACKAGE.parents[1] / "setup.py").read_text()
    hot = next(
        ast.literal_eval(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "HOT"
    )
    assert hot <= {name_of(path) for path in CYTHON if path.suffix == ".pxd"}, hot


def test_types_say_what_values_are() -> None:
    """`Any` stands where ASGI, WSGI or a library leaves a value open; `type: ignore` where a checker is wrong."""
    lines = [line for path in [*SOURCES, *PACKAGE.rglob("*.pyi")] for line in path.read_text().splitlines()]
    assert 0 < sum(1 for line in lines if re.search(r"\bAny\b", line)) < 200
    assert sum(1 for line in lines if "type: ignore" in line) < 10
