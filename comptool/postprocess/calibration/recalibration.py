"""The ``recalibrate`` command: probabilities in, recalibrated answers out.

Predictions decided by one recalibration method: of one class per image, and of several labels.

Both tasks share this file: :func:`decide` is for one class per image, :func:`decide_cells` for
several labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from comptool import metrics, tasks
from comptool.competition.config import load
from comptool.errors import ComptoolError, InputError
from comptool.io import provenance
from comptool.io.atomic import together
from comptool.io.predictions import Predictions, write_predictions
from comptool.io.provenance import PredictionFacts, TableFacts
from comptool.io.runs import find_run, members, read_header
from comptool.io.tables import read_table
from comptool.metrics.multilabel import logloss, macro_f_beta, micro_f_beta
from comptool.postprocess import inputs
from comptool.postprocess.calibration.config import THRESHOLDS, CalibrationConfig
from comptool.postprocess.calibration.context import (
    Answer,
    CalibrationContext,
    ClassCounts,
    Doubles,
    Floats,
    LabelledRows,
    shares_of,
)
from comptool.postprocess.calibration.methods import CELL_METHODS, METHODS
from comptool.postprocess.calibration.multilabel_methods import AVERAGES, Fitted, Targets
from comptool.postprocess.oof import FOLDS, Labelled, nested_folds, own_evidence, trained_counts
from comptool.tasks.labels import class_counts as count_labels
from comptool.tasks.multilabel_task import ANSWERED

Counts = npt.NDArray[np.int64]
Fit = Callable[[Targets, Floats], Fitted]
SHOWN_CLASSES = 40
SCORES = dict(zip(AVERAGES, (macro_f_beta, micro_f_beta), strict=True))


@dataclass(frozen=True)
class Decision:
    """Decided predictions, and what the decision changed."""

    predictions: Predictions
    before: npt.NDArray[np.int64]
    after: npt.NDArray[np.int64]
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)


def decided(predictions: Predictions, labels: npt.NDArray[np.intp]) -> Decision:
    """Predictions with the class names of ``labels`` as ``pred``, and the counts."""
    num_classes = len(predictions.classes)
    plain = predictions.probabilities.argmax(axis=1)
    names = np.array(predictions.classes, dtype=object)
    return Decision(
        replace(predictions, pred=names[labels]),
        before=np.bincount(plain, minlength=num_classes),
        after=np.bincount(labels, minlength=num_classes),
    )


# One class per image.


@dataclass(frozen=True)
class CalibrationBasis:
    """What is known, and in which words."""

    context: CalibrationContext
    prior: str
    labelled: Labelled | None


def decide(
    source: Path,
    predictions: Predictions,
    facts: PredictionFacts,
    settings: CalibrationConfig,
    competition: Path | None,
) -> tuple[Decision, list[str]]:
    """Decide a test set of one class per image, and say what that rests on."""
    method = settings.method
    entry = METHODS.find(method)
    apart = entry.weighed or entry.own_prior
    oof, target_prior = (None, None) if apart else (settings.oof, settings.target_prior)
    labelled, metric, trained = None, "accuracy", None
    if method == "prior" and oof is None:
        trained = _trained(facts, predictions.classes)
    if entry.fitted or oof is not None or (method == "prior" and trained is None):
        about = load(competition)
        labelled = own_evidence(oof, facts, about)
        metric = usable_metric(about.metric)
    basis = basis_of(
        source,
        predictions.classes,
        facts,
        target_prior,
        labelled,
        metric,
        trained=trained,
        competition=competition,
    )
    answer = entry.load()(basis.context, **settings.options_of(entry))(predictions.probabilities)
    result = decided(predictions, answer.labels)
    record = {"method": method, **answer.facts, **_recorded(predictions.classes, basis)}
    notes = [*answer.notes, *_notes(method, predictions.classes, basis, record)]
    if entry.weighed:
        # Compares with everything else, and so imports much; other methods do without.
        from comptool.postprocess.calibration.compare import supported

        notes.append(supported(source, predictions, facts, settings, competition))
    return replace(
        result,
        predictions=replace(result.predictions, probabilities=_probabilities(predictions, answer)),
        warnings=answer.warnings,
        facts=record,
    ), notes


def _probabilities(predictions: Predictions, answer: Answer) -> Floats:
    """Those of the answer; rows that it keeps are exactly as they were."""
    if answer.kept is None:
        return answer.probabilities
    if answer.kept.all():
        return predictions.probabilities
    return np.where(answer.kept[:, None], predictions.probabilities, answer.probabilities)


def basis_of(
    source: Path,
    classes: Sequence[str],
    facts: PredictionFacts,
    target_prior: str | None,
    labelled: Labelled | None,
    metric: str,
    *,
    trained: Counts | None = None,
    competition: Path | None = None,
) -> CalibrationBasis:
    """What is known of these predictions."""
    if labelled is not None:
        labelled.check_classes(classes, source)
    counts = counts_of(source, tuple(classes), facts, competition)
    target, prior = None, ""
    if target_prior is not None:
        target, prior = shares_of(
            target_prior,
            classes,
            lambda: counts("Give a file: --target-prior FILE").numbers,
        )
    if labelled is not None:
        trained = labelled.trained
    context = CalibrationContext(
        evidence=None if labelled is None else evidence_of(labelled, classes),
        presumed=None if trained is None else trained / trained.sum(),
        target=target,
        metric=metric,
        classes=tuple(classes),
        counts=counts,
    )
    return CalibrationBasis(context, prior, labelled)


def counts_of(
    source: Path, classes: tuple[str, ...], facts: PredictionFacts, competition: Path | None
) -> Callable[[str], ClassCounts]:
    """Gives the training images of each class: as recorded, else counted in a label table here."""
    found: list[ClassCounts] = []

    def counts(instead: str) -> ClassCounts:
        if not found:
            counted = None
            if inputs.class_counts(facts) is None:
                counted = _counted_here(classes, competition)
            if counted is None:
                vector = inputs.count_vector(source, classes, facts, instead)
                counted = ClassCounts(vector)
            found.append(counted)
        return found[0]

    return counts


def _counted_here(classes: Sequence[str], competition: Path | None) -> ClassCounts | None:
    """The class counts by folds.csv or the training table; None where neither has the classes."""
    try:
        about = load(competition)
    except ComptoolError:
        return None
    for table in (FOLDS, about.train):
        if table is None or not table.is_file():
            continue
        try:
            labels = read_table(table, required=(about.label,))[about.label]
        except ComptoolError:
            continue
        counts = provenance.facts(table, TableFacts).class_counts or count_labels(labels)
        if set(counts) == set(classes):
            numbers = np.array([int(counts[name]) for name in classes], dtype=np.int64)
            return ClassCounts(numbers, table)
    return None


def evidence_of(labelled: Labelled, classes: Sequence[str]) -> LabelledRows:
    """The rows as the methods take them."""
    evidence = LabelledRows(labelled.predictions.probabilities, labelled.targets)
    absent = [name for name, n in zip(classes, evidence.counts(), strict=True) if n == 0]
    if absent:
        raise InputError(
            "no out-of-fold row is of these classes, of which nothing can be said",
            file=labelled.path,
            values=absent,
            mend="Validate more rows: comptool split --folds 5 and comptool train --fold all",
        )
    return evidence


def usable_metric(name: str) -> str:
    """The competition's metric, or accuracy where it is none of one class per image."""
    return name if name in metrics.METRICS[tasks.DEFAULT_TASK] else "accuracy"


def _trained(facts: PredictionFacts, classes: Sequence[str]) -> Counts | None:
    """Rows per class that the models were trained on; None where their checkpoints do not say."""
    try:
        headers = [read_header(one) for run in facts.runs or [] for one in members(find_run(run))]
    except ComptoolError:
        return None
    return trained_counts(headers, classes)


def _recorded(classes: Sequence[str], basis: CalibrationBasis) -> dict[str, object]:
    record: dict[str, object] = {}
    if basis.context.target is not None:
        shares = basis.context.target.tolist()
        record["target_prior"] = dict(zip(classes, shares, strict=True))
    if basis.labelled is not None:
        record["out_of_fold"] = str(basis.labelled.path)
    elif basis.context.presumed is not None:
        record["trained_shares"] = dict(zip(classes, basis.context.presumed.tolist(), strict=True))
    return record


def _notes(
    method: str, classes: Sequence[str], basis: CalibrationBasis, record: Mapping[str, object]
) -> list[str]:
    notes = []
    shares = record.get("shares")
    if isinstance(shares, list):
        notes.append(f"class shares estimated from the test set: {_shares(classes, shares)}")
    if basis.labelled is not None:
        notes += [basis.labelled.note] if basis.labelled.note else []
        notes.append(f"by {len(basis.labelled)} out-of-fold rows ({basis.labelled.path})")
    elif basis.context.presumed is not None:
        notes.append(f"from the shares trained on: {_shares(classes, basis.context.presumed)}")
    if basis.prior:
        notes.append(f"presuming that the test classes are {basis.prior}")
    shown = ("temperature", "tau", "estimated", "uncertain_rows")
    found = [f"{name} {record[name]:.4g}" for name in shown if isinstance(record.get(name), float)]
    return [*notes, *(f"{method}: {one}" for one in found)]


def _shares(classes: Sequence[str], shares: Iterable[float]) -> str:
    return ", ".join(f"{name} {share:.3f}" for name, share in zip(classes, shares, strict=True))


# Several labels per image.


class Figure(NamedTuple):
    """What a method is fitted for: its name, the score of cells, and which way is up."""

    name: str
    score: Callable[[Targets, Floats], float]
    greater_is_better: bool


def decide_cells(
    predictions: Predictions, labelled: Labelled, settings: CalibrationConfig, metric: str
) -> tuple[Decision, list[str]]:
    """Move multi-label probabilities as is best on out-of-fold rows."""
    labelled.check_classes(predictions.classes)
    average, beta = f_score_of(settings, metric)
    fit = fit_of(settings.method, settings, average, beta)
    fitted = fit(labelled.targets, labelled.predictions.probabilities)
    moved = fitted.move(predictions.probabilities)
    figure = _figure(settings, average, beta)
    measured, notes = _measured(labelled, settings.method, figure, fitted, fit)
    facts = {"method": settings.method, **_by_class(fitted.facts, predictions.classes), **measured}
    result = Decision(
        replace(predictions, probabilities=moved, pred=None),
        before=(predictions.probabilities > ANSWERED).sum(axis=0),
        after=(moved > ANSWERED).sum(axis=0),
        facts=facts,
    )
    if settings.method == THRESHOLDS:
        notes.append("each class's threshold has become one half")
    return result, notes


def _figure(settings: CalibrationConfig, average: str, beta: float) -> Figure:
    if settings.method == THRESHOLDS:
        score = partial(SCORES[average], threshold=ANSWERED, beta=beta)
        return Figure(f"{average} F{beta:g}", score, greater_is_better=True)
    return Figure("log-loss", logloss, greater_is_better=False)


def _measured(
    labelled: Labelled, method: str, figure: Figure, fitted: Fitted, fit: Fit
) -> tuple[dict[str, object], list[str]]:
    """The figure as predicted, on rows not fitted to, and in-sample; for the record, in words."""
    targets, p = labelled.targets, labelled.predictions.probabilities
    plain, in_sample = figure.score(targets, p), figure.score(targets, fitted.move(p))
    nested = figure.score(targets, _held_out(labelled, fit))
    notes = [labelled.note] if labelled.note else []
    notes.append(
        f"{figure.name} on {len(labelled)} rows of {labelled.path}: {plain:.4f} as predicted, "
        f"{nested:.4f} by {method} fitted to other rows, {in_sample:.4f} in-sample (too good)"
    )
    if (nested - plain) * (1 if figure.greater_is_better else -1) <= 0:
        notes.append(f"doing nothing is best: {method} gains nothing on rows not seen")
    record = {"out_of_fold": str(labelled.path), "measure": figure.name, "plain": plain}
    return {**record, "nested": nested, "in_sample": in_sample}, notes


def f_score_of(settings: CalibrationConfig, metric: str) -> tuple[str, float]:
    """Average and beta of the F-score that thresholds are best for: as given, or the metric's."""
    average = settings.average or ("micro" if metric.startswith("micro") else "macro")
    # The metric f-beta is an F2; nothing finds its thresholds exactly, and macro F2 is near.
    usual = 2.0 if metric == "f-beta" else 1.0
    return average, usual if settings.beta is None else settings.beta


def fit_of(method: str, settings: CalibrationConfig, average: str, beta: float) -> Fit:
    """The method of several labels with its options."""
    entry = CELL_METHODS.find(method)
    options = settings.options_of(entry)
    if method == THRESHOLDS:
        options |= {"average": average, "beta": beta}
    return partial(entry.load(), **options)


def _held_out(labelled: Labelled, fit: Fit) -> Doubles:
    """The rows of each fold, moved as was fitted to the other folds."""
    p = labelled.predictions.probabilities
    folds = nested_folds(labelled.predictions.ids, labelled.predictions.fold)
    moved = np.empty(p.shape)
    for fold in np.unique(folds):
        held = folds == fold
        moved[held] = fit(labelled.targets[~held], p[~held]).move(p[held])
    return moved


def _by_class(facts: Mapping[str, object], classes: Sequence[str]) -> dict[str, object]:
    return {
        name: dict(zip(classes, value, strict=True)) if isinstance(value, list) else value
        for name, value in facts.items()
    }


def count_table(classes: Sequence[str], columns: Mapping[str, Sequence[int | str]]) -> str:
    """One line per class, one right-aligned column per count, and a line with the sums."""
    numbers = {title: values for title, values in columns.items() if _is_count(values)}
    rows = [(name, *values) for name, *values in zip(classes, *columns.values(), strict=True)]
    total = ("sum", *(sum(map(int, v)) if t in numbers else "" for t, v in columns.items()))
    kept = _most_changed(list(numbers.values()), len(rows))
    lines = [("class", *columns), *(rows[index] for index in kept), total]
    widths = [max(len(str(line[place])) for line in lines) for place in range(len(lines[0]))]
    text = [
        "  ".join([f"{line[0]!s:<{widths[0]}}", *map(_right, line[1:], widths[1:])]).rstrip()
        for line in lines
    ]
    if len(kept) < len(rows):
        text.append(f"({len(rows) - len(kept)} classes that changed less are not shown)")
    return "\n".join(text)


def _is_count(values: Sequence[int | str]) -> bool:
    return not any(isinstance(value, str) for value in values)


def _right(value: object, width: int) -> str:
    return f"{value!s:>{width}}"


def _most_changed(counts: Sequence[Sequence[int | str]], num_classes: int) -> list[int]:
    if num_classes <= SHOWN_CLASSES or not counts:
        return list(range(num_classes))
    change = [abs(int(a) - int(b)) for a, b in zip(counts[0], counts[-1], strict=True)]
    order = sorted(range(num_classes), key=lambda index: (-change[index], index))
    return sorted(order[:SHOWN_CLASSES])


@dataclass(frozen=True)
class RecalibrationOutcome:
    """A recalibration that has been written, for the person who asked."""

    source: Path
    output: Path
    result: Decision
    notes: tuple[str, ...]

    def text(self) -> str:
        """Notes, the class counts before and after, and warnings."""
        head = self.result.facts.get("head")
        columns: dict[str, list[Any]] = {
            "before": self.result.before.tolist(),
            "after": self.result.after.tolist(),
        }
        classes = self.result.predictions.classes
        if isinstance(head, list):
            columns["role"] = ["head" if name in head else "tail" for name in classes]
        warnings = [f"warning: {warning}" for warning in self.result.warnings]
        return "\n".join([*self.notes, count_table(classes, columns), *warnings])

    def summary(self) -> dict[str, object]:
        """The outcome as one JSON object."""
        classes = self.result.predictions.classes
        return {
            "output": self.output,
            "input": self.source,
            "rows": len(self.result.predictions),
            **self.result.facts,
            "before": dict(zip(classes, self.result.before.tolist(), strict=True)),
            "after": dict(zip(classes, self.result.after.tolist(), strict=True)),
            "warnings": self.result.warnings,
        }


def recalibrate_file(
    source: Path,
    output: Path,
    settings: CalibrationConfig,
    *,
    competition: Path | None = None,
    force: bool = False,
) -> RecalibrationOutcome:
    """Read predictions, decide them, and write them with the column ``pred`` and a record.

    Parameters
    ----------
    source
        Predictions.
    output
        Where the decided ones go.
    settings
        What was asked for.
    competition
        A ``comptool.toml``, looked at for out-of-fold rows alone.
    force
        Whether an existing ``output`` is replaced.

    Raises
    ------
    UsageError
        If the settings contradict one another, or nothing says which classes are head classes.
    InputError
        If the predictions cannot be used, or a method lacks the out-of-fold rows that it needs.
    """
    settings.check()
    facts = provenance.facts(source, PredictionFacts)
    if _of_cells(settings.method, facts):
        settings.check_cells()
        predictions = inputs.read_cells(source, facts)
        about = load(competition)
        labelled = own_evidence(settings.oof, facts, about)
        result, note = decide_cells(predictions, labelled, settings, about.metric)
    else:
        predictions = inputs.read_multiclass(source, facts)
        _refuse_one_row(source, len(predictions), settings.method)
        result, note = decide(source, predictions, facts, settings, competition)
    read = provenance.hashes([source])
    counts = inputs.class_counts(facts)
    with together():
        write_predictions(output, result.predictions, force=force)
        provenance.record(
            output,
            command="recalibrate",
            arguments=asdict(settings),
            inputs=read,
            facts=replace(
                facts, class_counts=counts or facts.class_counts, recalibration=result.facts
            ),
        )
    return RecalibrationOutcome(source, output, result, tuple(note))


def _of_cells(method: str, facts: PredictionFacts) -> bool:
    """Whether a method of several labels was asked for."""
    task = facts.task or inputs.task_here()
    return method in CELL_METHODS and (method not in METHODS or tasks.find(task).cells)


def _refuse_one_row(source: Path, num_rows: int, method: str) -> None:
    if num_rows < 2 and METHODS.find(method).of_sets:
        raise InputError(
            f"one row is no test set, and {method} looks at all rows together",
            file=source,
            mend="Take the most probable class as it is: comptool submit",
        )
