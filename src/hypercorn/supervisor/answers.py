"""What a worker answers to questions about its connections and requests. All of it runs on the worker's loop."""

from __future__ import annotations

from typing import TypeAlias

from hypercorn.runtime.contract import WorkerBase
from hypercorn.supervisor.messages import (
    EndTrace,
    FetchTrace,
    ListConnections,
    ListRequests,
    ListSlowRequests,
    StartTrace,
    never,
)

MAX_CONNECTIONS = 1000  # that are listed
Question: TypeAlias = ListConnections | ListRequests | ListSlowRequests | StartTrace | FetchTrace | EndTrace
Rows: TypeAlias = list[dict[str, object]]


def answer_to(worker: WorkerBase, question: Question) -> Rows:
    """The answer. What it needs is imported when somebody asks."""
    match question:
        case ListConnections():
            return connections_of(worker)
        case ListRequests():
            from hypercorn.runtime.requests import requests_in_flight

            return [requests_in_flight(worker.runtime)]
        case ListSlowRequests():
            return [] if worker.slow is None else [worker.slow.listed()]
        case StartTrace():
            return [start_trace(worker, question)]
        case FetchTrace():
            return [] if worker.trace is None else [worker.trace.fetch()]
        case EndTrace():
            if worker.trace is not None:
                worker.trace.end("as asked")
            return [] if worker.trace is None else [worker.trace.fetch()]
    return never(question)


def start_trace(worker: WorkerBase, question: StartTrace) -> dict[str, object]:
    """Starts a trace, where none runs."""
    from hypercorn.runtime.trace import Trace

    if worker.trace is not None and not worker.trace.ended:
        return {"refused": "another trace runs"}
    try:
        trace = Trace(worker, question.clients, question.seconds)
    except ValueError as error:
        return {"refused": str(error)}
    trace.start()
    return {"refused": None}


def connections_of(worker: WorkerBase) -> Rows:
    """The open connections, up to a bound."""
    found: Rows = []
    for connection in list(worker.deadlines.connections):
        plain = getattr(connection, "plain", None)
        if plain is not None and plain.connection is not None:
            continue  # of TLS or of a trace: the connection inside of it is in the list too
        if len(found) == MAX_CONNECTIONS:
            break
        streams = getattr(connection, "streams", None)
        busy = len(streams) if streams is not None else int(getattr(connection, "stream", None) is not None)
        found.append(
            {
                "protocol": type(connection).__name__.removesuffix("Connection").lower(),
                "client": connection.transport.client,
                "streams": busy,
                "unsent": connection.transport.unsent(),
            }
        )
    return found
