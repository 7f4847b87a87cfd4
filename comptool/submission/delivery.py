"""The ``submit`` command: predictions in, checked submission CSV and zip out."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl

from comptool import tasks
from comptool.competition.classes import against, competition_classes
from comptool.competition.config import FILE, Competition, load
from comptool.competition.schema import POSITIVE, from_environment
from comptool.errors import InputError, SubmissionError, UsageError, counted, quoted, unknown_name
from comptool.io import provenance
from comptool.io.atomic import atomic_output, refuse_existing, refuse_inputs, together
from comptool.io.json_tables import JSON
from comptool.io.packed import UNREADABLE, member, reason
from comptool.io.parquet import PARQUET
from comptool.io.predictions import Predictions, refuse_ranks
from comptool.io.provenance import PredictionFacts
from comptool.io.tables import check_ids as check_table_ids
from comptool.io.tables import read_table
from comptool.io.text_tables import USUAL, UTF_8, TextForm, text_form
from comptool.postprocess.calibration.config import THRESHOLDS, CalibrationConfig
from comptool.postprocess.inputs import read_recorded, task_of
from comptool.submission.answer_forms import FORMS, Bounds, answered_classes
from comptool.submission.form_choice import read_layout
from comptool.submission.sample_submission import Layout
from comptool.tasks import Task
from comptool.tasks.multilabel_task import ANSWERED


def check(submission: pd.DataFrame, sample: pd.DataFrame, layout: Layout, name: str) -> None:
    """Refuse a submission that differs in form from the sample."""
    header = tuple(str(column) for column in submission.columns)
    if header != layout.columns:
        raise SubmissionError(
            f"{name}: the header is {','.join(header)}; the sample submission has "
            f"{','.join(layout.columns)}"
        )
    wanted = sample[layout.id].tolist()
    check_ids(submission[layout.id].tolist(), wanted, name, layout.id)
    for column in (layout.id, *layout.kept):
        _check_order(submission[column], sample[column], name, column == layout.id)
    layout.form.check(submission, sample, layout, name)


def check_ids(ids: Sequence[str], wanted: Sequence[str], name: str, column: str) -> None:
    """Refuse ids that differ from the sample's, in any order, or occur more often."""
    have, want = Counter(ids), Counter(wanted)
    missing = [one for one in want if one not in have]
    strange = [one for one in ids if one not in want]
    sides = []
    if missing:
        sides.append(
            f"{counted(len(missing), 'id of the sample submission')} missing: {quoted(missing)}"
        )
    if strange:
        sides.append(
            f"{counted(len(strange), 'id')} not in the sample submission: {quoted(strange)}"
        )
    if sides:
        raise SubmissionError(f"{name}, column '{column}': {'; '.join(sides)}")
    seen: Counter[str] = Counter()
    for row, one in enumerate(ids, start=1):
        seen[one] += 1
        if seen[one] > want[one]:
            more = [other for other in have if have[other] > want[other]]
            raise SubmissionError(
                f"{name}, row {row}, column '{column}': repeated ids: {quoted(more)}"
            )


def _check_order(cells: pd.Series, wanted: pd.Series, name: str, are_ids: bool) -> None:
    if len(cells) != len(wanted):
        raise SubmissionError(f"{name}: {len(cells)} rows; the sample submission has {len(wanted)}")
    off = np.flatnonzero(cells.to_numpy() != wanted.to_numpy())
    if off.size:
        row = int(off[0])
        what = "id" if are_ids else "cell"
        end = "; the ids are in another order" if are_ids else ", which is to be kept"
        raise SubmissionError(
            f"{name}, row {row + 1}, column '{wanted.name}': the {what} is '{cells.iloc[row]}' "
            f"where the sample submission has '{wanted.iloc[row]}'{end}"
        )


MEMBER = "results.csv"
# The oldest time that a zip can hold, for reproducible bytes.
EPOCH = (1980, 1, 1, 0, 0, 0)
READABLE_FILE = 0o100644 << 16
UNIX = 3


def write_zip(path: Path, csv: Path, *, force: bool = False) -> None:
    """Write ``csv`` as ``results.csv`` into a reproducible zip."""
    info = zipfile.ZipInfo(MEMBER, date_time=EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = READABLE_FILE
    info.create_system = UNIX
    with atomic_output(path, force=force) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr(info, csv.read_bytes())


def read_submission(path: Path, form: TextForm = USUAL) -> pd.DataFrame:
    """A submission as text, from a CSV or from ``results.csv`` at the root of a zip."""
    if not path.exists():
        raise InputError("there is no such file", file=path)
    if path.suffix.lower() != ".zip":
        return _read_archived(path, str(path), form)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if names != [MEMBER]:
                shown = ", ".join(f"'{name}'" for name in names[:3]) or "nothing"
                raise SubmissionError(
                    f"{path}: holds {shown}; one {MEMBER} at its root is expected"
                )
            with member(path, archive, MEMBER) as stream:
                content = stream.read()
    except UNREADABLE as error:
        raise SubmissionError(f"{path}: is not a readable zip ({reason(error)})") from error
    with tempfile.TemporaryDirectory() as folder:
        extracted = Path(folder) / MEMBER
        extracted.write_bytes(content)
        return _read_archived(extracted, f"{path}/{MEMBER}", form)


def _read_archived(path: Path, name: str, form: TextForm) -> pd.DataFrame:
    try:
        # An organiser does not guess how a file is written.
        return read_table(path, form=form)
    except InputError as error:
        raise SubmissionError(str(error).replace(str(path), name)) from error


def build(
    predictions: Predictions,
    sample: pd.DataFrame,
    layout: Layout,
    task: Task,
    name: str,
    bounds: Bounds = None,
) -> pd.DataFrame:
    """A submission with the sample's header, ids, order and kept columns.

    A single class is that of the ``pred`` column, else the answer of the task; probabilities ignore
    ``pred`` (`overruled` counts the difference). Of a multi-label task all classes above their
    threshold are answered: one for all, or of shape (K,).
    """
    wanted = sample[layout.id].tolist()
    images = wanted if layout.rows is None else list(layout.rows.images)
    check_ids(list(predictions.ids), images, name, predictions.id_column)
    place = {one: row for row, one in enumerate(predictions.ids)}
    predictions = predictions.take(np.array([place[one] for one in images], dtype=np.int64))
    columns: dict[str, object] = {
        layout.id: wanted,
        **{column: sample[column].tolist() for column in layout.kept},
        **layout.form.write(predictions, layout, task, name, bounds),
    }
    return pd.DataFrame({column: columns[column] for column in layout.columns})


def overruled(predictions: Predictions, name: str, task: Task) -> int:
    """Rows with a ``pred`` other than a most probable class; 0 without ``pred``."""
    if predictions.pred is None:
        return 0
    probabilities = predictions.probabilities
    answered = probabilities[np.arange(len(predictions)), answered_classes(predictions, name, task)]
    return int((answered < probabilities.max(axis=1)).sum())


DEFAULT_NAME = "submission"


@dataclass(frozen=True)
class Target:
    """The competition and its sample submission."""

    name: str  # of the submission file
    task: str | None  # name of the task; None if unknown
    sample_path: Path  # the sample submission
    sample: pd.DataFrame  # its table of text
    # None if only the sample submission is known
    competition: Competition | None
    form: str | None = None  # the answer form that the user demands
    form_by: str = "--form"  # what names it
    positive_class: str | None = None  # whose probability a single column has, if it is named

    @cached_property
    def written(self) -> TextForm:
        """Text form of a submission: that of the sample, but in UTF-8 and without comment lines."""
        if self.sample_path.suffix.lower() in (PARQUET, *JSON):
            return USUAL
        return replace(text_form(self.sample_path), encoding=UTF_8, num_comments=0)

    @property
    def findings(self) -> tuple[str, ...]:
        """Findings and assumptions of the detection, one sentence each."""
        return self.competition.findings if self.competition else ()

    def layout(
        self,
        task: Task,
        classes: Sequence[str] | None,
        *,
        ids: Collection[str] | None = None,
        by_threshold: bool = False,
    ) -> Layout:
        """The layout of the sample submission, see `read_layout`."""
        known = self.competition
        try:
            layout = read_layout(
                self.sample,
                classes,
                task,
                metric=None if known is None else known.find_metric(classes=classes),
                form=self.form,
                by_threshold=by_threshold,
                id_column=None if known is None else known.id,
                ids=ids,
                positive=self.positive_class,
                form_by=self.form_by,
            )
        except SubmissionError as error:
            raise SubmissionError(f"{self.sample_path}: {error}") from error
        if known is None or self.positive_class != known.positive_class:
            layout.form.check_positive(self.positive_class)
        own = self.sample[layout.id]
        # Every id may have as many rows, of classes or not; a few ids that are there twice are a
        # mistake.
        if len({*Counter(own).values()}) > 1 or "" in own.values:
            check_table_ids(self.sample_path, layout.id, own.to_numpy(dtype=object))
        return layout


@dataclass(frozen=True)
class Delivery:
    """A checked submission."""

    rows: int
    layout: Layout
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """Form and check as sentences, with the assumptions between them."""
        header = ",".join(self.layout.columns[:4]) + ("..." if len(self.layout.columns) > 4 else "")
        layout = self.layout
        form = f"answer form: {layout.description}, {layout.reason}"
        passed = f"checked: {self.rows} rows of {header} ({layout.description}), ids as expected"
        return "\n".join([form, *self.layout.notes, *self.notes, passed])


def find_target(
    toml: Path | None = None,
    sample: Path | None = None,
    form: str | None = None,
    positive_class: str | None = None,
) -> Target:
    """The competition and its sample submission; form and positive class given, or those of it."""
    alone = sample is not None and toml is None and not FILE.exists()
    competition = None if alone else load(toml)
    path = sample or (competition.sample_submission if competition else None)
    if path is None:
        raise InputError(
            "the competition has no sample submission to take the layout and the ids from",
            file=toml,
            mend="Give --sample-submission FILE, or 'sample-submission' in comptool.toml",
        )
    known = from_environment(os.environ)
    form_by = "--form"
    if form is None:
        form_by = "'form' in comptool.toml"
        form = competition.form if competition else known.get("form")
    if positive_class is None:
        positive_class = competition.positive_class if competition else known.get(POSITIVE)
    if form is not None and form not in FORMS.names and competition and form == competition.form:
        wrong = str(unknown_name("answer form", form, FORMS.names))
        raise InputError(wrong, file=toml or FILE, mend="Correct 'form'")
    if form is not None:
        FORMS.find(form)
    return Target(
        name=competition.name if competition else known.get("name", DEFAULT_NAME),
        task=competition.task if competition else known.get("task"),
        sample_path=path,
        sample=read_table(path),
        competition=competition,
        form=form,
        form_by=form_by,
        positive_class=positive_class,
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
        For several labels: above it a class is answered; by default that of `chosen_bounds`.
    force
        Whether existing files are replaced.

    Raises
    ------
    SubmissionError
        If the predictions do not fit the sample submission or the classes of the competition, or
        sample and metric contradict each other.
    InputError
        If the predictions are damaged or not as recorded, or mean ranks where a threshold needs
        probabilities or the metric numbers.
    UsageError
        If an output is an input, or the demanded form cannot be written.
    OutputExistsError
        If an output exists and ``force`` is off.
    """
    written = [path for path in (output, archive) if path is not None]
    check_outputs(written, predictions_path, target, force=force)
    inputs = provenance.hashes([predictions_path, target.sample_path])
    made = provenance.facts(predictions_path, PredictionFacts)
    recorded = made.task and task_of(predictions_path, made)
    task = tasks.find(target.task or recorded or tasks.DEFAULT_TASK)
    predictions = _read(predictions_path, target, task, made)
    layout = target.layout(
        task, predictions.classes, ids=set(predictions.ids), by_threshold=threshold is not None
    )
    if task.numbers and not _by_order(target):
        refuse_ranks(predictions_path, made, NO_NUMBERS)
    name = str(predictions_path)
    bounds: Bounds = None
    notes: tuple[str, ...] = ()
    if layout.form.by_threshold and task.cells:
        refuse_ranks(predictions_path, made)
        bounds, notes = chosen_bounds(threshold, predictions, made, target.competition)
    table = build(predictions, target.sample, layout, task, name, bounds)
    notes += _empty_rows(table, layout, bounds)
    if layout.form.holds_probabilities and not task.cells:
        notes += _lost_answers(predictions, name, task)
    arguments = {
        "predictions": predictions_path,
        "output": output,
        "zip": archive,
        "threshold": bounds if bounds is None else np.asarray(bounds).tolist(),
        "form": layout.form.name,
    }
    # The submission inherits the facts of its predictions.
    facts = replace(made, layout=layout.description, rows=len(table))
    with together():
        with atomic_output(output, force=force) as temporary:
            _write(temporary, table, target.written)
            written_table = read_table(temporary, form=target.written)
            check(written_table, target.sample, layout, str(output))
            if archive is not None:
                write_zip(archive, temporary, force=force)
        for path in written:
            provenance.record(
                path, command="submit", arguments=arguments, inputs=inputs, facts=facts
            )
    return Delivery(len(table), layout, notes)


def _write(path: Path, table: pd.DataFrame, form: TextForm) -> None:
    names = [str(column) for column in table.columns]
    frame = pl.DataFrame({name: table[name].to_list() for name in names})
    with path.open("wb") as stream:
        stream.write(form.mark.encode())
        named = frame
        if form.nameless:
            # polars would write a name of no letters in quotes.
            stream.write(form.separator.encode())
            named = frame.select(names[1:])
        if not form.columns:
            named.clear().write_csv(stream, separator=form.separator)
        frame.write_csv(stream, separator=form.separator, include_header=False)


NO_NUMBERS = "its numbers are ranks among these rows, and the metric reads their size"


def _by_order(target: Target) -> bool:
    return target.competition is not None and target.competition.find_metric().order_only


def check_outputs(
    written: Sequence[Path], predictions: Path, target: Target, *, force: bool
) -> None:
    """Refuse outputs that exist, cannot be written or are inputs."""
    files = () if target.competition is None else target.competition.files
    for path in written:
        refuse_inputs(path, [predictions, target.sample_path, *files])
        refuse_existing(path, force)


NOTHING = "none"  # the method that leaves probabilities as they are


def chosen_bounds(
    threshold: float | None,
    predictions: Predictions,
    facts: PredictionFacts,
    competition: Competition | None,
) -> tuple[Bounds, tuple[str, ...]]:
    """Thresholds of several labels, and where they come from.

    They are the given one, one half if a recalibration moved them there, those of the best F-score
    on the out-of-fold rows of the runs of the predictions, recalibrated as the predictions are, or
    one half if there are no such rows.
    """
    if threshold is not None:
        return threshold, ()
    plain = f"classes above {ANSWERED:g} are answered"
    moved = facts.recalibration or {}
    method = str(moved.get("method", NOTHING))
    if method == THRESHOLDS:
        return ANSWERED, (f"{plain}: recalibrated by {method}",)
    if competition is None or not (facts.runs or facts.out_of_fold):
        return ANSWERED, (f"{plain}: no run is known whose out-of-fold rows could say better",)
    # These import scipy, which other forms do without.
    from comptool.postprocess.calibration.group_context import blend_as_recorded
    from comptool.postprocess.calibration.multilabel_methods import best_thresholds
    from comptool.postprocess.calibration.recalibration import (
        f_score_name,
        f_score_of,
        fit_of,
    )
    from comptool.postprocess.oof import own_evidence

    try:
        labelled = own_evidence(None, facts, competition)
        if str(fitted_to := moved.get("out_of_fold", labelled.path)) != str(labelled.path):
            labelled = own_evidence(str(fitted_to), facts, competition)
        labelled.check_classes(predictions.classes)
    except InputError as error:
        return ANSWERED, (f"{plain}, as out-of-fold rows are of no use: {error}",)
    metric = competition.find_metric(classes=predictions.classes)
    settings = CalibrationConfig()
    average, beta = f_score_of(settings, metric)
    targets, p = labelled.targets, labelled.predictions.probabilities
    if "by" in moved:
        p = blend_as_recorded(moved, labelled, competition, one=False)
    else:
        p = fit_of(method, settings, average, beta)(targets, p).move(p)
    bounds = best_thresholds(targets, p, average=average, beta=beta)
    also = f", recalibrated by {method} as well," if moved else ""
    told = (
        f"classes above their thresholds of best {f_score_name(average, beta)} on {len(labelled)} "
        f"out-of-fold rows ({labelled.path}){also} are answered, {max(bounds.min(), 0):.2f} to "
        f"{bounds.max():.2f}; --threshold {ANSWERED:g} sets one for all"
    )
    return bounds, tuple(filter(None, (labelled.note, told)))


def _empty_rows(table: pd.DataFrame, layout: Layout, bounds: Bounds) -> tuple[str, ...]:
    """Number of empty lists, which an organiser may refuse."""
    if not (layout.form.by_threshold and layout.answer and layout.rows is None):
        return ()
    empty = int((table[layout.answer] == "").sum())
    bound = f"{bounds:g}" if isinstance(bounds, float) else "its threshold"
    told = f"warning: no class is above {bound} in {empty} of {len(table)} rows"
    return (told,) if empty else ()


def _lost_answers(predictions: Predictions, name: str, task: Task) -> tuple[str, ...]:
    """Number of answers that a submission of probabilities loses."""
    lost = overruled(predictions, name, task)
    told = (
        f"warning: in {lost} of {len(predictions)} rows of {name} the most probable class is not "
        "the answer in column pred; the sample submission asks for probabilities, so these answers "
        "are not in the submission, which says what it would say without them"
    )
    return (told,) if lost else ()


def _read(path: Path, target: Target, task: Task, facts: PredictionFacts) -> Predictions:
    known = _known_classes(target)
    predictions = read_recorded(path, task.name, facts, known or ())
    if known is not None and predictions.classes != known:
        raise SubmissionError(
            f"{path}: its classes are not those of the competition: "
            f"{against(predictions.classes, known)}"
        )
    return predictions


def check_file(path: Path, target: Target) -> Delivery:
    """Check an existing submission, a CSV or a zip."""
    task = tasks.find(target.task or tasks.DEFAULT_TASK)
    layout = target.layout(task, _known_classes(target), ids=_test_ids(target))
    table = read_submission(path, target.written)
    check(table, target.sample, layout, str(path))
    return Delivery(len(table), layout)


def _test_ids(target: Target) -> set[str] | None:
    """Ids of the test table; None without one."""
    known = target.competition
    if known is None or known.test is None or not known.test.is_file():
        return None
    table = read_table(known.test)
    return set(table[known.id]) if known.id in table.columns else None


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
