"""Layouts of real competitions from the download to the organiser's own grader.

    python benchmarks/competitions.py MINIATURES [--grader FOLDER] [--only NAME ...] [--keep FOLDER]

``MINIATURES/data/NAME`` is a download as its organisers hand it out, reduced to a few images, and
``MINIATURES/answers/NAME.csv`` the answers. Each goes through init, split, train (one epoch of a
tiny network), infer, submit and score with the options of `OPTIONS` alone, which ``init`` itself
has to have named. ``--grader`` is a checkout of openai/mle-bench: its description of a competition
is put beside the data, as a competitor has it, and its ``grade.py`` judges the submission.

Prints one JSON object: by competition how far it came and the message that stopped it, whether task
and metric were detected right, whether the grader accepted the file, whether the form is the one
that the metric wants, our score and theirs; and the sums of these.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import math
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

STEPS = ("init", "split", "train", "infer", "submit", "score")
TRAIN = ("--model", "test_efficientnet", "--pretrained", "no", "--img-size", "32", "--epochs", "1",
         "--batch-size", "16", "--workers", "0", "--quiet")  # fmt: skip
DUAL = ("--model", "test_efficientnet-dual")
# Six digits of a score.
EQUAL = 1e-6
SHOWN_ERROR = 300


@dataclass(frozen=True)
class Truth:
    """What is right for a competition: task, metric, and the kind of its answers."""

    task: str
    metric: str
    answers: str  # "class", "probability", "probabilities", "list", "top-k", "number"
    options: tuple[str, ...] = ()  # of init, at most one
    dual: bool = False


TRUTHS = {
    "aerial-cactus-identification": Truth("multiclass", "auc", "probability"),
    "aptos2019-blindness-detection": Truth("ordinal", "quadratic-kappa", "class"),
    "cassava-leaf-disease-classification": Truth("multiclass", "accuracy", "class"),
    "cdiscount-image-classification-challenge": Truth("multiclass", "accuracy", "class"),
    "dog-breed-identification": Truth("multiclass", "logloss", "probabilities"),
    "dogs-vs-cats-redux-kernels-edition": Truth("multiclass", "logloss", "probability"),
    "herbarium-2020-fgvc7": Truth("multiclass", "macro-f1", "class"),
    "herbarium-2021-fgvc8": Truth("multiclass", "macro-f1", "class"),
    "hotel-id-2021-fgvc8": Truth("multiclass", "map@5", "top-k"),
    "imet-2020-fgvc7": Truth("multilabel", "micro-f1", "list"),
    "inaturalist-2019-fgvc6": Truth("multiclass", "accuracy", "class"),
    "iwildcam-2020-fgvc7": Truth("multiclass", "accuracy", "class"),
    "paddy-disease-classification": Truth("multiclass", "accuracy", "class"),
    "petfinder-pawpularity-score": Truth("regression", "rmse", "number"),
    "plant-pathology-2020-fgvc7": Truth("multiclass", "auc", "probabilities"),
    "plant-seedlings-classification": Truth("multiclass", "micro-f1", "class"),
    "rsna-2022-cervical-spine-fracture-detection": Truth(
        "multilabel",
        "weighted-logloss",
        "probability",
        (
            "--metric-option",
            "class-weights=7,1,1,1,1,1,1,1",
            "--metric-option",
            "positive-weight=2",
        ),
    ),
    "rsna-breast-cancer-detection": Truth("multiclass", "pf1", "probability"),
    "seti-breakthrough-listen": Truth("multiclass", "auc", "probability"),
    "siim-isic-melanoma-classification": Truth("multiclass", "auc", "probability"),
    "x-dacon-aicoss-2023": Truth("multilabel", "map", "probabilities"),
    "x-mavoc-2023": Truth("multiclass", "accuracy", "class", dual=True),
    "x-hpa-2018": Truth("multilabel", "macro-f1", "list"),
    "x-diabetic-retinopathy-2015": Truth(
        "ordinal", "quadratic-kappa", "class", ("--metric", "quadratic-kappa")
    ),
    "b-osic-pulmonary-fibrosis-progression": Truth("regression", "rmse", "number"),
    "b-mlsp-2013-birds": Truth("multilabel", "auc", "probability"),
}
# Where theirs is an error or names the same thing otherwise: (our score) -> theirs.
AS_THEIRS = {"inaturalist-2019-fgvc6": lambda score: 1 - score}
# Of one class per image they are the same number; columns that exclude each other may also be
# taken for several labels, whose column AUC is the same.
SAME_METRIC = {"micro-f1": {"accuracy"}}
SAME_TASK = {"plant-pathology-2020-fgvc7": {"multilabel"}}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of comptool in a folder."""
    command = [sys.executable, "-m", "comptool", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def walk(folder: Path, name: str, truth: Truth, answers: Path) -> dict[str, Any]:
    """One competition, whose download is ``folder/data``; what was seen."""
    options = truth.options
    steps: dict[str, tuple[str, ...]] = {
        "init": ("init", "data", "--name", name, *options),
        "split": ("split", "--val", "0.3"),
        "train": ("train", *TRAIN, *(DUAL if truth.dual else ())),
        "infer": ("infer",),
        "submit": ("submit",),
        "score": (
            "score",
            f"submissions/{name}.csv",
            "--answers",
            str(answers),
            "--public",
            "0",
            "--json",
        ),
    }
    seen: dict[str, Any] = {"reached": "", "options": list(options)}
    for step in STEPS:
        done = run(folder, *steps[step])
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            message = lines[-1] if lines else done.stdout[-SHOWN_ERROR:]
            seen["stopped"] = f"{step} ({done.returncode}): {message[:SHOWN_ERROR]}"
            break
        seen["reached"] = step
        if step == "init":
            facts = tomllib.loads((folder / "comptool.toml").read_text(encoding="utf-8"))
            seen["task"], seen["metric"] = facts.get("task"), facts.get("metric")
            metrics = SAME_METRIC.get(truth.metric, set()) | {truth.metric}
            kinds = SAME_TASK.get(name, set()) | {truth.task}
            seen["detected right"] = facts["task"] in kinds and facts["metric"] in metrics
        if step == "score":
            seen["score"] = json.loads(done.stdout.splitlines()[-1])["private"]
    submission = folder / f"submissions/{name}.csv"
    if submission.is_file():
        known = set(pd.read_csv(answers, dtype=str).iloc[:, 1])
        seen["form right"] = form_of(pd.read_csv(submission, dtype=str), known) in _forms(truth)
        seen["submission"] = submission.read_text(encoding="utf-8").splitlines()[1][:80]
    return seen


def _forms(truth: Truth) -> set[str]:
    # Lists of one label look like a class, lists of one length like the k best.
    return {truth.answers} | ({"class", "top-k"} if truth.answers == "list" else set())


def form_of(table: pd.DataFrame, known: set[str]) -> str:
    """The kind of answers in a submission, by its cells and the true answers."""
    answers = table.iloc[:, 1:]
    if len(answers.columns) > 1:
        return "probabilities"
    cells = answers.iloc[:, 0].fillna("")
    numbers = pd.to_numeric(cells, errors="coerce")
    if numbers.notna().all() and cells.str.contains(r"[.e]").any():
        return "probability" if numbers.between(0, 1).all() else "number"
    if cells.isin(known).all():
        return "class"
    sizes = cells.str.split().str.len()
    if (sizes > 1).any() and numbers.isna().any():
        same = sizes.nunique() == 1
        return "top-k" if same else "list"
    return "class"


class Grader:
    """The public graders of a checkout of mle-bench."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        sys.path.insert(0, str(folder))
        # Their utilities need the Kaggle client; graders use the logger alone.
        stand_in = types.ModuleType("mlebench.utils")
        stand_in.get_logger = logging.getLogger  # type: ignore[attr-defined]
        stand_in.import_fn = None  # type: ignore[attr-defined]
        sys.modules["mlebench.utils"] = stand_in

    def description(self, name: str) -> Path:
        """What a competitor reads of a competition."""
        return self.folder / "mlebench/competitions" / name / "description.md"

    def score(self, name: str, submission: Path, answers: Path) -> tuple[float | None, str]:
        """Their score, or None and why the submission is refused; NaN where they have none."""
        if not self.description(name).is_file():
            return math.nan, "no public grader"
        module = importlib.import_module(f"mlebench.competitions.{name}.grade")
        if hasattr(module, "DOGS_LIST"):  # the breeds by name, which the miniature invents
            module.DOGS_LIST = list(pd.read_csv(answers, nrows=0).columns[1:])
        try:
            return float(module.grade(pd.read_csv(submission), pd.read_csv(answers))), ""
        except Exception as error:  # whatever a grader raises is its refusal
            return None, f"{type(error).__name__}: {error}"[:SHOWN_ERROR]


def measure(miniatures: Path, name: str, work: Path, grader: Grader | None) -> dict[str, Any]:
    """One competition in a new folder."""
    start, truth = time.perf_counter(), TRUTHS[name]
    folder, answers = work / name, (miniatures / f"answers/{name}.csv").resolve()
    shutil.copytree(miniatures / "data" / name, folder / "data")
    if grader is not None and grader.description(name).is_file():
        shutil.copy(grader.description(name), folder / "data/description.md")
    seen = walk(folder, name, truth, answers)
    submission = folder / f"submissions/{name}.csv"
    if grader is not None and submission.is_file():
        theirs, why = grader.score(name, submission, answers)
        if theirs is None:
            seen["accepted"], seen["refused"] = False, why
        elif not math.isnan(theirs):
            seen["accepted"], seen["their score"] = True, theirs
            ours = seen.get("score")
            if ours is not None:
                ours = AS_THEIRS.get(name, float)(ours)
                seen["scores equal"] = math.isclose(ours, theirs, abs_tol=EQUAL)
    seen["seconds"] = round(time.perf_counter() - start, 1)
    return seen


def summary(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    """How many of how many are right, without and with the borderline ones."""
    sums = {}
    for what in ("detected right", "form right", "accepted", "scores equal"):
        known = [seen for seen in found.values() if what in seen]
        sums[what] = f"{sum(bool(seen[what]) for seen in known)} of {len(known)}"
    whole = sum(seen["reached"] == STEPS[-1] for seen in found.values())
    return {"through the whole chain": f"{whole} of {len(found)}", **sums}


def main() -> None:
    """Run the competitions and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("miniatures", type=Path, help="folder with data/ and answers/")
    parser.add_argument("--grader", type=Path, help="checkout of openai/mle-bench")
    parser.add_argument("--only", nargs="*", default=[], help="names of competitions")
    parser.add_argument("--keep", type=Path, help="work in this new folder, and keep it")
    arguments = parser.parse_args()
    grader = None if arguments.grader is None else Grader(arguments.grader.resolve())
    names = arguments.only or [
        name for name in TRUTHS if (arguments.miniatures / "data" / name).is_dir()
    ]
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.keep or Path(temporary)
        found = {}
        for name in names:
            found[name] = measure(arguments.miniatures, name, work, grader)
            print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    print(
        json.dumps({"torch": torch.__version__, "sums": summary(found), "found": found}, indent=1)
    )


if __name__ == "__main__":
    main()
