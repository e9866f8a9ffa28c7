"""FastAPI's part of `libraries`. It looks at annotations, so here they are not postponed."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request
from tests.equivalence import libraries
from tests.support.answers import in_trio


def make(journal: "libraries.Journal") -> Any:
    """The application."""
    app = FastAPI()

    async def session(request: Request) -> AsyncIterator[str]:
        path = request.url.path
        libraries.USER.set(path)
        journal.say(path, "opened", libraries.on_loop() or in_trio())
        try:
            yield "session"
        except Exception as error:
            journal.say(path, "failed", repr(error), repr(error.__context__))
            raise
        finally:
            journal.say(path, "left", libraries.USER.get())

    def blocking_session(request: Request) -> Iterator[str]:
        journal.say(request.url.path, "opened in a thread", libraries.on_loop())
        yield "blocking"
        journal.say(request.url.path, "left in a thread", libraries.on_loop())

    @app.get("/async")
    async def on_the_loop(given: str = Depends(session)) -> dict[str, str]:
        journal.say("/async", given, libraries.USER.get())
        return {"user": libraries.USER.get()}

    @app.get("/sync")
    def in_a_thread(given: str = Depends(session), other: str = Depends(blocking_session)) -> dict[str, str]:
        journal.say("/sync", given, other, libraries.USER.get(), libraries.on_loop())
        return {"user": libraries.USER.get()}

    @app.get("/refused")
    async def refused(given: str = Depends(session)) -> None:
        raise HTTPException(403, "no")

    @app.get("/broken")
    def broken(given: str = Depends(session)) -> None:
        raise ValueError("broken")

    return app
