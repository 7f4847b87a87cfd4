"""The rows that runs have not been trained on: their out-of-fold file and their labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from comptool import provenance
from comptool.competition import Competition
from comptool.errors import ComptoolError, InputError
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
        If there is no such file or run, or the run has held no rows out.
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
    found = {}
    for name in provenance.facts(path).get("runs") or [path.parent]:
        with suppress(ComptoolError):
            found |= {folder: read_header(folder) for folder in members(find_run(name))}
    return found


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


def no_table(ids: Sequence[str], file: Path, tables: Iterable[Any]) -> InputError:
    """Nobody knows the labels of these ids."""
    return InputError(
        f"no table here has the {len(ids)} rows that this run held out",
        file=file,
        values=[str(table) for table in tables],
    )
