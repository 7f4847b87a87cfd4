"""Fixtures: comptool on a pretended card, and a small competition."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import card  # noqa: E402
from server import Server  # noqa: E402
from small import TRAIN, on_cpu, write_competition  # noqa: E402

# torch says of its own mode that it is a prototype.
IGNORED = "Synchronization debug mode is a prototype"
# Of Python, and of torch's C++.
WARNING = re.compile(r"Warning: |^\[W\d")


@dataclass(frozen=True)
class Ran:
    """What a command on the card returned and printed."""

    code: int
    output: str
    errors: str

    @property
    def warnings(self) -> list[str]:
        """Lines of warnings, of torch or others."""
        return [
            line
            for line in self.errors.splitlines()
            if WARNING.search(line) and IGNORED not in line
        ]

    @property
    def figures(self) -> dict:
        """What the card computed."""
        lines = [line for line in self.errors.splitlines() if line.startswith("card: ")]
        return json.loads(lines[-1].removeprefix("card: "))


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled card."""
    if reason := card.missing():
        pytest.skip(f"no pretended card: {reason}")
    return card.build(tmp_path_factory.mktemp("card"))


@pytest.fixture(scope="session")
def server(library: Path) -> Iterator[Server]:
    """What runs the commands on a card."""
    made = Server(card.environment(library))
    yield made
    made.close()


@pytest.fixture
def on_card(server: Server) -> Callable[..., Ran]:
    """``on_card(*arguments, **settings)`` runs comptool on a card.

    ``settings`` are the environment of `card.c`, in lower case, and ``waits``. A warning of torch
    or another library fails the test, unless it has the text ``warns``; a failure does not without
    ``check``.
    """

    def run(
        *arguments: object,
        check: bool = True,
        warns: str | None = None,
        program: Path | None = None,
        **settings,
    ) -> Ran:
        settings = card.chosen(**settings)
        ran = Ran(*server.run(program or HERE / "run.py", [*map(str, arguments)], settings, None))
        assert not check or ran.code == 0, ran.errors[-3000:]
        assert [line for line in ran.warnings if warns is None or warns not in line] == []
        return ran

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The competition of `small.py`, as the working directory."""
    write_competition(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A competition with ``weights/one``, trained on a CPU, and its predictions ``cpu.csv``."""
    made = tmp_path_factory.mktemp("trained")
    write_competition(made)
    on_cpu(*TRAIN, "--device", "cpu", "--run-name", "one", folder=made)
    given = ("--device", "cpu", "--test", "test.csv", "-o", "cpu.csv")
    on_cpu("infer", "one", *given, folder=made)
    return made


@pytest.fixture
def with_run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `trained`, as the working directory."""
    folder = shutil.copytree(trained, tmp_path / "copy")
    monkeypatch.chdir(folder)
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, which are a run of their own."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.card)
