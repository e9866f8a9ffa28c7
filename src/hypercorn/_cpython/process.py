"""The end of an interpreter that does not end by its main program: threads and functions of `atexit`.

A forked worker lives inside of the frames of its parent's main program, and must not run those to their end. A worker
whose threads do not end is ended by a thread of the server's own. In both, the interpreter never gets to the place
where it waits for threads and runs the functions of `atexit`, so the server does it: by `threading._shutdown`,
`atexit._run_exitfuncs` and, after a fork, `atexit._clear` for the functions that are the parent's.

Invariant: `_shutdown()` ends the pools of `concurrent.futures` and waits for threads that are no daemons,
`_run_exitfuncs()` runs what was registered and then knows nothing of it any more, `_clear()` forgets it.
What breaks it: a Python without them, which none from 3.10 to 3.15 is. Then, or under `HYPERCORN_PLAIN=1`, such a
process ends without waiting for threads and without functions of `atexit`. No public function does any of the three;
none of them is called while requests are served.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable

from hypercorn._cpython import PLAIN


def private(module: object, name: str) -> Callable[[], None]:
    """A function without arguments, or one that does nothing where it is not there or not wanted."""
    function: Callable[[], None] | None = None if PLAIN else getattr(module, name, None)
    return function if function is not None else lambda: None


def forget_exit_functions() -> None:
    """Forgets what was registered with `atexit`."""
    private(atexit, "_clear")()


def end_threads() -> None:
    """Ends idle threads of pools, and waits for all that are no daemons."""
    private(threading, "_shutdown")()


def run_exit_functions() -> None:
    """Runs what was registered with `atexit`."""
    private(atexit, "_run_exitfuncs")()
