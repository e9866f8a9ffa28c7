"""Logs and metrics."""

from __future__ import annotations

from hypercorn.config.options.option import UNSET, Option
from hypercorn.config.values import CLASS, LEVEL, LOG_CONFIG, MAPPING, SWITCH, TARGET, TEXT, choice, optional

_ACCESS_LOG_FORMAT = '%(h)s %(l)s %(l)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'

OPTIONS: tuple[Option, ...] = (
    Option(
        "access_log",
        TARGET,
        None,
        "Logging",
        'file of the access log; "-" is stdout',
        aliases=("accesslog", "access_logfile"),
    ),
    Option(
        "access_log_format",
        TEXT,
        _ACCESS_LOG_FORMAT,
        "Logging",
        "form of an access record: atoms, or one of common, combined and json",
        aliases=("access_logformat",),
    ),
    Option("log_format", choice("text", "json"), "text", "Logging", "both logs as lines of JSON"),
    Option("access_log_client_port", SWITCH, True, "Logging", "the atom h is host:port, not the host alone"),
    Option(
        "error_log",
        TARGET,
        "-",
        "Logging",
        'file of the error log; "-" is stderr',
        aliases=("errorlog", "error_logfile", "log_file"),
    ),
    Option("log_level", LEVEL, "INFO", "Logging", "level of the error log", aliases=("loglevel",)),
    Option(
        "log_config",
        LOG_CONFIG,
        None,
        "Logging",
        "logging configuration: a .json, .yaml, .toml or .ini file; none: the loggers stay as the program set them up",
        aliases=("logconfig",),
    ),
    Option(
        "log_config_dict",
        MAPPING,
        None,
        "Logging",
        "the same as a mapping",
        aliases=("logconfig_dict",),
        flagless=True,
    ),
    Option("logger_class", CLASS, UNSET, "Logging", "the class of Config.log", flagless=True),
    Option("statsd_host", optional(TEXT), None, "Logging", "host:port of a StatsD server"),
    Option("statsd_prefix", TEXT, "", "Logging", "prefix of all StatsD names"),
    Option("dogstatsd_tags", TEXT, "", "Logging", "tags of all StatsD metrics (DogStatsD)"),
)
