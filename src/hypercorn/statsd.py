"""The logger that sends metrics over StatsD, for applications: a subclass may be the option `logger_class`."""

from __future__ import annotations

from hypercorn.logs.statsd import (
    COUNTER_TYPE,
    GAUGE_TYPE,
    HISTOGRAM_TYPE,
    METRIC_VAR,
    MTYPE_VAR,
    VALUE_VAR,
    StatsdLogger,
)

__all__ = (
    "COUNTER_TYPE",
    "GAUGE_TYPE",
    "HISTOGRAM_TYPE",
    "METRIC_VAR",
    "MTYPE_VAR",
    "VALUE_VAR",
    "StatsdLogger",
)
