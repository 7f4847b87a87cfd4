"""Two tiny competitions, step by step, and what counts as the same content of a file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.campaign import forked

TRAIN = (
    "train", "--pretrained", "no", "--img-size", "16", "--epochs", "1", "--batch-size", "16",
    "--workers", "0", "--compile", "off",
)  # fmt: skip
PAIRS = (*TRAIN, "--model", "test_efficientnet-dual")
SINGLE = (*TRAIN, "--model", "test_efficientnet")
PREDS, FOLDED, TORCH, ENSEMBLE = (
    f"submissions/{name}" for name in ("preds.csv", "folded.parquet", "torch.npy", "ensemble.csv")
)
ROWS_OF_A_CLASS, TEST_ROWS = 5, 12
# Clocks, what only the machine decides, and the options of a repetition.
CLOCKS = {
    "time", "seal", "seconds", "images_per_second", "way", "difference",
    "force", "resume", "--force", "--resume",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A command with the name that results show."""

    name: str
    arguments: tuple[str, ...]

    @property
    def command(self) -> str:
        """The subcommand."""
        return self.arguments[0]


def steps(*rows: tuple[str, ...]) -> tuple[Step, ...]:
    """Steps, each as its name and its arguments."""
    return tuple(
        Step(name, arguments) for name, *arguments in rows for arguments in [(*arguments,)]
    )


# Each step works on what those before it left.
PAIR_STEPS = steps(
    ("init", "init", "data", "--name", "pairs"),
    ("inspect", "inspect"),
    ("split", "split", "--folds", "2", "--findings", "findings.csv"),
    ("split again", "split", "--folds", "2", "--force"),
    ("train", *PAIRS, "--run-name", "a"),
    ("train folds", *PAIRS, "--run-name", "b", "--fold", "all", "--seed", "1"),
    ("train with workers", *PAIRS, "--run-name", "c", "--workers", "2", "--cache", "off"),
    ("train again", *PAIRS, "--run-name", "c", "--seed", "2", "--epochs", "2", "--force"),
    ("infer", "infer", "a"),
    ("infer parquet", "infer", "b", "-o", FOLDED),
    ("infer torch", "infer", "c", "--backend", "torch", "-o", TORCH),
    ("infer again", "infer", "a", "c", "-o", PREDS, "--force"),
    ("tta", "tta", "a"),
    ("tta search", "tta", "a", "--search", "greedy", "-o", "submissions/searched.csv"),
    ("evaluate", "evaluate", "a", "--pictures", "pictures"),
    ("features", "features", "a"),
    ("review", "review", "a", "--pairs", "noise.csv"),
    ("pseudolabel", "pseudolabel", PREDS, "--threshold", "0.05"),
    ("train extra", *PAIRS, "--extra", "pseudo.csv", "--init-from", "weights/a"),
    ("recalibrate", "recalibrate", PREDS, "--top-k-head", "1", "--fraction", "0.3"),
    ("ensemble", "ensemble", PREDS, FOLDED),
    ("ensemble search", "ensemble", "submissions/preds_tta.csv", TORCH, "--search", "greedy",
     "-o", "submissions/weighed.csv"),
    ("submit", "submit", ENSEMBLE, "--zip"),
    ("submit again", "submit", PREDS, "--zip", "--force"),
    ("score", "score", "submissions/pairs.csv", "--answers", "data/answers.csv", "--record"),
    ("runs", "runs", "--bootstrap", "20"),
    ("runs record", "runs", "--record", "submissions/pairs.csv", "--public", "0.5"),
    ("profile", "profile", "--steps", "1", "infer", "a"),
)  # fmt: skip
LABEL_STEPS = steps(
    ("init labels", "init", "data", "--name", "labels"),
    ("split labels", "split", "--val", "0.3", "--seeds", "3"),
    ("train labels", *SINGLE, "--run-name", "a", "--loss", "partial-asl",
     "--loss-option", "mode=ignore"),
    ("prior", "prior", "a"),
    ("train prior", *SINGLE, "--run-name", "p", "--loss", "partial-asl", "--prior", "prior.csv",
     "--loss-option", "mode=selective"),
    ("infer labels", "infer", "a"),
    ("review labels", "review", "a"),
    ("pseudolabel labels", "pseudolabel", PREDS, "--threshold", "0.5"),
    ("thresholds", "recalibrate", PREDS, "--method", "thresholds", "--oof", "a"),
    ("submit labels", "submit", PREDS),
    ("score labels", "score", "submissions/labels.csv", "--answers", "data/answers.csv",
     "--per-class", "classes.csv"),
)  # fmt: skip
SIMULATIONS = steps(
    ("simulate", "simulate", "mavoc", "-o", "data", "--scale", "0.001", "--workers", "2"),
    ("simulate again", "simulate", "mavoc", "-o", "data", "--scale", "0.001", "--workers", "1",
     "--seed", "1", "--force"),
    ("simulate labels", "simulate", "aicoss", "-o", "data", "--scale", "0.001", "--workers", "1"),
)  # fmt: skip


class HarnessError(RuntimeError):
    """A command that has to succeed failed, or the campaign itself cannot compare."""


@dataclass(frozen=True)
class Stage:
    """A step with the folder it starts from and the folder it leaves without a kill."""

    step: Step
    before: Path
    after: Path


class States:
    """The stages of both competitions, in folders kept until the end; ``work`` is for one run.

    Every run is in the folder ``work``, since records hold paths.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.stages: dict[str, Stage] = {}

    def build(self, names: set[str] | None = None) -> None:
        """Run the steps up to the last of ``names``, both competitions whole without names."""
        simulate, again, labels = SIMULATIONS
        empty = self.folder / "empty"
        empty.mkdir(parents=True)
        wanted = names or {step.name for step in (*SIMULATIONS, *PAIR_STEPS, *LABEL_STEPS)}
        pairs = self._stage(simulate, empty)
        if again.name in wanted:
            self._stage(again, pairs)
        self._chain(thin(pairs, self.folder / "pairs"), PAIR_STEPS, wanted)
        if wanted & {step.name for step in (labels, *LABEL_STEPS)}:
            self._chain(self._stage(labels, empty), LABEL_STEPS, wanted)

    def _chain(self, folder: Path, chain: tuple[Step, ...], wanted: set[str]) -> None:
        last = max((n for n, step in enumerate(chain, 1) if step.name in wanted), default=0)
        for step in chain[:last]:
            folder = self._stage(step, folder)

    def _stage(self, step: Step, before: Path) -> Path:
        copy_state(before, self.work)
        ended = forked.run(self.work, step.arguments)
        if ended.code != 0:
            raise HarnessError(f"{step.name} ended with {ended.code}: {ended.stderr}")
        after = self.folder / step.name.replace(" ", "-")
        self.work.rename(after)
        self.stages[step.name] = Stage(step, before, after)
        return after


def thin(simulated: Path, folder: Path) -> Path:
    """The practice competition of pairs with a few rows of each class."""
    import pandas as pd

    shutil.copytree(simulated, folder)
    data = folder / "data"
    tables = {path.name: pd.read_csv(path, dtype=str) for path in data.glob("*.csv")}
    tables["train.csv"] = tables["train.csv"].groupby("class_id").head(ROWS_OF_A_CLASS)
    for name in ("test.csv", "answers.csv", "sample_submission.csv"):
        tables[name] = tables[name].head(TEST_ROWS)
    for name, table in tables.items():
        table.to_csv(data / name, index=False)
    paths = [tables[name][f"{side}_path"] for name in ("train.csv", "test.csv") for side in SIDES]
    kept = {data / path for path in pd.concat(paths)}
    for image in data.rglob("*.png"):
        if image not in kept:
            image.unlink()
    return folder


SIDES = ("sar", "eo")


def copy_state(source: Path, target: Path) -> None:
    """Make ``target`` a copy; images, which no command writes, are linked."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True, copy_function=_copy)


def _copy(source: str, target: str) -> None:
    if source.endswith((".png", ".jpg")) and "/data/" in source:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def files_of(folder: Path) -> Iterator[str]:
    """Relative paths of the files, without caches and locks."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if (
            path.is_file()
            and not name.startswith("cache/")
            and path.suffix != ".lock"
            and path.name != ".lock"
        ):
            yield name


def contents(folder: Path) -> dict[str, str]:
    """Digest of the content of each file, see `content`."""
    return {name: content(folder / name) for name in files_of(folder)}


def content(path: Path, ignored: set[str] = CLOCKS) -> str:
    """Digest of a file's content without clocks; ``unreadable: WHY`` for a file that is torn."""
    try:
        return hashlib.sha256(_plain(path, ignored)).hexdigest()
    except Exception as error:
        return f"unreadable: {type(error).__name__}: {error}"


def _plain(path: Path, ignored: set[str]) -> bytes:
    if path.suffix == ".json":
        return _json(json.loads(path.read_bytes()), ignored)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return repr([(name, archive.read(name)) for name in archive.namelist()]).encode()
    if path.name in ("metrics.csv", "scores.csv"):
        import pandas as pd

        table = pd.read_csv(path, dtype=str)
        return table.drop(columns=CLOCKS & set(table)).to_csv().encode()
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, "numpy") as weights:
            header = {key: _unpacked(text) for key, text in (weights.metadata() or {}).items()}
            tensors = {key: weights.get_tensor(key).tobytes() for key in sorted(weights.keys())}
        return _json(header, ignored) + repr(tensors).encode()
    if path.suffix == ".pt":
        import torch

        return repr(_state(torch.load(path, weights_only=True), ignored)).encode()
    return path.read_bytes()


def _unpacked(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _json(document: Any, ignored: set[str]) -> bytes:
    return json.dumps(_without(document, ignored), sort_keys=True).encode()


def _without(document: Any, ignored: set[str]) -> Any:
    if isinstance(document, dict):
        return {
            key: _without(value, ignored)
            for key, value in document.items()
            if not _is_ignored(key, ignored)
        }
    if isinstance(document, list):
        return [_without(value, ignored) for value in document]
    return document


def _state(value: Any, ignored: set[str]) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return (tuple(value.shape), str(value.dtype), value.contiguous().numpy().tobytes())
    if isinstance(value, dict):
        return [
            (str(key), _state(entry, ignored))
            for key, entry in value.items()
            if not _is_ignored(key, ignored)
        ]
    if isinstance(value, list | tuple):
        return [_state(entry, ignored) for entry in value]
    return value


def _is_ignored(key: object, ignored: set[str]) -> bool:
    # Digests of files that hold clocks are recorded by their paths.
    return key in ignored or str(key).endswith((".safetensors", ".json", "metrics.csv"))
