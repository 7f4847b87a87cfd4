"""Options under headings in ``--help``; Typer's plain help leaves the panels of options out."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

OTHERS = "Options"


def option(panel: str, text: str, *names: str, **limits: Any) -> Any:
    """An option that help lists under the heading ``panel``."""
    return typer.Option(*names, help=text, rich_help_panel=panel, **limits)


class GroupedCommand(TyperCommand):
    """A command whose help lists its options by their ``rich_help_panel``, those without last."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options of the command's help."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        others: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            panel = getattr(parameter, "rich_help_panel", None)
            if parameter.param_type_name == "argument":
                sections["Arguments"].append(record)
            elif panel is None:
                others.append(record)
            else:
                sections.setdefault(panel, []).append(record)
        sections[OTHERS] = others
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
