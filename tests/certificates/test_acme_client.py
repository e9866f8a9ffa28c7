"""The ACME client's process by itself: what directories refuse, what it then says, and how long it waits."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from tests.certificates.authorities import Directory, free_port, problem

pytest.importorskip("acme", reason="the extra acme")

from cryptography import x509

from hypercorn.certificates import acme_client, folders, issuing, state
from hypercorn.certificates.acme_client import attempt, renewal_time, seconds_of
from hypercorn.certificates.state import Plan, Settings, read_plan, write_plan

Response = tuple[int, Any, dict[str, str]]


class Place:
    """A directory, and settings to use it."""

    def __init__(self, folder: Path, directory: Directory) -> None:
        self.directory = directory
        self.answer: Response = (500, problem("serverInternal"), {})
        self.settings = Settings(("a.test",), directory.url, str(folder / "state"))
        state.prepare(self.settings)

    def failed(self, *answer: Any) -> tuple[str, float]:
        """Why an attempt failed that got that answer to its order, and how long the next one waits."""
        self.answer = answer  # type: ignore[assignment]
        self.settings.plan_path.unlink(missing_ok=True)
        report = attempt(self.settings)
        assert report.state == "failed"
        assert read_plan(self.settings) == report.plan
        return report.text, report.plan.due - time.time()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    found: list[Place] = []
    with Directory(tmp_path / "directory", lambda: found[0].answer) as directory:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(directory.bundle))
        found.append(Place(tmp_path, directory))
        yield found[0]


def test_a_rate_limit_is_kept_to(place: Place) -> None:
    limited = problem("rateLimited", "too many certificates already issued for a.test")
    text, wait = place.failed(429, limited, {"Retry-After": "7200"})
    assert 7100 < wait <= 7200
    assert text.endswith(
        "refused, urn:ietf:params:acme:error:rateLimited: too many certificates already issued for a.test;"
        " wait; try things out with acme_directory = staging, which has higher limits"
    )
    asked = len(place.directory.asked)
    report = attempt(place.settings)
    assert report.state == "current"
    assert len(place.directory.asked) == asked, "nobody is asked before that time"


def test_a_rate_limit_that_does_not_say_for_how_long(place: Place) -> None:
    assert 3500 < place.failed(429, problem("rateLimited"), {})[1] <= 3600


def test_a_rate_limit_with_a_date(place: Place) -> None:
    when = datetime.now(timezone.utc) + timedelta(hours=5)
    wait = place.failed(429, problem("rateLimited"), {"Retry-After": format_datetime(when, usegmt=True)})[1]
    assert 17900 < wait <= 18000


@pytest.mark.parametrize(
    ("field", "seconds"),
    [("", 0), ("x", 0), ("-5", 0), ("120", 120), ("1" * 40, 604800), ("Mon, 01 Jan 2001 00:00:00 GMT", 0)],
)
def test_retry_after(field: str, seconds: float) -> None:
    assert seconds_of(field) == seconds


def test_each_failure_waits_longer(place: Place) -> None:
    waits = []
    for failures in (0, 1, 4, 20, 5000):
        write_plan(place.settings, Plan(1.0, failures, "before"))
        report = attempt(place.settings)
        assert report.plan.failures == failures + 1
        waits.append(report.plan.due - time.time())
    for wait, least in zip(waits, (60, 120, 960, 21600, 21600), strict=True):
        assert least - 5 < wait < least * 1.1 + 5


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            (403, problem("rejectedIdentifier", "no such name"), {}),
            "no such name; the authority gives no certificate for",
        ),
        ((403, problem("caa"), {}), "add this one"),
        (
            (503, b"<html>down</html>", {"Content-Type": "text/html"}),
            "gave no answer of ACME: <Response [503]>; check acme_d",
        ),
        ((201, b"[]", {}), "report it, with the directory"),
        ((201, {"status": "pending", "identifiers": [], "authorizations": []}, {}), "Invalid URL"),
        (
            (400, problem("unheardOf", "line one\nline\ttwo"), {}),
            "line one line two; see the authority's documentation",
        ),
    ],
)
def test_what_is_said_of_other_refusals(place: Place, answer: Response, said: str) -> None:
    text, _ = place.failed(*answer)
    assert said in text
    assert "\n" not in text


def test_an_authority_that_nobody_knows(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    text, _ = place.failed(200, {}, {})
    assert "certificate verify failed" in text
    assert text.endswith("name a private authority's root in the variable REQUESTS_CA_BUNDLE")


def test_nobody_there(tmp_path: Path) -> None:
    settings = Settings(("a.test",), f"https://localhost:{free_port()}/dir", str(tmp_path / "state"))
    state.prepare(settings)
    assert "cannot be reached: [Errno" in attempt(settings).text


def test_the_account_has_the_address(place: Place, tmp_path: Path) -> None:
    settings = Settings(("a.test",), place.directory.url, str(tmp_path / "state"), email="me@a.test")
    attempt(settings)
    assert place.directory.payloads[0] == {"contact": ["mailto:me@a.test"], "termsOfServiceAgreed": True}


def test_a_key_that_is_broken_is_kept(place: Place) -> None:
    """Another would be another account."""
    path = place.settings.account_folder / "key.pem"
    path.write_bytes(b"broken")
    text, _ = place.failed(500, {}, {})
    assert text.startswith(f"{path} is no key (")
    assert path.read_bytes() == b"broken"


def test_another_process_is_at_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acme_client, "LOCK_SECONDS", 0.1)
    with folders.locked(place.settings.certificate_folder / "lock"):
        report = attempt(place.settings)
    assert report.state == "current"
    assert 50 < report.plan.due - time.time() <= 60


def test_old_answers_to_challenges_are_removed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.settings.challenge_folder / "token").write_text("x")
    place.failed(500, {}, {})
    assert (place.settings.challenge_folder / "token").exists()
    monkeypatch.setattr(acme_client, "OLD_CHALLENGE_SECONDS", -1.0)
    place.failed(500, {}, {})
    assert not (place.settings.challenge_folder / "token").exists()


# -- when


def issued(days: int) -> tuple[x509.Certificate, issuing.Key]:
    authority_key, key = issuing.new_key(), issuing.new_key()
    authority = issuing.new_authority(authority_key, "CA", 3650)
    return issuing.new_certificate(key, ["a.test"], days, authority, authority_key), key


def test_renewed_after_two_thirds_of_its_life() -> None:
    certificate, _ = issued(90)
    begin, end = (one.timestamp() for one in (certificate.not_valid_before_utc, certificate.not_valid_after_utc))
    found = {renewal_time(certificate) for _ in range(50)}
    assert len(found) > 1, "not all at the same time"
    for one in found:
        assert 2 / 3 <= (one - begin) / (end - begin) <= 0.7


def test_a_certificate_that_is_there_has_a_plan(place: Place) -> None:
    """Where the plan was lost, it is made anew and nobody is asked."""
    certificate, key = issued(90)
    folders.write(place.settings.certificate_path, issuing.certificate_pem(certificate) + issuing.key_pem(key))
    report = attempt(place.settings)
    assert report.state == "current"
    assert report.plan.due > time.time() + 50 * 86400
    assert read_plan(place.settings) == report.plan
    assert place.directory.asked == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"due": 1}',
        '{"due": "x", "failures": 0, "reason": ""}',
        '{"due": NaN, "failures": 0, "reason": ""}',
    ],
)
def test_a_plan_that_is_broken_is_due_now(place: Place, text: str) -> None:
    place.settings.plan_path.write_text(text)
    assert read_plan(place.settings) == Plan()


def test_a_certificate_that_is_lost_is_got_again(place: Place) -> None:
    write_plan(place.settings, Plan(time.time() + 1e6))
    place.settings.certificate_path.unlink()
    state.prepare(place.settings)
    assert read_plan(place.settings) == Plan()
    write_plan(place.settings, Plan(time.time() + 1e6, 3, "limited"))
    place.settings.certificate_path.write_bytes(b"broken")
    state.prepare(place.settings)
    assert read_plan(place.settings).failures == 3, "the directory's limits hold all the same"
    assert state.is_usable(place.settings.certificate_path)


# -- the process


def test_the_process_reports(place: Place) -> None:
    given = {"names": ["a.test"], "directory": place.directory.url, "folder": place.settings.folder}
    assert json.loads(run_client(given))["state"] == "failed"


def run_client(given: dict[str, Any]) -> str:
    """What the process says."""
    code = f"import sys; sys.path[:] = {sys.path!r}; from hypercorn.certificates.acme_client import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(given), capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="no limit of what a process sets aside")
def test_an_answer_without_an_end(place: Place) -> None:
    place.directory.endless = True
    given = {"names": ["a.test"], "directory": place.directory.url, "folder": place.settings.folder}
    done = run_client(given)
    assert json.loads(done)["text"].endswith("/directory gave an answer without an end; check acme_directory")


def test_the_process_reports_its_own_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    given = {"names": ["a.test"], "directory": "https://localhost/", "folder": str(tmp_path / "missing")}
    monkeypatch.setattr(acme_client, "limit_memory", lambda: None)  # of this process, it would be
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(given)))
    acme_client.main()
    report = json.loads(capsys.readouterr().out)
    assert report["state"] == "failed"
    assert "No such file or directory" in report["text"]
    assert report["plan"]["due"] > time.time() + 50
