"""fastpysgi has no command line: python -m bench.run_fastpysgi PORT MODULE:APP."""

from __future__ import annotations

import importlib
import sys

import fastpysgi  # type: ignore[import-not-found]  # only in the environment of the peers

port, target = sys.argv[1:]
module, _, attribute = target.partition(":")
fastpysgi.server.backlog = 1024
fastpysgi.run(getattr(importlib.import_module(module), attribute), host="127.0.0.1", port=int(port), loglevel=0)
