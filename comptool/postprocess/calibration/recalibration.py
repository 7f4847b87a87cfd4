"""The ``recalibrate`` command: one method applied to a prediction file.

:func:`decide` is for one class per image, :func:`decide_cells` for several labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from comptool import tasks
from comptool.competition.config import Competition, load
from comptool.errors import ComptoolError, InputError, UsageError
from comptool.io import provenance
from comptool.io.atomic import together
from comptool.io.predictions import Predictions, write_predictions
from comptool.io.provenance import PredictionFacts, TableFacts
from comptool.io.runs import find_run, members, read_header
from comptool.io.tables import read_table
from comptool.metrics import Metric, find
from comptool.metrics.multilabel import logloss, macro_f_beta, micro_f_beta
from comptool.postprocess import inputs
from comptool.postprocess.calibration.config import THRESHOLDS, CalibrationConfig
from comptool.postprocess.calibration.context import (
    ACCURACY,
    AS_ESTIMATED,
    ESTIMATED,
    CalibrationContext,
    ClassCounts,
    Floats,
    LabelledRows,
    rows_to_one,
    shares_of,
)
from comptool.postprocess.calibration.cost import measured as measured_cost
from comptool.postprocess.calibration.group_context import (
    RowGroups,
    fit_blend,
    groups_of,
    nested,
)
from comptool.postprocess.calibration.label_shift import ShareEstimate, estimate_shares
from comptool.postprocess.calibration.methods import CELL_METHODS, METHODS, CalibrationMethod
from comptool.postprocess.calibration.multilabel_methods import AVERAGES, Fitted, Targets
from comptool.postprocess.oof import FOLDS, Labelled, nested_folds, own_evidence, trained_counts
from comptool.tasks import Task
from comptool.tasks.labels import class_counts as count_labels
from comptool.tasks.multilabel_task import ANSWERED

Counts = npt.NDArray[np.int64]
Fit = Callable[[Targets, Floats], Fitted]
SHOWN_CLASSES = 40
OF_GRADES = "quadratic-kappa"  # the measure of thresholds where the metric reads no grades
SCORES = dict(zip(AVERAGES, (macro_f_beta, micro_f_beta), strict=True))


@dataclass(frozen=True)
class Decision:
    """Decided predictions, with the class counts before and after."""

    predictions: Predictions
    before: Counts
    after: Counts
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class CalibrationBasis:
    """Information for the methods: the context, the presumed shares in words, labelled rows."""

    context: CalibrationContext
    prior: str
    labelled: Labelled | None
    estimate: ShareEstimate | None = None  # of the test shares, if these are presumed


def decide(
    source: Path,
    predictions: Predictions,
    facts: PredictionFacts,
    settings: CalibrationConfig,
    competition: Path | None,
    *,
    seed: int = 0,
) -> tuple[Decision, list[str]]:
    """Recalibrate a test set of one class per image; gives notes on what it is based on."""
    method = settings.method
    entry = METHODS.find(method)
    # Rows that only estimate a gain or measure a cost are read below.
    oof = None if entry.weighed or entry.costs else settings.oof
    target_prior = None if entry.weighed or entry.own_prior else settings.target_prior
    labelled, metric, trained = None, ACCURACY, None
    if method == "prior" and oof is None:
        with suppress(ComptoolError):
            runs = [find_run(run) for run in facts.runs or []]
            headers = [read_header(folder) for run in runs for folder in members(run)]
            trained = trained_counts(headers, predictions.classes)
    if entry.costs:
        metric = usable_metric(load(competition), predictions.classes)
    estimated = target_prior == ESTIMATED
    if entry.fitted or estimated or oof is not None or (method == "prior" and trained is None):
        about = load(competition)
        metric = usable_metric(about, predictions.classes)
        try:
            labelled = own_evidence(oof, facts, about)
        except ComptoolError:
            # A given strength needs no rows.
            if oof is not None or not entry.grouped or settings.strength is None:
                raise
    basis = basis_of(
        source,
        predictions.classes,
        facts,
        target_prior,
        labelled,
        metric,
        trained=trained,
        competition=competition,
        predictions=predictions,
        seed=seed,
    )
    groups = None
    if entry.grouped:
        groups = groups_of(str(settings.by), predictions, load(competition), labelled)
        rows = basis.context.evidence
        evidence = None if rows is None else replace(rows, groups=groups.rows)
        context = replace(basis.context, groups=groups.test, evidence=evidence)
        basis = replace(basis, context=context)
    answer = entry.load()(basis.context, **settings.options_of(entry))(predictions.probabilities)
    record = {"method": method, **answer.facts, **_recorded(predictions.classes, basis)}
    notes = [*answer.notes, *_notes(method, predictions.classes, basis, record)]
    if entry.ordered and labelled is not None:
        measured, text = _measured_grades(labelled, entry, settings, basis.context, about.kind)
        record |= measured
        notes += text
    warnings = list(answer.warnings)
    if groups is not None:
        measured, text, more = _measured_groups(
            groups, labelled, entry, settings, metric, one=True, strength=record["strength"]
        )
        record |= measured
        notes += text
        warnings += more
    if entry.costs:
        measured, text = _measured_cost(predictions.classes, facts, settings, record, competition)
        record |= measured
        notes += text
    if entry.weighed:
        # Imports all methods; the other branches do not need them.
        from comptool.postprocess.calibration.compare import supported

        notes.append(supported(source, predictions, facts, settings, competition, seed=seed))
    probabilities: Floats = answer.probabilities
    if answer.kept is not None:
        kept = predictions.probabilities
        every = answer.kept.all()
        probabilities = kept if every else np.where(answer.kept[:, None], kept, probabilities)
    names = np.array(predictions.classes, dtype=object)
    plain = predictions.probabilities.argmax(axis=1)
    return Decision(
        replace(predictions, probabilities=probabilities, pred=names[answer.labels]),
        before=np.bincount(plain, minlength=len(names)),
        after=np.bincount(answer.labels, minlength=len(names)),
        warnings=warnings,
        facts=record,
    ), notes


def basis_of(
    source: Path,
    classes: Sequence[str],
    facts: PredictionFacts,
    target_prior: str | None,
    labelled: Labelled | None,
    metric: Metric,
    *,
    trained: Counts | None = None,
    competition: Path | None = None,
    predictions: Predictions | None = None,
    seed: int = 0,
) -> CalibrationBasis:
    """The context of the methods for a prediction file.

    The target prior ``estimated`` is estimated from ``predictions``, a UsageError without them.
    """
    if labelled is not None:
        labelled.check_classes(classes, source)
    counts = counts_of(source, tuple(classes), facts, competition)
    target, prior, estimate = None, "", None
    evidence = None if labelled is None else evidence_of(labelled, classes)
    if target_prior == ESTIMATED:
        if predictions is None or evidence is None:
            raise UsageError(
                "--target-prior estimated needs the predictions of the test set and out-of-fold "
                "rows"
            )
        estimate = estimate_shares(predictions.probabilities, evidence, seed=seed)
        target, prior = estimate.shares, AS_ESTIMATED
    elif target_prior is not None:
        remedy = "Give a file: --target-prior FILE"
        target, prior = shares_of(target_prior, classes, lambda: counts(remedy).numbers)
    if labelled is not None:
        trained = labelled.trained
    context = CalibrationContext(
        evidence=evidence,
        presumed=None if trained is None else trained / trained.sum(),
        target=target,
        metric=metric,
        classes=tuple(classes),
        counts=counts,
    )
    return CalibrationBasis(context, prior, labelled, estimate)


def counts_of(
    source: Path, classes: tuple[str, ...], facts: PredictionFacts, competition: Path | None
) -> Callable[[str], ClassCounts]:
    """Training images of each class as recorded, else counted in a label table; cached."""
    cached: list[ClassCounts] = []

    def counts(remedy: str) -> ClassCounts:
        if not cached:
            counted = None
            if inputs.class_counts(facts) is None:
                counted = _counted_here(classes, competition)
            if counted is None:
                counted = ClassCounts(inputs.count_vector(source, classes, facts, remedy))
            cached.append(counted)
        return cached[0]

    return counts


def _counted_here(classes: Sequence[str], competition: Path | None) -> ClassCounts | None:
    """Class counts of folds.csv or the training table; None if neither has these classes."""
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
    """The rows in the form of the methods; every class needs one."""
    evidence = LabelledRows(labelled.predictions.probabilities, labelled.targets)
    absent = [name for name, n in zip(classes, evidence.counts(), strict=True) if n == 0]
    if absent:
        raise InputError(
            "these classes have no out-of-fold row, so nothing can be estimated for them",
            file=labelled.path,
            values=absent,
            mend="Validate more rows: comptool split --folds 5 and comptool train --fold all",
        )
    return evidence


def usable_metric(about: Competition, classes: Sequence[str]) -> Metric:
    """The competition's metric if it is for one class per image, otherwise accuracy."""
    return ACCURACY if about.kind.cells else about.find_metric(classes=classes)


def check_method(name: str, task: Task) -> None:
    """Raise a UsageError unless the method is for the task, which is not of several labels."""
    if task.numbers:
        raise UsageError(
            f"recalibration is of class probabilities, and the task is {task}; submit the numbers "
            "as they are, or average those of several runs (comptool ensemble)"
        )
    ours = METHODS.find(name) if name in METHODS else None
    if ours is None and name in CELL_METHODS:
        raise UsageError(f"--method {name} is for several labels per image, and the task is {task}")
    if ours is not None and ours.ordered and not task.ordered:
        raise UsageError(f"--method {name} is for several labels or grades, and the task is {task}")


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
        notes.append(f"assuming that the test classes are {basis.prior}")
    if basis.estimate is not None:
        notes.append(basis.estimate.note(classes, basis.context.trained_shares()))
    shown = ("temperature", "tau", "estimated", "uncertain_rows")
    found = [f"{name} {record[name]:.4g}" for name in shown if isinstance(record.get(name), float)]
    if isinstance(between := record.get("thresholds"), list):
        found.append(f"on the expected grade {', '.join(f'{one:.3f}' for one in between)}")
    return [*notes, *(f"{method}: {one}" for one in found)]


def _measured_grades(
    labelled: Labelled,
    entry: CalibrationMethod,
    settings: CalibrationConfig,
    context: CalibrationContext,
    task: Task,
) -> tuple[dict[str, object], list[str]]:
    """The metric of the grades as predicted, cross-validated and in-sample."""
    one_hot = np.eye(labelled.predictions.probabilities.shape[1])

    def fit(targets: Targets, p: Floats) -> Fitted:
        own = replace(context, evidence=LabelledRows(p, targets))
        apply = entry.load()(own, **settings.options_of(entry))
        return Fitted(lambda given: one_hot[apply(given).labels])

    metric = context.metric
    if not metric.needs_decisions:
        metric = find(OF_GRADES, task)
    measure = Measure(metric.name, metric.score, greater_is_better=metric.greater_is_better)
    fitted = fit(labelled.targets, labelled.predictions.probabilities)
    return _measured(replace(labelled, note=""), entry.name, measure, fitted, fit)


def _measured_groups(
    groups: RowGroups,
    labelled: Labelled | None,
    entry: CalibrationMethod,
    settings: CalibrationConfig,
    metric: Metric,
    *,
    one: bool,
    strength: object,
) -> tuple[dict[str, object], list[str], list[str]]:
    """The metric of the rows as predicted and blended; facts, notes and warnings."""
    notes, warnings = groups.notes(labelled)
    options = settings.options_of(entry)
    if "strength" not in options:
        notes.append(f"strength {strength} is the best on the out-of-fold rows")
    facts: dict[str, object] = {"by": groups.by}
    if labelled is None or groups.rows is None:
        return facts, [*notes, "no out-of-fold rows say whether this helps"], warnings
    targets, p = labelled.targets, labelled.predictions.probabilities
    p = rows_to_one(p) if one else p
    known = {**options, "strength": strength}
    moved = fit_blend(targets, p, groups.rows, metric, one=one, **known)
    others = nested(targets, p, groups.rows, metric, one=one, options=options)
    scores = [metric.score(targets, some) for some in (p, others, moved.move(p, groups.rows))]
    measure = Measure(metric.name, metric.score, greater_is_better=metric.greater_is_better)
    measured, text = _gain(replace(labelled, note=""), entry.name, measure, *scores)
    return facts | measured, notes + text, warnings


def _measured_cost(
    classes: Sequence[str],
    facts: PredictionFacts,
    settings: CalibrationConfig,
    record: Mapping[str, Any],
    competition: Path | None,
) -> tuple[dict[str, object], list[str]]:
    """The mean cost on out-of-fold rows, if there are any."""
    notes = [
        f"expected cost by the predictions themselves: {record['expected_cost_plain']:.4f} of the "
        f"most probable classes, {record['expected_cost']:.4f} of these answers"
    ]
    if not settings.oof and not facts.traced:
        unknown = "no run is recorded with these predictions: --oof RUN measures the cost"
        return {}, [*notes, unknown]
    try:
        labelled = own_evidence(settings.oof, facts, load(competition))
        labelled.check_classes(classes)
    except ComptoolError as error:
        if settings.oof:
            raise
        return {}, [*notes, f"no out-of-fold rows to measure the cost: {error}"]
    rows = LabelledRows(labelled.predictions.probabilities, labelled.targets)
    found = measured_cost(rows, np.array(record["costs"]))
    notes += filter(None, [labelled.note])
    notes.append(
        f"mean cost on {len(labelled)} rows of {labelled.path}: {found['plain']:.4f} of the most "
        f"probable classes, {found['out_of_fold_cost']:.4f} of the cheapest, a gain of "
        f"{found['gain']:+.4f} ({found['gain_low']:+.4f} to {found['gain_high']:+.4f})"
    )
    if facts.recalibration is not None:
        notes.append("these rows are as predicted, before the recalibration of this file")
    if found["gain"] <= 0:
        notes.append("the most probable classes are as cheap: recalibrate the probabilities first")
    return {"out_of_fold": str(labelled.path), **found}, notes


def _shares(classes: Sequence[str], shares: Iterable[float]) -> str:
    return ", ".join(f"{name} {share:.3f}" for name, share in zip(classes, shares, strict=True))


class Measure(NamedTuple):
    """The measure that a method is fitted for."""

    name: str
    score: Callable[[Targets, Floats], float]
    greater_is_better: bool


def decide_cells(
    predictions: Predictions, labelled: Labelled, settings: CalibrationConfig, metric: Metric
) -> tuple[Decision, list[str]]:
    """Recalibrate multi-label probabilities with a method fitted to out-of-fold rows."""
    labelled.check_classes(predictions.classes)
    average, beta = f_score_of(settings, metric)
    fit = fit_of(settings.method, settings, average, beta)
    fitted = fit(labelled.targets, labelled.predictions.probabilities)
    moved = fitted.move(predictions.probabilities)
    measure = Measure("logloss", logloss, greater_is_better=False)
    if settings.method == THRESHOLDS:
        score = partial(SCORES[average], threshold=ANSWERED, beta=beta)
        measure = Measure(f_score_name(average, beta), score, greater_is_better=True)
    measured, notes = _measured(labelled, settings.method, measure, fitted, fit)
    fitted_facts = {
        name: dict(zip(predictions.classes, value, strict=True))
        if isinstance(value, list)
        else value
        for name, value in fitted.facts.items()
    }
    facts = {"method": settings.method, **fitted_facts, **measured}
    result = Decision(
        replace(predictions, probabilities=moved, pred=None),
        before=(predictions.probabilities > ANSWERED).sum(axis=0),
        after=(moved > ANSWERED).sum(axis=0),
        facts=facts,
    )
    if settings.method == THRESHOLDS:
        notes.append("each class's threshold is now one half")
    return result, notes


def _measured(
    labelled: Labelled, method: str, measure: Measure, fitted: Fitted, fit: Fit
) -> tuple[dict[str, object], list[str]]:
    """The measure as predicted, cross-validated and in-sample; for the record and in words."""
    targets, p = labelled.targets, labelled.predictions.probabilities
    plain, in_sample = measure.score(targets, p), measure.score(targets, fitted.move(p))
    folds = nested_folds(labelled.predictions.ids, labelled.predictions.fold)
    moved = np.empty(p.shape)
    for fold in np.unique(folds):
        held = folds == fold
        moved[held] = fit(targets[~held], p[~held]).move(p[held])
    return _gain(labelled, method, measure, plain, measure.score(targets, moved), in_sample)


def _gain(
    labelled: Labelled,
    method: str,
    measure: Measure,
    plain: float,
    nested: float,
    in_sample: float,
) -> tuple[dict[str, object], list[str]]:
    notes = [labelled.note] if labelled.note else []
    notes.append(
        f"{measure.name} on {len(labelled)} rows of {labelled.path}: {plain:.4f} as predicted, "
        f"{nested:.4f} by {method} fitted to other rows, {in_sample:.4f} in-sample (optimistic)"
    )
    if (nested - plain) * (1 if measure.greater_is_better else -1) <= 0:
        notes.append(f"doing nothing is best: {method} gains nothing on unseen rows")
    record = {"out_of_fold": str(labelled.path), "measure": measure.name, "plain": plain}
    return {**record, "nested": nested, "in_sample": in_sample}, notes


def decide_cell_groups(
    predictions: Predictions,
    labelled: Labelled,
    settings: CalibrationConfig,
    about: Competition,
) -> tuple[Decision, list[str]]:
    """Blend rows of several labels with their groups."""
    labelled.check_classes(predictions.classes)
    entry = CELL_METHODS.find(settings.method)
    metric = about.find_metric(classes=predictions.classes)
    groups = groups_of(str(settings.by), predictions, about, labelled)
    fitted = entry.load()(
        labelled.targets,
        labelled.predictions.probabilities,
        groups=groups.rows,
        metric=metric,
        **settings.options_of(entry),
    )
    moved = fitted.move(predictions.probabilities, groups.test)
    measured, notes, warnings = _measured_groups(
        groups, labelled, entry, settings, metric, one=False, strength=fitted.strength
    )
    result = Decision(
        replace(predictions, probabilities=moved, pred=None),
        before=(predictions.probabilities > ANSWERED).sum(axis=0),
        after=(moved > ANSWERED).sum(axis=0),
        warnings=warnings,
        facts={"method": settings.method, **fitted.facts, **measured},
    )
    return result, [*filter(None, [labelled.note]), *notes]


def f_score_of(settings: CalibrationConfig, metric: Metric) -> tuple[str, float]:
    """Average and beta of the F-score that thresholds maximise: as given, or the metric's."""
    average = settings.average or ("micro" if metric.name.startswith("micro") else "macro")
    # f-beta is an F2 over rows, whose best thresholds have no exact solution; macro F2 is close.
    usual = metric.given.get("beta", 1.0)
    return average, usual if settings.beta is None else settings.beta


def f_score_name(average: str, beta: float) -> str:
    """The metric that thresholds maximise, as `comptool metrics` and `evaluate` call it."""
    return f"{average}-f1" if beta == 1 else f"{average}-f-beta@{beta:g}"


def fit_of(method: str, settings: CalibrationConfig, average: str, beta: float) -> Fit:
    """A method of several labels with its options."""
    entry = CELL_METHODS.find(method)
    options = settings.options_of(entry)
    if method == THRESHOLDS:
        options |= {"average": average, "beta": beta}
    return partial(entry.load(), **options)


def count_table(classes: Sequence[str], columns: Mapping[str, Sequence[int | str]]) -> str:
    """Class counts as aligned text: one line per class, one column per title, and the sums.

    Of more than 40 classes, those that change most between the first and the last column of numbers
    are shown. Columns of text are not summed.
    """
    numbers = {
        title: values
        for title, values in columns.items()
        if not any(isinstance(value, str) for value in values)
    }
    rows = [(name, *values) for name, *values in zip(classes, *columns.values(), strict=True)]
    total = ("sum", *(sum(map(int, v)) if t in numbers else "" for t, v in columns.items()))
    kept = _most_changed(list(numbers.values()), len(rows))
    lines = [("class", *columns), *(rows[index] for index in kept), total]
    widths = [max(len(str(line[place])) for line in lines) for place in range(len(lines[0]))]
    text = []
    for name, *values in lines:
        cells = [f"{value!s:>{width}}" for value, width in zip(values, widths[1:], strict=True)]
        text.append("  ".join([f"{name!s:<{widths[0]}}", *cells]).rstrip())
    if len(kept) < len(rows):
        text.append(f"({len(rows) - len(kept)} classes that changed less are not shown)")
    return "\n".join(text)


def _most_changed(counts: Sequence[Sequence[int | str]], num_classes: int) -> list[int]:
    if num_classes <= SHOWN_CLASSES or not counts:
        return list(range(num_classes))
    change = [abs(int(a) - int(b)) for a, b in zip(counts[0], counts[-1], strict=True)]
    order = sorted(range(num_classes), key=lambda index: (-change[index], index))
    return sorted(order[:SHOWN_CLASSES])


@dataclass(frozen=True)
class RecalibrationOutcome:
    """A written recalibration, for the report."""

    source: Path
    output: Path
    result: Decision
    notes: tuple[str, ...]

    def text(self) -> str:
        """Notes, class counts before and after, warnings."""
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
    seed: int = 0,
) -> RecalibrationOutcome:
    """Recalibrate a prediction file and write the result with a record.

    ``competition`` is a ``comptool.toml``, only read for out-of-fold rows; None for the one here.
    ``seed`` is that of estimated shares and of simulated test sets.

    Raises
    ------
    UsageError
        If settings contradict each other, or the head classes are not known.
    InputError
        If the predictions are invalid, or the method has no out-of-fold rows.
    """
    settings.check()
    facts = provenance.facts(source, PredictionFacts)
    task = tasks.find(inputs.task_of(source, facts))
    if not task.cells:
        check_method(settings.method, task)
        settings.check_single()
    if task.cells and settings.method in CELL_METHODS:
        settings.check_cells()
        predictions = inputs.read_cells(source, facts, task)
        about = load(competition)
        labelled = own_evidence(settings.oof, facts, about)
        metric = about.find_metric(classes=predictions.classes)
        if CELL_METHODS.find(settings.method).grouped:
            result, notes = decide_cell_groups(predictions, labelled, settings, about)
        else:
            result, notes = decide_cells(predictions, labelled, settings, metric)
    else:
        predictions = inputs.read_multiclass(source, facts)
        if len(predictions) < 2 and METHODS.find(settings.method).of_sets:
            raise InputError(
                f"one row is not a test set, and {settings.method} uses all rows together",
                file=source,
                mend="Submit the most probable class: comptool submit",
            )
        result, notes = decide(source, predictions, facts, settings, competition, seed=seed)
    read = provenance.hashes([source, *settings.files()])
    counts = inputs.class_counts(facts)
    with together():
        write_predictions(output, result.predictions, force=force)
        provenance.record(
            output,
            command="recalibrate",
            arguments=asdict(settings) | {"seed": seed},
            inputs=read,
            facts=replace(
                facts, class_counts=counts or facts.class_counts, recalibration=result.facts
            ),
        )
    return RecalibrationOutcome(source, output, result, tuple(notes))
