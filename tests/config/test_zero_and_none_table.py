"""0 is zero and `none` is no limit for every option that is a number, or is refused in words that help.

What the limits of the protocols do with them on the wire is in tests/protocol/test_zero_and_none.py.
"""

from __future__ import annotations

import re
from math import inf
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import config

from hypercorn.asgi.lifespan import Lifespan
from hypercorn.config import Config
from hypercorn.config.options import OPTIONS, limits_of
from hypercorn.config.options.option import LARGEST, Option
from hypercorn.errors import ConfigError, LifespanTimeoutError
from hypercorn.protocol.limits import NAMES, Limits
from hypercorn.runtime.memory import MemoryRuntime
from hypercorn.testing import sleep

SRC = Path(__file__).resolve().parents[2] / "src" / "hypercorn"
NUMBERS = [option for option in OPTIONS if option.kind.metavar in ("BYTES", "N", "N|auto", "SECONDS")]
NUMBERS = [option for option in NUMBERS if option.name not in ("user", "group", "cert_reqs")]  # names, too; a bit mask
LONG = 10.0**6  # seconds

# Options that are no number without `none`: what they bound has to have a bound, or `auto` says it better.
BOUNDED = {
    "alt_svc_max_age",
    "backlog",
    "client_prefix_ipv4",
    "client_prefix_ipv6",
    "h2_connection_window",
    "h2_max_concurrent_streams",
    "h2_max_header_list_size",
    "h2_max_inbound_frame_size",
    "h2_max_resets",
    "h2_max_stream_window",
    "h2_stream_window",
    "idle_grace",
    "max_app_queue_size",
    "max_header_count",
    "max_header_size",
    "max_request_line_size",
    "max_requests_jitter",
    "max_unread_body",
    "min_rate_grace",
    "quic_idle_timeout",
    "quic_max_connections",
    "quic_max_datagram_size",
    "quic_retry_threshold",
    "shutdown_delay",
    "ssl_handshake_timeout",
    "websocket_max_queue",
    "workers",
    "write_buffer_size",
    "wsgi_buffer_size",
    "wsgi_queue_size",
    "wsgi_threads",
}


def suggestions(message: str) -> list[str]:
    """What an error says that one can write instead."""
    expected = message.partition("expected ")[2]
    assert expected, message
    least = re.search(r"(?:of|from) (\d+)", expected)
    found = [least[1]] if least else []
    examples = re.search(r"such as ([^,]+(?:, [^,]+)*?) or (\w+)", expected)
    if examples:
        found += [*examples[1].split(", "), examples[2]]
    found += re.findall(r", or (\w+)", expected)
    return found


def refusal(option: Option, value: str) -> str | None:
    """The error that a value meets, None where it is taken."""
    try:
        option.convert(value, "a source")
    except ConfigError as error:
        return str(error)
    return None


@pytest.mark.parametrize("value", ["0", "none"])
@pytest.mark.parametrize("option", NUMBERS, ids=lambda option: option.name)
def test_a_refusal_names_the_option_its_source_and_what_to_write(option: Option, value: str) -> None:
    message = refusal(option, value)
    if message is None:
        return
    assert message.startswith(f"{option.name} = '{value}' (a source): expected ")
    found = suggestions(message)
    assert found, message
    for text in found:
        option.convert(text, "a suggestion")
    assert value not in found


@pytest.mark.parametrize("option", NUMBERS, ids=lambda option: option.name)
def test_0_is_the_number_zero(option: Option) -> None:
    if refusal(option, "0") is None:
        value = option.convert("0", "a source")
        assert value == 0
        assert value is not None
        assert option.number(value) == 0
        if option.limits:
            assert getattr(Limits(limits_of(Config.from_mapping({option.name: "0"}))), option.name) == 0


@pytest.mark.parametrize("option", NUMBERS, ids=lambda option: option.name)
def test_none_is_no_limit(option: Option) -> None:
    assert (refusal(option, "none") is not None) == (option.name in BOUNDED)
    if option.name not in BOUNDED:
        assert option.convert("none", "a source") is None
        without = {"min_receive_rate": 0, "min_send_rate": 0}.get(option.name, inf if option.is_time else LARGEST)
        assert option.number(None) == without
        if option.limits:
            assert getattr(Limits(limits_of(Config.from_mapping({option.name: "none"}))), option.name) == without


def test_no_limit_is_read_past_the_frozen_object() -> None:
    """What is a field of `Limits` is read from there alone, and nowhere else has a name for it."""
    own = re.compile(r"\bconfig\.(" + "|".join(NAMES) + r")\b")
    past = re.compile(r"\bcontext\.(" + "|".join(NAMES) + r")\b")
    for path in [*SRC.rglob("*.py"), *SRC.rglob("*.pyx")]:
        text = path.read_text()
        assert not own.findall(text), path
        assert not past.findall(text), path
    runtime = MemoryRuntime()
    with pytest.raises(AttributeError):
        _ = context(runtime).keep_alive_timeout


def context(runtime: MemoryRuntime) -> Any:
    from hypercorn.protocol.ports import Context
    from hypercorn.protocol.records import Records
    from hypercorn.protocol.response_fields import ResponseFields

    return Context(runtime, Limits(limits_of(Config())), ResponseFields(), Records(None))


# -- the lifespan


@pytest.mark.parametrize("stage", ["startup", "shutdown"])
@pytest.mark.parametrize(("value", "after", "expired"), [("none", LONG, False), ("0", 0.001, True)])
def test_the_times_of_the_lifespan(stage: str, value: str, after: float, expired: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for name in ("startup", "shutdown"):
            await receive()
            if name == stage:
                await sleep(2 * LONG)
            await send({"type": f"lifespan.{name}.complete"})

    settings = config(**{f"{stage}_timeout": value})
    runtime = MemoryRuntime()
    life = Lifespan(app, settings, Limits(limits_of(settings)), runtime, runtime.start, {})
    for name in ("startup", "shutdown"):
        task = runtime.new_task(getattr(life, name)(), runtime.variables.copy())
        task.step()
        runtime.advance(after)
        if name == stage:
            assert task.done == expired
            assert isinstance(task.error, LifespanTimeoutError) == expired
            break
