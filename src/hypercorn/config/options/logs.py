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
        "format of an access record: atoms, or common, combined, json or short",
        aliases=("access_logformat",),
    ),
    Option("log_format", choice("text", "json"), "text", "Logging", "format of both logs"),
    Option("access_log_client_port", SWITCH, True, "Logging", "the atom h is host:port, not only the host"),
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
        "logging configuration: a .json, .yaml, .toml or .ini file; none: leave the program's loggers as they are",
        aliases=("logconfig",),
    ),
    Option(
        "log_config_dict",
        MAPPING,
        None,
        "Logging",
        "logging configuration, as a mapping",
        aliases=("logconfig_dict",),
        flagless=True,
    ),
    Option("logger_class", CLASS, UNSET, "Logging", "the class of Config.log", flagless=True),
    Option("otel", SWITCH, False, "Logging", "export spans and metrics by OpenTelemetry (OTLP); needs the extra otel"),
    Option("statsd_host", optional(TEXT), None, "Logging", "host:port of a StatsD server"),
    Option("statsd_prefix", TEXT, "", "Logging", "prefix of all StatsD names"),
    Option("dogstatsd_tags", TEXT, "", "Logging", "tags of all StatsD metrics (DogStatsD)"),
)
