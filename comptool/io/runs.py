"""Run folders, read without torch: runs, their members and checkpoint headers.

A run is ``weights/RUN/`` with a ``best.safetensors``; a folded run has one run per fold in
``weights/RUN/fold-0/``, ``fold-1/`` and so on.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from comptool.errors import InputError, nearest
from comptool.io.documents import JSON_NAME, from_json, reading
from comptool.io.locks import holder, is_held
from comptool.io.records import Computed, Figure, RunHeader, header_of, parse, shown
from comptool.io.seals import read_sealed
from comptool.io.verification import RUN_JSON as RUN_JSON
from comptool.io.verification import recall
from comptool.registry import SCRIPT, is_user_object

BEST = "best.safetensors"
# ONNX graphs, one for each image size.
GRAPHS = "best*.onnx"
LAST = "last.pt"
METRICS = "metrics.csv"
GRADIENTS = "gradients.png"
OOF = "oof.csv"
# One row per image, where one answer is that of several images.
OOF_IMAGES = "oof_images.csv"
RUNNING = "running"
STOPPED = "stopped"
FINISHED = "finished"
# The process ended without updating ``run.json``.
KILLED = "killed"
WEIGHTS = Path("weights")
HEADER_KEY = "comptool"
HEADER_FORMAT = 1
_FOLD = re.compile(r"fold-(\d+)")


@dataclass(frozen=True, kw_only=True)
class RunState:
    """State of a training by its ``run.json``."""

    state: str | None = None  # ``running``, ``stopped`` or ``finished``; None if unknown
    held: bool | None = None  # of a running one, whether a lock tells that it is still so
    num_folds: int | None = None  # of a folded run, how many folds it is to have


@dataclass(frozen=True, kw_only=True)
class RunRecord(RunState):
    """Content of ``run.json``.

    Parameters
    ----------
    arguments, files
        Settings and tables asked for, by field name.
    fold
        The validation fold, or None.
    computed, way, images_at_once
        How the steps are computed; the part that a resumed run keeps (a ``ComputeConfig``); the
        micro-batch size, None for the whole batch.
    samples
        Digest of the rows, with their images as they were when it was begun.
    score, epoch
        Of the best checkpoint, once finished; None without validation.
    digests
        SHA-256 by name of the checkpoint, the out-of-fold rows and the metrics; with folds of the
        joint rows, and of the files of the folds that they are from.
    options
        The command line, as in `comptool.io.verification.Provenance`.
    """

    arguments: dict[str, Any]
    files: dict[str, str | None]
    command: str = "train"
    versions: dict[str, str] = field(default_factory=dict)
    git_commit: str | None = None
    time: str = ""
    metric: str | None = None
    fold: int | None = None
    computed: Computed | None = None
    way: dict[str, Any] | None = None
    images_at_once: int | None = None
    samples: str | None = None
    score: Figure | None = None
    epoch: int | None = None
    digests: dict[str, str] | None = None
    options: dict[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """The JSON object without what does not apply."""
        nullable = {"git_commit"}
        if self.num_folds is None:
            nullable |= {"fold", *(("score", "epoch") if self.state == FINISHED else ())}
        return {
            name: value
            for name, value in asdict(self).items()
            if value is not None or name in nullable
        }


def held_out_images(run: Path) -> Path:
    """The out-of-fold file of a run with a row per image; it need not exist."""
    path = run / OOF_IMAGES
    return path if path.exists() else run / OOF


def find_run(name: str | Path | None = None, weights: Path = WEIGHTS) -> Path:
    """Find the folder of a run.

    Parameters
    ----------
    name
        Name of a run under ``weights``, or a path to its folder or checkpoint; None means the run
        with the newest checkpoint.
    weights
        Folder of the named runs.

    Raises
    ------
    InputError
        If there is no such run; names the three nearest.
    """
    runs = (
        [] if not weights.is_dir() else [folder for folder in weights.iterdir() if _is_run(folder)]
    )
    if name is None:
        if not runs:
            raise InputError("no trained run here", file=weights, mend="Make one: comptool train")
        return max(runs, key=lambda folder: (_time(folder), folder.name))
    given = Path(name).parent if Path(name).name == BEST else Path(name)
    for folder in (weights / given, given):
        if _is_run(folder):
            return folder
        if folder.is_dir() and (folder / LAST).exists():
            raise InputError("has no best checkpoint yet", file=folder, mend=_go_on(folder))
    close = nearest(str(name), sorted(folder.name for folder in runs))
    mend = f"Did you mean {' or '.join(close)}?" if close else "Make one: comptool train"
    raise InputError(f"no trained run is called '{name}'", file=weights, mend=mend)


def members(run: Path) -> list[Path]:
    """The folders with a checkpoint: ``fold-0``, ``fold-1``, ... of a folded run, else the run.

    Raises
    ------
    InputError
        If a fold has no checkpoint yet, or the folder is not a run.
    """
    if (run / BEST).exists():
        return [run]
    folds = fold_folders(run)
    if not folds:
        raise InputError(f"has no {BEST}", file=run, mend="Make one: comptool train")
    for folder in folds:
        if not (folder / BEST).exists():
            raise InputError("has no best checkpoint yet", file=folder, mend=_go_on(run))
    return folds


def check_finished(run: Path) -> str | None:
    """Raise an InputError for a folded run with untrained folds, or with a damaged ``run.json``.

    Returns a sentence if a single run was stopped, is still training, or has a damaged
    ``run.json``: its best checkpoint can be used.
    """
    if (run / BEST).exists() and (damage := damaged_record(run)):
        return f"{damage}; whether {run} is finished is unknown, its best checkpoint is used"
    state = _state(run) or FINISHED
    if state == FINISHED:
        return None
    if (run / BEST).exists():
        return f"{run} is not finished ({state}); its best checkpoint so far is used. {_go_on(run)}"
    done, total = _folds_done(run)
    if done == total:
        return None
    raise InputError(f"{done} of {total} folds are finished", file=run, mend=_go_on(run))


def read_state(run: Path) -> str:
    """State of a training: ``running``, ``stopped``, ``killed`` or ``finished``.

    Without a record, ``finished`` if there is a checkpoint, else ``unfinished``; for an unfinished
    folded run with the number of finished folds. Raises an InputError if the record is damaged.
    """
    usual = FINISHED if (run / BEST).exists() else "unfinished"
    state = _state(run) or usual
    if state == FINISHED or (run / BEST).exists() or not fold_folders(run):
        return state
    done, total = _folds_done(run)
    return f"{state}, {done} of {total} folds finished"


def damaged_record(run: Path) -> str | None:
    """What is wrong with ``run.json``; None if it can be read or is missing."""
    try:
        _record(run)
    except InputError as error:
        return str(error)
    return None


def is_trained(run: Path) -> bool | None:
    """Whether a process is training the run or its folded run; None if unknown."""
    return is_held(run.parent if _FOLD.fullmatch(run.name) else run)


def _state(run: Path) -> str | None:
    record = _record(run)
    if record.state == RUNNING and record.held and is_trained(run) is False:
        return KILLED
    return record.state


def _folds_done(run: Path) -> tuple[int, int | str]:
    """Numbers of finished and of all folds of a folded run, the latter "its" if unknown."""
    done = sum(_state(folder) == FINISHED for folder in fold_folders(run))
    total = _record(run).num_folds
    return done, "its" if total is None else total


def _record(folder: Path) -> RunState:
    """The content of ``run.json``; empty if there is none, as beside a copied checkpoint."""
    path = folder / RUN_JSON
    return parse(RunState, read_sealed(path), path) if path.exists() else RunState()


def fold_folders(run: Path) -> list[Path]:
    """The ``fold-K`` folders of a run in fold order."""
    found = [(match, path) for path in run.glob("fold-*") if (match := _FOLD.fullmatch(path.name))]
    return [path for _, path in sorted(found, key=lambda pair: int(pair[0][1])) if path.is_dir()]


def read_header(run: Path) -> RunHeader:
    """Read the header of a checkpoint, without weights and without executing anything in it.

    ``run`` is the folder of one run (not of a folded one) or its ``best.safetensors``.

    Raises
    ------
    InputError
        If the checkpoint is missing, truncated, of another format, not from comptool, or not the
        one that ``run.json`` names.
    """
    path = run / BEST if run.is_dir() else run
    if not path.is_file():
        raise InputError("there is no such checkpoint", file=path, mend="Make one: comptool train")
    recall(path)
    try:
        with safe_open(path, framework="numpy") as checkpoint:
            metadata = checkpoint.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"is not a readable checkpoint, it may be truncated or of another kind ({error})",
            file=path,
            mend="Train again, or copy it again from where it came",
        ) from error
    header = _checked(path, metadata.get(HEADER_KEY))
    for key in ("reader", "metric"):
        _refuse_own_code(key, getattr(header, key), path)
    return header


def _refuse_own_code(key: str, named: str, path: Path) -> None:
    """Refuse code that came with a checkpoint; a file elsewhere was put there by the user."""
    file = Path(named.partition(SCRIPT)[0] + ".py").resolve()
    folder = path.parent.resolve()
    run = folder.parent if _FOLD.fullmatch(folder.name) else folder
    if is_user_object(named) and run in file.parents:
        raise InputError(
            f"its {key} is a Python file of the run's own folder, which is not run",
            file=path,
            values=[named],
            mend="Read the code, move it out of there and name it in comptool.toml",
        )


def _checked(path: Path, text: str | None) -> RunHeader:
    if text is None:
        raise InputError("holds weights without comptool's header", file=path)
    with reading(path, JSON_NAME, what="header"):
        header = from_json(text)
    if isinstance(header, dict) and header.get("format") != HEADER_FORMAT:
        raise InputError(
            f"its header is not of format {HEADER_FORMAT}",
            file=path,
            values=[shown(header.get("format"))],
            mend="Use the version of comptool that wrote it",
        )
    return header_of(header, path)


def _is_run(folder: Path) -> bool:
    return (folder / BEST).is_file() or any(
        (fold / BEST).is_file() for fold in fold_folders(folder)
    )


def _time(folder: Path) -> float:
    places = [folder, *fold_folders(folder)]
    return max((p / BEST).stat().st_mtime for p in places if (p / BEST).is_file())


def _go_on(folder: Path) -> str:
    if is_held(folder):
        return f"Wait for {holder(folder)}, which is training it"
    return f"Go on with: comptool train --run-name {folder.name} --resume"
