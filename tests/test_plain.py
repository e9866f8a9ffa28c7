"""Private parts of Python: what is used where they are there, and what is left out under `HYPERCORN_PLAIN=1`."""

from __future__ import annotations

import asyncio
import atexit
import os
import ssl
import subprocess
import sys
import threading
import warnings
from functools import partial
from typing import Any

import pytest

from hypercorn._cpython import PLAIN, certificates, marks, process

DER = [b"the client's own", b"one between"]
PEM = [ssl.DER_cert_to_PEM_cert(one) for one in DER]


class Old:
    """An SSLObject before Python 3.13."""

    class Inner:
        def get_unverified_chain(self) -> list[Any]:
            class Certificate:
                def __init__(self, text: str) -> None:
                    self.text = text

                def public_bytes(self) -> str:
                    return self.text

            return [Certificate(text) for text in PEM]

    _sslobj = Inner()

    def getpeercert(self, binary: bool) -> bytes:
        assert binary
        return DER[0]


class New(Old):
    """One since."""

    _sslobj = None  # type: ignore[assignment]

    def get_unverified_chain(self) -> list[bytes]:
        return DER


class Bare(Old):
    """One whose private parts have moved."""

    _sslobj = object()  # type: ignore[assignment]


class Anonymous(Old):
    """One of a client without a certificate."""

    def getpeercert(self, binary: bool) -> None:  # type: ignore[override]
        return None


@pytest.mark.parametrize(
    ("connection", "plain", "expected"),
    [
        (Old(), False, PEM),
        (Old(), True, PEM[:1]),
        (New(), False, PEM),
        (New(), True, PEM),
        (Bare(), False, PEM[:1]),
        (Anonymous(), False, []),
    ],
)
def test_the_certificates_of_a_client(
    connection: Any, plain: bool, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "PLAIN", plain)
    assert certificates.client_certificates(connection) == expected


def test_the_end_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    for module, name in ((atexit, "_clear"), (threading, "_shutdown"), (atexit, "_run_exitfuncs")):
        monkeypatch.setattr(module, name, partial(called.append, name))
    for plain in (True, False):
        monkeypatch.setattr(process, "PLAIN", plain)
        for function in (process.forget_exit_functions, process.end_threads, process.run_exit_functions):
            function()
        assert called == ([] if plain else ["_clear", "_shutdown", "_run_exitfuncs"])


def is_coroutine_function(function: Any) -> bool:
    """What asgiref asks, which is deprecated since Python 3.14."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return asyncio.iscoroutinefunction(function)


def test_a_mark_of_a_coroutine_function(monkeypatch: pytest.MonkeyPatch) -> None:
    def marked() -> None: ...

    def unmarked() -> None: ...

    monkeypatch.setattr(marks, "PLAIN", False)
    marks.mark_coroutine_function(marked)
    assert is_coroutine_function(marked)
    monkeypatch.setattr(marks, "PLAIN", True)
    marks.mark_coroutine_function(unmarked)
    assert is_coroutine_function(unmarked) == (sys.version_info >= (3, 12))


@pytest.mark.parametrize(("value", "plain"), [("1", True), ("0", False), ("", False)])
def test_the_switch(value: str, plain: bool) -> None:
    said = subprocess.run(
        [sys.executable, "-W", "error", "-m", "hypercorn", "--version"],
        env={**os.environ, "HYPERCORN_PLAIN": value},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("public parts of Python only" in said.stdout) == plain
    assert said.stderr == ""


def test_no_switch_means_that_they_are_used() -> None:
    assert (os.environ.get("HYPERCORN_PLAIN", "") not in ("", "0")) == PLAIN
