"""The corpora of the fuzzers: for each target a file of hexadecimal lines, an input in each.

    python -m tests.fuzz.corpora TARGET FOLDER    adds the inputs of a folder, as libFuzzer's -merge=1 leaves them

What once made a target fail goes there too.
"""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "data" / "corpora"
LONGEST = 160  # bytes of an input that is kept: the corpora of the tree stay small
MOST = 200


def load(target: str) -> list[bytes]:
    """The inputs of a target, none where it has no file."""
    file = FOLDER / f"{target}.hex"
    return [bytes.fromhex(line) for line in file.read_text().split()] if file.exists() else []


def add(target: str, folder: Path) -> int:
    """Adds those of a folder, shortest first. Returns how many there are now."""
    found = [path.read_bytes() for path in folder.iterdir() if path.is_file()]
    kept = load(target)
    new = sorted({one for one in found if 0 < len(one) <= LONGEST} - set(kept), key=lambda one: (len(one), one))
    kept += new[: max(0, MOST - len(kept))]
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{target}.hex").write_text("".join(f"{one.hex()}\n" for one in kept))
    return len(kept)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m tests.fuzz.corpora TARGET FOLDER")
    print(add(sys.argv[1], Path(sys.argv[2])))
