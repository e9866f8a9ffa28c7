"""Uses of private parts of the interpreter or its standard library: one file for each, with its invariant, the changes
that would break it, and a probe.

`HYPERCORN_PLAIN=1` switches all of it off: then only public parts are used, and what they cannot do is left out.
"""

from __future__ import annotations

import os

PLAIN = os.environ.get("HYPERCORN_PLAIN", "") not in ("", "0")
