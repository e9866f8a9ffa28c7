"""Applications of the supervisor's tests. The environment says how they start, the path what they do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.support.answers import pause, respond

HOW = os.environ.get("TEST_START", "")
FILE = os.environ.get("TEST_FILE", "")


def first() -> bool:
    """True for the first process that asks."""
    try:
        os.close(os.open(FILE, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def say(text: str) -> None:
    """A line on stdout, in one piece: other processes write there too."""
    os.write(1, text.encode() + b"\n")


if HOW == "import error":
    raise ValueError("no such thing")
if HOW == "exit":
    os._exit(7)
if HOW == "import slowly":
    say("importing")
    time.sleep(60)
if HOW == "die once" and first():
    os._exit(9)
if HOW == "fork":  # a process of the application's own, which lives on for a while
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    grandchild = os.fork()
    if not grandchild:
        time.sleep(60)
        os._exit(0)
    Path(FILE).write_text(f"{child.pid} {grandchild}")
if HOW == "orphan":  # ... whose parent ends, so that somebody else has to bury it
    code = "import subprocess, sys; open(sys.argv[1], 'w').write(str(subprocess.Popen(['sleep', '0.1']).pid))"
    subprocess.run([sys.executable, "-c", code, FILE], check=True)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with its process id, after what the path says."""
    if scope["type"] == "lifespan":
        await life(receive, send)
    elif scope["type"] == "websocket":
        await echo(receive, send)
    else:
        await serve(scope, receive, send)


async def life(receive: Any, send: Any) -> None:
    """The lifespan; says when it ends."""
    if HOW == "only requests":
        raise NotImplementedError
    await receive()
    if HOW == "no lifespan":
        raise ValueError("what is a lifespan?")
    if HOW == "startup fails":
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        return
    if HOW == "startup hangs":
        say("starting")
        await pause(60)
    if HOW == "dies soon":
        os.kill(os.getpid(), signal.SIGKILL)
    await send({"type": "lifespan.startup.complete"})
    if HOW == "dies young" and not os.path.exists(FILE):  # noqa: ASYNC240
        threading.Thread(target=die_young).start()
    if HOW == "lifespan crashes":
        raise ValueError("lost the database")
    await receive()
    if HOW == "shutdown hangs":
        await pause(60)
    if HOW == "shutdown fails":
        await send({"type": "lifespan.shutdown.failed", "message": "still busy"})
        return
    say("shutdown complete")
    await send({"type": "lifespan.shutdown.complete"})


def die_young() -> None:
    """Ends this process once it serves; says when it began and when it ended."""
    say(f"up {time.monotonic()}")
    time.sleep(0.1)
    say(f"down {time.monotonic()}")
    os._exit(9)


async def serve(scope: Any, receive: Any, send: Any) -> None:
    """One request."""
    what = scope["path"].strip("/").split("/")
    if what[0] == "slow":
        say("inside")
        await pause(float(what[1]))
    elif what[0] == "block":
        say("inside")
        time.sleep(float(what[1]))  # noqa: ASYNC251  to stand still is the point
    elif what[0] == "spin":
        say("inside")
        end = time.monotonic() + float(what[1])
        while time.monotonic() < end:
            pass
    elif what[0] == "block-until-there-is-a-file":
        say("inside")
        while not os.path.exists(FILE):  # noqa: ASYNC240
            time.sleep(0.01)  # noqa: ASYNC251
    elif what[0] == "signal":
        os.kill(os.getpid(), int(what[1]))
    elif what[0] == "exit":
        os._exit(int(what[1]))
    elif what[0] == "client":
        told = *scope["client"], scope["scheme"], scope["root_path"] + scope["path"], scope["server"][1]
        await respond(send, " ".join(map(str, told)).encode())
        return
    elif what[0] == "hoard":
        hoard.append(bytearray(b"x" * int(what[1])))
    elif what[0] in ("stream", "events"):
        await stream(receive, send, what[0] == "events")
        return
    await respond(send, b"%d" % os.getpid())


hoard: list[bytearray] = []


async def stream(receive: Any, send: Any, listens: bool) -> None:
    """Without end; or, where it listens, until it is told."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"tick", "more_body": True})
    if listens:
        while (await receive())["type"] != "http.disconnect":
            pass
        say("told")
        await send({"type": "http.response.body", "body": b"bye"})
        return
    while True:
        await send({"type": "http.response.body", "body": b"tick", "more_body": True})
        await pause(0.02)


async def echo(receive: Any, send: Any) -> None:
    """A WebSocket that says what it hears."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
