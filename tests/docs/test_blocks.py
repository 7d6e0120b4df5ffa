"""What README and docs show is true: code runs, campaigns are valid, commands exist.

- ```` ```python run ````: executed, the blocks of a page one after the other in one namespace;
- ```` ```python mongo ````: executed beside a filled store, in tests/store;
- ```` ```yaml campaign ````: a whole campaign file, validated;
- ```` ```console ````: every ``fw-nnp`` command, argument and option in it is parsed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from textwrap import dedent

import pytest
import typer

from fw_nnp.cli.main import app
from fw_nnp.workflows.files import read_campaign

ROOT = Path(__file__).parents[2]
PAGES = [page for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))) if page.exists()]
BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<tag>[^\n]*)\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
SEPARATORS = ("|", "&&", ";", "&", ">")
KNOWN_TAGS = (
    "python run",
    "python mongo",
    "yaml campaign",
    "yaml",
    "json",
    "console",
    "text",
    "mermaid",
)


def blocks(page: Path, tag: str) -> list[str]:
    """Contents of the blocks of `page` with `tag`."""
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [dedent(match["code"]) for match in found if match["tag"].strip() == tag]


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_tags_are_known(page):
    """A misspelt tag would leave its block untested."""
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        assert match["tag"].strip() in KNOWN_TAGS


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python run")], ids=page_id)
def test_python_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for code in blocks(page, "python run"):
        exec(compile(code, str(page), "exec"), namespace)
    assert len(namespace) > 2, "the blocks define nothing"


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "yaml campaign")], ids=page_id)
def test_campaigns_are_valid(page, tmp_path):
    for code in blocks(page, "yaml campaign"):
        path = tmp_path / "campaign.yaml"
        path.write_text(code, encoding="utf-8")
        assert read_campaign(path).name


# ---------------------------------------------------------------- commands


def commands(text: str) -> Iterator[list[str]]:
    """argv of every ``fw-nnp`` command in a console block, without ``fw-nnp``."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        starts = [i for i, word in enumerate(words) if word == "fw-nnp"]
        for start in starts:
            rest = words[start + 1 :]
            yield list(takewhile(lambda word: word not in SEPARATORS, rest))


def check_command(arguments: list[str]) -> None:
    """Parse `arguments` as the command line does, without running anything."""
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *arguments = arguments
        assert name in command.commands, f"fw-nnp has no command '{name}'"
        command = command.commands[name]
    command.make_context(command.name, arguments).close()


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "console")], ids=page_id)
def test_commands_exist(page):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for text in blocks(page, "console"):
        for arguments in commands(text):
            check_command(arguments)
        for target in re.findall(r"^(?:\$ )?make ([a-z]+)", text, flags=re.MULTILINE):
            assert target in targets, f"the Makefile has no target '{target}'"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fw-nnp quary Al", "has no command 'quary'"),
        ("fw-nnp mongod begin", "has no command 'begin'"),
        ("fw-nnp query Al --limmit 3", "No such option"),
        ("fw-nnp submit", "Missing parameter"),
    ],
)
def test_the_command_check_fires(line, message):
    (arguments,) = commands(line)
    with pytest.raises(Exception, match=message):
        check_command(arguments)


def test_help_examples_exist():
    """Every help text has an example, and the example parses."""
    root = typer.main.get_command(app)
    waiting = [("fw-nnp", root)]
    while waiting:
        name, command = waiting.pop()
        if hasattr(command, "commands"):
            waiting += [(f"{name} {key}", sub) for key, sub in command.commands.items()]
            continue
        if command.hidden:
            continue
        example = re.search(r"Example: `(fw-nnp [^`]+)`", command.help or "")
        assert example, f"{name} has no example in its help"
        for arguments in commands(example[1]):
            check_command(arguments)
