"""The two helps: what people need on two screens, and all of it."""

from __future__ import annotations

import re
from typing import Any

import pytest

import hypercorn.__main__
from hypercorn.cli import overview
from hypercorn.cli.parser import make_parser
from hypercorn.config.options import BY_NAME, OPTIONS, UNSET

FLAGS = {flag for action in make_parser().actions for flag in action.option_strings}


def said(capsys: Any, flag: str) -> str:
    with pytest.raises(SystemExit) as caught:
        hypercorn.__main__.main([flag])
    assert caught.value.code == 0
    text: str = capsys.readouterr().out
    return text


@pytest.mark.parametrize("flag", ["-h", "--help", "--he"])
def test_the_short_help_fits_two_screens(flag: str, capsys: Any) -> None:
    text = said(capsys, flag)
    lines = text.splitlines()
    assert len(lines) <= 2 * 48
    assert max(map(len, lines)) <= 80
    shown = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text)) - {"--no-reload"}
    assert shown <= FLAGS
    assert 28 <= len(shown) <= 40
    for word in ("hypercorn ctl", "hypercorn top", "--help-all", "default: 3 seconds", "http"):
        assert word in text


@pytest.mark.parametrize("name", [name for entries in overview.GROUPS.values() for name, _ in entries])
def test_what_it_lists_exists(name: str) -> None:
    assert name in BY_NAME or re.split(r"[ ,]+", name)[-2 if " " in name else -1] in FLAGS


def test_defaults_in_words_are_those_of_the_table() -> None:
    """As numbers, where the words have one."""
    texts = {name: text for entries in overview.GROUPS.values() for name, text in entries}
    for name, number in (("graceful_timeout", "3 seconds"), ("keep_alive_timeout", "5 seconds"), ("workers", "1")):
        assert f"(default: {number})" in texts[name]
        assert BY_NAME[name].default == float(number.split()[0])
    for name in ("max_body_size", "limit_concurrency", "max_requests"):
        assert BY_NAME[name].default is None


def test_the_whole_help_names_every_flag(capsys: Any) -> None:
    text = said(capsys, "--help-all")
    for option in OPTIONS:
        for flag in option.all_flags:
            assert flag in text
    hidden = {flag.replace("--no-", "--") for option in OPTIONS for flag in option.alias_flags}
    for flag in FLAGS:
        assert flag in text or flag.replace("--no-", "--") in hidden, flag
    assert str(UNSET) not in text
