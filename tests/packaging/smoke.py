"""An installed server serves: run by a bare interpreter that has nothing but the package (and no pytest).

python tests/packaging/smoke.py compiled    or: pure
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

APP = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        body = b"hello " + scope["path"].encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-version", b"1")]})
        await send({"type": "http.response.body", "body": body})
"""
RUNNING = re.compile(r"Running on http://127\.0\.0\.1:(\d+)")


def version() -> str:
    """What the installed command says of itself."""
    return subprocess.check_output([sys.executable, "-m", "hypercorn", "--version"], text=True, timeout=60)


def serve(*flags: str) -> str:
    """Serves a request by the installed command, and ends it politely. Returns what it answered."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "smoke_app.py").write_text(APP)
        command = [sys.executable, "-m", "hypercorn", "-b", "127.0.0.1:0", *flags, "smoke_app:app"]
        new_group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
        process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, creationflags=new_group)
        try:
            assert process.stderr is not None
            lines = iter(process.stderr)
            found = next((match for line in lines if (match := RUNNING.search(line))), None)
            assert found is not None, "it does not run"
            connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=30)
            connection.request("GET", "/there")
            response = connection.getresponse()
            answer = f"{response.status} {response.read().decode()}"
            connection.close()
            process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT))
            process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
    assert os.name == "nt" or process.returncode == 0, f"exit code {process.returncode}"
    return answer


def main(build: str) -> None:
    said = version()
    assert f"({build} build)" in said, said
    drivers = ["loop"] if build == "pure" or os.name == "nt" else ["loop", "reactor"]
    for driver in drivers:
        assert serve("--runtime", driver) == "200 hello /there"
    if os.name != "nt":
        assert serve("--workers", "2") == "200 hello /there"
    print(said.strip(), "serves")


if __name__ == "__main__":
    main(sys.argv[1])
