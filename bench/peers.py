"""Makes the virtual environment with the servers to compare with, at fixed versions.

python -m bench.peers DIR      with this very interpreter, as the peers should run on the same one
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

LIST = Path(__file__).with_name("peers.txt")


def requirements() -> list[str]:
    """The lines of `peers.txt` that name a package."""
    lines = (line.partition("#")[0].strip() for line in LIST.read_text().splitlines())
    return [line for line in lines if line]


def make(folder: Path) -> list[str]:
    """Creates the environment and fills it. Returns what could not be installed (not all support every Python)."""
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*pip, "-r", str(LIST)]).returncode == 0:
        return []
    print("not all can be installed together; trying one after the other", file=sys.stderr)
    return [name for name in requirements() if subprocess.run([*pip, name]).returncode]


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m bench.peers DIR", file=sys.stderr)
        return 2
    missing = make(Path(arguments[0]))
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
    print(f"now: python -m bench.servers --peers {arguments[0]}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
