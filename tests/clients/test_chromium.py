"""Two tabs of a headless Chromium hold a chat through the example application and its page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from tests.support.browser import Browser, Page
from tests.support.live import DRIVERS, Live, eventually

chat = pytest.importorskip("examples.chat", reason="the examples are not beside the tests")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser.start() as browser:
        yield browser


@pytest.fixture(params=DRIVERS[:1])
def driver(request: pytest.FixtureRequest) -> str:
    """A browser does not see who moves the bytes: the best there is will do."""
    return str(request.param)


@pytest.fixture
def live(browser: Browser, serve_app: Callable[..., Live], monkeypatch: pytest.MonkeyPatch) -> Live:
    monkeypatch.setattr(chat, "room", chat.Room())
    return serve_app(chat.app, graceful_timeout=0.1)


def join(browser: Browser, live: Live, name: str) -> Page:
    """A tab in which somebody has joined the chat."""
    page = browser.open(live.url)
    assert page.run("document.title") == "Chat"
    page.type(name)
    page.wait(f"log.innerText.includes('{name} joined') && !text.disabled")
    return page


def lines(page: Page) -> list[str]:
    """What the page shows, one item after the other, without the time of day."""
    found = page.run("[...log.children].map(line => line.innerText)")
    return [" ".join(re.sub(r"\n\d+:\d\d( [AP]M)?\n", " ", line).split()) for line in found]


def test_two_tabs_talk(browser: Browser, live: Live) -> None:
    ada = join(browser, live, "Ada")
    assert ada.run("state.innerText") == "You are alone here"
    ben = join(browser, live, "Ben <b>")
    ada.wait("log.innerText.includes('Ben <b> joined')")
    assert ada.run("state.innerText") == "Ada, Ben <b>"
    ada.type("Hello Ben")
    ben.wait("log.innerText.includes('Hello Ben')")
    ben.type("Grüße " * 100)
    ada.wait("log.innerText.includes('Grüße')")
    assert [ada.run("document.querySelectorAll('.mine').length"), ben.run("people.size")] == [1, 2]
    assert lines(ada) == ["Ada joined", "Ben <b> joined", "Ada Hello Ben", "Ben <b> " + ("Grüße " * 100).strip()]
    assert ada.run("socket.extensions").startswith("permessage-deflate")
    ben.close()
    ada.wait("log.innerText.includes('Ben <b> left')")
    assert ada.run("state.innerText") == "You are alone here"
    ada.close()
    eventually(lambda: not chat.room.members)
    assert live.errors() == []


def test_a_tab_comes_back(browser: Browser, live: Live) -> None:
    """When the connection is lost the page says so, joins again by itself, and shows what was said before."""
    page = join(browser, live, "Cleo")
    page.type("before")
    page.wait("log.innerText.includes('before')")
    page.run("wait = 0.05, socket.close(4000)")
    page.wait("socket.readyState === 1 && !text.disabled && log.innerText.includes('Cleo joined')")
    assert lines(page) == ["Cleo before", "Cleo joined"]
    page.type("after")
    page.wait("log.innerText.includes('after')")
    page.close()
    assert live.errors() == []
