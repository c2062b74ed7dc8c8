"""Every block of Python in the documentation runs, and what the documentation says of this repository is so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from codeop import compile_command
from pathlib import Path

import pytest

import syncline

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted([REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *(REPOSITORY / "docs").rglob("*.md")])
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^python3 -m venv .*nox.*$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")


def program(page: Path) -> str:
    """The page's blocks as one program whose line numbers are the page's, so that a failure points there."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * (text.count("\n") + 1)
    for block in PYTHON.finditer(text):
        first = text.count("\n", 0, block.start(1))
        for number, line in enumerate(block.group(1).splitlines()):
            lines[first + number] = line
    return "\n".join(lines)


def name(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


@pytest.mark.once
@pytest.mark.parametrize("page", [page for page in PAGES if PYTHON.search(page.read_text(encoding="utf-8"))], ids=name)
def test_the_blocks_of_a_page_run_in_order(page: Path, tmp_path: Path) -> None:
    """A reader who types a page's blocks one after the other sees no error and no warning."""
    copied = tmp_path / "page.py"
    copied.write_text(program(page), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(syncline.__file__).parents[1]), "PYTHONUTF8": "1"}
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(copied)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ran.returncode == 0, f"{name(page)}:\n{ran.stderr}"


def test_the_tutorial_can_be_typed_in_line_by_line() -> None:
    """Each block is what Python's prompt takes: a loop ends with an empty line before the next statement."""
    for block in PYTHON.findall((REPOSITORY / "docs" / "tutorial" / "first-sync.md").read_text(encoding="utf-8")):
        waiting: list[str] = []
        for line in [*block.splitlines(), ""]:
            waiting.append(line)
            if compile_command("\n".join(waiting)) is not None:
                waiting.clear()
        assert waiting in ([], [""]), f"this is not finished: {waiting}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """A link to another file of the repository names one that exists, also for those who read it without a build."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{name(page)} links to {target}"


def test_the_continuous_integration_runs_the_readmes_command() -> None:
    """What CI runs is what a contributor runs, to the letter, and it is one line."""
    commands = COMMAND.findall((REPOSITORY / "README.md").read_text(encoding="utf-8"))
    quickstart, everything = commands
    assert quickstart == f"{everything} -s quickstart"
    assert f"command='{everything}'" in (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")


def test_sessions_that_are_named_exist() -> None:
    """Every `nox -s name` in the documentation is a session of the noxfile."""
    sessions = set(re.findall(r"^def ([a-z]+)\(session", (REPOSITORY / "noxfile.py").read_text(encoding="utf-8"), re.M))
    named = {
        word.partition("-")[0]
        for page in PAGES
        for group in re.findall(r"nox -s ([a-z][\w. -]*?)(?: --|`|$)", page.read_text(encoding="utf-8"), re.M)
        for word in group.split()
    }
    assert named
    assert named <= sessions
