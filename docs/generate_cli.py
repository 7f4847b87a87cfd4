"""Write docs/cli/: one page for each command, from the command objects of the program."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from typer.main import get_command

FOLDER = Path(__file__).with_name("cli")
BRACKETS = re.compile(r"\s*\[([^\[\]]*)\]\s*$")
LIMIT = re.compile(r"(?:;\s*)?(required|\S*[<>]=?x\S*|x[<>]=?\S+)")
# Options of nearly every command; they stand at the end of a page.
OTHERS = "Options"
NOTE = "<!-- Written by docs/generate_cli.py (make docs-reference); edit the command instead. -->"


def details(text: str) -> tuple[str, str, str]:
    """Help text, default and limits of one option, parted: ``("Seed.", "0", "x>=0")``."""
    default, limits = "", []
    while found := BRACKETS.search(text):
        inside = found[1]
        is_limit = LIMIT.fullmatch(inside.split(";")[-1].strip())
        if not inside.startswith("default:") and not is_limit:
            break
        text = text[: found.start()]
        limits += LIMIT.findall(inside)
        default = LIMIT.sub("", inside).removeprefix("default:").strip() or default
    return text.strip(), default, ", ".join(limits)


def prose(text: str) -> str:
    """Text in which Markdown finds nothing to mark up, with options as code."""
    text = re.sub(r"([\\|<>*_`\[\]])", r"\\\1", " ".join(text.split()))
    return re.sub(r"(?<![\w-])(--[a-z][a-z-]*[a-z])", r"`\1`", text)


def code(text: str) -> str:
    """Code in a table cell; a bar would end the cell."""
    return "`" + text.replace("|", "\\|") + "`" if text else ""


def sections(command: Any, context: Any) -> dict[str, list[tuple[str, str]]]:
    """The arguments and options as ``--help`` has them, (names, text), by panel, in its order."""
    found: dict[str, list[tuple[str, str]]] = {"Arguments": []}
    others = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None:
            continue
        panel = getattr(parameter, "rich_help_panel", None)
        if parameter.param_type_name == "argument":
            found["Arguments"].append(record)
        elif panel is None or panel == OTHERS:
            others.append(record)
        else:
            found.setdefault(panel, []).append(record)
    return {title: rows for title, rows in {**found, OTHERS: others}.items() if rows}


def body(text: str) -> Iterator[str]:
    """Paragraphs of a command's docstring; its example as a block of code."""
    for paragraph in re.split(r"\n\s*\n", text.replace("\b", "").strip()):
        joined = " ".join(paragraph.split())
        example = re.match(r"Examples?: (comptool .*)", joined)
        if example:
            yield f"Example:\n\n```text\n$ {example[1]}\n```"
        else:
            yield prose(joined)


def page(name: str, command: Any, root: Any) -> str:
    """The reference page of one command."""
    settings = command.context_settings
    context = command.context_class(command, info_name=name, parent=root, **settings)
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [NOTE, f"# comptool {name}", f"```text\ncomptool {name} {usage}\n```"]
    parts += body(command.help or "")
    for title, rows in sections(command, context).items():
        table = ["| name | default | range | meaning |", "|---|---|---|---|"]
        for names, text in rows:
            meaning, default, limits = details(text or "")
            columns = (code(names), prose(default), code(limits), prose(meaning))
            table.append("| " + " | ".join(columns) + " |")
        parts += [f"## {title}", "\n".join(table)]
    return "\n\n".join(parts) + "\n"


def pages() -> dict[str, str]:
    """File name to text of every page of the reference."""
    program: Any = get_command(import_module("comptool.commands.app").app)
    settings = program.context_settings
    root = program.context_class(program, info_name="comptool", **settings)
    commands: dict[str, Any] = program.commands
    found = {f"{name}.md": page(name, command, root) for name, command in commands.items()}
    table = ["| command | what it does |", "|---|---|"]
    for name, command in commands.items():
        first = " ".join((command.help or "").split("\n\n")[0].split())
        table.append(f"| [`{name}`]({name}.md) | {prose(first)} |")
    contents = "\n".join(["```{toctree}", ":hidden:", "", *commands, "```"])
    introduction = (
        "Every command prints this text with `--help`. Options are not the place for facts of the "
        "competition; those stand in `comptool.toml` ([file contracts](../files.md))."
    )
    index = [NOTE, "# Command reference", introduction, "\n".join(table), contents]
    found["index.md"] = "\n\n".join(index) + "\n"
    return found


def main() -> None:
    """Write every page and remove those of commands that no longer exist."""
    FOLDER.mkdir(exist_ok=True)
    wanted = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    sys.stdout.write(f"{FOLDER}\n")


if __name__ == "__main__":
    main()
