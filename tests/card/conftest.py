"""Fixtures: comptool on a pretended card, and a small competition."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import card  # noqa: E402
from small import write_competition  # noqa: E402

# torch says of its own mode that it is a prototype.
IGNORED = "Synchronization debug mode is a prototype"
PATIENCE = 300  # seconds; far more than any command here takes


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
            line for line in self.errors.splitlines() if "Warning" in line and IGNORED not in line
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


@pytest.fixture
def on_card(library: Path) -> Callable[..., Ran]:
    """``on_card(*arguments, **settings)`` runs comptool on a card.

    ``settings`` are the environment of `card.c`, in lower case, and ``waits``. Without ``check`` a
    failure is not one of the test.
    """

    def run(*arguments: object, check: bool = True, program: Path | None = None, **settings) -> Ran:
        done = subprocess.run(
            [sys.executable, program or HERE / "run.py", *map(str, arguments)],
            env=card.environment(library, **settings),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        ran = Ran(done.returncode, done.stdout, done.stderr)
        assert not check or ran.code == 0, ran.errors[-3000:]
        return ran

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The competition of `small.py`, as the working directory."""
    write_competition(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, which are a run of their own."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.card)
