"""Registry of the metrics, and metrics by name.

A name may end in a parameter: ``map@5``. The same name may stand for several functions, each for
its tasks; a metric is therefore looked up with the task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from comptool import tasks
from comptool.errors import InputError, UsageError, unknown_name
from comptool.metrics.metric_options import OPTIONS, check_fit, checked
from comptool.registry import Entry, Registry, is_user_object, refuse_unknown_options
from comptool.tasks import Task

Targets = npt.NDArray[np.integer]
Floats = npt.NDArray[np.floating]
Weights = npt.NDArray[np.floating]

MULTICLASS, MULTILABEL, ORDINAL, REGRESSION = "multiclass", "multilabel", "ordinal", "regression"
ONE_CLASS = (MULTICLASS, ORDINAL)
# What a metric reads of the predictions.
READS = PROBABILITIES, CLASSES, RANKING, NUMBERS = "probabilities", "classes", "ranking", "numbers"
UNKNOWN = ""  # of a function of a user that does not say


class Weighted(Protocol):
    """A metric of fixed predictions as a function of row weights."""

    def __call__(self, weights: Weights | None = None) -> float:
        """The value with ``weights`` of the N rows, (N,); None: 1."""


class WeightedMetric(Protocol):
    """A metric and its `prepare` step."""

    prepare: Callable[..., Weighted]

    def __call__(
        self,
        targets: Targets,
        probabilities: Floats,
        weights: Weights | None = None,
        **options: Any,
    ) -> float:
        """Value of the metric."""


def weighted(prepare: Callable[..., Weighted]) -> WeightedMetric:
    """Turn ``prepare(targets, probabilities, **options)`` into a metric.

    A bootstrap weights the same predictions a thousand times, so ``prepare`` computes all that does
    not depend on the weights and returns a function of the weights. The metric itself is called as
    ``metric(targets, probabilities, weights=None, **options)``.
    """

    @wraps(prepare)
    def metric(
        targets: Targets, probabilities: Floats, weights: Weights | None = None, **options: Any
    ) -> float:
        return prepare(targets, probabilities, **options)(weights)

    made = cast("WeightedMetric", metric)
    made.prepare = prepare
    return made


@dataclass(frozen=True)
class AnswerColumns:
    """Column names of tables of answers, for the functions of a user that take tables."""

    id: str = "id"
    label: str = "label"
    num_answers: int | None = None  # answer columns of the sample submission; None if unknown


@dataclass(frozen=True)
class Metric(Entry):
    """An entry of the registry, and a metric that was found: with its options and classes.

    Parameters
    ----------
    tasks
        Names of the tasks that it is for; those that do not exist (yet) do no harm.
    greater_is_better
        Whether higher values are better.
    reads
        "probabilities"; "classes": the predicted class or the cells above one half; "ranking": the
        `k` most probable classes; "numbers"; empty for a user's function that does not say.
    order_only
        Whether only the order of the rows within each class matters.
    per_class
        ``"package.module:function"`` of the K values of which it is the mean.
    needs_values
        Whether it takes ``values``, the numbers that the class names are, None if one is none.
    by_distance
        Whether a wrong grade counts by its distance from the true one.
    mean_of_classes
        Whether every class counts the same, however many rows it has, where there is one class per
        row.
    parameter
        The option that may stand in the name, after ``@``.
    takes
        Names of its options.
    needs
        Those without which it is not defined.
    given
        Values of its options: the defaults, then those that were given.
    classes
        Names of the K classes; None if unknown.
    columns
        For functions that take tables.
    """

    tasks: tuple[str, ...] = ()
    greater_is_better: bool = True
    reads: str = PROBABILITIES
    order_only: bool = False
    per_class: str = ""
    needs_values: bool = False
    by_distance: bool = False
    mean_of_classes: bool = False
    parameter: str = ""
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)
    user_options: dict[str, Any] = field(default_factory=dict)  # of a function of a user
    classes: tuple[str, ...] | None = None
    columns: AnswerColumns = AnswerColumns()

    @property
    def sign(self) -> int:
        """1 if higher values are better, else -1."""
        return 1 if self.greater_is_better else -1

    @property
    def better(self) -> str:
        """Which values are better: "higher" or "lower"."""
        return "higher" if self.greater_is_better else "lower"

    @property
    def in_words(self) -> str:
        """Tasks, direction, what it reads, summary and source in a line."""
        reads = f", reads {self.reads}" if self.reads else ""
        about = f"{', '.join(self.tasks)}; {self.better} is better{reads}"
        return f"{self.name} ({about}): {self.summary} [{self.source}]"

    @property
    def needs_decisions(self) -> bool:
        """Whether only the predicted class matters, not its probability."""
        return self.reads == CLASSES

    @property
    def k(self) -> int | None:
        """The number of classes that it looks at in a ranking; None for other metrics."""
        return self.given.get("k") if self.reads == RANKING else None

    @property
    def is_ours(self) -> bool:
        """Whether it is an entry of `ROWS`, and not of a file or a package."""
        return self.target.startswith("comptool.metrics.")

    @property
    def record(self) -> dict[str, Any]:
        """The options that the name does not say, as JSON: with it the metric is found again."""
        said = self.parameter if "@" in self.name else ""
        values = {one: self.given[one] for one in self.takes if one in self.given and one != said}
        return {one.replace("_", "-"): value for one, value in (values | self.user_options).items()}

    def load_per_class(self) -> Callable[..., Floats]:
        """The function ``per_class``: (targets, probabilities, weights=None) -> (K,)."""
        function: Callable[..., Floats] = replace(self, target=self.per_class).load()
        return function

    def prepare(
        self, targets: Targets, probabilities: Floats, *, pred: Targets | None = None
    ) -> Weighted:
        """The metric of these predictions as a function of row weights.

        Parameters
        ----------
        targets
            Of shape (N,), or (N, K) for several labels or numbers.
        probabilities
            Of shape (N, K), or numbers of the shape of the targets.
        pred
            The decided class of each row, (N,), for metrics of classes and functions of a user
            whose tables hold a class; None: the most probable.

        Raises
        ------
        InputError
            If there are no rows.
        UsageError
            If its options do not fit the number of classes.
        """
        targets, probabilities = np.asarray(targets), np.asarray(probabilities)
        if len(targets) == 0:
            raise InputError(f"there are no rows to compute {self.name} of")
        if pred is not None and self.needs_decisions and targets.ndim == 1:
            probabilities = np.eye(probabilities.shape[1])[pred]
        function = self.load()
        if hasattr(function, "prepare"):
            prepared: Weighted = function.prepare(
                targets, probabilities, **self._arguments(probabilities)
            )
            return prepared
        from comptool.metrics import user_metric

        return user_metric.prepare(self, function, targets, probabilities, pred)

    def _arguments(self, probabilities: Floats) -> dict[str, Any]:
        if not self.is_ours:
            return dict(self.user_options)
        arguments = dict(self.given)
        if probabilities.ndim == 2 and self.reads != NUMBERS:
            check_fit(self.name, arguments, probabilities.shape[1])
        if "positive_class" in arguments:
            if self.classes is None:
                raise UsageError(f"{self.name} needs the names of the classes for positive-class")
            arguments["positive"] = self.classes.index(arguments.pop("positive_class"))
        if self.needs_values and self.classes is not None:
            from comptool.metrics.grades import values_of

            arguments["values"] = values_of(self.classes)
        return arguments

    def score(
        self,
        targets: Targets,
        probabilities: Floats,
        weights: Weights | None = None,
        *,
        pred: Targets | None = None,
    ) -> float:
        """The value; see :meth:`prepare`. An InputError where it is not defined."""
        return self.prepare(targets, probabilities, pred=pred)(weights)

    def subset(self, kept: Sequence[int]) -> Metric:
        """The metric of the classes at these places alone."""
        given = dict(self.given)
        if "class_weights" in given:
            given["class_weights"] = [given["class_weights"][place] for place in kept]
        if "cost" in given:
            given["cost"] = [[given["cost"][true][place] for place in kept] for true in kept]
        names = None if self.classes is None else tuple(self.classes[place] for place in kept)
        if names is not None and given.get("positive_class", names[0]) not in names:
            raise UsageError(f"{self.name} needs its positive class '{given['positive_class']}'")
        return replace(self, given=given, classes=names)


def _both(
    name: str, summary: str, source: str, per_class: str = "", **properties: Any
) -> tuple[Metric, Metric]:
    """Entries of a metric with functions in ``multiclass`` and ``multilabel``."""
    function = name.replace("-", "_")
    one, several = (
        Metric(name, f"comptool.metrics.{module}:{function}", text, source, tasks, **properties)
        for module, tasks, text in zip(
            (MULTICLASS, MULTILABEL), (ONE_CLASS, (MULTILABEL,)), summary.split(" | "), strict=True
        )
    )
    return one, replace(several, per_class=per_class)


# fmt: off
ROWS = (
    Metric("accuracy", "comptool.metrics.multiclass:accuracy",
        "Share of correctly classified rows.",
        "top-1", ONE_CLASS, reads=CLASSES),
    Metric("accuracy@k", "comptool.metrics.top_k:accuracy",
        "Share of rows whose class is among the k most probable.",
        "top-k", ONE_CLASS, reads=RANKING, parameter="k", takes=("k",), needs=("k",)),
    Metric("balanced-accuracy", "comptool.metrics.multiclass:balanced_accuracy",
        "Mean over classes of the recall.",
        "macro recall", ONE_CLASS, reads=CLASSES, mean_of_classes=True),
    Metric("kappa", "comptool.metrics.multiclass:kappa",
        "Agreement beyond chance.",
        "Cohen 1960, doi:10.1177/001316446002000104", ONE_CLASS, reads=CLASSES),
    Metric("linear-kappa", "comptool.metrics.grades:linear_kappa",
        "Agreement of grades beyond chance, by their distance.",
        "Cohen 1968, doi:10.1037/h0026256", ONE_CLASS, reads=CLASSES, by_distance=True),
    Metric("quadratic-kappa", "comptool.metrics.grades:quadratic_kappa",
        "Agreement of grades beyond chance, by their squared distance (QWK).",
        "Cohen 1968, doi:10.1037/h0026256", ONE_CLASS, reads=CLASSES, by_distance=True),
    Metric("expected-cost", "comptool.metrics.grades:expected_cost",
        "Mean cost of the answers by a matrix.",
        "Elkan 2001, The Foundations of Cost-Sensitive Learning", ONE_CLASS,
        greater_is_better=False, reads=CLASSES, takes=("cost",), needs=("cost",)),
    Metric("map", "comptool.metrics.curve_areas:macro_average_precision",
        "Mean over classes of the average precision.",
        "scikit-learn's average_precision_score", (MULTILABEL,), order_only=True,
        per_class="comptool.metrics.curve_areas:average_precisions"),
    Metric("micro-map", "comptool.metrics.curve_areas:micro_average_precision",
        "Average precision of all cells ranked together.",
        "scikit-learn's average_precision_score", (MULTILABEL,)),
    Metric("map@k", "comptool.metrics.top_k:average_precision",
        "Mean over images of the average precision of the k most probable classes.",
        "Kaggle's MAP@k", (*ONE_CLASS, MULTILABEL), reads=RANKING,
        parameter="k", takes=("k",), needs=("k",)),
    Metric("recall@k", "comptool.metrics.top_k:recall",
        "Mean over images of the share of labels among the k most probable classes.",
        "Manning et al. 2008, section 8.4", (*ONE_CLASS, MULTILABEL), reads=RANKING,
        parameter="k", takes=("k",), needs=("k",)),
    Metric("auc", "comptool.metrics.curve_areas:macro_roc_area",
        "Mean over classes of the ROC area, each against the rest.",
        "Hanley & McNeil 1982", (*ONE_CLASS, MULTILABEL), order_only=True,
        per_class="comptool.metrics.curve_areas:roc_areas"),
    Metric("weighted-auc", "comptool.metrics.curve_areas:weighted_roc_area",
        "Mean of the ROC areas, by 'class-weights' or else by how often a class is present.",
        "scikit-learn's roc_auc_score", (*ONE_CLASS, MULTILABEL), order_only=True,
        takes=("class_weights",)),
    Metric("micro-auc", "comptool.metrics.curve_areas:micro_roc_area",
        "ROC area of all cells ranked together.",
        "scikit-learn's roc_auc_score", (MULTILABEL,)),
    Metric("pauc@tpr", "comptool.metrics.curve_areas:partial_roc_area",
        "Area of the ROC curve above a true-positive rate.",
        "ISIC 2024", (*ONE_CLASS, MULTILABEL), order_only=True,
        parameter="tpr", takes=("tpr", "positive_class"), needs=("tpr",)),
    *_both("macro-f1",
        "Mean over classes of the F1 score. | Mean over classes of the F1 score at 0.5.",
        "van Rijsbergen 1979", reads=CLASSES, mean_of_classes=True,
        per_class="comptool.metrics.multilabel:f1_of_classes"),
    Metric("micro-f1", "comptool.metrics.multiclass:accuracy",
        "F1 score of all rows: the accuracy.",
        "van Rijsbergen 1979", ONE_CLASS, reads=CLASSES),
    Metric("micro-f1", "comptool.metrics.multilabel:micro_f_beta",
        "F1 score of all cells at 0.5.",
        "van Rijsbergen 1979", (MULTILABEL,), reads=CLASSES),
    Metric("f-beta", "comptool.metrics.multilabel:sample_f_beta",
        "Mean over images of the F2 score at 0.5.",
        "van Rijsbergen 1979", (MULTILABEL,), reads=CLASSES, given={"beta": 2.0}),
    Metric("samples-f-beta", "comptool.metrics.multilabel:sample_f_beta",
        "Mean over images of the F1 score at 0.5, or of another 'beta'.",
        "van Rijsbergen 1979", (MULTILABEL,), reads=CLASSES,
        parameter="beta", takes=("beta",), given={"beta": 1.0}),
    Metric("macro-f-beta", "comptool.metrics.multilabel:macro_f_beta",
        "Mean over classes of the F1 score at 0.5, or of another 'beta'.",
        "van Rijsbergen 1979", (MULTILABEL,), reads=CLASSES,
        parameter="beta", takes=("beta",), given={"beta": 1.0}),
    Metric("micro-f-beta", "comptool.metrics.multilabel:micro_f_beta",
        "F1 score of all cells at 0.5, or that of another 'beta'.",
        "van Rijsbergen 1979", (MULTILABEL,), reads=CLASSES,
        parameter="beta", takes=("beta",), given={"beta": 1.0}),
    Metric("pf1", "comptool.metrics.multilabel:probabilistic_f1",
        "F1 score of the positive class with probabilities for counts.",
        "Yacouby & Axman 2020, doi:10.18653/v1/2020.eval4nlp-1.9", (*ONE_CLASS, MULTILABEL),
        takes=("positive_class",)),
    *_both("logloss",
        "Mean of -log p of the true class. | "
        "Mean binary cross-entropy.",
        "Good 1952", greater_is_better=False),
    Metric("weighted-logloss", "comptool.metrics.multiclass:weighted_logloss",
        "Mean of -log p of the true class by 'class-weights'.",
        "scikit-learn's log_loss", ONE_CLASS, greater_is_better=False,
        takes=("class_weights",), needs=("class_weights",)),
    Metric("weighted-logloss", "comptool.metrics.multilabel:weighted_logloss",
        "Mean binary cross-entropy by 'class-weights'.",
        "RSNA 2019 and 2022", (MULTILABEL,), greater_is_better=False,
        takes=("class_weights", "positive_weight"), needs=("class_weights",)),
    Metric("mae", "comptool.metrics.grades:mae",
        "Mean distance between the true and the answered grade.",
        "Baccianella et al. 2009, doi:10.1109/ISDA.2009.230", (ORDINAL,),
        greater_is_better=False, reads=CLASSES, needs_values=True, by_distance=True),
    Metric("rmse", "comptool.metrics.grades:rmse",
        "Root mean squared distance between the true and the answered grade.",
        "Baccianella et al. 2009, doi:10.1109/ISDA.2009.230", (ORDINAL,),
        greater_is_better=False, reads=CLASSES, needs_values=True, by_distance=True),
    Metric("rmse", "comptool.metrics.numbers:rmse",
        "Root mean squared error.",
        "scikit-learn's root_mean_squared_error", (REGRESSION,),
        greater_is_better=False, reads=NUMBERS),
    Metric("mae", "comptool.metrics.numbers:mae",
        "Mean absolute error.",
        "scikit-learn's mean_absolute_error", (REGRESSION,),
        greater_is_better=False, reads=NUMBERS),
    Metric("r2", "comptool.metrics.numbers:r2",
        "Share of the variance that is explained.",
        "Wright 1921", (REGRESSION,), reads=NUMBERS),
    Metric("spearman", "comptool.metrics.numbers:spearman",
        "Correlation of the ranks.",
        "Spearman 1904, doi:10.2307/1412159", (REGRESSION,), reads=NUMBERS, order_only=True),
)
# fmt: on


def _registry(task: Task) -> Registry[Metric]:
    kind = "multi-label metric" if task.cells else "metric"
    return Registry(kind, *(row for row in ROWS if task.takes(row.tasks)), plugins="metric")


# By task. Metrics of a user's file or a plugin support every task.
METRICS: Mapping[str, Registry[Metric]] = {
    name: _registry(tasks.find(name)) for name in tasks.names()
}


def names() -> list[str]:
    """The names of all metrics; a parameter stands for its values (``map@k``)."""
    return list(dict.fromkeys(row.name for table in METRICS.values() for row in table))


def listing(task: str | None = None) -> list[Metric]:
    """All entries, each with the tasks that exist, and plugins; those of one task by its name."""
    wanted = tasks.names() if task is None else [tasks.find(task).name]
    found = [
        replace(row, tasks=tuple(name for name in wanted if row in [*METRICS[name]]))
        for row in ROWS
    ]
    plugins = METRICS[tasks.DEFAULT_TASK].plugins()
    every = [replace(plugin, tasks=tuple(wanted)) for plugin in plugins]
    return [row for row in (*found, *every) if row.tasks]


def entries(name: str) -> list[Metric]:
    """The entries that a name stands for, each with its tasks; none for a function of a user.

    Examples
    --------
    >>> [(row.name, row.tasks) for row in entries("map@5")]
    [('map@k', ('multiclass', 'multilabel', 'ordinal'))]
    """
    return [row for row in listing() if _split(name, dict([_keyed(row)]))[0] is not None]


def options_in_words(name: str) -> dict[str, str]:
    """Description of the values of each option of a metric; a UsageError for an unknown metric.

    Examples
    --------
    >>> options_in_words("samples-f-beta")
    {'beta': 'a number above 0 (default: 1)'}
    """
    if wrong := wrong_name(name):
        raise UsageError(wrong)
    if _split(name, dict(map(_keyed, ROWS)))[0] is None:
        function = METRICS[tasks.DEFAULT_TASK].load(name)
        from comptool.metrics.user_metric import Signature

        return Signature.of(name, function).in_words()
    found: dict[str, str] = {}
    for table in METRICS.values():
        row, text = _split(name, dict(map(_keyed, table)))
        if row is None:
            continue
        for option in row.takes:
            default = f" (default: {row.given[option]:g})" if option in row.given else ""
            if not (text and option == row.parameter):
                found[option.replace("_", "-")] = OPTIONS[option].words + default
    return found


def wrong_name(name: object) -> str | None:
    """Fault of the name of a metric, or None; executes no file of a user.

    Examples
    --------
    >>> wrong_name("map@5"), wrong_name("map@0")
    (None, "map@0: k is '0'; it has to be a whole number of 1 or more")
    """
    if not isinstance(name, str):
        return f"the name of a metric is a text, not {name!r}"
    if is_user_object(name) or any(
        name == plugin.name for plugin in METRICS[tasks.DEFAULT_TASK].plugins()
    ):
        return None
    every = dict(_keyed(row) for table in METRICS.values() for row in table)
    row, text = _split(name, every)
    try:
        if row is None:
            raise unknown_name("metric", name, names())
        _parameter(name, row, text)
    except UsageError as error:
        return str(error)
    return None


def _keyed(row: Metric) -> tuple[str, Metric]:
    """A row by its name up to the ``@``."""
    base, at, _ = row.name.partition("@")
    return base + at, row


def _split(name: str, rows: Mapping[str, Metric]) -> tuple[Metric | None, str]:
    """The row of a name and the text of its parameter."""
    base, at, text = name.partition("@")
    if not at:
        return rows.get(name), ""
    row = rows.get(base + at) or rows.get(base)
    if row is None or not row.parameter:
        return None, ""
    return row, "" if name == row.name else text


def _parameter(name: str, row: Metric, text: str) -> dict[str, object]:
    """The option that stands in the name."""
    if not text:
        return {}
    value: object = text
    for kind in (int, float):
        try:
            value = kind(text)
            break
        except ValueError:
            continue
    return checked(name, {row.parameter: value}, None)


def find(
    name: str,
    task: Task | str,
    options: Mapping[str, object] | None = None,
    *,
    classes: Sequence[str] | None = None,
    columns: AnswerColumns | None = None,
    positive: str | None = None,
) -> Metric:
    """The metric by name, with its options.

    Parameters
    ----------
    name
        A name of `METRICS`, with a value for a parameter (``map@5``); the name of a plugin; or
        ``FILE.py:function``, whose file is executed.
    task
        The task or its name.
    options
        Values by name, as in ``[metric-options]``.
    classes
        Names of the K classes in class order, as far as they are known.
    columns
        Names of columns, for functions that take tables.
    positive
        The ``positive-class`` of a metric that takes one, unless ``options`` has it.

    Raises
    ------
    UsageError
        If there is no such metric for the task, an option or a parameter is unknown, wrong or
        missing, or does not fit the classes.
    InputError
        If a file cannot be used.
    """
    task = tasks.find(task) if isinstance(task, str) else task
    known = None if classes is None else tuple(classes)
    table = METRICS[task.name]
    row, text = _split(name, dict(map(_keyed, table)))
    if row is None:
        found = _of_user(name, task, table, options or {})
        return replace(found, classes=known, columns=columns or found.columns)
    in_name = _parameter(name, row, text)
    given = {option.replace("-", "_"): value for option, value in (options or {}).items()}
    if positive is not None and "positive_class" in row.takes:
        given.setdefault("positive_class", positive)
    told = [option.replace("_", "-") for option in row.takes]
    refuse_unknown_options(f"the metric '{name}'", [one.replace("_", "-") for one in given], told)
    if twice := in_name.keys() & given.keys():
        raise UsageError(f"{name} says its {twice.pop()}, and an option says it again")
    given = {**row.given, **in_name, **checked(name, given, known)}
    if missing := [option for option in row.needs if option not in given]:
        raise UsageError(_needs(name, row, missing[0]))
    if row.name.endswith(f"@{row.parameter}") and row.parameter:
        name = f"{row.name.partition('@')[0]}@{given[row.parameter]:g}"
    if known is not None:
        check_fit(name, given, len(known))
    return replace(row, name=name, given=given, classes=known)


def _needs(name: str, row: Metric, option: str) -> str:
    if option == row.parameter:
        example = f"{name.partition('@')[0]}@{OPTIONS[option].example}"
        return f"{name} needs {OPTIONS[option].words} for {option}, such as {example}"
    written = option.replace("_", "-")
    return (
        f"{name} needs '{written}': {OPTIONS[option].words}. Give it: "
        f"comptool init --metric {name} --metric-option {written}=VALUE"
    )


def _of_user(
    name: str, task: Task, table: Registry[Metric], options: Mapping[str, object]
) -> Metric:
    """A metric of a file or a package; a UsageError where there is none."""
    try:
        entry = table.find(name)
    except UsageError:
        if wrong_name(name) is None:
            others = [
                one for one, rows in METRICS.items() if _split(name, dict(map(_keyed, rows)))[0]
            ]
            raise UsageError(
                f"the metric '{name}' is for the task {' or '.join(others)}, and the task is "
                f"{task.name}; 'comptool metrics' lists those of each task"
            ) from None
        raise
    from comptool.metrics import user_metric

    function = entry.load()
    options = user_metric.Signature.of(name, function).checked(name, options)
    properties = user_metric.properties(name, function)
    if task.numbers:
        properties["reads"] = NUMBERS
    return replace(entry, tasks=(task.name,), user_options=dict(options), **properties)


def by_shape(name: str, targets: Targets, options: Mapping[str, object] | None = None) -> Metric:
    """The metric by name for targets of this shape and type, where no task is known.

    Floats are numbers, other targets class indices (N,) or cells (N, K).
    """
    return find(name, tasks.of_targets(np.asarray(targets)), options)


def score(
    name: str,
    targets: Targets,
    probabilities: Floats,
    weights: Weights | None = None,
    *,
    pred: Targets | None = None,
    **options: object,
) -> float:
    """Value of the metric by name, for targets whose shape says the task.

    Raises
    ------
    UsageError
        If the metric is unknown; names the nearest.
    InputError
        If there are no rows, or the metric is undefined on them (``auc`` of one class).
    """
    return by_shape(name, targets, options).score(targets, probabilities, weights, pred=pred)
