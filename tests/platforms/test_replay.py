"""The fuzz targets over their corpora without libFuzzer: under the thread sanitizer, and on other processors.

A processor needs a compiler for it and qemu-user; arm64 runs the vectors of NEON, s390x has the bytes of a word in the
other order, i686 has 32 bits.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGETS = {"http1": ["http1.c"], "websocket": ["websocket.c"], "hpack": ["hpack.c", "http1.c"]}
PROCESSORS = {
    "arm64": ("aarch64-linux-gnu-gcc", "qemu-aarch64-static"),
    "s390x": ("s390x-linux-gnu-gcc", "qemu-s390x-static"),
    "i686": ("i686-linux-gnu-gcc", "qemu-i386-static"),
}
CLEAN = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}  # no other sanitizer's library


def build(compiler: str, folder: Path, name: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """The program `replay` of a target."""
    files = [*(ROOT / "csrc" / path for path in TARGETS[name]), ROOT / f"csrc/fuzz/{name}_fuzz.c"]
    sources = [str(path) for path in [*files, ROOT / "tests/platforms/replay.c"]]
    command = [compiler, "-O1", "-g", "-pthread", *flags, f"-I{ROOT / 'csrc'}", *sources, "-o", str(folder / "replay")]
    return subprocess.run(command, capture_output=True, text=True, env=CLEAN, check=False)


def replay(folder: Path, name: str, threads: int, *emulator: str) -> None:
    command = [*emulator, str(folder / "replay"), str(ROOT / f"tests/data/corpora/{name}.hex"), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, env=CLEAN, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"inputs in {threads} threads" in done.stdout


@pytest.mark.parametrize("name", TARGETS)
def test_threads_share_nothing(name: str, tmp_path: Path) -> None:
    """The codecs' C in four threads at once, under the thread sanitizer."""
    compiler = next((found for found in map(shutil.which, ("clang", "gcc")) if found), None)
    if compiler is None:
        pytest.skip("neither clang nor gcc is installed")
    built = build(compiler, tmp_path, name, "-fsanitize=thread")
    if built.returncode:
        pytest.skip(f"{compiler} has no thread sanitizer: {built.stderr[-200:]}")
    # Where addresses are laid out at random, the sanitizer does not always find room for its own.
    fixed = [path, "-R"] if (path := shutil.which("setarch")) else []
    replay(tmp_path, name, 4, *fixed)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("processor", PROCESSORS)
def test_processor(processor: str, name: str, tmp_path: Path) -> None:
    compiler, emulator = PROCESSORS[processor]
    for tool in (compiler, emulator):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    built = build(compiler, tmp_path, name, "-static")
    assert built.returncode == 0, built.stderr
    replay(tmp_path, name, 1, emulator)
