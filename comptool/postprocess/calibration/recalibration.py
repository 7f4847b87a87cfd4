"""The ``recalibrate`` command: probabilities in, recalibrated answers out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from comptool.competition.config import Competition, load
from comptool.errors import ComptoolError, InputError, UsageError
from comptool.io import provenance
from comptool.io.atomic import together
from comptool.io.predictions import Predictions, write_predictions
from comptool.io.runs import find_run, members, read_header
from comptool.metrics import multiclass
from comptool.metrics.multilabel import log_loss, macro_f_beta, micro_f_beta
from comptool.postprocess import inputs
from comptool.postprocess.answers import Decision, count_table, decided
from comptool.postprocess.calibration import can
from comptool.postprocess.calibration.cells import Fitted
from comptool.postprocess.calibration.compare import (
    NONE,
    SETS,
    Comparison,
    Fit,
    compare,
    compare_cells,
)
from comptool.postprocess.calibration.config import (
    FRACTION,
    THRESHOLDS,
    TOP_K_HEAD,
    CalibrationConfig,
)
from comptool.postprocess.calibration.context import (
    TRAIN,
    UNIFORM,
    CalibrationContext,
    Doubles,
    Floats,
    LabelledRows,
    shares_of,
)
from comptool.postprocess.calibration.methods import CELL_METHODS, METHODS
from comptool.postprocess.calibration.quota import by_quota, most_frequent, named_heads
from comptool.postprocess.calibration.thresholds import AVERAGES, Targets
from comptool.postprocess.ensemble.combine import ANSWERED
from comptool.postprocess.inputs import class_counts
from comptool.postprocess.oof import (
    Labelled,
    nested_folds,
    networks_of,
    own_evidence,
    trained_counts,
)

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CalibrationRequest:
    """What was asked for, as far as every method shares it; None stands for the default.

    Parameters
    ----------
    oof
        A run or an out-of-fold file.
    target_prior
        ``"uniform"``, ``"train"`` or a file of class shares.
    top_k_head, head_classes, fraction
        Quotas: how many of the most frequent classes have one, or which, and how much.
    """

    oof: str | None = None
    target_prior: str | None = None
    top_k_head: int | None = None
    head_classes: str | None = None
    fraction: float | None = None


def question_of(settings: CalibrationConfig) -> CalibrationRequest:
    """What every method shares of the settings."""
    names = CalibrationRequest.__dataclass_fields__
    return CalibrationRequest(**{name: getattr(settings, name) for name in names})


@dataclass(frozen=True)
class CalibrationBasis:
    """What is known, and in which words.

    Parameters
    ----------
    known
        For the methods.
    prior
        What the test classes were presumed to be, in words; empty if nothing was said.
    labelled
        The out-of-fold rows, or None.
    """

    known: CalibrationContext
    prior: str
    labelled: Labelled | None


def basis_of(
    source: Path,
    classes: Sequence[str],
    facts: Mapping[str, Any],
    question: CalibrationRequest,
    labelled: Labelled | None,
    metric: str,
    trained: Counts | None = None,
) -> CalibrationBasis:
    """What is known of these predictions.

    Parameters
    ----------
    source
        The prediction file, for messages.
    classes
        Its K classes.
    facts
        What is recorded with it.
    question
        What was asked for.
    labelled
        Out-of-fold rows of the runs that made it, or None.
    metric
        What searched settings are to maximise.
    trained
        Rows per class that the models were trained on, shape (K,), where ``labelled`` is None.

    Raises
    ------
    UsageError
        If the class counts are needed and nobody knows them, or no class has a name that is given.
    InputError
        If the out-of-fold rows have other classes, or a file of shares cannot be used.
    """
    if labelled is not None:
        labelled.check_classes(classes, source)
    counts = partial(
        inputs.count_vector, source, tuple(classes), facts, "Give a file: --target-prior FILE"
    )
    target, prior = None, ""
    if question.target_prior is not None:
        target, prior = shares_of(question.target_prior, classes, counts)
    if labelled is not None:
        trained = labelled.trained
    known = CalibrationContext(
        evidence=None if labelled is None else evidence_of(labelled, classes),
        presumed=None if trained is None else trained / trained.sum(),
        target=target,
        head=tuple(_head(source, classes, facts, question)),
        fraction=FRACTION if question.fraction is None else question.fraction,
        metric=metric,
    )
    return CalibrationBasis(known, prior, labelled)


def evidence_of(labelled: Labelled, classes: Sequence[str]) -> LabelledRows:
    """The rows as the methods take them.

    Raises
    ------
    InputError
        If a class has no row: nothing could be said of it.
    """
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
    return name if name in multiclass.METRICS else "accuracy"


def _head(
    source: Path, classes: Sequence[str], facts: Mapping[str, Any], question: CalibrationRequest
) -> list[int]:
    if question.head_classes is not None:
        return named_heads(question.head_classes, classes)
    counts = inputs.class_counts(facts)
    k = question.top_k_head
    if counts is None or any(name not in counts for name in classes):
        if k:
            inputs.count_vector(source, tuple(classes), facts, "Name them: --head-classes a,b")
        return []
    if k is None and len(classes) <= TOP_K_HEAD:
        return []
    vector = inputs.count_vector(source, tuple(classes), facts, "")
    return most_frequent(vector, TOP_K_HEAD if k is None else k)


# A simulated test set has at most so many rows; more would only make intervals shorter.
LARGEST_SET = 5_000
NEED_HEAD = {"quota", "quota-optimal"}


def decide(
    source: Path,
    predictions: Predictions,
    facts: Mapping[str, Any],
    method: str,
    question: CalibrationRequest,
    competition: Path | None,
) -> tuple[Decision, list[str]]:
    """Decide a test set, and say what that rests on.

    Parameters
    ----------
    source
        The prediction file.
    predictions
        Its N rows.
    facts
        What is recorded with it.
    method
        Name of a method.
    question
        What was asked for.
    competition
        A ``comptool.toml``; None for the one here. Looked at if out-of-fold rows are needed.

    Raises
    ------
    UsageError, InputError
        If the method lacks what it needs, or a file cannot be used.
    """
    entry = METHODS.find(method)
    labelled, metric, trained = None, "accuracy", None
    if method == "prior" and question.oof is None:
        trained = _trained(facts, predictions.classes)
    if entry.fitted or question.oof is not None or (method == "prior" and trained is None):
        about = load(competition)
        labelled = own_evidence(question.oof, facts, about)
        metric = usable_metric(about.metric)
    basis = basis_of(source, predictions.classes, facts, question, labelled, metric, trained)
    answer = entry.load()(basis.known)(predictions.probabilities)
    result = decided(predictions, answer.labels)
    record = {"method": method, **answer.facts, **_told(predictions.classes, basis)}
    changed = replace(result.predictions, probabilities=answer.probabilities)
    return replace(result, predictions=changed, facts=record), _notes(
        method, predictions.classes, basis, record
    )


def _trained(facts: Mapping[str, Any], classes: Sequence[str]) -> Counts | None:
    """Rows per class that the models were trained on; None where their checkpoints do not say."""
    try:
        headers = [
            read_header(one) for run in facts.get("runs", []) for one in members(find_run(run))
        ]
    except ComptoolError:
        return None
    return trained_counts(headers, classes)


def _told(classes: Sequence[str], basis: CalibrationBasis) -> dict[str, object]:
    told: dict[str, object] = {}
    if basis.known.target is not None:
        shares = basis.known.target.tolist()
        told["target_prior"] = dict(zip(classes, shares, strict=True))
    if basis.labelled is not None:
        told["out_of_fold"] = str(basis.labelled.path)
    elif basis.known.presumed is not None:
        told["trained_shares"] = dict(zip(classes, basis.known.presumed.tolist(), strict=True))
    return told


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
    elif basis.known.presumed is not None:
        notes.append(f"from the shares trained on: {_shares(classes, basis.known.presumed)}")
    if basis.prior:
        notes.append(f"presuming that the test classes are {basis.prior}")
    shown = ("temperature", "tau", "estimated", "uncertain_rows")
    found = [f"{name} {record[name]:.4g}" for name in shown if isinstance(record.get(name), float)]
    return [*notes, *(f"{method}: {one}" for one in found)]


def _shares(classes: Sequence[str], shares: Iterable[float]) -> str:
    return ", ".join(f"{name} {share:.3f}" for name, share in zip(classes, shares, strict=True))


def compared(
    source: Path | None,
    num_rows: int | None,
    facts: Mapping[str, Any],
    question: CalibrationRequest,
    about: Competition,
    *,
    methods: Sequence[str] | None = None,
    num_sets: int = SETS,
    seed: int = 0,
) -> list[Comparison]:
    """All methods compared on simulated test sets.

    Parameters
    ----------
    source
        The prediction file, or None.
    num_rows
        Rows of the test set; None: as many as there are out-of-fold rows.
    facts
        What is recorded with the predictions.
    question
        What was asked for. Without a target prior, both an equal one and that of the training set
        (where its counts are known) are tried.
    about
        The competition.
    methods
        Names; None for all that can be used.
    num_sets, seed
        See :func:`~comptool.postprocess.calibration.compare.compare`.

    Raises
    ------
    UsageError, InputError
        If there is no evidence, or a file cannot be used.
    """
    labelled = own_evidence(question.oof, facts, about)
    classes, source = labelled.predictions.classes, source or labelled.path
    metric = usable_metric(about.metric)
    if not facts.get("runs"):
        facts = {**facts, "runs": [str(folder) for folder in networks_of(labelled.path)]}
    usual = [UNIFORM, TRAIN] if class_counts(facts) else [UNIFORM]
    priors = [question.target_prior] if question.target_prior else usual
    found = []
    for prior in priors:
        asked = replace(question, target_prior=prior)
        basis = basis_of(source, classes, facts, asked, labelled, metric)
        names = methods or [
            name for name in METHODS.names if basis.known.head or name not in NEED_HEAD
        ]
        found.append(
            compare(
                basis.known,
                names,
                num_rows=min(num_rows or len(labelled), LARGEST_SET),
                prior=basis.prior,
                num_sets=num_sets,
                seed=seed,
            )
        )
    return found


def supported(
    source: Path,
    predictions: Predictions,
    facts: Mapping[str, Any],
    method: str,
    question: CalibrationRequest,
    competition: Path | None,
) -> str:
    """Whether out-of-fold rows say that a method helps, in one line; never an error."""
    if not question.oof and not facts.get("runs"):
        return "no run is recorded with these predictions: --oof RUN would say whether this helps"
    try:
        comparisons = compared(
            source, len(predictions), facts, question, load(competition), methods=[method]
        )
    except ComptoolError as error:
        return f"no out-of-fold rows say whether this helps: {error}"
    parts = []
    for one in comparisons:
        it = next(standing for standing in one.standings if standing.method != NONE)
        says = "helps" if it.helps else "hurts" if it.gain_high < 0 else "may help or hurt"
        gain = f"{it.gain:+.4f}, {it.gain_low:+.4f} to {it.gain_high:+.4f}"
        parts.append(f"{says} if the test classes are {one.prior} ({gain} {one.metric})")
    return f"by {comparisons[0].num_evidence} out-of-fold rows, {method} " + "; ".join(parts)


SCORES = dict(zip(AVERAGES, (macro_f_beta, micro_f_beta), strict=True))


class FittedMetric(NamedTuple):
    """What a method is fitted for: its name, the score of cells, and which way is up."""

    name: str
    score: Callable[[Targets, Floats], float]
    greater_is_better: bool


def decide_cells(
    predictions: Predictions, labelled: Labelled, settings: CalibrationConfig, metric: str
) -> tuple[Decision, list[str]]:
    """Move multi-label probabilities as is best on out-of-fold rows.

    Parameters
    ----------
    predictions
        Multi-label predictions of N rows.
    labelled
        Out-of-fold rows of the runs that made them.
    settings
        The method, and the F-score that thresholds are best for.
    metric
        The competition's; what is not said of that F-score follows from it.

    Returns
    -------
    Decision, list of str
        The order within each class stays; answers are probabilities above one half. The sentences
        hold what the method is fitted for, on rows that it was not fitted to.

    Raises
    ------
    InputError
        If the classes differ, or no class has a present cell.
    """
    labelled.check_classes(predictions.classes)
    average, beta = f_score_of(settings, metric)
    fit = _fit(settings.method, average, beta)
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


def _figure(settings: CalibrationConfig, average: str, beta: float) -> FittedMetric:
    if settings.method == THRESHOLDS:
        score = partial(SCORES[average], threshold=ANSWERED, beta=beta)
        return FittedMetric(f"{average} F{beta:g}", score, greater_is_better=True)
    return FittedMetric("log-loss", log_loss, greater_is_better=False)


def _measured(
    labelled: Labelled, method: str, figure: FittedMetric, fitted: Fitted, fit: Fit
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


def compared_cells(
    predictions: Predictions | None,
    facts: Mapping[str, Any],
    settings: CalibrationConfig,
    about: Competition,
    *,
    methods: Sequence[str] | None = None,
    num_sets: int = SETS,
    seed: int = 0,
) -> Comparison:
    """The methods of several labels compared on simulated test sets.

    Parameters
    ----------
    predictions
        Multi-label predictions, whose number of rows is that of a test set; None: as many rows as
        there are out-of-fold ones.
    facts
        What is recorded with them.
    settings
        Where the out-of-fold rows are.
    about
        The competition, whose metric is compared by.
    methods
        Names of those to compare with doing nothing; None for all.
    num_sets, seed
        See :func:`~comptool.postprocess.calibration.compare.compare_cells`.

    Raises
    ------
    UsageError
        If a method is none of several labels.
    InputError
        If there is no evidence, or the metric is not defined on it.
    """
    for name in methods or ():
        if name not in CELL_METHODS:
            raise UsageError(
                f"--method {name} decides for one class per image; for several labels there are "
                f"{', '.join(CELL_METHODS.names[1:])}"
            )
    labelled = own_evidence(settings.oof, facts, about)
    if predictions is not None:
        labelled.check_classes(predictions.classes)
    beta = f_score_of(settings, about.metric)[1]
    fits: dict[str, Fit] = {}
    for name in dict.fromkeys([NONE, *(methods or CELL_METHODS.names)]):
        if name == THRESHOLDS:
            fits |= {f"{name} {average}": _fit(name, average, beta) for average in AVERAGES}
        else:
            fits[name] = _fit(name, AVERAGES[0], beta)
    num_rows = len(labelled if predictions is None else predictions)
    found = compare_cells(
        labelled.targets,
        labelled.predictions.probabilities,
        fits,
        about.metric,
        num_rows=min(num_rows, LARGEST_SET),
        num_sets=num_sets,
        seed=seed,
    )
    return replace(found, note="; ".join(filter(None, [labelled.note, found.note])))


def f_score_of(settings: CalibrationConfig, metric: str) -> tuple[str, float]:
    """Average and beta of the F-score that thresholds are best for: as given, or the metric's."""
    average = settings.average or ("micro" if metric.startswith("micro") else "macro")
    # The metric f-beta is an F2; nothing finds its thresholds exactly, and macro F2 is near.
    usual = 2.0 if metric == "f-beta" else 1.0
    return average, usual if settings.beta is None else settings.beta


def _fit(method: str, average: str, beta: float) -> Fit:
    options = {"average": average, "beta": beta} if method == THRESHOLDS else {}
    return partial(CELL_METHODS.load(method), **options)


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


# Loaded for the methods that need it: scipy and the metrics are half a second.


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


class RecalibrationInput(NamedTuple):
    """One recalibration: predictions of a file, what is recorded with it, what was asked for."""

    source: Path
    predictions: Predictions
    facts: Mapping[str, Any]
    settings: CalibrationConfig
    competition: Path | None

    def question(self) -> Any:
        """What every method of the family shares of the settings."""
        return question_of(self.settings)

    def counts(self, instead: str) -> npt.NDArray[np.int64]:
        """Training images of each class; the error where nobody knows them says what else to do."""
        return inputs.count_vector(self.source, self.predictions.classes, self.facts, instead)


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
    facts = provenance.facts(source)
    if _of_cells(settings.method, facts):
        settings.check_cells()
        predictions, decide = inputs.read_cells(source, facts), _cells
    else:
        predictions = inputs.read_multiclass(source, facts)
        _refuse_one_row(source, len(predictions), settings.method)
        decide = {"quota": _quota, "can": _can}.get(settings.method, _family)
    result, note = decide(RecalibrationInput(source, predictions, facts, settings, competition))
    read = provenance.hashes([source])
    counts = inputs.class_counts(facts)
    known = {**facts, **({"class_counts": counts} if counts else {})}
    with together():
        write_predictions(output, result.predictions, force=force)
        provenance.record(
            output,
            command="recalibrate",
            arguments=asdict(settings),
            inputs=read,
            facts={**known, "recalibration": result.facts},
        )
    return RecalibrationOutcome(source, output, result, tuple(note))


def _of_cells(method: str, facts: Mapping[str, Any]) -> bool:
    """Whether a method of several labels was asked for."""
    task = facts.get("task") or inputs.task_here()
    return method == THRESHOLDS or (task == "multilabel" and method in CELL_METHODS)


def _refuse_one_row(source: Path, num_rows: int, method: str) -> None:
    if num_rows < 2 and METHODS.find(method).of_sets:
        raise InputError(
            f"one row is no test set, and {method} looks at all rows together",
            file=source,
            mend="Take the most probable class as it is: comptool submit",
        )


def _family(asked: RecalibrationInput) -> tuple[Decision, list[str]]:
    decided: tuple[Decision, list[str]] = decide(
        asked.source,
        asked.predictions,
        asked.facts,
        asked.settings.method,
        asked.question(),
        asked.competition,
    )
    return decided


def _cells(asked: RecalibrationInput) -> tuple[Decision, list[str]]:
    about = load(asked.competition)
    labelled = own_evidence(asked.settings.oof, asked.facts, about)
    decided: tuple[Decision, list[str]] = decide_cells(
        asked.predictions, labelled, asked.settings, about.metric
    )
    return decided


def _quota(asked: RecalibrationInput) -> tuple[Decision, list[str]]:
    settings, predictions = asked.settings, asked.predictions
    fraction = FRACTION if settings.fraction is None else settings.fraction
    if settings.head_classes is not None:
        head, why = named_heads(settings.head_classes, predictions.classes), "as given"
    else:
        k = TOP_K_HEAD if settings.top_k_head is None else settings.top_k_head
        head, why = _frequent(asked, k)
    result = by_quota(predictions, head, fraction)
    names = [predictions.classes[index] for index in head]
    support = supported(
        asked.source, predictions, asked.facts, "quota", asked.question(), asked.competition
    )
    return result, [
        f"head classes in the order they take rows: {', '.join(names) or 'none'} ({why})",
        f"each takes {result.facts['rows_per_head_class']} of {len(predictions)} rows; this "
        "presumes that the test classes are nearly equally frequent, and does harm where they are "
        "not",
        support,
    ]


def _frequent(asked: RecalibrationInput, k: int) -> tuple[list[int], str]:
    if k == 0:
        return [], "--top-k-head 0"
    counts = asked.counts("Name the head classes: --head-classes a,b,c,d")
    head = most_frequent(counts, k)
    why = f"the {k} with the most training images"
    least = counts[head].min()
    tied = [c for c in np.flatnonzero(counts == least).tolist() if c not in head]
    if tied:
        names = ", ".join(asked.predictions.classes[c] for c in tied)
        why += f"; {names} has as many ({least}) and comes later in class order"
    return head, why


def _can(asked: RecalibrationInput) -> tuple[Decision, list[str]]:
    settings, predictions = asked.settings, asked.predictions
    num_classes = len(predictions.classes)
    prior = np.full(num_classes, 1 / num_classes)
    presumed = "are equally frequent"
    if settings.prior == "train":
        counts = asked.counts("Take --prior uniform")
        prior, presumed = counts / counts.sum(), "have the training set's shares"
    result = can.by_alternating(
        predictions,
        prior,
        alpha=can.ALPHA if settings.alpha is None else settings.alpha,
        iterations=can.ITERATIONS if settings.iterations is None else settings.iterations,
        top_k=settings.top_k,
        threshold=(
            can.THRESHOLD if settings.entropy_threshold is None else settings.entropy_threshold
        ),
    )
    return result, [
        f"{result.facts['uncertain_rows']} of {len(predictions)} rows are uncertain and "
        f"re-adjusted; this presumes that the test classes {presumed}"
    ]


def compare_file(
    source: Path | None,
    settings: CalibrationConfig,
    *,
    methods: Sequence[str] | None = None,
    competition: Path | None = None,
    seed: int = 0,
) -> tuple[str, dict[str, object]]:
    """All methods compared for the test set of a prediction file: for a reader, for a program.

    Parameters
    ----------
    source
        Predictions, whose number of rows is that of the simulated test sets and whose run has the
        out-of-fold rows; None if ``settings`` name these.
    settings
        Quotas, out-of-fold rows and target prior.
    methods
        Names; None for all.
    competition
        A ``comptool.toml``.
    seed
        Of the simulation.

    Raises
    ------
    UsageError, InputError
        If there are no out-of-fold rows, or they are no evidence.
    """
    settings.check_compare()
    about = load(competition)
    facts = {} if source is None else provenance.facts(source)
    if about.task == "multilabel":
        settings.check_cells()
        predictions = None if source is None else inputs.read_cells(source, facts)
        comparisons = [
            compared_cells(predictions, facts, settings, about, methods=methods, seed=seed)
        ]
    else:
        if methods and THRESHOLDS in methods:
            raise UsageError("--method thresholds is for several labels per image")
        rows = None if source is None else len(inputs.read_multiclass(source, facts))
        comparisons = compared(
            source, rows, facts, question_of(settings), about, methods=methods, seed=seed
        )
    text = "\n\n".join(one.text() for one in comparisons)
    return text, {"comparisons": [one.summary() for one in comparisons]}
