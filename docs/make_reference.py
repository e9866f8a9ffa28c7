"""Writes docs/reference/options.md and the table of limits in SECURITY.md from the option table, and the tables of
docs/migration from that of other servers' flags.

python docs/make_reference.py            writes the pages
python docs/make_reference.py --check    exits with 1 where they are not what the option table says
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from hypercorn.config import migration
from hypercorn.config.options import OPTIONS, UNSET, Option

PAGE = Path(__file__).with_name("reference") / "options.md"
SECURITY = Path(__file__).resolve().parents[1] / "SECURITY.md"
LIMITS = re.compile(r"(?<=\|---\|---\|---\|\n)(?:\| `\w+` \|.*\n)+(?=<!-- end of limits -->)")
MIGRATION = Path(__file__).with_name("migration")
FLAGS = re.compile(r"(?<=<!-- flags: change src/hypercorn/config/migration.py -->\n\n)(?:\|.*\n)*")
LIMITING = ("Limits", "Timeouts")  # groups whose options all are limits
# Limits of other groups.
NAMES = re.compile(r"backlog|max_(requests|worker_\w+)|wsgi_threads|limit_\w+|shed_delay|\w+_(timeout|size)")
INTRODUCTION = """\
# Options

<!-- Made from the option table by docs/make_reference.py: change src/hypercorn/config/options/ and run that. -->

Each option has one name, which is an attribute of `Config`, a key of the [configuration file](configuration.md), a flag
of the [command](command.md) (`--` and dashes) and an environment variable (`HYPERCORN_` and capitals). Its other names,
those of earlier releases, work in all four places. A flag beats the environment, the environment beats the file.

Times are seconds; text may have a unit (`500ms`, `30s`, `2m`). Sizes are bytes; text may have one too (`64KiB`,
`16MiB`). `none` is "no limit" where an option allows it, and 0 is zero. A flag that says *may be repeated* takes one
value each time it is given; in the environment, commas stand between the values.
"""


def code(text: str) -> str:
    """Text as code, in a line of Markdown."""
    mark = "``" if "`" in text else "`"
    return f"{mark}{text}{mark}"


def default_of(option: Option) -> str:
    """The default as a reader meets it in a configuration file."""
    value: Any = option.default
    if value is UNSET:
        return "not set"
    if value is None:
        return "`none`"
    if value == [] or value == "":
        return "empty"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(code(str(item)) for item in value)
    if isinstance(value, dict):
        return ", ".join(code(f"{name}={_word(item)}") for name, item in value.items())
    if isinstance(value, float):
        return f"{value:g} s"
    if option.kind.metavar == "BYTES":
        return size(value)
    return code(str(value))


def _word(value: Any) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def size(count: int) -> str:
    """Bytes, in the unit that makes it short."""
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor and count % factor == 0:
            return f"{count // factor} {unit}"
    return f"{count} bytes"


def flags_of(option: Option) -> str:
    """How the command line has it."""
    if option.kind.switch:
        flags = [*option.all_flags]
        flags += ["--no-" + flag[2:] for flag in option.all_flags if flag.startswith("--")]
        return ", ".join(code(flag) for flag in flags)
    return ", ".join(code(f"{flag} {option.kind.metavar}") for flag in option.all_flags)


def entry(option: Option) -> list[str]:
    """One option as Markdown lines."""
    lines = [f"### {option.name}", "", sentence(option.help), ""]
    lines += [f"- default: {default_of(option)}", f"- value: {escape(option.kind.expected)}"]
    if option.all_flags:
        lines += [f"- flag: {flags_of(option)}"]
    lines += [f"- environment: {code(option.env)}"]
    if option.aliases:
        lines += ["- other names: " + ", ".join(code(alias) for alias in option.aliases)]
    if option.alias_of:
        lines += [f"- stands for: [{code(option.alias_of)}](#{option.alias_of})"]
    return [*lines, ""]


def sentence(text: str) -> str:
    """Help text as a sentence."""
    first = text if ":" in text.split()[0] else text[0].upper() + text[1:]
    return escape(first) + "."


def escape(text: str) -> str:
    """Text whose stars and underscores are no markup."""
    return text.replace("_", "\\_").replace("*", "\\*")


def page() -> str:
    """The whole page."""
    lines = [INTRODUCTION, *overview()]
    group = ""
    for option in sorted(OPTIONS, key=lambda option: GROUPS.index(option.group)):
        if option.group != group:
            group = option.group
            lines += [f"## {group}", ""]
        lines += entry(option)
    return "\n".join(lines).rstrip() + "\n"


def overview() -> list[str]:
    """A table for each group, to find an option in."""
    lines: list[str] = []
    for group in GROUPS:
        lines += [f"**{group}**", "", "| Option | Default | |", "|---|---|---|"]
        for option in OPTIONS:
            if option.group == group and not option.alias_of:
                lines.append(f"| [`{option.name}`](#{option.name}) | {default_of(option)} | {escape(option.help)} |")
        lines.append("")
    return lines


def is_limit(option: Option) -> bool:
    """Whether an option bounds something."""
    return not option.alias_of and (option.group in LIMITING or NAMES.fullmatch(option.name) is not None)


def security_page(text: str) -> str:
    """SECURITY.md with a row for each limit; what it stops stays as it is there, or else is the option's help."""
    match = LIMITS.search(text)
    assert match is not None, "SECURITY.md has no table of limits"
    cells = [[cell.strip() for cell in row.split("|")[1:4]] for row in match[0].splitlines()]
    stops = {row[0].strip("`"): row[2] for row in cells}
    rows = [
        f"| `{option.name}` | {default_of(option)} | {stops.get(option.name, escape(option.help))} |\n"
        for option in OPTIONS
        if is_limit(option)
    ]
    return text[: match.start()] + "".join(rows) + text[match.end() :]


def migration_page(server: str, text: str) -> str:
    """A page for those who come from another server, with the flags of both."""
    match = FLAGS.search(text)
    assert match is not None, f"the page about {server} has no place for its flags"
    return text[: match.start()] + migration.markdown(server) + text[match.end() :]


def pages() -> list[tuple[Path, str]]:
    """Every page that has something made, with the text that it should have."""
    found = [(PAGE, page()), (SECURITY, security_page(SECURITY.read_text()))]
    for server in migration.TABLES:
        path = MIGRATION / f"{server.lower()}.md"
        found.append((path, migration_page(server, path.read_text())))
    return found


GROUPS = list(dict.fromkeys(option.group for option in OPTIONS))


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    status = 0
    for path, text in pages():
        if "--check" not in arguments:
            path.write_text(text)
        elif path.read_text() != text:
            print(f"{path.name} is not what the tables say: python docs/make_reference.py")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
