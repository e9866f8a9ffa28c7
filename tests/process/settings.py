"""A module of options, for `--config python:tests.process.settings`."""

from __future__ import annotations

import os

assert os  # a name that is no option

bind = ["127.0.0.1:0"]
include_server_header = False
