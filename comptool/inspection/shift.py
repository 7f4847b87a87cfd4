"""Does the test set look like the training set? A classifier tries to tell them apart.

Lopez-Paz and Oquab 2017, "Revisiting Classifier Two-Sample Tests", arXiv:1610.06545: the area under
its ROC curve on rows that it has not seen is 0.5 if the sets are alike. It sees what is cheap: size
and statistics of the images, their lowest frequencies, and the columns that both tables have; not
what a network sees. What gives a row away is told by each of these alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import mannwhitneyu

from comptool.competition.findings import TEST, TRAIN
from comptool.competition.likeness import COLUMNS, LIKE_TEST, WEIGHT, effective_rows, importance
from comptool.competition.samples import Samples
from comptool.errors import InputError, UsageError, quoted
from comptool.inspection.image_scan import HASHED, STATISTICS, Images
from comptool.metrics.bootstrap import IntervalEstimate, figures_with_intervals
from comptool.metrics.curve_areas import roc_areas

Floats = npt.NDArray[np.float64]
PARTS = 5  # of the rows, each judged by a classifier of the others
TREES, LEAF = 200, 5
LEAST = 20  # rows of each table
MOST_VALUES = 20  # of a column, beyond which its texts are no categories
RESAMPLES = 500
SHOWN = 5
LEVEL = 0.05  # of the tests of single features, all together
PICTURE, MODE = "picture", "mode="


@dataclass(frozen=True)
class Giveaway:
    """A feature that alone tells the tables apart."""

    name: str
    area: float  # under its ROC curve; below 0.5: lower in the test set
    train: float  # median, or share of a value
    test: float
    p: float  # of Mann and Whitney's test, times the number of features

    def __str__(self) -> str:
        share = "=" in self.name
        one, other = (
            f"{number:.1%}" if share else f"{number:.4g}" for number in (self.train, self.test)
        )
        what = "share" if share else "median"
        return f"{self.name}: {what} {one} in training, {other} in test (AUC alone {self.area:.3f})"


@dataclass(frozen=True)
class Shift:
    """How the test rows differ from the training rows."""

    area: IntervalEstimate  # under the ROC curve of the classifier
    giveaways: tuple[Giveaway, ...]  # the clearest first
    table: pd.DataFrame  # `comptool.competition.likeness.COLUMNS`
    effective: float  # rows with as much evidence, if training rows are weighted
    grouped: str | None  # column whose groups were kept whole
    notes: tuple[str, ...] = ()  # on the groups, one sentence each

    @property
    def found(self) -> bool:
        """Whether the tables differ by more than chance."""
        return self.area.low > 0.5

    def text(self) -> str:
        """The shift in a few lines."""
        says = "can be told from" if self.found else "looks like"
        whole = f"; groups of {self.grouped} whole" if self.grouped else ""
        lines = [f"shift: the test set {says} the training set, AUC {self.area}{whole}"]
        lines += [f"  warning: {note}" for note in self.notes]
        lines += [f"  {one}" for one in self.giveaways[:SHOWN]]
        if len(self.giveaways) > SHOWN:
            lines.append(f"  ... {len(self.giveaways) - SHOWN} more")
        if self.found:
            train = self.table[self.table["table"] == TRAIN]
            test = self.table[self.table["table"] == TEST]
            most = train.nlargest(3, LIKE_TEST)["id"].tolist()
            least = test.nlargest(3, LIKE_TEST)["id"].tolist()
            lines.append(f"  training rows most like the test set: {quoted(most)}")
            lines.append(f"  test rows least like the training set: {quoted(least)}")
            share = self.effective / len(train)
            lines.append(
                f"  weighted to look like the test set, {len(train)} training rows say as much as "
                f"{self.effective:.0f} ({share:.0%})"
            )
        return "\n".join(lines)

    def document(self) -> dict[str, object]:
        """The shift as JSON values."""
        return {
            "auc": self.area.document(),
            "found": self.found,
            "giveaways": [
                {"feature": one.name, "auc": one.area, "train": one.train, "test": one.test,
                 "p": one.p}
                for one in self.giveaways
            ],
            "effective_rows": self.effective,
            "groups": self.grouped,
            "warnings": list(self.notes),
        }  # fmt: skip


def check_tables(tables: Mapping[str, Samples]) -> None:
    """Check that there are two tables of enough rows; raises what `find_shift` does."""
    for name in (TRAIN, TEST):
        if name not in tables:
            raise UsageError(
                f"--shift compares training and test set, and there is no {name} table"
            )
        if len(tables[name]) < LEAST:
            what = f"has {len(tables[name])} rows, and --shift needs {LEAST}"
            raise InputError(what, file=tables[name].source)


def find_shift(tables: Mapping[str, Samples], images: Images | None, seed: int = 0) -> Shift:
    """Compare the tables ``train`` and ``test``.

    Raises
    ------
    UsageError
        If one of the tables is not there, or there is nothing to compare.
    InputError
        If one has fewer than 20 rows.
    """
    check_tables(tables)
    train, test = tables[TRAIN], tables[TEST]
    features = _features(tables, images)
    named = features.drop(
        columns=[name for name in features if str(name).startswith(f"{PICTURE} ")]
    )
    if features.empty:
        raise UsageError(
            "--shift found nothing to compare: no images, and no column of both tables"
        )
    labels = np.repeat([0, 1], [len(train), len(test)])
    unit = train.group or train.bag
    groups, notes = _groups(train, test, unit) if unit else (None, ())
    probability = unseen(features.to_numpy(np.float32), labels, groups, seed)
    table = pd.DataFrame(
        {
            "table": np.where(labels == 0, TRAIN, TEST),
            "id": np.concatenate([_units(one) for one in (train, test)]),
            LIKE_TEST: probability,
        }
    )
    # A bag is as much like the test set as its images are on average.
    table = table.groupby(["table", "id"], sort=False)[LIKE_TEST].mean().round(6).reset_index()
    trained = table["table"] == TRAIN
    weights = importance(table.loc[trained, LIKE_TEST].to_numpy(np.float64), int((~trained).sum()))
    table[WEIGHT] = ""
    table.loc[trained, WEIGHT] = [f"{weight:.6g}" for weight in weights]
    return Shift(
        area(labels, probability, groups, seed),
        _giveaways(named, labels),
        table[list(COLUMNS)],
        effective_rows(weights),
        None if groups is None else unit,
        notes,
    )


def _units(samples: Samples) -> npt.NDArray[np.object_]:
    """The id of each row, or of its bag."""
    return samples.frame[samples.bag or samples.id].to_numpy(object)


def _features(tables: Mapping[str, Samples], images: Images | None) -> pd.DataFrame:
    """What is compared, a row for each of training and then test; missing values are NaN."""
    both = [_of_images(name, tables[name], images) for name in (TRAIN, TEST)]
    found = pd.concat(both, ignore_index=True).astype(np.float64)
    modes = found.columns[found.columns.str.contains(MODE, regex=False)]
    found[modes] = found[modes].fillna(0)  # those that only one of the tables has
    found = pd.concat([found, _of_columns(tables[TRAIN], tables[TEST])], axis=1)
    return found.loc[:, found.nunique(dropna=False) > 1]


def _of_images(name: str, samples: Samples, images: Images | None) -> pd.DataFrame:
    found = pd.DataFrame(index=range(len(samples)))
    if images is None:
        return found
    for column in samples.paths.values():
        own = (images.frame["table"] == name) & (images.frame["column"] == column)
        seen = images.frame[own].set_index("row").sort_index()
        sides = seen["size"].str.extract(r"^(\d+)x(\d+)$").astype(np.float64)
        values = seen[list(STATISTICS)].astype(np.float64)
        values = values.where(seen["problem"] == "")
        values.insert(0, "width", sides[0])
        values.insert(1, "height", sides[1])
        for mode in seen["mode"].unique()[:MOST_VALUES]:
            values[f"{MODE}{mode}"] = (seen["mode"] == mode).astype(np.float64)
        width = round(images.directions.shape[1] ** 0.5)
        places = images.frame.loc[own, "row"].sort_values().index.to_numpy()
        low = images.directions[places]
        low = low.reshape(-1, width, width)[:, :HASHED, :HASHED].reshape(len(seen), -1)
        names = [f"{PICTURE} {column} {number}" for number in range(low.shape[1])]
        values.columns = [f"{column} {one}" for one in values.columns]
        found = found.join(values).join(pd.DataFrame(low, seen.index, names))
    return found


def _of_columns(train: Samples, test: Samples) -> pd.DataFrame:
    """Columns of both tables: numbers as they are, few texts as 0 or 1 for each value."""
    own = {train.id, test.id, *train.paths.values(), *train.labels, *train.numbers, "fold"}
    own.update(filter(None, (train.label, train.group, train.bag, test.bag)))
    found: dict[str, Floats] = {}
    for column in train.frame.columns:
        if column in own or column not in test.frame.columns:
            continue
        texts = pd.concat([train.frame[column], test.frame[column]], ignore_index=True).astype(str)
        blank = texts.str.strip() == ""
        numbers = pd.to_numeric(texts.mask(blank), errors="coerce")
        if (numbers.isna() == blank).all():
            found[column] = numbers.where(np.isfinite(numbers)).to_numpy(np.float64)
        elif texts.nunique() <= MOST_VALUES:
            for value in texts.unique():
                found[f"{column}={value}"] = (texts == value).to_numpy(np.float64)
    return pd.DataFrame(found, index=range(len(train) + len(test)))


def _groups(
    train: Samples, test: Samples, column: str
) -> tuple[npt.NDArray[np.int64] | None, tuple[str, ...]]:
    """The group of each row as a number, or None if groups cannot be whole; what to know of it.

    Blank groups, and the rows of a test table without the column, are groups of their own.
    """
    notes = []
    tables = []
    for samples in (train, test):
        names = samples.frame.get(column, pd.Series("", range(len(samples)))).astype(str)
        alone = names.str.strip() == ""
        own = pd.Series([f"{samples.source}\0{row}" for row in range(len(names))], names.index)
        tables.append(names.where(~alone, own))
    if column not in test.frame:
        notes.append(
            f"{test.source} has no column '{column}': test rows of one group recognise each other, "
            "which raises the AUC"
        )
    if min(one.nunique() for one in tables) < 2:
        few = train if tables[0].nunique() < 2 else test
        notes.append(
            f"all rows of {few.source} are of one '{column}', so that groups cannot be kept whole: "
            "the AUC may be that of the groups"
        )
        return None, tuple(notes)
    return np.asarray(pd.factorize(pd.concat(tables))[0], np.int64), tuple(notes)


def unseen(
    features: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64] | None,
    seed: int,
) -> Floats:
    """The probability that a row is of the test set, by trees that have not seen it; (N,).

    ``features`` are (N, F), NaN where missing; ``labels`` 1 for test and 0 for training rows;
    ``groups`` numbers of those that are seen or judged together.
    """
    # Only here: both imports take two seconds, and most inspections do without.
    ensemble, selection = map(import_module, ("sklearn.ensemble", "sklearn.model_selection"))
    kind = selection.StratifiedKFold if groups is None else selection.StratifiedGroupKFold
    units = np.arange(len(labels)) if groups is None else groups
    least = min(len(np.unique(units[labels == one])) for one in (0, 1))
    folds = kind(min(PARTS, least), shuffle=True, random_state=seed)
    found = np.full(len(labels), np.nan)
    for seen, judged in folds.split(features, labels, groups):
        trees = ensemble.ExtraTreesClassifier(
            TREES, min_samples_leaf=LEAF, max_features="sqrt", n_jobs=-1, random_state=seed
        )
        trees.fit(features[seen], labels[seen])
        places = list(trees.classes_)
        of_test = trees.predict_proba(features[judged])
        # Of one table alone nothing can be learnt.
        found[judged] = of_test[:, places.index(1)] if len(places) == 2 else labels.mean()
    return _scaled(found, labels)


def _scaled(probability: Floats, labels: npt.NDArray[np.int64]) -> Floats:
    """Probabilities on the scale of the labels: means over trees are drawn to the middle.

    Platt 1999, "Probabilistic Outputs for Support Vector Machines": a logistic curve of their
    logits. Where there is nothing to tell it is nearly flat, so that all weights are near 1.
    """
    inside = np.clip(probability, 1e-3, 1 - 1e-3)
    logits = np.log(inside / (1 - inside))[:, None]
    curve = import_module("sklearn.linear_model").LogisticRegression(C=np.inf)
    curve.fit(logits, labels)
    if curve.coef_[0, 0] <= 0:  # worse than guessing, by chance
        return np.full(len(labels), labels.mean())
    return np.asarray(curve.predict_proba(logits)[:, 1])


def area(
    labels: npt.NDArray[np.int64],
    probability: Floats,
    groups: npt.NDArray[np.int64] | None,
    seed: int,
) -> IntervalEstimate:
    """Area under the ROC curve with an interval over rows, or over whole groups."""
    of_row = np.arange(len(labels)) if groups is None else groups
    targets, scores = labels[:, None], probability[:, None]
    return figures_with_intervals(
        lambda counts: roc_areas(targets, scores, counts[of_row]),
        int(of_row.max()) + 1,
        RESAMPLES,
        seed,
    )[0]


def _giveaways(features: pd.DataFrame, labels: npt.NDArray[np.int64]) -> tuple[Giveaway, ...]:
    found = []
    for name in features:
        values = features[name].to_numpy(np.float64)
        train, test = (values[(labels == one) & ~np.isnan(values)] for one in (0, 1))
        if not len(train) or not len(test):
            continue
        test_of = mannwhitneyu(test, train)
        p = min(float(test_of.pvalue) * features.shape[1], 1.0)
        if p < LEVEL:
            area = float(test_of.statistic) / (len(train) * len(test))
            middle = np.mean if "=" in str(name) else np.median
            found.append(Giveaway(str(name), area, float(middle(train)), float(middle(test)), p))
    return tuple(sorted(found, key=lambda one: -abs(one.area - 0.5)))
