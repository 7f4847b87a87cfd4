"""Write ARCHITECTURE.md: the hand-written introduction, then one line for each Python file."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
INTRODUCTION = Path(__file__).with_name("architecture-intro.md")
MAP = ROOT / "ARCHITECTURE.md"
# Top layer first; a package that is not listed follows in alphabetical order.
LAYERS = (
    "commands training inference profiling inspection reports label_review tracking postprocess "
    "submission models losses data splits metrics tasks competition io practice"
).split()


def summary(path: Path) -> str:
    """First line of the docstring of a Python file, as Markdown.

    Raises
    ------
    ValueError
        If the file has no docstring.
    """
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not docstring:
        raise ValueError(f"{path.relative_to(ROOT)} has no docstring")
    line = docstring.splitlines()[0].replace("``", "`")
    return re.sub(r":\w+:`~?([^`]*)`", r"`\1`", line)


def folders() -> list[Path]:
    """Folders of Python files: those of ``LAYERS`` in that order, each before its subfolders."""

    def place(folder: Path) -> tuple[int, tuple[str, ...]]:
        parts = folder.relative_to(ROOT).parts
        name = parts[1] if len(parts) > 1 else parts[0]
        if name == "comptool":
            return len(LAYERS) + 1, parts
        return (LAYERS.index(name) if name in LAYERS else len(LAYERS)), parts

    found = {path.parent for top in ("commands", "comptool") for path in (ROOT / top).rglob("*.py")}
    return sorted(found, key=place)


def architecture() -> str:
    """The whole text of ARCHITECTURE.md."""
    parts = [INTRODUCTION.read_text(encoding="utf-8").rstrip(), "", "## Map"]
    for folder in folders():
        parts += ["", f"### `{folder.relative_to(ROOT).as_posix()}/`", ""]
        start = folder / "__init__.py"
        if start.exists():
            parts += [summary(start), ""]
        parts += [
            f"- `{path.name}`: {summary(path)}"
            for path in sorted(folder.glob("*.py"))
            if path != start
        ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    MAP.write_text(architecture(), encoding="utf-8")
    sys.stdout.write(f"{MAP}\n")
