"""Coverage-guided fuzzing of the codecs, by atheris (`pip install atheris`; not for every Python).

    python -m tests.fuzz.guided TARGET [--seconds 60] [--corpus FOLDER] [OPTIONS OF LIBFUZZER]

TARGET is a name of `targets.TARGETS`. The functions of the pure twins are the ones whose coverage guides; every input
goes through the compiled twin as well. An input that fails is written to the working folder as `crash-...`.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType

from tests.fuzz import corpora
from tests.fuzz.targets import PURE_MODULES, TARGETS

from hypercorn.net import proxies
from hypercorn.runtime import proxy
from hypercorn.wire import deflate, grammar, http3


def functions(module: ModuleType) -> Iterator[FunctionType]:
    """Those that a module defines, methods too."""
    for owner in (module, *(one for one in vars(module).values() if inspect.isclass(one))):
        if owner is not module and owner.__module__ != module.__name__:
            continue
        for one in list(vars(owner).values()):
            one = one.fget if isinstance(one, property) else one
            if inspect.isfunction(one) and one.__module__ == module.__name__:
                yield one


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage-guided fuzzing of the codecs.")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="folder to begin with, and to keep what is new")
    options, more = parser.parse_known_args()  # the others are libFuzzer's
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed")
    for module in (*PURE_MODULES, grammar, deflate, http3, proxies, proxy):
        for function in functions(module):
            atheris.instrument_func(function)
    target = TARGETS[options.target]
    with tempfile.TemporaryDirectory() as folder:
        for seed in (*target.seeds, *corpora.load(options.target)):
            Path(folder, hashlib.sha1(seed).hexdigest()).write_bytes(seed)
        folders = [str(options.corpus), folder] if options.corpus else [folder]
        limits = [f"-max_total_time={options.seconds}", "-max_len=2000", "-timeout=10", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *folders, *limits, *more], target.call)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
