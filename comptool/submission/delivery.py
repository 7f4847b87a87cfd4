"""The ``submit`` command: predictions in, checked submission CSV and zip out."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl

from comptool import tasks
from comptool.competition.classes import against, competition_classes
from comptool.competition.config import FILE, Competition, load
from comptool.competition.schema import from_environment
from comptool.errors import InputError, SubmissionError, UsageError, quoted
from comptool.io import provenance
from comptool.io.atomic import atomic_output, refuse_existing, together
from comptool.io.predictions import Predictions, read_predictions, refuse_ranks
from comptool.io.provenance import PredictionFacts
from comptool.io.tables import check_ids as check_table_ids
from comptool.io.tables import read_table
from comptool.io.text_tables import USUAL
from comptool.submission.answer_forms import (
    Layout,
    answered_classes,
    check_task,
    read_layout,
)
from comptool.tasks.multilabel_task import ANSWERED


def check(submission: pd.DataFrame, sample: pd.DataFrame, layout: Layout, name: str) -> None:
    """Refuse a submission that differs in form from the sample."""
    header = tuple(str(column) for column in submission.columns)
    if header != layout.columns:
        raise SubmissionError(
            f"{name}: the header is {','.join(header)}; the sample submission has "
            f"{','.join(layout.columns)}"
        )
    check_ids(submission[layout.id].tolist(), sample[layout.id].tolist(), name, layout.id)
    _check_order(submission[layout.id], sample[layout.id], name)
    layout.form.check(submission, sample, layout, name)


def check_ids(ids: Sequence[str], wanted: Sequence[str], name: str, column: str) -> None:
    """Refuse ids that differ from the sample's, in any order."""
    have, want = set(ids), set(wanted)
    missing = [one for one in wanted if one not in have]
    strange = [one for one in ids if one not in want]
    sides = []
    if missing:
        sides.append(f"{_count(missing, 'id')} of the sample submission missing: {quoted(missing)}")
    if strange:
        sides.append(f"{_count(strange, 'id')} not in the sample submission: {quoted(strange)}")
    if sides:
        raise SubmissionError(f"{name}, column '{column}': {'; '.join(sides)}")
    repeated = pd.Series(list(ids), dtype=object)
    repeated = repeated[repeated.duplicated()]
    if len(repeated):
        row = int(repeated.index[0]) + 1
        shown = quoted(list(dict.fromkeys(repeated)))
        raise SubmissionError(f"{name}, row {row}, column '{column}': repeated ids: {shown}")


def _count(values: Sequence[str], noun: str) -> str:
    return f"{len(values)} {noun}{'' if len(values) == 1 else 's'}"


def _check_order(ids: pd.Series, wanted: pd.Series, name: str) -> None:
    if len(ids) != len(wanted):
        raise SubmissionError(f"{name}: {len(ids)} rows; the sample submission has {len(wanted)}")
    off = np.flatnonzero(ids.to_numpy() != wanted.to_numpy())
    if off.size:
        row = int(off[0])
        raise SubmissionError(
            f"{name}, row {row + 1}, column '{wanted.name}': the id is '{ids.iloc[row]}' where the "
            f"sample submission has '{wanted.iloc[row]}'; the ids are in another order"
        )


MEMBER = "results.csv"
# The oldest time that a zip can hold, for reproducible bytes.
EPOCH = (1980, 1, 1, 0, 0, 0)
READABLE_FILE = 0o100644 << 16
UNIX = 3


def write_zip(path: Path, csv: Path, *, force: bool = False) -> None:
    """Write ``csv`` as ``results.csv`` into a reproducible zip."""
    member = zipfile.ZipInfo(MEMBER, date_time=EPOCH)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = READABLE_FILE
    member.create_system = UNIX
    with atomic_output(path, force=force) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr(member, csv.read_bytes())


def read_submission(path: Path) -> pd.DataFrame:
    """A submission as text, from a CSV or from ``results.csv`` at the root of a zip."""
    if not path.exists():
        raise InputError("there is no such file", file=path)
    if path.suffix.lower() != ".zip":
        return _read_archived(path, str(path))
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if names != [MEMBER]:
                shown = ", ".join(f"'{name}'" for name in names[:3]) or "nothing"
                raise SubmissionError(f"{path}: holds {shown}; one {MEMBER} at its root is wanted")
            content = archive.read(MEMBER)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, RuntimeError) as error:
        raise SubmissionError(f"{path}: is no readable zip ({error})") from error
    with tempfile.TemporaryDirectory() as folder:
        extracted = Path(folder) / MEMBER
        extracted.write_bytes(content)
        return _read_archived(extracted, f"{path}/{MEMBER}")


def _read_archived(path: Path, name: str) -> pd.DataFrame:
    try:
        # An organiser does not guess how a file is written.
        return read_table(path, form=USUAL)
    except InputError as error:
        raise SubmissionError(str(error).replace(str(path), name)) from error


def build(
    predictions: Predictions,
    sample: pd.DataFrame,
    layout: Layout,
    task: str,
    name: str,
    threshold: float | None = None,
) -> pd.DataFrame:
    """A submission with the sample's header, ids and order.

    A single class is that of the ``pred`` column, else the most probable, the first of equals;
    probabilities ignore ``pred`` (`overruled` counts the difference). Of a multi-label task all
    classes above the threshold are answered.
    """
    kind = tasks.find(task)
    check_task(layout, kind, threshold)
    wanted = sample[layout.id].tolist()
    check_ids(list(predictions.ids), wanted, name, predictions.id_column)
    place = {one: row for row, one in enumerate(predictions.ids)}
    predictions = predictions.take(np.array([place[one] for one in wanted], dtype=np.int64))
    columns: dict[str, object] = {
        layout.id: wanted,
        **layout.form.write(predictions, layout, kind, name, threshold),
    }
    return pd.DataFrame({column: columns[column] for column in layout.columns})


def overruled(predictions: Predictions, name: str) -> int:
    """Rows with a ``pred`` other than a most probable class; 0 without ``pred``."""
    probabilities = predictions.probabilities
    answered = probabilities[np.arange(len(predictions)), answered_classes(predictions, name)]
    return int((answered < probabilities.max(axis=1)).sum())


DEFAULT_NAME = "submission"


@dataclass(frozen=True)
class Target:
    """The competition and its sample submission."""

    name: str  # of the submission file
    task: str  # name of the task
    sample_path: Path  # the sample submission
    sample: pd.DataFrame  # its table of text
    # None if only the sample submission is known
    competition: Competition | None

    @property
    def findings(self) -> tuple[str, ...]:
        """Findings and assumptions of the detection, one sentence each."""
        return self.competition.findings if self.competition else ()


@dataclass(frozen=True)
class Delivery:
    """A checked submission."""

    rows: int
    layout: Layout
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """The check as a sentence, after the assumptions."""
        header = ",".join(self.layout.columns[:4]) + ("..." if len(self.layout.columns) > 4 else "")
        passed = f"checked: {self.rows} rows of {header} ({self.layout.form.words}), ids as wanted"
        return "\n".join([*self.layout.notes, *self.notes, passed])


def find_target(toml: Path | None = None, sample: Path | None = None) -> Target:
    """The competition and its sample submission."""
    alone = sample is not None and toml is None and not FILE.exists()
    competition = None if alone else load(toml)
    path = sample or (competition.sample_submission if competition else None)
    if path is None:
        raise InputError(
            "the competition has no sample submission to take the layout and the ids from",
            file=toml,
            mend="Give --sample-submission FILE, or 'sample-submission' in comptool.toml",
        )
    table = read_table(path)
    column = str(table.columns[0])
    check_table_ids(path, column, table[column].to_numpy(dtype=object))
    known = from_environment(os.environ)
    return Target(
        name=competition.name if competition else known.get("name", DEFAULT_NAME),
        task=competition.task if competition else known.get("task", tasks.DEFAULT_TASK),
        sample_path=path,
        sample=table,
        competition=competition,
    )


def submit(
    predictions_path: Path,
    target: Target,
    output: Path,
    archive: Path | None = None,
    *,
    threshold: float | None = None,
    force: bool = False,
) -> Delivery:
    """Write a submission if its check passes.

    Parameters
    ----------
    predictions_path
        Probabilities, with or without a column ``pred``.
    target
        Competition and sample submission, from `find_target`.
    output, archive
        CSV to write, and the zip of it, or None.
    threshold
        For several labels, see `build`.
    force
        Whether existing files are replaced.

    Raises
    ------
    SubmissionError
        If the predictions do not fit the sample submission or the classes of the competition.
    InputError
        If the predictions are damaged, or mean ranks where a threshold needs probabilities.
    OutputExistsError
        If an output exists and ``force`` is off.
    """
    written = [path for path in (output, archive) if path is not None]
    for path in written:
        refuse_existing(path, force)
    # The output may be written over the predictions.
    inputs = provenance.hashes([predictions_path, target.sample_path])
    predictions = _read(predictions_path, target)
    layout = read_layout(target.sample, predictions.classes, target.task)
    cells = tasks.find(target.task).cells
    if cells and (threshold is not None or layout.form.lists):
        refuse_ranks(predictions_path, provenance.facts(predictions_path, PredictionFacts))
    name = str(predictions_path)
    table = build(predictions, target.sample, layout, target.task, name, threshold)
    notes = _empty_lists(table, layout, threshold)
    if not cells:
        notes += _lost_answers(predictions, layout, name)
    arguments = {
        "predictions": predictions_path,
        "output": output,
        "zip": archive,
        "threshold": threshold,
    }
    # The submission inherits the facts of its predictions.
    made = provenance.facts(predictions_path, PredictionFacts)
    facts = replace(made, layout=layout.form.words, rows=len(table))
    with together():
        with atomic_output(output, force=force) as temporary:
            columns = {str(column): table[column].to_list() for column in table.columns}
            pl.DataFrame(columns).write_csv(temporary)
            check(read_table(temporary), target.sample, layout, str(output))
            if archive is not None:
                write_zip(archive, temporary, force=force)
        for path in written:
            provenance.record(
                path, command="submit", arguments=arguments, inputs=inputs, facts=facts
            )
    return Delivery(len(table), layout, notes)


def _empty_lists(table: pd.DataFrame, layout: Layout, threshold: float | None) -> tuple[str, ...]:
    """Number of empty lists, which an organiser may refuse."""
    if not layout.form.lists:
        return ()
    empty = int((table[layout.answer] == "").sum())
    bound = ANSWERED if threshold is None else threshold
    told = f"warning: no class is above {bound:g} in {empty} of {len(table)} rows"
    return (told,) if empty else ()


def _lost_answers(predictions: Predictions, layout: Layout, name: str) -> tuple[str, ...]:
    """Number of answers that a submission of probabilities loses."""
    if not layout.form.of_probabilities:
        return ()
    lost = overruled(predictions, name)
    told = (
        f"warning: in {lost} of {len(predictions)} rows of {name} the most probable class is not "
        "the answer in column pred; the sample submission asks for probabilities, so these answers "
        "are not in the submission, which says what it would say without them"
    )
    return (told,) if lost else ()


def _read(path: Path, target: Target) -> Predictions:
    predictions = read_predictions(path, sums_to_one=tasks.find(target.task).sums_to_one)
    known = _known_classes(target)
    if known is not None and predictions.classes != known:
        raise SubmissionError(
            f"{path}: its classes are not those of the competition: "
            f"{against(predictions.classes, known)}"
        )
    return predictions


def check_file(path: Path, target: Target) -> Delivery:
    """Check an existing submission, a CSV or a zip."""
    layout = read_layout(target.sample, _known_classes(target), target.task)
    table = read_submission(path)
    check(table, target.sample, layout, str(path))
    return Delivery(len(table), layout)


def _known_classes(target: Target) -> tuple[str, ...] | None:
    return None if target.competition is None else competition_classes(target.competition)


def stale_inputs(path: Path) -> list[str]:
    """Inputs that changed since ``path`` was made, one sentence each, back along the chain."""
    return [
        f"warning: {made} is stale: {source} has changed since it was made of it"
        for made, record in provenance.history(path)
        for source in provenance.changed_inputs(record)
    ]


def csv_output(output: Path | None, folder: Path, target: Target) -> Path:
    """Path of the submission."""
    if output is not None and output.suffix != ".csv":
        raise UsageError(f"-o {output} has to end in .csv; --zip makes the zip beside it")
    return output or folder / f"{target.name}.csv"
