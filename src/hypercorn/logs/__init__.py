"""Logs: the error log, the access log, the writer of log files, and metrics over StatsD."""
