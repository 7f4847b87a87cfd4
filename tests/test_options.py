"""One declaration of an option gives its command line, its range, its help and its record."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

import pytest
from typer.main import get_command

from comptool.errors import UsageError
from comptool.io.records import parse
from comptool.options import argument, arguments, check, filled, option, part, to_json

COMMANDS = get_command(import_module("comptool.commands.app").app).commands
parsed = import_module("comptool.commands.options").parsed


@dataclass(frozen=True)
class Base:
    share: float = option(0.5, help="Share.", above=0, below=1)
    names: tuple[str, ...] = option((), help="Names.", names=("--name", "-n"))


@dataclass(frozen=True)
class Config(Base):
    table: Path | None = argument(None, help="Table.")
    count: int | None = option(help="Count.", min=1, shown="all")
    way: Literal["fast", "slow"] = option("fast", help="Way.")
    colour: str = option("red", help="Colour.", choices=("red", "green"), kind="colour")
    refine: bool = option(True, help="Refine.", names=("--refine/--no-refine",))
    size: int = option(1, help="Size.", parse=lambda text: 0 if text == "auto" else int(text))
    typed: tuple[str, ...] = filled("typed")


def test_what_is_typed_becomes_the_dataclass():
    words = ["t.csv", "--share", "0.25", "-n", "a", "--name", "b", "--no-refine", "--size", "auto"]
    config = parsed(Config, "try", words)
    assert config == Config(share=0.25, names=("a", "b"), table=Path("t.csv"), refine=False, size=0)
    assert set(config.typed) == {"table", "share", "names", "refine", "size"}
    assert parsed(Config, "try", []) == Config()
    assert parsed(Config, "try", []).typed == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"share": 1.0}, "--share is 1.0; it has to be above 0 and below 1"),
        ({"share": float("nan")}, "--share is nan; it has to be above 0 and below 1"),
        ({"count": 0}, "--count is 0; it has to be 1 or more"),
        ({"colour": "rot"}, "no colour is called 'rot'; did you mean 'red' or 'green'?"),
        ({"way": "sly"}, "no value of --way is called 'sly'; did you mean 'slow' or 'fast'?"),
    ],
)
def test_a_value_out_of_range_is_refused(given, message):
    with pytest.raises(UsageError) as refusal:
        check(Config(**given))
    assert str(refusal.value) == message
    check(Config())


def test_the_record_and_the_way_back():
    config = Config(names=("a",), table=Path("t.csv"))
    assert parse(Config, to_json(config), Path("record.json"), whole=True) == config
    assert arguments(config)["name"] == ("a",)
    assert arguments(Config())["name"] is None
    assert "typed" not in arguments(config)
    assert part(config, Base) == Base(names=("a",))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_and_every_command_shows_an_example(name):
    command = COMMANDS[name]
    assert f"Example: comptool {name}" in command.help
    for parameter in command.params:
        text = parameter.help
        assert text and (text[0].isupper() or text[0] in "-<" or ":" in text), parameter.name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--label-smoothing", "1"],
            "--label-smoothing is 1.0; it has to be 0 or more and below 1",
        ),
        (["--ema", "1"], "--ema is 1.0; it has to be 0 or more and below 1"),
    ],
)
def test_help_and_the_check_agree_on_a_range(words, message, comptool):
    result = comptool("train", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    shown = next(one for one in COMMANDS["train"].params if words[0] in one.opts)
    assert "0<=x<1" in shown.help
