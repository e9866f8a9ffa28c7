"""Binding: every form of bind, what refuses it, and what stays behind."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock, NonCallableMock

import pytest

from hypercorn.config import Config, Sockets, SocketTypeError
from hypercorn.errors import BindError
from hypercorn.net.sockets import listen


@pytest.fixture(name="unix_path")
def _unix_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)  # a unix path has 107 bytes, and a temporary folder may be deep
    return "a.sock"


@pytest.fixture(name="busy")
def _busy() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def bound(bind: str, **options: object) -> Sockets:
    return Config.from_mapping(bind=bind, **options).create_sockets()


@pytest.mark.parametrize(
    ("bind", "family", "expected"),
    [
        ("127.0.0.1:80", socket.AF_INET, ("127.0.0.1", 80)),
        ("127.0.0.1", socket.AF_INET, ("127.0.0.1", 8000)),
        (":80", socket.AF_INET, ("", 80)),
        ("[::]:80", socket.AF_INET6, ("::", 80)),
        ("[::]", socket.AF_INET6, ("::", 8000)),
        ("::1", socket.AF_INET6, ("::1", 8000)),
    ],
)
def test_calls_of_an_ip_bind(
    bind: str, family: int, expected: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    mock_socket = Mock()
    monkeypatch.setattr(socket, "socket", mock_socket)
    sock = bound(bind).insecure_sockets[0]
    mock_socket.assert_called_with(family, socket.SOCK_STREAM)
    sock.setsockopt.assert_any_call(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt.assert_called_with(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the last one
    sock.bind.assert_called_with(expected)
    sock.setblocking.assert_called_with(False)
    sock.set_inheritable.assert_called_with(True)
    sock.listen.assert_not_called()


def test_calls_of_a_unix_bind(monkeypatch: pytest.MonkeyPatch, unix_path: str) -> None:
    mock_socket = Mock()
    monkeypatch.setattr(socket, "socket", mock_socket)
    sock = bound(f"unix:{unix_path}").insecure_sockets[0]
    mock_socket.assert_called_with(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setsockopt.assert_called_with(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind.assert_called_with(unix_path)


def test_calls_of_an_fd_bind(monkeypatch: pytest.MonkeyPatch) -> None:
    mock_socket = Mock(return_value=NonCallableMock(**{"getsockopt.return_value": socket.SOCK_STREAM}))
    monkeypatch.setattr(socket, "socket", mock_socket)
    sock = bound("fd://2").insecure_sockets[0]
    mock_socket.assert_called_with(fileno=2)
    sock.getsockopt.assert_called_with(socket.SOL_SOCKET, socket.SO_TYPE)
    sock.setsockopt.assert_called_with(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setblocking.assert_called_with(False)


def test_fd_of_the_wrong_type() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        with pytest.raises(SocketTypeError, match='wanted "SOCK_STREAM" got "SOCK_DGRAM"'):
            bound(f"fd://{datagram.fileno()}")
        datagram.getsockname()  # refused, and left open


def test_fd_that_is_not_open() -> None:
    with pytest.raises(BindError, match=r"cannot bind fd://9999: bad file descriptor"):
        bound("fd://9999")


def test_localhost_is_bound_on_every_family_with_one_port() -> None:
    sockets = bound("localhost:0")
    try:
        ports = {sock.getsockname()[1] for sock in sockets}
        families = {sock.family for sock in sockets}
    finally:
        sockets.close()
    assert len(ports) == 1
    assert socket.AF_INET in families
    known = {family for family, *_ in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    assert families <= known


def resolving(*answers: tuple[int, tuple[object, ...]]) -> object:
    def getaddrinfo(*args: object, **kwargs: object) -> list[tuple[object, ...]]:
        return [(family, socket.SOCK_STREAM, 6, "", address) for family, address in answers]

    return getaddrinfo


def test_a_name_with_one_address_that_this_machine_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    # 2001:db8::/32 is for documentation (RFC 3849): no machine has it.
    answers = (socket.AF_INET6, ("2001:db8::1", 0, 0, 0)), (socket.AF_INET, ("127.0.0.1", 0))
    monkeypatch.setattr(socket, "getaddrinfo", resolving(*answers))
    sockets = bound("both.test:0")
    assert [sock.getsockname()[0] for sock in sockets] == ["127.0.0.1"]
    sockets.close()


def test_a_name_of_which_this_machine_has_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving((socket.AF_INET, ("192.0.2.1", 0))))
    with pytest.raises(BindError, match="address not available"):
        bound("away.test:0")


def test_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(BindError, match=r"cannot bind nowhere\.test:80: unknown host name"):
        bound("nowhere.test:80")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_busy_port(busy: str, workers: int) -> None:
    with pytest.raises(BindError) as caught:
        bound(busy, workers=workers)
    assert caught.value.errno == errno.EADDRINUSE
    assert str(caught.value) == f"cannot bind {busy}: address already in use (another process is listening there)"


def test_a_port_that_is_busy_though_shared() -> None:
    """Q-P-10: with SO_REUSEPORT a second server would take half of the connections in silence."""
    first = bound("127.0.0.1:0", workers=2)
    port = first.insecure_sockets[0].getsockname()[1]
    first.insecure_sockets[0].listen(1)
    try:
        with pytest.raises(BindError, match="address already in use"):
            bound(f"127.0.0.1:{port}", workers=2)
    finally:
        first.close()


def test_what_was_bound_before_an_error_is_closed(busy: str, unix_path: str) -> None:
    with pytest.raises(BindError):
        Config.from_mapping(bind=["127.0.0.1:0", f"unix:{unix_path}", busy]).create_sockets()
    assert not os.path.lexists(unix_path)  # an open socket would be a ResourceWarning, which is an error here


def test_listen_names_the_address() -> None:
    sockets = bound("127.0.0.1:0")
    port = sockets.insecure_sockets[0].getsockname()[1]
    other = bound(f"127.0.0.1:{port}")  # neither listens yet, so both may be bound
    listen(sockets.insecure_sockets[0], 5)
    with pytest.raises(BindError, match=f"cannot bind 127.0.0.1:{port}: address already in use"):
        listen(other.insecure_sockets[0], 5)
    sockets.close()
    other.close()


# --- unix sockets


def test_unix_socket_lives_as_long_as_the_server(unix_path: str) -> None:
    sockets = bound(f"unix:{unix_path}")
    assert stat.S_ISSOCK(os.lstat(unix_path).st_mode)
    sockets.close()
    assert not os.path.lexists(unix_path)
    sockets.close()  # twice does no harm


def test_umask_is_applied_and_restored(unix_path: str) -> None:
    before = os.umask(0o022)
    try:
        sockets = bound(f"unix:{unix_path}", umask="077")
        assert stat.S_IMODE(os.lstat(unix_path).st_mode) == 0o700
        sockets.close()
        with pytest.raises(BindError):
            bound("unix:missing/a.sock", umask="077")
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


@pytest.mark.parametrize(("user", "group", "expected"), [(1, None, (1, -1)), (None, 2, (-1, 2)), (1, 2, (1, 2))])
def test_owner(
    user: int | None,
    group: int | None,
    expected: tuple[int, int],
    unix_path: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chown = Mock()
    monkeypatch.setattr(os, "chown", chown)
    bound(f"unix:{unix_path}", user=user, group=group).close()
    chown.assert_called_once_with(unix_path, *expected, follow_symlinks=False)


def test_a_stale_socket_is_replaced(unix_path: str) -> None:
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(unix_path)
    bound(f"unix:{unix_path}").close()


def test_a_live_socket_is_refused(unix_path: str) -> None:
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(unix_path)
        live.listen(1)
        with pytest.raises(BindError, match="another process is listening there"):
            bound(f"unix:{unix_path}")
    assert os.path.lexists(unix_path)


def test_a_file_is_never_removed(unix_path: str) -> None:
    Path(unix_path).write_text("precious")
    with pytest.raises(BindError, match="it is not a socket"):
        bound(f"unix:{unix_path}")
    assert Path(unix_path).read_text() == "precious"


def test_a_link_to_a_socket_is_not_followed(unix_path: str) -> None:
    with socket.socket(socket.AF_UNIX) as old:
        old.bind("other.sock")
    os.symlink("other.sock", unix_path)
    with pytest.raises(BindError, match="it is not a socket"):
        bound(f"unix:{unix_path}")


def test_only_the_process_that_made_it_removes_it(unix_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sockets = bound(f"unix:{unix_path}")
    monkeypatch.setattr(os, "getpid", lambda: -1)
    sockets.close()
    assert os.path.lexists(unix_path)


def test_a_successor_keeps_its_socket(unix_path: str) -> None:
    sockets = bound(f"unix:{unix_path}")
    os.rename(unix_path, "old")  # keeps the first inode in use
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(unix_path)
        sockets.close()
        assert os.path.lexists(unix_path)
