"""A submission from file to file: built or read, checked, written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import polars as pl

from comptool import provenance
from comptool.classes import against, competition_classes
from comptool.competition import FILE, Competition, load
from comptool.errors import InputError, SubmissionError, UsageError
from comptool.facts import from_environment
from comptool.outputs import atomic_output, refuse_existing, together
from comptool.predictions import Predictions, read_predictions, refuse_ranks
from comptool.submission.archive import read_submission, write_zip
from comptool.submission.build import THRESHOLD, build, overruled
from comptool.submission.check import check
from comptool.submission.layout import Kind, Layout, read_layout
from comptool.tables import check_ids, read_table

DEFAULT_NAME = "submission"


@dataclass(frozen=True)
class Target:
    """What is to be submitted to.

    Parameters
    ----------
    name
        What the submission file is called.
    task
        ``"multiclass"`` or ``"multilabel"``.
    sample_path
        The sample submission.
    sample
        Its table of text.
    competition
        The competition, or None where only the sample submission is known.
    """

    name: str
    task: str
    sample_path: Path
    sample: pd.DataFrame
    competition: Competition | None

    @property
    def findings(self) -> tuple[str, ...]:
        """What detection saw and assumed, one sentence each."""
        return self.competition.findings if self.competition else ()


@dataclass(frozen=True)
class Delivery:
    """A submission that has passed its check."""

    rows: int
    layout: Layout
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """What was checked, as a sentence, after what was presumed."""
        header = ",".join(self.layout.columns[:4]) + ("..." if len(self.layout.columns) > 4 else "")
        passed = f"checked: {self.rows} rows of {header} ({self.layout.kind.value}), ids as wanted"
        return "\n".join([*self.layout.notes, *self.notes, passed])


def find_target(toml: Path | None = None, sample: Path | None = None) -> Target:
    """The competition and its sample submission.

    Parameters
    ----------
    toml
        The competition's facts; by default those of the working directory.
    sample
        A sample submission given by hand; then there need not be a competition.

    Raises
    ------
    InputError
        If there is no sample submission, or it is not in order.
    """
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
    check_ids(path, column, table[column].to_numpy(dtype=object))
    known = from_environment(os.environ)
    return Target(
        name=competition.name if competition else known.get("name", DEFAULT_NAME),
        task=competition.task if competition else known.get("task", "multiclass"),
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
    """Write a checked submission; the file appears only if its check passes.

    Parameters
    ----------
    predictions_path
        Probabilities, with or without a ``pred`` column.
    target
        What to submit to.
    output
        The CSV to write.
    archive
        The zip to write of it, or None.
    threshold
        Of a multi-label competition, see `comptool.submission.build.build`.
    force
        Whether they may be replaced.

    Raises
    ------
    SubmissionError
        If the predictions do not fit the sample submission, or are of other classes than the
        competition's.
    InputError
        If the predictions are not in order, or are ranks where a threshold is applied.
    OutputExistsError
        If ``output`` exists and ``force`` is off.
    """
    written = [path for path in (output, archive) if path is not None]
    for path in written:
        refuse_existing(path, force)
    # The output may be written over the predictions.
    inputs = provenance.hashes([predictions_path, target.sample_path])
    predictions = _read(predictions_path, target)
    layout = read_layout(target.sample, predictions.classes, target.task)
    if target.task == "multilabel" and (threshold is not None or layout.kind is Kind.joined):
        refuse_ranks(predictions_path, provenance.facts(predictions_path))
    name = str(predictions_path)
    table = build(predictions, target.sample, layout, target.task, name, threshold)
    notes = _empty_lists(table, layout, threshold)
    if target.task != "multilabel":
        notes += _lost_answers(predictions, layout, name)
    arguments = {
        "predictions": predictions_path,
        "output": output,
        "zip": archive,
        "threshold": threshold,
    }
    # What the predictions were made of is known of the submission too.
    made = provenance.facts(predictions_path)
    facts = {**made, "layout": layout.kind.value, "rows": len(table)}
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
    """How many lists are empty, which an organiser may refuse."""
    if layout.kind is not Kind.joined:
        return ()
    empty = int((table[layout.answer] == "").sum())
    bound = THRESHOLD if threshold is None else threshold
    told = f"warning: no class is above {bound:g} in {empty} of {len(table)} rows"
    return (told,) if empty else ()


def _lost_answers(predictions: Predictions, layout: Layout, name: str) -> tuple[str, ...]:
    """How many answers a submission of probabilities does not hold."""
    if layout.kind not in (Kind.probabilities, Kind.probability):
        return ()
    lost = overruled(predictions, name)
    told = (
        f"warning: in {lost} of {len(predictions)} rows of {name} the most probable class is not "
        "the answer in column pred; the sample submission asks for probabilities, so these answers "
        "are not in the submission, which says what it would say without them"
    )
    return (told,) if lost else ()


def _read(path: Path, target: Target) -> Predictions:
    """Predictions of the competition's classes."""
    predictions = read_predictions(path, task=target.task)
    known = _known_classes(target)
    if known is not None and predictions.classes != known:
        raise SubmissionError(
            f"{path}: its classes are not those of the competition: "
            f"{against(predictions.classes, known)}"
        )
    return predictions


def check_file(path: Path, target: Target) -> Delivery:
    """Check a submission that is there already, a CSV or a zip.

    Raises
    ------
    SubmissionError
        If the organiser would refuse it.
    InputError
        If there is no such file.
    """
    layout = read_layout(target.sample, _known_classes(target), target.task)
    table = read_submission(path)
    check(table, target.sample, layout, str(path))
    return Delivery(len(table), layout)


def _known_classes(target: Target) -> tuple[str, ...] | None:
    return None if target.competition is None else competition_classes(target.competition)


def stale_inputs(path: Path) -> list[str]:
    """What has changed since ``path`` was made of it, one sentence each, back along the chain."""
    return [
        f"warning: {made} is stale: {source} has changed since it was made of it"
        for made, record in provenance.history(path)
        for source in provenance.changed_inputs(record)
    ]


def csv_output(output: Path | None, folder: Path, target: Target) -> Path:
    """Where the submission goes.

    Raises
    ------
    UsageError
        If the given file is no CSV.
    """
    if output is not None and output.suffix != ".csv":
        raise UsageError(f"-o {output} has to end in .csv; --zip makes the zip beside it")
    return output or folder / f"{target.name}.csv"
