"""The documentation: generated pages are current, every page can be reached, and it builds."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
REFRESH = "run `make docs-reference`"
# Options whose default says what they are.
SAID_BY_DEFAULT = ("| `--metric ", "| `--warmup-epochs ")
TREE = re.compile(r"```\{toctree\}\n(.*?)```", re.DOTALL)


def script(name: str):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CLI = script("generate_cli")
MAP = script("generate_map")


def test_the_command_reference_is_that_of_the_commands():
    pages = CLI.pages()
    kept = {path.name: path.read_text(encoding="utf-8") for path in CLI.FOLDER.glob("*.md")}
    assert sorted(kept) == sorted(pages), REFRESH
    stale = [name for name in pages if kept[name] != pages[name]]
    assert stale == [], REFRESH


def test_every_option_has_help():
    for name, text in CLI.pages().items():
        rows = [line for line in text.splitlines() if line.startswith("| `-")]
        assert rows or name == "index.md"
        empty = [row for row in rows if row.endswith("|  |")]
        assert [row for row in empty if not row.startswith(SAID_BY_DEFAULT)] == [], name


def test_the_map_is_that_of_the_docstrings():
    assert MAP.MAP.read_text(encoding="utf-8") == MAP.architecture(), REFRESH


def test_the_map_has_a_line_for_each_file():
    text = MAP.architecture()
    for top in ("comptool", "commands"):
        for path in (ROOT / top).rglob("*.py"):
            assert path.name == "__init__.py" or f"- `{path.name}`: " in text
            assert f"### `{path.parent.relative_to(ROOT).as_posix()}/`" in text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("A seed.  [default: 0; x>=0]", ("A seed.", "0", "x>=0")),
        ("A. [default: 0.5; flips: none]  [0<=x<=1]", ("A.", "0.5; flips: none", "0<=x<=1")),
        ("Seeds. [default: 1; multi-label 100]", ("Seeds.", "1; multi-label 100", "")),
        ("A submission.  [required]", ("A submission.", "", "required")),
        ("Views [a, b]", ("Views [a, b]", "", "")),
        ("[default: the competition's]", ("", "the competition's", "")),
    ],
)
def test_help_is_parted_into_text_default_and_range(text, parts):
    assert CLI.details(text) == parts


def test_every_page_is_in_the_contents():
    reached = {DOCS / "index.md"}
    queue = list(reached)
    while queue:
        page = queue.pop()
        for tree in TREE.findall(page.read_text(encoding="utf-8")):
            for name in tree.split():
                if name != ":hidden:":
                    found = (page.parent / name).with_suffix(".md")
                    reached.add(found)
                    queue.append(found)
    pages = {path for path in DOCS.rglob("*.md") if "_build" not in path.parts}
    assert pages - reached == {DOCS / "architecture-intro.md"}


def test_the_documentation_builds_without_a_warning(tmp_path):
    pytest.importorskip("sphinx")
    pytest.importorskip("myst_parser")
    pytest.importorskip("pydata_sphinx_theme")
    build = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q"]
    run = subprocess.run([*build, str(DOCS), str(tmp_path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "index.html").exists()
