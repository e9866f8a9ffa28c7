"""Which files of this folder there is something to run for."""

from __future__ import annotations

from tests.support.live import reactor_is_there

# The reactor is a part of the compiled build alone; the suites over `driver` hold the loops' transports to the same.
collect_ignore = [] if reactor_is_there() else ["test_beginning.py", "test_reactor.py"]
