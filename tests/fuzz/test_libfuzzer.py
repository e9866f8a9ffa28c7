"""Coverage-guided fuzzing of the C sources under the address and undefined-behaviour sanitizers.

Half a minute by default; HYPERCORN_FUZZ_SECONDS sets another time, 0 skips it. It needs clang with libFuzzer.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.fuzz import corpora
from tests.wire.cases import load

ROOT = Path(__file__).resolve().parents[2]
SECONDS = int(os.environ.get("HYPERCORN_FUZZ_SECONDS", "30"))
FLAGS = ["-g", "-O1", "-fno-sanitize-recover=all", "-fsanitize=fuzzer,address,undefined"]

# Under tests/sanitize.sh another sanitizer's library would be loaded before clang's.
CLEAN = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
SCALAR = {"vectors": [], "scalar": ["-U__SSE2__", "-U__ARM_NEON"]}


def compiler(folder: Path) -> str:
    """A clang that links libFuzzer; skips the test where there is none, and says what is missing."""
    if not SECONDS:
        pytest.skip("HYPERCORN_FUZZ_SECONDS is 0")
    clang = os.environ.get("CLANG") or shutil.which("clang")
    if clang is None:
        pytest.skip("clang is not installed")
    probe = folder / "probe.c"
    probe.write_text("int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { return p && n == 0; }\n")
    command = [clang, *FLAGS, str(probe), "-o", str(folder / "probe")]
    built = subprocess.run(command, capture_output=True, text=True, env=CLEAN)
    if built.returncode:
        pytest.skip(f"this clang has no libFuzzer: {built.stderr[-200:]}")
    return clang


def corpus(folder: Path, name: str) -> Path:
    """What the run begins with: the corpus of the tree, and the case file."""
    folder.mkdir()
    for raw in (*corpora.load(name), *(case.raw for case in load())):
        if len(raw) <= 4096:
            (folder / hashlib.sha1(raw).hexdigest()).write_bytes(raw)
    return folder


def test_every_c_file_has_a_target_and_a_corpus() -> None:
    names = {path.stem for path in (ROOT / "csrc").glob("*.c")} - {"core"}  # the table of modules reads no input
    assert names == {path.stem.removesuffix("_fuzz") for path in (ROOT / "csrc/fuzz").glob("*.c")}
    assert all(corpora.load(name) for name in names)


@pytest.mark.parametrize("vectors", ["vectors", "scalar"])
def test_http1(tmp_path: Path, vectors: str) -> None:
    """Both ways to scan: by vectors where the machine has them, and the loop that is always there."""
    fuzz(tmp_path, "http1", vectors, SECONDS // 2)


@pytest.mark.parametrize("vectors", ["vectors", "scalar"])
def test_websocket(tmp_path: Path, vectors: str) -> None:
    """Frame headers, masking and UTF-8, both ways."""
    fuzz(tmp_path, "websocket", vectors, SECONDS // 6)


def test_hpack(tmp_path: Path) -> None:
    """Header blocks: representations, integers, Huffman codes."""
    fuzz(tmp_path, "hpack", "vectors", SECONDS // 6, "http1.c")


def fuzz(tmp_path: Path, name: str, vectors: str, seconds: int, *more: str) -> None:
    """Builds a target and runs it."""
    target = tmp_path / f"{name}_fuzz"
    sources = [str(ROOT / "csrc" / path) for path in (f"{name}.c", f"fuzz/{name}_fuzz.c", *more)]
    command = [compiler(tmp_path), *FLAGS, *SCALAR[vectors], f"-I{ROOT / 'csrc'}", *sources, "-o", str(target)]
    subprocess.run(command, check=True, env=CLEAN)
    run = subprocess.run(
        [
            str(target),
            str(corpus(tmp_path / "corpus", name)),
            f"-max_total_time={max(seconds, 1)}",
            "-max_len=4096",
            "-timeout=5",
            "-seed=1",
            "-verbosity=0",
            "-print_final_stats=1",
            f"-artifact_prefix={tmp_path}/",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=CLEAN,
    )
    print(run.stderr[-2000:])
    assert run.returncode == 0, run.stderr[-4000:]
    assert "stat::number_of_executed_units" in run.stderr
