"""Every command line that documentation and scripts show can be typed: it is parsed, not run."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
from typer.main import get_command

ROOT = Path(__file__).parents[1]
# docs/cli is written by docs/generate_cli.py from the commands themselves.
DOCS = [path for path in ROOT.glob("docs/**/*.md") if not {"cli", "_build"} & set(path.parts)]
TEXTS = sorted(
    [
        *ROOT.glob("*.md"),
        *DOCS,
        *ROOT.glob("benchmarks/*.md"),
        *ROOT.glob("submissions/*/README.md"),
    ]
)
SCRIPTS = sorted(ROOT.glob("submissions/*/run.sh"))
COMMANDS = get_command(import_module("comptool.commands.app").app).commands

# Not an error, which begins with the command and a colon.
AT_START = re.compile(r"^\s*(?:\$ )?comptool (?!\w+: )(.+)$", re.MULTILINE)
IN_SCRIPT = re.compile(r"(?:^|\$\(|[|&;]|\bthen|\bdo)\s*comptool (.+)$", re.MULTILINE)
IN_CODE = re.compile(r"`(?:comptool )?((?:" + "|".join(COMMANDS) + r")(?:\s[^`]*)?)`")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
IN_TICKS = re.compile(r"`([^`]+)`")
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z0-9-]+)")
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
SOURCE = re.compile(r"`((?:comptool|commands|docs|tests|benchmarks|submissions)/[^`\s]*)`")
OPTIONS = {
    option
    for command in COMMANDS.values()
    for parameter in command.params
    for option in (*parameter.opts, *parameter.secondary_opts)
} | {"--help", "--version"}
ARRAY = re.compile(r"^\s*(\w+)\+?=\((.*?)\)", re.MULTILINE | re.DOTALL)
EXPANDED = re.compile(r'"?\$\{(\w+)\[@\]\}"?')
DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")
FUNCTION = re.compile(r"^(\w+)\(\) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
SHIFT = re.compile(r"\bshift (\d+)")
VARIABLE = re.compile(r"\$\{?\w+\}?")


def words(line: str) -> list[str]:
    """The arguments of a command up to the end of it: a pipe, a redirection, a bracket."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    found = []
    for word in reader:
        if set(word) <= set("();<>|&"):
            return found[:-1] if found and found[-1] == "2" and word.startswith(">") else found
        found.append(word)
    return found


def shell_commands(script: str) -> list[list[str]]:
    """The command lines of a script and of its functions' calls, with a value for each variable."""
    text = re.sub(r"^\s*#.*$", "", re.sub(r"\\\n\s*", " ", script), flags=re.MULTILINE)
    arrays: dict[str, str] = {}
    for name, value in ARRAY.findall(text):
        arrays[name] = f"{arrays.get(name, '')} {value}"
    for _ in range(3):  # an array may hold others
        text = EXPANDED.sub(lambda found: arrays[found[1]], text)
    text = VARIABLE.sub("1", DEFAULT.sub(r"\1", text))
    lines = []
    for name, body in FUNCTION.findall(text):
        shift = SHIFT.search(body)
        for line in IN_SCRIPT.findall(body):
            for given in re.findall(rf"^\s*{name} (.+)$", text, re.MULTILINE):
                lines.append(words(line) + words(given)[int(shift[1]) if shift else 0 :])
    text = FUNCTION.sub("", text)
    return [
        [word for word in line if word != "$@"]
        for line in (*lines, *(words(line) for line in IN_SCRIPT.findall(text)))
    ]


def shown(path: Path) -> list[tuple[str, list[str]]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".sh":
        return [(f"{path.parent.name}/{path.name}", line) for line in shell_commands(text)]
    text = re.sub(r"\\\n\s*", " ", text)
    return [(str(path.relative_to(ROOT)), words(line)) for line in AT_START.findall(text)]


LINES = [line for path in (*TEXTS, *SCRIPTS) for line in shown(path)]


@pytest.mark.parametrize(
    ("where", "arguments"), LINES, ids=[f"{where}: {' '.join(line)}" for where, line in LINES]
)
def test_a_command_line_that_is_shown_can_be_typed(where, arguments):
    name, *rest = arguments
    assert name in COMMANDS, f"{where}: there is no command '{name}'"
    # An option that does not exist, a wrong type and a missing argument all raise here.
    context = COMMANDS[name].make_context(name, rest)
    if name == "profile":
        measured = context.params["command"]
        COMMANDS[measured].make_context(measured, context.args)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_options_beside_a_command_in_the_text_exist(path):
    for code in IN_CODE.findall(path.read_text(encoding="utf-8")):
        name, *rest = code.split()
        known = {option for one in COMMANDS[name].params for option in one.opts}
        known |= {option for one in COMMANDS[name].params for option in one.secondary_opts}
        asked = {word.strip("[],.") for word in rest if word.strip("[").startswith("-")}
        assert asked - known - {"--help", "-h"} == set(), f"{path.name}: `{code}`"


@pytest.mark.parametrize("path", [ROOT / "README.md", *DOCS], ids=lambda path: path.name)
def test_options_that_are_named_in_the_text_exist(path):
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    codes = [
        code for code in IN_TICKS.findall(text) if not code.startswith(("pip ", "benchmarks/"))
    ]
    named = {option for code in codes for option in OPTION.findall(code)}
    assert named - OPTIONS == set()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_source_files_exist(path):
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    links = [link for link in LINK.findall(text) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []
    if path in DOCS or (path.parent == ROOT and path.name != "CHANGELOG.md"):
        named = SOURCE.findall(text)
        # What a run writes there is not in the repository.
        kept = [name for name in named if "<" not in name and not name.endswith((".csv", ".json"))]
        assert [name for name in kept if not (ROOT / name).exists()] == []


def test_the_readme_is_short_and_names_every_command():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    named = {name for code in IN_TICKS.findall(text) for name in code.split()[:1]}
    assert set(COMMANDS) - named == set()


def test_the_readme_and_every_script_show_commands():
    assert {"README.md", *(f"{path.parent.name}/run.sh" for path in SCRIPTS)} <= {
        where for where, _ in LINES
    }


def test_a_line_ends_where_the_shell_ends_it():
    assert words("split --val 0.2 2>&1 | tail -3") == ["split", "--val", "0.2"]
    script = """
more=(-b 8)
fit() {  # fit NAME OPTION...
  name=$1; shift 1
  comptool train --run-name "$name" "$@"
}
fit a "${more[@]}" \\
  --lr "${LR:-0.1}" | tail
x=$(comptool submit --zip)
"""
    assert shell_commands(script) == [
        ["train", "--run-name", "1", "-b", "8", "--lr", "0.1"],
        ["submit", "--zip"],
    ]
