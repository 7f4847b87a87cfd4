"""Every file that a command reads, and every option, changed at random.

Each case copies a finished competition, changes one file, and runs one command that reads it, in a
process of its own. Verdicts: ``clear`` (exit code 2 to 4 with a sentence), ``equal``, ``told``
(done, with a new line that names the file), ``recorded`` (only the record of the result differs),
``honoured`` (another result of a file that people edit), and the faults ``traceback``, ``abort``,
``hang`` and ``silent``: another result of a file that comptool wrote, without a word.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.campaign import forked, mutators
from benchmarks.campaign.killing import Kill
from benchmarks.campaign.kills import difference, hidden
from benchmarks.campaign.states import (
    CLOCKS,
    FOLDED,
    PAIRS,
    PREDS,
    SINGLE,
    TORCH,
    States,
    content,
    copy_state,
    files_of,
)

FAULTS = ("traceback", "abort", "hang", "silent")
HANG_SECONDS = 90.0  # alone, the slowest of these commands takes 2
SHOWN = 400  # findings in the results
OPTION_SHARE = 0.12
# Digests of the changed file.
IGNORED = CLOCKS | {"inputs", "sha256"}
OUT = ("-o", "out/result.csv")
NEW = ("--run-name", "new")
RESUME = ("train", "--run-name", "half", "--resume")


LAST_STEPS = {"pairs": "profile", "labels": "score labels"}


@dataclass(frozen=True)
class Target:
    """A file of a state, whether people edit it, and commands that read it."""

    state: str
    file: str
    edited: bool
    commands: tuple[tuple[str, ...], ...]


def targets() -> list[Target]:
    """All files and their readers; those that take many cases stand in it more than once."""
    infer = ("infer", "a", *OUT)
    torch = ("infer", "a", "--backend", "torch", *OUT)
    train = (*PAIRS, *NEW)
    init_from = (*train, "--init-from", "weights/a")
    split = ("split", "--val", "0.3", *OUT)
    submit = ("submit", PREDS, *OUT)
    evaluate = ("evaluate", "a", "--bootstrap", "20", "--json")
    review = ("review", "a", *OUT)
    runs = ("runs", "--bootstrap", "20")
    score = ("score", "submissions/pairs.csv", "--answers", "data/answers.csv", "--json")
    quota = ("recalibrate", PREDS, "--top-k-head", "1", "--fraction", "0.3", *OUT)
    ensemble = ("ensemble", PREDS, FOLDED, *OUT)
    pseudo = ("pseudolabel", PREDS, "--threshold", "0.05", *OUT)
    search = ("ensemble", "submissions/preds_tta.csv", TORCH, "--search", "greedy", *OUT)
    weighed = ("ensemble", "submissions/preds_tta.csv", TORCH, "--weights",
               "submissions/weighed.json", *OUT)  # fmt: skip
    inspect = ("inspect", *OUT)
    init = ("init", "data", "-o", "out/comptool.toml")
    edited = {
        "comptool.toml": (inspect, split, infer, submit, score, runs, train),
        "data/train.csv": (init, inspect, split),
        "data/test.csv": (init, inspect, infer, pseudo),
        "data/sample_submission.csv": (init, submit),
        "data/answers.csv": (score,),
        "other/test.csv": (("infer", "a", "--test", "other/test.csv", *OUT),),
        "other/test.tsv": (("infer", "a", "--test", "other/test.tsv", *OUT),),
        "corrections.csv": (("split", "--corrections", "corrections.csv", *OUT),),
        "weights.csv": ((*train, "--class-weights", "weights.csv"),),
        "weights.toml": ((*train, "--class-weights", "weights.toml"),),
        "shares.csv": (("recalibrate", PREDS, "--method", "prior", "--oof", "a",
                        "--target-prior", "shares.csv", *OUT),),
        "policy.json": ((*train, "--augment", "policy.json"),),
        "views.toml": (("tta", "a", "--transforms", "views.toml", *OUT),),
        "submissions/scores.csv": (runs,),
        "image.png": (inspect, infer, train),
        "other/image.png": (("infer", "a", "--test", "other/test.csv", *OUT),),
        "other/image.jpg": (("infer", "a", "--test", "other/test.csv", *OUT),),
        "other/image.tiff": (("infer", "a", "--test", "other/test.csv", *OUT),),
        "other/image.npy": (("infer", "a", "--test", "other/test.csv", *OUT),),
    }  # fmt: skip
    written = {
        "findings.csv": (("split", "--findings", "findings.csv", *OUT),),
        "folds.csv": (train, inspect, review),
        "folds.csv.meta.json": (train, quota, review),
        "pseudo.csv": ((*train, "--extra", "pseudo.csv"),),
        "pseudo.csv.meta.json": ((*train, "--extra", "pseudo.csv"),),
        "weights/a/best.safetensors": (torch, infer, init_from, evaluate),
        "weights/a/best.onnx": (infer, infer, ("tta", "a", *OUT)),
        "weights/a/best.onnx.meta.json": (infer,),
        "weights/a/run.json": (infer, evaluate, review, runs),
        "weights/a/oof.csv": (evaluate, review, runs, search),
        "weights/a/oof.csv.meta.json": (evaluate, review, quota),
        "weights/b/run.json": (("infer", "b", *OUT), runs),
        "weights/half/last.pt": (RESUME,),
        "weights/half/run.json": (RESUME, runs),
        "weights/half/best.safetensors": (RESUME,),
        PREDS: (submit, quota, ensemble, pseudo, runs),
        f"{PREDS}.meta.json": (submit, quota, ensemble, pseudo, runs),
        FOLDED: (ensemble, ("submit", FOLDED, *OUT)),
        f"{FOLDED}.meta.json": (ensemble,),
        TORCH: (search, ("submit", TORCH, *OUT)),
        f"{TORCH}.meta.json": (search,),
        "submissions/oof_preds_tta.csv": (search,),
        "submissions/weighed.json": (weighed,),
        "submissions/weighed.json.meta.json": (weighed,),
        "submissions/ensemble.csv": (("submit", "submissions/ensemble.csv", *OUT), runs),
        "submissions/ensemble.csv.meta.json": (("submit", "submissions/ensemble.csv", *OUT), runs),
        "submissions/searched.json": (("tta", "a", "--transforms", "submissions/searched.json",
                                       *OUT),),
        "submissions/pairs.csv": (score, ("submit", "--check-only", "submissions/pairs.csv"), runs),
        "submissions/pairs.zip": (score, ("submit", "--check-only", "submissions/pairs.zip")),
        "submissions/pairs.csv.meta.json": (score, runs),
        "weights/.local_scores.json": (runs,),
    }  # fmt: skip
    of_labels = {
        "comptool.toml": (True, (("split", "--val", "0.3", "--seeds", "3", *OUT), submit)),
        "data/train.csv": (True, (("split", "--val", "0.3", "--seeds", "3", *OUT), inspect)),
        "prior.csv": (False, ((*SINGLE, *NEW, "--loss", "partial-asl", "--prior", "prior.csv",
                               "--loss-option", "mode=selective"),)),
        "folds.csv": (False, (review,)),
        "weights/a/oof.csv": (False, (review, evaluate, ("recalibrate", PREDS, "--method",
                                      "thresholds", "--oof", "a", *OUT))),
        PREDS: (False, (submit, pseudo)),
        "submissions/labels.csv": (False, (("score", "submissions/labels.csv", "--answers",
                                            "data/answers.csv", "--json"),)),
        "data/answers.csv": (True, (("score", "submissions/labels.csv", "--answers",
                                     "data/answers.csv", "--json"),)),
    }  # fmt: skip
    found = [Target("pairs", file, True, commands) for file, commands in edited.items()]
    found += [Target("pairs", file, False, commands) for file, commands in written.items()]
    found += [Target("labels", file, *of) for file, of in of_labels.items()]
    return found


@dataclass(frozen=True)
class Case:
    """One change: what is read by what, and a generator that gives the change."""

    number: int
    state: str
    file: str
    edited: bool
    command: tuple[str, ...]


class Mutations:
    """The finished competitions, and what each command gives on them unchanged."""

    def __init__(self, folder: Path, seed: int, names: set[str]) -> None:
        self.seed = seed
        self.states = States(folder)
        self.states.build({LAST_STEPS[name] for name in names})
        self.finished = {name: self.states.stages[LAST_STEPS[name]].after for name in names}
        if "pairs" in names:
            self.finished["pairs"] = add_files(self.states)
        self.targets = [target for target in targets() if target.state in names]
        self.references: dict[tuple[str, tuple[str, ...]], tuple[forked.Ended, dict[str, str]]] = {}

    def case(self, number: int) -> Case:
        """The case of a number: targets in turn, options now and then."""
        draw = random.Random(f"{self.seed} {number} case")
        if draw.random() < OPTION_SHARE and "pairs" in self.finished:
            return Case(number, "pairs", "", True, option_values(draw))
        target = self.targets[number % len(self.targets)]
        return Case(number, target.state, target.file, target.edited, draw.choice(target.commands))

    def reference(self, case: Case) -> tuple[forked.Ended, dict[str, str]]:
        """How the command ends on the unchanged files, and what it writes."""
        key = (case.state, case.command)
        if key not in self.references:
            copy_state(self.finished[case.state], self.states.work)
            ended = forked.run(self.states.work, case.command)
            if ended.code != 0:
                raise RuntimeError(f"{' '.join(case.command)}: {ended.stderr}")
            self.references[key] = ended, self.written(case)
        return self.references[key]

    def written(self, case: Case) -> dict[str, str]:
        """Contents of the files that are new or written again in ``work``, without the changed."""
        state, work = self.finished[case.state], self.states.work
        found = {}
        for name in files_of(work):
            old = state / name
            new = not old.exists() or old.stat().st_mtime_ns != (work / name).stat().st_mtime_ns
            if not new or name == case.file:
                continue
            now = content(work / name, IGNORED)
            # A graph that is exported again is no result.
            if not old.exists() or now != content(old, IGNORED):
                found[name] = now
        return found

    def change(self, path: Path, number: int) -> str:
        """Change a file; the name of the change."""
        name = self.states.folder / "change.txt"

        def write() -> None:
            draw = random.Random(f"{self.seed} {number} change")
            what, changed = mutators.mutate(path.read_bytes(), path.suffix, draw)
            path.unlink()
            path.write_bytes(changed)
            name.write_text(what)

        forked.apart(write)
        return name.read_text()

    def try_case(self, number: int) -> dict[str, Any]:
        """Run one case and judge it."""
        case = self.case(number)
        work = self.states.work
        what, differing = "option", []
        if case.file:
            expected, outputs = self.reference(case)
            copy_state(self.finished[case.state], work)
            what = self.change(work / case.file, number)
        else:
            copy_state(self.finished[case.state], work)
        ended = forked.run(work, case.command, timeout=HANG_SECONDS)
        verdict = ended.fault
        if not verdict and ended.code != 0:
            verdict = "clear" if ended.stderr.strip() else "silent"
        elif not verdict and case.file:
            found = self.written(case)
            outputs = {name: now for name, now in outputs.items() if name != case.file}
            differing = difference(outputs, found)
            differing += ["stdout"] * (ended.stdout != expected.stdout)
            new = lines(ended) - lines(expected)
            told = any(Path(case.file).name.split(".")[0] in line for line in new)
            if not differing:
                verdict = "equal"
            elif case.edited:
                verdict = "honoured"
            elif told:
                verdict = "told"
            else:
                verdict = "silent" if any(map(decides, differing)) else "recorded"
        left = [name for name in files_of(work) if ".partial" in name]
        return {
            "case": number,
            "file": case.file,
            "change": what,
            "command": " ".join(argument[:80] for argument in case.command),
            "verdict": verdict or "honoured",
            "code": ended.code,
            "message": ended.message[-400:],
            "differs": differing[:6],
            "left": left,
        }


def lines(ended: forked.Ended) -> set[str]:
    """What a command said."""
    return set(f"{ended.stdout}\n{ended.stderr}".splitlines())


def decides(differing: str) -> bool:
    """Whether it is a result, not a record or a cache."""
    name = differing.split(": ")[0]
    return not name.endswith(".meta.json") and not hidden(name)


# Numbers that stand for work: a huge one is obeyed for hours, rightly.
WORK = {
    "epochs", "steps", "bags", "bootstrap", "seeds", "iterations", "workers", "num_ops", "cap",
    "looks", "scale", "batch_size", "patience", "defer_weights", "per_class",
}  # fmt: skip
HUGE = {"9" * 40, "1e308", "inf", "100000000"}
OPTION_VALUES = [
    *mutators.TEXTS[:-1],
    "100000000",
    "0.5",
    "x" * 5000,
    "--",
    "-",
    "1,2",
    "a=b",
    "a=",
]
OPTION_COMMANDS = [
    ("init", "data", "-o", "out/c.toml"), ("inspect", *OUT), ("split", *OUT), (*PAIRS, *NEW),
    ("infer", "a", *OUT), ("tta", "a", *OUT), ("pseudolabel", PREDS, *OUT),
    ("recalibrate", PREDS, *OUT), ("ensemble", PREDS, FOLDED, *OUT), ("submit", PREDS, *OUT),
    ("score", "submissions/pairs.csv", "--answers", "data/answers.csv"), ("runs",),
    ("evaluate", "a"), ("features", "a", "-o", "out/f.png"), ("review", "a", *OUT),
    ("simulate", "ntire", "-o", "out/p", "--scale", "0.001", "--workers", "1"), ("models",),
    ("losses",), ("metrics",), ("prior", "a", *OUT),
]  # fmt: skip


def option_values(draw: random.Random) -> tuple[str, ...]:
    """A command with an odd value of one of its options or arguments."""
    from typer.main import get_command

    from comptool.commands.app import app

    command = draw.choice(OPTION_COMMANDS)
    parameters = get_command(app).commands[command[0]].params  # type: ignore[attr-defined]
    options = [one for one in parameters if one.opts[0].startswith("-") and not one.is_flag]
    if not options or draw.random() < 0.1:
        value = draw.choice([text for text in OPTION_VALUES if "\x00" not in text])
        return (*command, value)
    option = draw.choice(options)
    values = [text for text in OPTION_VALUES if "\x00" not in text]
    if option.name in WORK:
        values = [text for text in values if text not in HUGE]
    return (*command, f"{option.opts[-1]}={draw.choice(values)}")


def add_files(states: States) -> Path:
    """The finished competition of pairs with what people write, and an interrupted training."""
    import albumentations
    import cv2
    import numpy as np
    import pandas as pd

    copy_state(states.stages["profile"].after, states.work)
    work, log = states.work, states.folder / "half.log"
    command = (*PAIRS, "--run-name", "half", "--epochs", "2")
    forked.run(work, command, Kill(str(log)).arm)
    events = [line.split("\t") for line in log.read_text().splitlines()]
    first = next(n for n, event in enumerate(events) if event[3].startswith("os.rename .last-"))
    log.unlink()
    shutil.rmtree(work / "weights/half")
    forked.run(work, command, Kill(str(log), number=first + 12).arm)
    for left in work.rglob("*.partial*"):
        left.unlink()
    train = pd.read_csv(work / "data/train.csv", dtype=str)
    classes = sorted(set(train["class_id"]))
    (work / "corrections.csv").write_text(f"id,label\n{train['image_id'][0]},3\n")
    rows = "".join(f"{name},{n + 1}\n" for n, name in enumerate(classes))
    (work / "weights.csv").write_text("class,weight\n" + rows)
    (work / "weights.toml").write_text("".join(f'"{name}" = 2\n' for name in classes))
    (work / "shares.csv").write_text("class,share\n" + "".join(f"{name},0.1\n" for name in classes))
    (work / "views.toml").write_text('views = ["identity", "horizontal"]\nweights = [2, 1]\n')
    flips = albumentations.Compose([albumentations.HorizontalFlip(), albumentations.Rotate(10)])
    albumentations.save(flips, str(work / "policy.json"))
    (work / "other").mkdir()
    test = pd.read_csv(work / "data/test.csv", dtype=str)
    pixels = cv2.imread(str(work / "data" / test["sar_path"][0]), cv2.IMREAD_GRAYSCALE)
    for suffix in ("png", "jpg", "tiff"):
        cv2.imwrite(str(work / f"other/image.{suffix}"), pixels)
    np.save(work / "other/image.npy", pixels)
    names = [f"image.{suffix}" for suffix in ("png", "jpg", "tiff", "npy")]
    other = pd.DataFrame({"image_id": list("pqrs"), "sar_path": names, "eo_path": names})
    other.to_csv(work / "other/test.csv", index=False)
    other.to_csv(work / "other/test.tsv", index=False, sep="\t")
    # Under one name whichever image it is.
    (work / "image.png").write_bytes((work / "data" / test["eo_path"][0]).read_bytes())
    for table in ("train", "test"):
        path = work / f"data/{table}.csv"
        rows_of = pd.read_csv(path, dtype=str)
        image = work / "data" / rows_of["eo_path"][0]
        image.unlink()
        image.symlink_to(os.path.relpath(work / "image.png", image.parent))
    finished = states.folder / "finished"
    work.rename(finished)
    return finished


def campaign(
    folder: Path,
    seed: int,
    number: int,
    minutes: float,
    only: int | None = None,
    names: set[str] | None = None,
) -> dict[str, Any]:
    """The cases 0 to ``number`` - 1 of a seed, or one; of both competitions or of ``names``."""
    until = time.monotonic() + 60 * minutes
    mutations = Mutations(folder, seed, names or set(LAST_STEPS))
    results: list[dict[str, Any]] = []
    for case in range(number) if only is None else (only,):
        if time.monotonic() > until:
            break
        result = mutations.try_case(case)
        results.append(result)
        if only is not None or result["verdict"] in FAULTS or result["left"]:
            print(json.dumps(result), file=sys.stderr, flush=True)
    verdicts = Counter(result["verdict"] for result in results)
    names = ("clear", "equal", "told", "recorded", "honoured", *FAULTS)
    bad = [result for result in results if result["verdict"] in FAULTS]
    return {
        "seed": seed,
        "asked": number,
        "mutations": len(results),
        **{name: verdicts[name] for name in names},
        "temporary files left": sum(bool(result["left"]) for result in results),
        "faults by file": dict(
            Counter(f"{result['verdict']}: {result['file'] or 'options'}" for result in bad)
        ),
        "findings": bad[:SHOWN],
    }
