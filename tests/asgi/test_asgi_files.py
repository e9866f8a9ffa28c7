"""Files as bodies where no kernel sends them: read in pieces, no further ahead than the peer reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import GET, Answers, body, request, response, responses, serve, start

from hypercorn.errors import UnexpectedMessageError
from hypercorn.testing import sleep

SIZE = 3_000_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    return path


def path_send(path: Any) -> dict[str, Any]:
    return {"type": "http.response.pathsend", "path": str(path)}


def range_send(fd: int, more: bool = False, **bounds: int) -> dict[str, Any]:
    return {"type": "http.response.zerocopysend", "file": fd, "more_body": more, **bounds}


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.mark.parametrize(
    ("version", "headers"),
    [("1.1", []), ("1.0", []), ("1.1", [(b"content-length", b"%d" % (SIZE // 256 * 256))])],
    ids=["no-length", "http10", "length"],
)
def test_a_whole_file(file: Path, version: str, headers: Any) -> None:
    before = open_files()
    client = serve(Answers(start(headers=headers), path_send(file)))
    client.send(request(version=version) + (GET if version == "1.1" else b""))
    for found in responses(client):
        assert (found.framing, found.body) == ("length", file.read_bytes())
    assert client.errors == []
    assert client.access[0].body_bytes == file.stat().st_size
    assert open_files() == before


def test_head_reads_nothing(file: Path) -> None:
    client = serve(Answers(start(), path_send(file)))
    client.send(request(method="HEAD"))
    assert response(client, "HEAD").body == b""
    assert client.access[0].body_bytes == 0


def test_ranges_between_other_pieces(file: Path) -> None:
    with file.open("rb") as opened:
        fd = opened.fileno()
        client = serve(
            Answers(
                start(),
                range_send(fd, more=True, offset=10, count=5),
                body(b"--", more=True),
                range_send(fd, offset=1000, count=200_000),
            )
        )
        client.send(GET)
        found = response(client)
    data = file.read_bytes()
    assert (found.framing, found.body) == ("chunked", data[10:15] + b"--" + data[1000:201_000])


def test_a_file_goes_no_faster_than_its_peer(file: Path) -> None:
    """And ends with it."""
    before = open_files()
    client = serve(Answers(start(), path_send(file)))
    client.stop_reading()
    client.send(GET)
    assert client.transport.unsent() < 300_000
    assert open_files() == before + (before > 0)
    client.read()
    assert 0 < client.transport.unsent() < 300_000
    client.disconnect()
    assert open_files() == before
    assert client.errors == []
    assert len(client.access) == 1


def test_others_get_their_turn_during_a_large_file(file: Path) -> None:
    turns: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/file":
            await send(start())
            await send(path_send(file))
        else:
            while not turns or turns[-1] < 3:
                turns.append(len(turns))
                await sleep(0)
            await Answers()(scope, receive, send)

    client = serve(app)
    other = client.server.connect()
    other.transport.deliver(GET)
    client.send(request("/file"))
    assert len(response(client).body) == file.stat().st_size
    assert response(other).status == 200


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        pytest.param([path_send("/nowhere/at all")], UnexpectedMessageError, id="before-start"),
        pytest.param([start(), path_send("/nowhere/at all")], FileNotFoundError, id="missing"),
        pytest.param([start(), path_send("/")], (ValueError, IsADirectoryError), id="directory"),
        pytest.param([start(headers=[(b"content-length", b"5")]), path_send(__file__)], ValueError, id="too-long"),
        pytest.param(
            [start(headers=[(b"content-length", b"999999")]), path_send(__file__)], ValueError, id="too-short"
        ),
        pytest.param([start(trailers=True), path_send(__file__)], ValueError, id="trailers"),
    ],
)
def test_a_bad_file_is_an_error_of_the_application(messages: list[Any], error: Any) -> None:
    before = open_files()
    client = serve(Answers(*messages))
    client.send(GET)
    assert response(client).status == 500
    assert isinstance(client.errors[0].error, error)
    assert open_files() == before


def test_a_file_that_shrinks_is_not_passed_off_as_whole(file: Path) -> None:
    client = serve(Answers(start(), path_send(file)))
    client.stop_reading()
    client.send(GET)
    os.truncate(file, 400_000)
    client.start_reading()
    found = response(client)
    assert not found.complete
    assert client.closed
    assert len(client.errors) == 1


def test_a_file_that_stands_somewhere_is_read_on_from_there(file: Path) -> None:
    """As sendfile(2): without an offset it starts there, and moves it on."""
    data = file.read_bytes()
    with file.open("rb", buffering=0) as opened:
        opened.seek(100)
        first = {"type": "http.response.zerocopysend", "file": opened, "count": 50, "more_body": True}
        second = {"type": "http.response.zerocopysend", "file": opened, "count": 10**9}
        client = serve(Answers(start(), first, second))
        client.send(GET)
        assert response(client).body == data[100:]
        assert opened.tell() == len(data)


def test_nothing_follows_a_whole_file(file: Path) -> None:
    """A path is a whole body: neither a second one nor a piece may come behind it, nor may it follow a piece."""
    for messages in (
        [start(), path_send(file), path_send(file)],
        [start(), path_send(file), body(b"x")],
        [start(), body(b"x", more=True), path_send(file)],
    ):
        client = serve(Answers(*messages))
        client.send(GET)
        assert len(client.received()) > 0
        assert [type(entry.error) for entry in client.errors] == [UnexpectedMessageError]
        assert len(client.access) == 1


def test_no_path_behind_a_range(file: Path) -> None:
    with file.open("rb") as opened:
        client = serve(Answers(start(), range_send(opened.fileno(), more=True, count=5), path_send(file)))
        client.send(GET)
    assert [type(entry.error) for entry in client.errors] == [UnexpectedMessageError]
    assert client.closed
