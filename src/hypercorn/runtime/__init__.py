"""Runtimes: sockets and bytes, tasks and time. What every event loop shares is here; `asyncio/` and `trio/` fill it."""
