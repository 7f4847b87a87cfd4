"""The rows that runs have not been trained on: their out-of-fold file and their labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from comptool import provenance
from comptool.competition import Competition
from comptool.errors import ComptoolError, InputError, quoted
from comptool.runs import OOF, find_run, members, read_header
from comptool.samples import Samples, read_samples
from comptool.tables import read_table

FOLDS = Path("folds.csv")
TABLES = (".csv", ".gz", ".parquet")


@dataclass(frozen=True)
class OutOfFold:
    """An out-of-fold file and where it comes from.

    Parameters
    ----------
    path
        The file.
    tables
        Tables that the runs were trained with, as recorded.
    leak
        Why the file is no evidence, or None.
    reason
        How it was chosen, a sentence.
    """

    path: Path
    tables: tuple[Path, ...]
    leak: str | None
    reason: str


def find_out_of_fold(name: str | None) -> OutOfFold:
    """The out-of-fold file of a run, or one given by its path.

    Parameters
    ----------
    name
        A file, or the name or folder of a run; None means the newest run.

    Raises
    ------
    InputError
        If there is no such file or run, the run has held no rows out, or two of its members have
        held out the same.
    """
    if name is not None and Path(name).is_file() and Path(name).name.endswith(TABLES):
        path = Path(name)
        facts = provenance.facts(path)
        tables = _tables((provenance.recall(path) or {}).get("inputs", {}))
        return OutOfFold(path, tables, facts.get("leak"), f"taking {path}")
    run = find_run(name)
    headers = [read_header(folder) for folder in members(run)]
    path = run / OOF
    if not path.exists():
        raise InputError(
            "this run held no rows out", file=run, mend="Train with a fold that is validated"
        )
    _check_folds(run, headers)
    leak = next((header["leak"] for header in headers if header.get("leak")), None)
    tables = _tables(table for header in headers for table in header.get("inputs", {}))
    latest = " (the latest run)" if name is None else ""
    return OutOfFold(path, tables, leak, f"taking {path}{latest}")


def networks_of(path: Path) -> dict[Path, dict[str, Any]]:
    """Folders and headers of the networks that made a file, as far as they are still there.

    Parameters
    ----------
    path
        Predictions, of held-out rows or of others; its record names the runs, else it stands in
        the folder of one.
    """
    found: dict[Path, dict[str, Any]] = {}
    for name in provenance.facts(path).get("runs") or [path.parent]:
        with suppress(ComptoolError):
            found |= {folder: read_header(folder) for folder in members(find_run(name))}
    return found


def _check_folds(run: Path, headers: Sequence[Mapping[str, Any]]) -> None:
    """No fold has been validated by two members: one of them then is a copy, or another's."""
    folds = [header.get("fold") for header in headers]
    repeated = sorted({fold for fold in folds if fold is not None and folds.count(fold) > 1})
    if repeated:
        raise InputError(
            "two of its members validated the same fold",
            file=run,
            values=[f"fold {fold}" for fold in repeated],
            mend=f"Train it again: comptool train --fold all --run-name {run.name} --force",
        )


def _tables(names: Iterable[str]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(Path(name) for name in names))


def labelled_rows(
    ids: Sequence[str], tables: Iterable[Path], competition: Competition
) -> Samples | None:
    """The labelled samples of these ids, in their order, from the first table that has them all.

    Parameters
    ----------
    ids
        N distinct ids.
    tables
        Where to look; what is gone, is no table or lacks the columns is passed over.
    competition
        Says what the columns are called.

    Raises
    ------
    InputError
        If the table that has them all is not in order.
    """
    for table in dict.fromkeys(tables):
        if not table.is_file() or table.suffix not in TABLES:
            continue
        frame = read_table(table)
        labels = competition.labels or (competition.label,)
        if not {competition.id, *labels} <= set(frame.columns):
            continue
        place = {identity: row for row, identity in enumerate(frame[competition.id])}
        if all(identity in place for identity in ids):
            samples = read_samples(table, competition, labelled=True)
            rows = samples.frame.iloc[[place[identity] for identity in ids]]
            return replace(samples, frame=rows.reset_index(drop=True))
    return None


def no_table(
    ids: Sequence[str], file: Path, tables: Iterable[Path], competition: Competition
) -> InputError:
    """Nobody knows the labels of these ids, or of some of them: then these are named."""
    looked = list(dict.fromkeys(tables))
    lacking = {table: rows for table in looked if (rows := _lacking(ids, table, competition.id))}
    if lacking:
        table, rows = min(lacking.items(), key=lambda pair: len(pair[1]))
        return InputError(
            f"{len(rows)} of the {len(ids)} rows that this run held out are not in {table}",
            file=file,
            values=rows,
            mend="Give the table that it was trained with back its rows, or train it again",
        )
    return InputError(
        f"no table here has labels of these {len(ids)} rows; looked at were {quoted(looked)}",
        file=file,
        mend="Bring the table of the training back; comptool evaluate takes others by --answers",
    )


def _lacking(ids: Sequence[str], table: Path, column: str) -> list[str]:
    """Which ids a table that has some of them has not; none if it has nothing to do with them."""
    if not table.is_file() or table.suffix not in TABLES:
        return []
    frame = read_table(table)
    known = set(frame[column]) if column in frame.columns else set()
    return [] if known.isdisjoint(ids) else [name for name in ids if name not in known]
