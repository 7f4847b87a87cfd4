"""A tiny competition with a whole chain in it, and the check that a mistake changes nothing."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

TOML = """\
name = "cup"
task = "multiclass"
metric = "accuracy"
[data]
folder = "data"
train = "train.csv"
test = "test.csv"
sample-submission = "sample.csv"
id = "id"
label = "y"
[modalities]
sar = "sar"
eo = "eo"
"""
TRAIN_IDS = [f"s{number:02}" for number in range(24)]
TEST_IDS = [f"t{number}" for number in range(6)]
PREDS = "id,a,b,c\n" + "".join(
    f"{name},{row}\n"
    for name, row in zip(
        TEST_IDS,
        ["0.98,0.01,0.01", "0.97,0.02,0.01", "0.5,0.3,0.2", "0.1,0.1,0.8", "0.01,0.98,0.01"] * 2,
        strict=False,
    )
)
TINY = ("--model", "test_efficientnet-dual", "--pretrained", "no", "--img-size", "32", "-j", "0")
# The chain as it would be gone through here; outputs that are not there yet.
COMMANDS = {
    "split": ("split", "-o", "new.csv"),
    "train": ("train", *TINY, "--epochs", "1", "-b", "8", "--run-name", "new"),
    "go on": ("train", "--run-name", "net", "--resume"),
    "child": ("train", *TINY, "--epochs", "1", "--init-from", "net", "--run-name", "new"),
    "infer": ("infer", "-j", "0", "-o", "new.csv"),
    "tta": ("tta", "-j", "0", "-o", "new.csv"),
    "pseudolabel": ("pseudolabel", "--threshold", "0.9"),
    "recalibrate": ("recalibrate", "--top-k-head", "1"),
    "ensemble": ("ensemble", "submissions/preds.csv"),
    "submit": ("submit", "--zip"),
    "check": ("submit", "--check-only", "mine.csv"),
    "score": ("score", "submissions/preds.csv", "--answers", "data/answers.csv"),
}


def invoke(*arguments: object):
    """A command in this process and in the current folder."""
    app = import_module("comptool.commands.app").app
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_download(folder: Path) -> None:
    """24 labelled pairs of the classes a, b, c, and 6 test pairs."""
    random = np.random.default_rng(0)
    folder.mkdir()
    tables = {"train": "id,sar,eo,y\n", "test": "id,sar,eo\n"}
    for part, ids in (("train", TRAIN_IDS), ("test", TEST_IDS)):
        for number, name in enumerate(ids):
            for sensor, side in (("sar", 20), ("eo", 16)):
                chip = random.integers(0, 99, (side, side), dtype=np.uint8)
                chip[: 4 + 3 * (number % 3)] += 100
                cv2.imwrite(str(folder / f"{sensor}_{name}.png"), chip)
            label = f",{'abc'[number % 3]}" if part == "train" else ""
            tables[part] += f"{name},sar_{name}.png,eo_{name}.png{label}\n"
    for part, text in tables.items():
        (folder / f"{part}.csv").write_text(text)
    (folder / "sample.csv").write_text("id,y\n" + "".join(f"{name},a\n" for name in TEST_IDS))
    answers = "".join(f"{name},{'ab'[number % 2]}\n" for number, name in enumerate(TEST_IDS))
    (folder / "answers.csv").write_text("id,y\n" + answers)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The competition with every file of the chain: folds, a trained run, predictions."""
    folder = tmp_path_factory.mktemp("finished")
    write_download(folder / "data")
    (folder / "comptool.toml").write_text(TOML)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for arguments in (
            ("split", "--folds", "3"),
            ("train", *TINY, "--epochs", "1", "-b", "8", "--run-name", "net"),
            ("infer", "-j", "0"),
        ):
            result = invoke(*arguments, "-q")
            assert result.exit_code == 0, (arguments, result.output)
    (folder / "submissions/preds.csv").write_text(PREDS)
    recorded(folder / "submissions/preds.csv")
    (folder / "mine.csv").write_text("id,y\n" + "".join(f"{name},a\n" for name in TEST_IDS))
    return folder


@pytest.fixture
def chain(finished, tmp_path, monkeypatch) -> Path:
    """A copy of the finished chain, as the working directory."""
    work = tmp_path / "work"
    shutil.copytree(finished, work)
    monkeypatch.chdir(work)
    return work


def without_seal(record: Path) -> dict[str, Any]:
    """The values of a record that is about to be edited."""
    found: dict[str, Any] = json.loads(record.read_text())
    found.pop("seal", None)
    return found


def recorded(path: Path, **changes: object) -> None:
    """Make the record of a file that of its bytes; ``sha256=None``: one of an older version."""
    meta = path.with_name(f"{path.name}.meta.json")
    content = path.read_bytes()
    own = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    meta.write_text(json.dumps({**without_seal(meta), **own, **changes}))


def forget(path: Path) -> None:
    """Let records name a file without its digest, as those of older versions."""
    with suppress(OSError, ValueError):
        recorded(path, sha256=None)
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        run = without_seal(path.parent / "run.json")
        del run["digests"][path.name]
        (path.parent / "run.json").write_text(json.dumps(run))


def digests(folder: Path) -> dict[str, str | None]:
    """SHA-256 of every file below a folder; None for a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def invoked(chain) -> Callable[..., Any]:
    """Run a command as it is given."""
    return invoke


@pytest.fixture
def run(chain) -> Callable[..., Any]:
    """Run a command of ``COMMANDS`` with more options: ``run("train", "-b", "1")``."""

    def go(name: str, *more: object):
        return invoke(*COMMANDS[name], *more)

    return go


@pytest.fixture(name="snapshot")
def _snapshot() -> Callable[[Path], dict[str, str | None]]:
    return digests


@pytest.fixture(scope="session")
def commands() -> dict[str, tuple[str, ...]]:
    """The commands of the chain as they would be typed here."""
    return COMMANDS


@pytest.fixture
def unchanged() -> Callable[..., None]:
    """Check that a command is refused with exactly this message and touches nothing.

    ``unchanged(folder, ("split",), 3, "data/train.csv: there is no such file")``, where ``{}`` in
    the message stands for anything.
    """

    def check(folder: Path, arguments: tuple[object, ...], code: int, message: str) -> None:
        before = digests(folder)
        result = invoke(*arguments, "-q")
        pattern = ".*".join(re.escape(part) for part in message.split("{}"))
        said = result.stderr.removeprefix(f"comptool {arguments[0]}: ").removesuffix("\n")
        assert said == message or re.fullmatch(pattern, said)
        assert len(result.stderr.splitlines()) == 1
        assert (result.exit_code, result.stdout) == (code, "")
        assert isinstance(result.exception, SystemExit)
        assert digests(folder) == before

    return check


@pytest.fixture
def refused(chain, unchanged) -> Callable[..., None]:
    """``unchanged`` in the working directory, also by a name of ``COMMANDS``.

    ``refused("split", 3, "data/train.csv: there is no such file")``
    """

    def check(command: str | tuple[object, ...], code: int, message: str) -> None:
        arguments = COMMANDS[command] if isinstance(command, str) else command
        unchanged(chain, arguments, code, message)

    return check


@pytest.fixture
def damage(chain) -> Callable[[dict[str, object]], None]:
    """Write files of the chain anew: text, bytes, None (delete it), or a function of its text.

    Their records are those of an older version, which had no digests of their files.
    """

    def apply(changes: dict[str, object]) -> None:
        for name, new in changes.items():
            path = chain / name
            if new is None:
                path.unlink()
            elif isinstance(new, bytes):
                path.write_bytes(new)
            else:
                text = new(path.read_text()) if callable(new) else str(new)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            forget(path)

    return apply
