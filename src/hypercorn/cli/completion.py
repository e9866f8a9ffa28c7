"""Shell completion for the command: scripts made from its own parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Flag(NamedTuple):
    """A flag: its spellings, what it is for, what it takes."""

    names: list[str]
    help: str
    takes: str  # "", "value", "file", or the words to choose from, separated by spaces


def flags_of(actions: Iterable[argparse.Action]) -> Iterator[Flag]:
    """The flags among a parser's actions that are shown in the help."""
    for action in actions:
        if not action.option_strings or action.help == argparse.SUPPRESS:
            continue
        metavar = action.metavar if isinstance(action.metavar, str) else ""
        words = list(action.choices) if action.choices else metavar.split("|") if "|" in metavar else []
        if action.nargs == 0:
            takes = ""
        elif words:
            takes = " ".join(map(str, words))
        else:
            takes = "file" if metavar == "PATH" or action.dest == "config" else "value"
        yield Flag(list(action.option_strings), (action.help or "").replace("%%", "%"), takes)


def script(actions: Iterable[argparse.Action], shell: str) -> str:
    """The script for bash, zsh or fish, to be evaluated by it, of a parser with these actions."""
    flags = list(flags_of(actions))
    return {"bash": bash, "zsh": zsh, "fish": fish}[shell](flags)


def bash(flags: list[Flag]) -> str:
    """For bash: source <(hypercorn --completion bash)."""
    cases = []
    for flag in flags:
        if flag.takes == "file":
            cases.append(f'        {"|".join(flag.names)}) COMPREPLY=($(compgen -f -- "$word")); return;;')
        elif flag.takes not in ("", "value"):
            cases.append(
                f'        {"|".join(flag.names)}) COMPREPLY=($(compgen -W {_quote(flag.takes)} -- "$word")); return;;'
            )
    names = " ".join(name for flag in flags for name in flag.names)
    return "\n".join(
        [
            "_hypercorn() {",
            '    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"',
            '    case "$before" in',
            *cases,
            "    esac",
            f'    if [[ "$word" == -* ]]; then COMPREPLY=($(compgen -W {_quote(names)} -- "$word"));',
            '    else COMPREPLY=($(compgen -f -- "$word")); fi',
            "}",
            "complete -o filenames -F _hypercorn hypercorn",
        ]
    )


def zsh(flags: list[Flag]) -> str:
    """For zsh: source <(hypercorn --completion zsh)."""
    lines = ["#compdef hypercorn", "_hypercorn() {", "    _arguments -s \\"]
    for flag in flags:
        words = flag.help.replace("\\", "").replace("[", "(").replace("]", ")").replace(":", " -")
        action = {"": "", "value": ":value:", "file": ":file:_files"}.get(flag.takes, f":value:({flag.takes})")
        for name in flag.names:
            lines.append(f"        {_quote(f'*{name}[{words}]{action}')} \\")
    return "\n".join([*lines, "        '1:application:_files'", "}", "compdef _hypercorn hypercorn"])


def fish(flags: list[Flag]) -> str:
    """For fish: hypercorn --completion fish | source."""
    lines = []
    for flag in flags:
        spellings = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names)
        takes = {"": "", "value": " -x", "file": " -r"}.get(flag.takes, f" -xa {_quote(flag.takes)}")
        lines.append(f"complete -c hypercorn {spellings} -d {_quote(flag.help)}{takes}")
    return "\n".join(lines)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
