"""The load, and the processes under it."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from pathlib import Path

import pytest
from bench.cases import CASES
from bench.catalogue import Server, all_servers, chosen, import_path, ours, peers
from bench.peers import requirements
from bench.processes import ROOT, ServerError, ServerProcess, cpu_seconds, family, free_port, is_running, memory_kib
from bench.results import Comparison

from bench import floors, h2load, memory, servers, startup, tails, wrk

OUTPUT = """\
Running 2s test @ http://127.0.0.1:8000/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.02ms  200.00us   8.00ms   90.00%
  100000 requests in 2.00s, 12.00MB read
Requests/sec:  50000.00
REPORT {"requests":100000,"microseconds":2000000,"bytes":1,"p50":980.0,"p99":2100.5,ERRORS}
"""


def output(**errors: int) -> str:
    counted = ",".join(f'"{kind}":{errors.get(kind, 0)}' for kind in wrk.ERRORS)
    return OUTPUT.replace("ERRORS", counted)


def test_reads_the_report_of_wrk() -> None:
    assert wrk.parse(output()) == wrk.Load(100000, 50000.0, 980.0, 2100.5, "")
    assert wrk.parse(output(read=3, status=4)).errors == "3 read errors, 4 status errors"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "reported nothing"),
        ("unable to connect to 127.0.0.1:1\n", "unable to connect"),
        (output(status=100000), "not one good response"),
    ],
)
def test_a_load_without_good_responses_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ServerError, match=message):
        wrk.parse(text)


def test_scripts_make_the_requests_of_their_cases() -> None:
    assert "wrk.method" not in wrk.script(CASES["hello"])
    assert 'string.rep("a", 1024)' in wrk.script(CASES["echo1k"])
    assert "for i = 1, 16" in wrk.script(CASES["pipeline"])
    assert wrk.script(CASES["headers"]).count("wrk.headers[") == 10
    assert all("done = function" in wrk.script(case) for case in CASES.values())


def test_a_load_that_repeats_nothing_makes_its_fields_anew() -> None:
    varied = wrk.script(CASES["varied"])
    assert varied.count("id()") >= 4
    assert "request = function()" in varied
    assert 'wrk.headers["Connection"] = "close"' in wrk.script(CASES["new-tls"])


H2_OUTPUT = """\
Application protocol: h2
finished in 2.00s, 5000.50 req/s, 1.00MB/s
requests: 10001 total, 10032 started, 10001 done, 10001 succeeded, 0 failed, 0 errored, 0 timeout
"""


def test_reads_the_report_of_h2load() -> None:
    log = "".join(f"1763{number}\t200\t{number}\n" for number in range(100))
    assert h2load.parse(H2_OUTPUT, log) == h2load.Load(10001, 5000.5, 50, 99, "")
    assert h2load.parse(H2_OUTPUT.replace("0 errored", "7 errored"), "").errors == "7 errored"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (H2_OUTPUT.replace("protocol: h2", "protocol: http/1.1"), "speaks no HTTP/2"),
        (H2_OUTPUT.replace("10001 succeeded", "0 succeeded"), "not one good response"),
    ],
)
def test_a_load_without_good_responses_over_http2_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ServerError, match=message):
        h2load.parse(text, "")


def test_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    assert servers.main(["--case", "hello"]) == 2
    assert "wrk is not installed" in capsys.readouterr().err


def test_peers_are_those_that_are_installed(tmp_path: Path) -> None:
    (tmp_path / "uvicorn").touch()
    (tmp_path / "daphne").touch()
    assert [server.name for server in peers(tmp_path)] == ["uvicorn", "uvicorn-h11", "daphne"]
    assert len(ours(tmp_path, compiled=True)) == 12
    assert [server.name for server in ours(tmp_path, compiled=False)] == [
        "ours-uvloop-pure",
        "wsgi-pure-uvloop",
        "ours-asyncio-pure",
        "wsgi-pure-asyncio",
        "ours-trio-pure",
        "wsgi-pure-trio",
    ]


def test_chooses_servers_by_pattern(tmp_path: Path) -> None:
    every = ours(tmp_path, compiled=True)
    assert [server.name for server in chosen(every, ["*-pure", "ours-trio*"])] == [
        "ours-uvloop-pure",
        "ours-asyncio-pure",
        "ours-trio-pure",
        "ours-trio",
    ]
    assert chosen(every, []) == every
    with pytest.raises(ServerError, match="no server 'nginx'"):
        chosen(every, ["nginx"])


def test_a_peer_never_imports_this_source_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "src")
    assert import_path("peer") == str(ROOT)
    assert import_path("ours") == f"{os.path.abspath('src')}{os.pathsep}{ROOT}"


def test_an_empty_environment_of_peers_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="no peer is installed"):
        all_servers(tmp_path)


def test_peers_have_fixed_versions() -> None:
    assert all("==" in line for line in requirements())


def python(port: int, code: str) -> ServerProcess:
    return ServerProcess([sys.executable, "-c", code], port, dict(os.environ))


IMPORTS = "import signal, socket, subprocess, sys, time; "
LISTEN = "s = socket.create_server(('127.0.0.1', {port})); "


def test_a_server_ends_with_all_its_children() -> None:
    port = free_port()
    child = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
    # Deaf to SIGTERM, so that it has to be killed.
    deaf = IMPORTS + "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    with python(port, deaf + LISTEN.format(port=port) + child + "time.sleep(60)") as server:
        end = time.monotonic() + 5
        members = family(server.pid)
        while (len(members) < 2 or memory_kib(members[1]) < 1000) and time.monotonic() < end:
            time.sleep(0.01)
            members = family(server.pid)
        assert len(members) == 2
        assert memory_kib(server.pid) > memory_kib(members[1]) + 1000, "the family's memory is the sum"
    assert not any(map(is_running, members))
    socket.create_server(("127.0.0.1", port)).close()


def test_cpu_time_counts_children_that_have_ended() -> None:
    port = free_port()
    work = "subprocess.run([sys.executable, '-c', 'import time\\nwhile time.process_time() < 0.3: pass']); "
    with python(port, IMPORTS + work + LISTEN.format(port=port) + "time.sleep(60)") as server:
        assert server.cpu_seconds() >= 0.25
        assert cpu_seconds(server.pid) == pytest.approx(server.cpu_seconds(), abs=0.1)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise SystemExit('no luck')", r"ended at start with code 1 \(no luck\)"),
        ("import os; os.abort()", "ended at start with code -6"),
    ],
)
def test_a_server_that_does_not_start_says_why(code: str, message: str) -> None:
    with pytest.raises(ServerError, match=message), python(free_port(), code):
        pass


def test_a_command_that_does_not_exist() -> None:
    with pytest.raises(ServerError, match="could not be run"), ServerProcess(["/nowhere/server"], 1, {}):
        pass


def server(name: str, code: str) -> Server:
    """A server that is a line of Python, with {port} in it."""
    return Server(name, name, "peer", Path("/"), lambda start: [sys.executable, "-c", code.format(port=start.port)])


WRONG = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({status})
        self.end_headers()
        self.wfile.write(b"{body}")
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", {{port}}), Handler).serve_forever()
"""


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [(200, "short", "answers 5 bytes instead of 14"), (500, "Hello, world!.", "answers 500")],
)
def test_wrong_answers_are_not_measured(status: int, body: str, message: str) -> None:
    with pytest.raises(ServerError, match=message):
        servers.measure(server("wrong", WRONG.format(status=status, body=body)), CASES["hello"], 1, None)


def test_no_tls_where_a_server_has_none() -> None:
    with pytest.raises(ServerError, match="does not do TLS"):
        server("plain", "")._replace(can_tls=False).start("app", 1, ("certificate", "key"))


def test_memory_of_connections(capsys: pytest.CaptureFixture[str]) -> None:
    assert memory.main(["--connections", "20", "--server", "ours-asyncio-pure"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("hypercorn (asyncio, pure)")
    before, after, each = map(float, last.split()[-3:])
    assert 5 < before <= after + 1
    assert -10 < each < 300  # an allocator may give pages back meanwhile


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_compares_servers(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "WARM", 0)
    kept = tmp_path / "run.json"
    options = ["--case", "hello", "--server", "ours-asyncio-pure", "--rounds", "1", "--seconds", "1"]
    assert servers.main([*options, "--json", str(kept)]) == 0
    assert "hypercorn (asyncio, pure)" in capsys.readouterr().out
    (row,) = Comparison.load(kept).cases["hello"]
    assert row.failures == []
    assert row.samples[0].cpu > 0
    assert row.samples[0].p50 <= row.samples[0].p99


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_the_slowest_requests_beside_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert tails.main(["--idle", "20", "--seconds", "1", "--rounds", "1", "--server", "ours-asyncio-pure"]) == 0
    figures = [float(text) for text in capsys.readouterr().out.splitlines()[-1].split()[-7:]]
    for place in (0, 2, 4):
        assert 0 < figures[place] <= figures[place + 1]
    assert figures[6] >= 1


def test_a_download_that_ends_is_no_figure() -> None:
    def cut_off() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener, tails.download(listener.getsockname()[1]) as one:
            listener.accept()[0].close()
            one.join(5)

    with pytest.raises(ServerError, match="the download ended"):
        cut_off()


def test_first_answers_of_servers(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(os.environ)
    assert startup.compare([server("answering", WRONG.format(status=200, body="any"))], 1) == 0
    name, wall, cpu = capsys.readouterr().out.splitlines()[-1].split()
    assert name == "answering"
    assert 10 < float(wall) < 15000
    assert 10 < float(cpu) < 15000
    monkeypatch.setattr(startup, "PATIENCE", 0.5)
    monkeypatch.setattr(startup, "ANSWER_SECONDS", 0.2)
    assert startup.compare([server("silent", IMPORTS + LISTEN + "time.sleep(60)")], 1) == 1
    assert "silent: has not answered" in capsys.readouterr().err
    assert dict(os.environ) == before


@pytest.mark.parametrize("name", floors.FLOORS)
def test_the_call_of_each_case_ends(backend: str, name: str) -> None:
    assert 0.1 < floors.call_cost(CASES[name], backend, 0.01) < 100000


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_the_floor_of_a_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert floors.main(["--case", "wait", "--loop", "asyncio", "--seconds", "1"]) == 0
    case, loop, *figures = capsys.readouterr().out.splitlines()[-1].split()
    assert (case, loop) == ("wait", "asyncio")
    call, kernel, floor, _ = map(float, figures)
    assert floor == pytest.approx(call + kernel, abs=0.2)
    assert kernel > 0
