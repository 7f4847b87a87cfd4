"""``comptool probe``: classes learnt from frozen features, out of fold, in seconds.

Each validation fold has a classifier of the other rows. Its strength (regularisation, neighbours,
sharpness) has the least log loss on a third of these, which are never validation rows; then it is
fitted to all of them. So the out-of-fold rows have seen neither their labels nor a choice made with
them. The test set gets the mean of the folds' classifiers.

The methods are scikit-learn's logistic regression, discriminant analysis (Ledoit and Wolf 2004,
doi:10.1016/S0047-259X(03)00096-4, on shrinkage) and neighbours by cosine; and the nearest mean of
a class by cosine (Snell et al. 2017, arXiv:1703.05175, section 2.3, on frozen features).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from comptool.competition.config import load
from comptool.competition.samples import Samples, test_samples
from comptool.errors import InputError, UsageError
from comptool.io import provenance
from comptool.io.atomic import refuse_existing, together
from comptool.io.predictions import Predictions, read_predictions, write_predictions
from comptool.io.provenance import EmbeddingFacts, PredictionFacts
from comptool.io.tables import read_table
from comptool.metrics import Metric
from comptool.options import EMBEDDINGS, FOLDS
from comptool.postprocess.oof import rows_path, write_rows
from comptool.tasks.labels import PRESENT, UNKNOWN
from comptool.training.config import ProbeConfig, TrainSettings
from comptool.training.data import Rows, read_rows

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.int64]
# Probabilities (N, K) of rows of features.
Classifier = Callable[[Floats], Floats]

INNER = 3  # parts of the training rows of a fold, one of which chooses the strength
ITERATIONS, TOLERANCE = 500, 1e-3
LEAST = 1e-6  # probability in the log loss of the choice


def linear(
    features: Floats, targets: Indices, num_classes: int, strengths: Sequence[float]
) -> Iterator[Classifier]:
    """Logistic regressions of features (N, F), class indices (N,), with inverse penalties C."""
    model = LogisticRegression(max_iter=ITERATIONS, tol=TOLERANCE, warm_start=True)
    for strength in strengths:
        model.set_params(C=strength)
        with warnings.catch_warnings():
            # A weak penalty may not converge; the inner rows judge it as it is.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features, targets)
        # Copies, since the next fit continues from these weights.
        weights, bias = model.coef_.copy(), model.intercept_.copy()
        yield _linear(weights, bias, model.classes_.copy(), num_classes)


def _linear(weights: Floats, bias: Floats, seen: Indices, num_classes: int) -> Classifier:
    def probabilities(features: Floats) -> Floats:
        logits = features @ weights.T + bias
        if logits.shape[1] == 1:  # of two classes, the second one's
            logits = np.hstack([np.zeros_like(logits), logits])
        return _widened(_softmax(logits), seen, num_classes)

    return probabilities


def lda(
    features: Floats, targets: Indices, num_classes: int, strengths: Sequence[float]
) -> Iterator[Classifier]:
    """Discriminant analyses whose covariance is shrunk by these shares, 0 to 1."""
    for strength in strengths:
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=strength)
        model.fit(features, targets)
        weights, bias = model.coef_.astype(np.float32), model.intercept_.astype(np.float32)
        yield _linear(weights, bias, model.classes_, num_classes)


def knn(
    features: Floats, targets: Indices, num_classes: int, strengths: Sequence[float]
) -> Iterator[Classifier]:
    """Votes of the nearest rows by cosine; one more vote is shared by all classes."""
    most = min(int(max(strengths)), len(targets))
    model = NearestNeighbors(n_neighbors=most, metric="cosine").fit(features)
    for strength in strengths:
        yield _voting(model, targets, num_classes, min(int(strength), most))


def _voting(
    model: NearestNeighbors, targets: Indices, num_classes: int, neighbours: int
) -> Classifier:
    def probabilities(features: Floats) -> Floats:
        found = model.kneighbors(features, neighbours, return_distance=False)
        votes = np.eye(num_classes, dtype=np.float32)[targets[found]].sum(axis=1)
        shares = (votes + 1 / num_classes) / (neighbours + 1)
        return np.asarray(shares, np.float32)

    return probabilities


def prototype(
    features: Floats, targets: Indices, num_classes: int, strengths: Sequence[float]
) -> Iterator[Classifier]:
    """Softmax of the cosines to the mean of each class, times these factors."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.maximum(lengths, np.finfo(np.float32).tiny)
    seen = np.unique(targets)
    means = np.stack([unit[targets == one].mean(axis=0) for one in seen])
    for strength in strengths:
        yield _nearest(means, seen, num_classes, strength)


def _nearest(means: Floats, seen: Indices, num_classes: int, strength: float) -> Classifier:
    def probabilities(features: Floats) -> Floats:
        cosines = np.float32(strength) * cosine_similarity(features, means)
        return _widened(_softmax(cosines), seen, num_classes)

    return probabilities


Method = Callable[[Floats, Indices, int, Sequence[float]], Iterator[Classifier]]
# Strengths from the strictest on.
METHODS: dict[str, tuple[Method, tuple[float, ...]]] = {
    "linear": (linear, (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0)),
    "knn": (knn, (40, 20, 10, 5, 3, 1)),
    "prototype": (prototype, (3, 10, 20, 40, 80)),
    "lda": (lda, (0.9, 0.5, 0.2, 0.05, 0.01)),
}


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _widened(found: Floats, seen: Indices, num_classes: int) -> Floats:
    """Probabilities of all classes from those that the training rows have."""
    if len(seen) == num_classes:
        return found
    whole = np.zeros((len(found), num_classes), np.float32)
    whole[:, seen] = found
    return whole


def _constant(targets: Indices, num_classes: int) -> Classifier:
    shares = np.bincount(targets, minlength=num_classes) / len(targets)
    return lambda features: np.tile(shares.astype(np.float32), (len(features), 1))


def fit(
    method: str,
    features: Floats,
    targets: Indices,
    num_classes: int,
    groups: npt.NDArray[np.object_] | None = None,
    seed: int = 0,
) -> tuple[Classifier, float]:
    """Choose the strength on a third of the rows, and fit to all; also returns the strength.

    Parameters
    ----------
    method
        One of `METHODS`.
    features, targets
        Of N rows: (N, F) and class indices (N,).
    groups
        Names of groups that are not torn by the choice, (N,); None without groups.
    """
    start, strengths = METHODS[method]
    if len(np.unique(targets)) < 2:
        return _constant(targets, num_classes), float("nan")
    inner = _inner(targets, groups, seed)
    best = strengths[len(strengths) // 2]
    if inner is not None:
        seen, held = inner
        least = np.inf
        path = start(features[seen], targets[seen], num_classes, strengths)
        for strength, classifier in zip(strengths, path, strict=True):
            loss = _log_loss(classifier(features[held]), targets[held])
            if loss >= least:  # along the path it falls, and then rises
                break
            least, best = loss, strength
    (classifier,) = start(features, targets, num_classes, [best])
    return classifier, float(best)


def _inner(
    targets: Indices, groups: npt.NDArray[np.object_] | None, seed: int
) -> tuple[Indices, Indices] | None:
    """Rows that are fitted to and rows that judge, or None if there are too few of them."""
    units = len(targets) if groups is None else len(np.unique(groups))
    if units < INNER:
        return None
    enough = np.bincount(targets)[np.unique(targets)].min() >= INNER
    kinds = (StratifiedKFold, KFold) if groups is None else (StratifiedGroupKFold, GroupKFold)
    folds = kinds[0 if enough else 1](INNER, shuffle=True, random_state=seed)
    seen, held = next(iter(folds.split(np.zeros(len(targets)), targets, groups)))
    return (seen, held) if len(np.unique(targets[seen])) > 1 and len(held) else None


def _log_loss(probabilities: Floats, targets: Indices) -> float:
    chosen = probabilities[np.arange(len(targets)), targets]
    return float(-np.log(np.maximum(chosen, LEAST)).mean())


@dataclass(frozen=True)
class ProbePlan:
    """Plan of `probe`."""

    rows: Rows
    task_metric: Metric
    features: Floats  # of the training rows, (N, F)
    test: Predictions | None  # the test rows with their features, joined
    sources: tuple[Path, ...]  # files of features, those of the test set included
    groups: npt.NDArray[np.object_] | None
    train_columns: pd.DataFrame  # the columns beside the features
    test_columns: pd.DataFrame | None
    id_column: str

    def __str__(self) -> str:
        tested = "no test set" if self.test is None else f"{len(self.test)} test rows"
        return "\n".join(
            [
                *self.rows.notes,
                f"{self.features.shape[1]} features of {len(self.features)} rows and {tested}",
            ]
        )


def plan_probe(config: ProbeConfig) -> ProbePlan:
    """Read features, labels and columns, and match them by id.

    Raises
    ------
    UsageError
        If the task has no classes, or an option has no meaning.
    InputError
        If a file cannot be used, or lacks a row.
    OutputExistsError
        If an output exists and may not be replaced.
    """
    kinds = config.kinds
    for path in (config.output, rows_path(config.output)):
        refuse_existing(path, config.force)
    competition = load(config.competition)
    if competition.kind.numbers:
        raise UsageError(f"a probe learns classes, and the task is {competition.kind}")
    if competition.bag is not None:
        raise UsageError("a probe answers image by image, and here several images have one answer")
    if competition.kind.cells and config.method != "linear":
        raise UsageError(
            f"--method {config.method} is for one class per image; take --method linear"
        )
    folds = FOLDS if config.folds is None and FOLDS.is_file() else config.folds
    # No image is read, so none is missed.
    settings = TrainSettings(model="resnet34", missing_modality="zero", seed=config.seed)
    rows = read_rows(competition, settings, folds, None)
    ids = rows.ids(np.arange(len(rows.labels)))
    paths = tuple(dict.fromkeys(config.features)) or (EMBEDDINGS,)
    tables = [read_predictions(path, numbers=True) for path in paths]
    features = np.hstack([_of(ids, table, path) for table, path in zip(tables, paths, strict=True)])
    beside = [_test_file(path) for path in paths]
    lacking = [path for path, other in zip(paths, beside, strict=True) if other is None]
    if lacking and len(lacking) < len(paths):
        raise InputError(
            "has no features of the test set beside it, and others have",
            file=lacking[0],
            mend="Compute them: comptool embed",
        )
    tested = [path for path in beside if path is not None]
    test = _joined(tested) if tested else None
    own = read_table(rows.samples.source)
    frame = own.set_index(rows.samples.id).loc[ids].reset_index()
    group = rows.samples.group
    asked: Samples | None = None
    if kinds and test is not None:
        asked = test_samples(competition)
    return ProbePlan(
        rows,
        competition.find_metric(config.metric, classes=rows.classes),
        features,
        test,
        (*paths, *tested),
        None if group is None else _groups(frame, group, ids),
        _columns(frame, kinds, rows.samples.source),
        None if asked is None or test is None else _test_columns(asked, test, kinds),
        rows.samples.id,
    )


def _groups(frame: pd.DataFrame, column: str, ids: Sequence[str]) -> npt.NDArray[np.object_] | None:
    """The group of each row; a row whose group is blank is its own."""
    if column not in frame:
        return None
    names = frame[column].astype(str).to_numpy(object)
    blank = np.array([not name.strip() for name in names])
    return np.where(blank, np.array([f"\0{one}" for one in ids], object), names)


def _of(ids: Sequence[str], table: Predictions, path: Path) -> Floats:
    """The features of these ids in their order."""
    places = pd.Index(table.ids.astype(str)).get_indexer(pd.Index(ids))
    missing = [name for name, place in zip(ids, places, strict=True) if place < 0]
    if missing:
        raise InputError(
            f"lacks the features of {len(missing)} of {len(ids)} rows",
            file=path,
            values=missing[:3],
            mend="Compute them again: comptool embed --force",
        )
    return np.asarray(table.probabilities[places], np.float32)


def _test_file(path: Path) -> Path | None:
    """The features of the test set: as recorded, or NAME_test beside the file."""
    named = provenance.facts(path, EmbeddingFacts).test
    beside = path.with_name(f"{path.stem}_test{path.suffix}") if named is None else Path(named)
    if beside.is_file():
        return beside
    if named is not None:
        raise InputError(
            "the features of the test set that are recorded with it are not there",
            file=path,
            values=[named],
            mend="Compute them again: comptool embed --force",
        )
    return None


def _joined(paths: Sequence[Path]) -> Predictions:
    first, *others = (read_predictions(path, numbers=True) for path in paths)
    ids = first.ids.astype(str).tolist()
    parts = [first.probabilities]
    parts += [_of(ids, table, path) for table, path in zip(others, paths[1:], strict=True)]
    return replace(first, probabilities=np.asarray(np.hstack(parts), np.float32))


def _columns(frame: pd.DataFrame, kinds: Mapping[str, str], source: Path) -> pd.DataFrame:
    """The columns as numbers, NaN where blank, and texts."""
    found = {}
    for name, kind in kinds.items():
        if name not in frame:
            raise InputError(
                f"has no column '{name}' (--columns)", file=source, values=list(frame.columns)
            )
        texts = frame[name].astype(str).str.strip()
        if kind == "cat":
            found[name] = texts
            continue
        numbers = pd.to_numeric(texts.mask(texts == ""), errors="coerce")
        wrong = (numbers.isna() & (texts != "")) | np.isinf(numbers)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise InputError(
                "is not a number",
                file=source,
                row=row + 1,
                column=name,
                values=texts[wrong].tolist()[:3],
                mend=f"Take it as text: --columns {name}:cat",
            )
        found[name] = numbers
    return pd.DataFrame(found, index=frame.index)


def _test_columns(asked: Samples, test: Predictions, kinds: Mapping[str, str]) -> pd.DataFrame:
    frame = asked.frame.set_index(asked.id)
    missing = [str(one) for one in test.ids if one not in frame.index]
    if missing:
        raise InputError(
            "lacks rows that there are features of", file=asked.source, values=missing[:3]
        )
    return _columns(frame.loc[list(test.ids)].reset_index(), kinds, asked.source)


class Inputs:
    """Features and columns as a classifier takes them, scaled by its training rows.

    A number has its median where it is blank, and a second column says so; a text has a column for
    each value of the training rows.
    """

    def __init__(self, features: Floats, columns: pd.DataFrame) -> None:
        self._middle: dict[str, float] = {}
        self._values: dict[str, list[str]] = {}
        for name in columns:
            if columns[name].dtype.kind == "f":
                middle = columns[name].median()
                self._middle[str(name)] = 0.0 if np.isnan(middle) else float(middle)
            else:
                self._values[str(name)] = sorted(columns[name].unique())
        self._scaler = StandardScaler().fit(self._joined(features, columns))

    def __call__(self, features: Floats, columns: pd.DataFrame) -> Floats:
        """The inputs (N, G), float32."""
        return np.asarray(self._scaler.transform(self._joined(features, columns)), np.float32)

    def _joined(self, features: Floats, columns: pd.DataFrame) -> Floats:
        parts: list[npt.NDArray[np.floating]] = [features]
        for name, middle in self._middle.items():
            numbers = columns[name].to_numpy(np.float64)
            parts += [np.where(np.isnan(numbers), middle, numbers)[:, None]]
            parts += [np.isnan(numbers)[:, None].astype(np.float64)]
        for name, values in self._values.items():
            texts = columns[name].to_numpy(object)
            parts += [(texts[:, None] == np.array(values, object)[None, :]).astype(np.float64)]
        return np.asarray(np.hstack(parts), np.float32)


@dataclass(frozen=True)
class Probed:
    """What a probe found."""

    score: float
    metric: str
    num_rows: int
    strengths: tuple[float, ...]  # of each classifier
    outputs: tuple[Path, ...]

    def __str__(self) -> str:
        spelled = ", ".join(f"{one:g}" for one in self.strengths)
        rows = f"{self.num_rows} out-of-fold rows"
        return f"{self.metric} {self.score:.4f} on {rows}; strength {spelled}"


def probe(plan: ProbePlan, config: ProbeConfig, arguments: Mapping[str, object]) -> Probed:
    """Learn each fold's classifier and write predictions and out-of-fold rows, both or neither.

    Raises an InputError if no row has a fold to validate on.
    """
    rows, num_classes = plan.rows, len(plan.rows.classes)
    if not rows.folds:
        raise InputError("no row has a fold to validate on", file=rows.samples.source)
    held_out = np.flatnonzero(rows.fold >= 0)
    found = np.zeros((len(rows.labels), num_classes), np.float32)
    tested: list[Floats] = []
    strengths: list[float] = []
    for fold in rows.folds:
        train, valid = np.flatnonzero(rows.fold != fold), np.flatnonzero(rows.fold == fold)
        inputs = Inputs(plan.features[train], plan.train_columns.iloc[train])
        classify, chosen = _learn(plan, config, train, inputs)
        strengths += chosen
        found[valid] = classify(inputs(plan.features[valid], plan.train_columns.iloc[valid]))
        if plan.test is not None:
            columns = plan.test_columns
            if columns is None:
                columns = pd.DataFrame(index=range(len(plan.test)))
            tested.append(classify(inputs(plan.test.probabilities, columns)))
    score = plan.task_metric.score(rows.labels[held_out], found[held_out])
    held = Predictions(
        np.array(rows.ids(held_out), object),
        rows.classes,
        found[held_out],
        fold=rows.fold[held_out],
        id_column=plan.id_column,
    )
    facts = PredictionFacts(
        task=rows.task.name,
        classes=list(rows.classes),
        metric=plan.task_metric.name,
        class_counts=rows.class_counts,
        out_of_fold=str(rows_path(config.output)),
    )
    sources = [*rows.inputs, *plan.sources]
    outputs = [rows_path(config.output)]
    with together():
        write_rows(
            config.output, held, command="probe", inputs=sources,
            facts=replace(facts, out_of_fold=None), force=config.force,
        )  # fmt: skip
        if plan.test is not None:
            answers = np.asarray(np.mean(tested, axis=0, dtype=np.float64), np.float32)
            predictions = replace(plan.test, classes=rows.classes, probabilities=answers)
            write_predictions(config.output, predictions, force=config.force)
            provenance.record(
                config.output, command="probe", arguments=arguments, inputs=sources, facts=facts
            )
            outputs.insert(0, config.output)
    return Probed(score, plan.task_metric.name, len(held_out), tuple(strengths), tuple(outputs))


def _learn(
    plan: ProbePlan, config: ProbeConfig, train: Indices, inputs: Inputs
) -> tuple[Classifier, list[float]]:
    """The classifier of some rows and its strength; one of each class where cells are labels."""
    labels = plan.rows.labels[train]
    features = inputs(plan.features[train], plan.train_columns.iloc[train])
    groups = None if plan.groups is None else plan.groups[train]
    if not plan.rows.task.cells:
        classify, strength = fit(
            config.method, features, labels, len(plan.rows.classes), groups, config.seed
        )
        return classify, [strength]
    columns, strengths = [], []
    for number in range(labels.shape[1]):
        known = np.flatnonzero(labels[:, number] != UNKNOWN)
        if not len(known):
            raise InputError(
                "no training row of a fold has an annotated cell of this class",
                file=plan.rows.samples.source,
                values=[plan.rows.classes[number]],
            )
        present = (labels[known, number] == PRESENT).astype(np.int64)
        own = None if groups is None else groups[known]
        classify, strength = fit(config.method, features[known], present, 2, own, config.seed)
        columns.append(classify)
        strengths.append(strength)
    return lambda rows: np.stack([one(rows)[:, 1] for one in columns], axis=1), strengths
