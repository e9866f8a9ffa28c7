"""What is different where a person watches: an access line for each request."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hypercorn.logs import short
from hypercorn.logs.logger import Logger, is_terminal

if TYPE_CHECKING:
    from hypercorn.config import Config

ORIGIN = "terminal"  # of these values


def show_requests(config: Config) -> None:
    """Has the access log on stdout, in its short form, where that is a terminal and nothing says otherwise."""
    if not is_terminal(sys.stdout) or config.logger_class is not Logger:
        return
    if config.log_config is not None or config.log_config_dict is not None:
        return
    if config.access_log is None and config.origin("access_log") == "default":
        config.load({"access_log": "-"}, ORIGIN)
    if config.access_log == "-" and config.origin("access_log_format") == "default" and config.log_format == "text":
        config.load({"access_log_format": short.NAME}, ORIGIN)
