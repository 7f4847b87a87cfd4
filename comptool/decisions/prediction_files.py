"""Which prediction files are meant: those that are named, those of a run, or all that are here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from comptool import provenance
from comptool.errors import InputError
from comptool.predictions import SUFFIXES
from comptool.runs import find_run

# What makes predictions of the networks of a run, before anything is decided about them.
PREDICTING = ("infer", "tta")


def chosen(given: Sequence[Path], folder: Path, output: Path) -> list[Path]:
    """The prediction files that were named, by themselves or by their runs.

    Parameters
    ----------
    given
        Files, or names or folders of runs; none: all that `found` finds in the folder.
    folder
        Where predictions are looked for.
    output
        A file that is not one of them.

    Raises
    ------
    InputError
        If there are none, a run is not there, or a run has no prediction file or several.
    """
    if not given:
        return found(folder, output)
    return [
        path if path.is_file() or path.suffix in SUFFIXES else _of_run(path, folder, output)
        for path in given
    ]


def found(folder: Path, output: Path) -> list[Path]:
    """The prediction files of a folder whose names begin with ``preds``, without ``output``.

    Raises
    ------
    InputError
        If there are none.
    """
    here = (path for suffix in SUFFIXES for path in folder.glob(f"preds*{suffix}"))
    paths = sorted(path for path in here if path != output)
    if not paths:
        raise InputError(f"no preds*.csv in {folder}", mend="Make them: comptool infer")
    return paths


def _of_run(name: Path, folder: Path, output: Path) -> Path:
    run = find_run(name)
    paths = sorted(path for suffix in SUFFIXES for path in folder.glob(f"*{suffix}"))
    here = [path for path in paths if path != output and _is_of(path, run)]
    if not here:
        raise InputError(
            f"no file of {folder} has predictions of this run alone",
            file=run,
            mend=f"Make it: comptool infer {run.name} -o {folder / f'preds_{run.name}.csv'}",
        )
    if len(here) > 1:
        raise InputError(
            "several files have predictions of this run",
            file=run,
            values=[str(path) for path in here],
            mend="Name the file",
        )
    return here[0]


def _is_of(path: Path, run: Path) -> bool:
    record = provenance.recall(path) or {}
    runs = (record.get("facts") or {}).get("runs")
    made = record.get("command") in PREDICTING and not path.name.startswith("oof")
    return made and runs == [str(run)]
