"""Metrics against scikit-learn, with ties and with classes that do not occur."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn import metrics as oracle

from comptool import metrics
from comptool.errors import InputError, UsageError
from comptool.metrics import curve_areas, multiclass
from comptool.metrics.metric_registry import METRICS, ROWS, by_shape, score


@st.composite
def answers(draw):
    k, n, seed = (draw(st.integers(*span)) for span in [(2, 5), (1, 30), (0, 2**32 - 1)])
    random = np.random.default_rng(seed)
    # A few coarse steps, so that ties are the rule.
    p = random.integers(1, 4, (n, k)) if draw(st.booleans()) else random.random((n, k)) + 1e-6
    return random.integers(0, k, n), p / p.sum(axis=1, keepdims=True)


@settings(max_examples=80, deadline=None)
@given(answers())
def test_decisions_are_graded_as_scikit_learn_grades_them(case):
    targets, p = case
    pred = p.argmax(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert multiclass.accuracy(targets, p) == pytest.approx(
            oracle.accuracy_score(targets, pred)
        )
        assert multiclass.balanced_accuracy(targets, p) == pytest.approx(
            oracle.balanced_accuracy_score(targets, pred)
        )
        assert multiclass.macro_f1(targets, p) == pytest.approx(
            oracle.f1_score(targets, pred, average="macro", zero_division=0)
        )
        expected = oracle.cohen_kappa_score(targets, pred)
    assert multiclass.kappa(targets, p) == pytest.approx(1.0 if np.isnan(expected) else expected)


@settings(max_examples=80, deadline=None)
@given(answers())
def test_probabilities_are_graded_as_scikit_learn_grades_them(case):
    targets, p = case
    labels = list(range(p.shape[1]))
    assert multiclass.logloss(targets, p) == pytest.approx(
        oracle.log_loss(targets, p, labels=labels)
    )
    areas = [
        oracle.roc_auc_score(targets == k, p[:, k])
        for k in labels
        if 0 < (targets == k).sum() < len(targets)
    ]
    assume(areas)
    assert curve_areas.macro_roc_area(targets, p) == pytest.approx(np.mean(areas))


@settings(max_examples=40, deadline=None)
@given(answers(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_of_classes_changes_no_metric(case, random):
    targets, p = case
    # Ties go to the first class, so a permutation of classes may change an answer.
    assume(all(len(np.unique(row)) == len(row) for row in p))
    rows, columns = list(range(len(p))), list(range(p.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    place = np.argsort(columns)
    for row in METRICS["multiclass"]:
        if row.name in ("auc", "weighted-auc", "pauc@tpr", "pf1") and len(set(targets)) == 1:
            continue
        options = options_of(row, p.shape[1])
        metric = by_shape(row.name, targets, options)
        if "positive-class" in options:
            options["positive-class"] = "0"
            metric = metrics.find(row.name, "multiclass", options, classes=names_of(p))
            if not (targets == 0).any():
                continue
        expected = metric.score(targets, p)
        assert metric.score(targets[rows], p[rows]) == pytest.approx(expected)
        moved = metric
        if "positive-class" in options:
            options["positive-class"] = str(place[0])
            moved = metrics.find(row.name, "multiclass", options, classes=names_of(p))
        elif row.takes:
            moved = replace(metric, given=moved_options(metric.given, columns))
        elif row.name in ("linear-kappa", "quadratic-kappa"):
            continue  # the order of grades is part of what they measure
        assert moved.score(place[targets], p[:, columns]) == pytest.approx(expected)


def test_a_sure_and_wrong_answer_costs_a_finite_loss():
    assert 30 < multiclass.logloss(np.array([0]), np.array([[0.0, 1.0]])) < 40


def test_a_decision_replaces_the_most_probable_class_where_it_counts():
    targets, p = np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]])
    decided = np.array([0, 1])
    assert score("accuracy", targets, p) == 0.5
    assert score("accuracy", targets, p, pred=decided) == 1.0
    assert score("logloss", targets, p, pred=decided) == score("logloss", targets, p)


def test_what_is_better_is_said_of_each_metric():
    assert [metric.name for metric in METRICS["multiclass"] if not metric.greater_is_better] == [
        "expected-cost", "logloss", "weighted-logloss"
    ]  # fmt: skip
    targets, p = np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    for row in METRICS["multiclass"]:
        options = {"k": 1} if "k" in row.takes else options_of(row, 2)
        metric = metrics.find(row.name, "multiclass", options, classes=("0", "1"))
        right, wrong = metric.score(targets, p), metric.score(targets, p[:, ::-1])
        assert (right > wrong) == metric.greater_is_better, row.name


def test_an_unknown_metric_gets_the_nearest_names():
    with pytest.raises(UsageError, match="no metric is called 'acuracy'; did you mean 'accuracy'"):
        score("acuracy", np.array([0]), np.array([[1.0, 0.0]]))


def test_what_is_not_defined_is_told():
    with pytest.raises(InputError, match="all of one class"):
        score("auc", np.array([1, 1]), np.array([[0.4, 0.6], [0.3, 0.7]]))
    with pytest.raises(InputError, match="no rows to compute accuracy"):
        score("accuracy", np.array([], int), np.zeros((0, 2)))


def names_of(p):
    return tuple(map(str, range(p.shape[1])))


def options_of(row, num_classes):
    """Options with which the metric is defined for this many classes."""
    values = {
        "k": min(2, num_classes),
        "tpr": 0.4,
        "beta": 0.5,
        "class-weights": [1 + k / 2 for k in range(num_classes)],
        "positive-weight": 2,
        "positive-class": str(num_classes - 1),
        "cost": [
            [0 if i == j else 1 + i + 2 * j for j in range(num_classes)] for i in range(num_classes)
        ],
    }
    return {name: values[name] for name in (one.replace("_", "-") for one in row.takes)}


def moved_options(given, columns):
    """The options of a metric whose classes are in another order."""
    moved = dict(given)
    if "class_weights" in given:
        moved["class_weights"] = [given["class_weights"][c] for c in columns]
    if "cost" in given:
        moved["cost"] = [[given["cost"][i][j] for j in columns] for i in columns]
    return moved


def partial_area(t, score, w, tpr):
    """The published metric of ISIC 2024: scikit-learn's partial area of the flipped problem."""
    limit = 1 - tpr
    scaled = oracle.roc_auc_score(1 - t, -score, max_fpr=limit, sample_weight=w)
    least = limit**2 / 2
    return least + (limit - least) / 0.5 * (scaled - 0.5)


def reciprocal_ranks(targets, p, k):
    order = np.argsort(-p, axis=1, kind="stable")
    return np.array(
        [sum((row[:k] == t) / np.arange(1, k + 1)) for t, row in zip(targets, order, strict=True)]
    )


def weighted_multiclass(name, targets, p, w, given):
    """The metric of weighted rows by scikit-learn; None where it is not defined."""
    pred, classes = p.argmax(axis=1), range(p.shape[1])
    of_one = (targets == p.shape[1] - 1).astype(int), p[:, -1]
    if name in ("auc", "weighted-auc"):
        defined = [k for k in classes if 0 < w[targets == k].sum() < w.sum()]
        areas = [oracle.roc_auc_score(targets == k, p[:, k], sample_weight=w) for k in defined]
        shares = [given["class_weights"][k] for k in defined] if "class_weights" in given else None
        return np.average(areas, weights=shares) if areas else None
    if name in ("pauc@tpr", "pf1"):
        if not 0 < w[of_one[0] == 1].sum() or (name != "pf1" and w[of_one[0] == 0].sum() == 0):
            return None
        if name == "pauc@tpr":
            return partial_area(*of_one, w, given["tpr"])
        right = (w * of_one[0] * of_one[1]).sum()
        precision, recall = right / (w * of_one[1]).sum(), right / (w * of_one[0]).sum()
        return 2 * precision * recall / (precision + recall)
    weigh = {"sample_weight": w}
    top = {"k": given.get("k"), "labels": list(classes)}
    return {
        "accuracy": lambda: oracle.accuracy_score(targets, pred, **weigh),
        "micro-f1": lambda: oracle.f1_score(targets, pred, average="micro", **weigh),
        "accuracy@k": lambda: np.average(reciprocal_ranks(targets, p, top["k"]) > 0, weights=w),
        "recall@k": lambda: np.average(reciprocal_ranks(targets, p, top["k"]) > 0, weights=w),
        "map@k": lambda: np.average(reciprocal_ranks(targets, p, top["k"]), weights=w),
        "balanced-accuracy": lambda: oracle.balanced_accuracy_score(targets, pred, **weigh),
        "macro-f1": lambda: oracle.f1_score(
            targets[w > 0], pred[w > 0], average="macro", zero_division=0, sample_weight=w[w > 0]
        ),
        "kappa": lambda: oracle.cohen_kappa_score(targets, pred, **weigh),
        "linear-kappa": lambda: oracle.cohen_kappa_score(
            targets, pred, weights="linear", labels=list(classes), **weigh
        ),
        "quadratic-kappa": lambda: oracle.cohen_kappa_score(
            targets, pred, weights="quadratic", labels=list(classes), **weigh
        ),
        "expected-cost": lambda: (
            (
                oracle.confusion_matrix(targets, pred, labels=list(classes), **weigh)
                * np.array(given["cost"])
            ).sum()
            / w.sum()
        ),
        "logloss": lambda: oracle.log_loss(targets, p, labels=list(classes), **weigh),
        "weighted-logloss": lambda: oracle.log_loss(
            targets,
            p,
            labels=list(classes),
            sample_weight=w * np.array(given["class_weights"])[targets],
        ),
    }[name]()


def precision_at(targets, p, k):
    """Average precision of a row at k, in a loop; unknown cells are left out of the ranking."""
    known = [c for c in np.argsort(-p, kind="stable") if targets[c] != -1][:k]
    found, total = 0, 0.0
    for place, c in enumerate(known, start=1):
        if targets[c] == 1:
            found += 1
            total += found / place
    return total / min(k, (targets == 1).sum()) if total else 0


def weighted_multilabel(name, targets, p, w, given):
    """The metric of weighted cells by scikit-learn; None where it is not defined."""
    cells = np.broadcast_to(w[:, None], targets.shape)
    known = (targets >= 0) & (cells > 0)
    if name in ("map", "auc", "weighted-auc", "pauc@tpr"):
        needs = {1} if name == "map" else {0, 1}
        by_class = [
            (k, t[there], q[there], w[there])
            for k, (t, q, there) in enumerate(zip(targets.T, p.T, known.T, strict=True))
            if needs <= set(t[there])
        ]
        measure = {
            "map": lambda t, q, v: oracle.average_precision_score(t, q, sample_weight=v),
            "pauc@tpr": lambda t, q, v: partial_area(t, q, v, given["tpr"]),
        }.get(name, lambda t, q, v: oracle.roc_auc_score(t, q, sample_weight=v))
        values = [measure(*rest) for _, *rest in by_class]
        shares = None
        if name == "weighted-auc":
            shares = [given["class_weights"][k] for k, *_ in by_class]
        return np.average(values, weights=shares) if values else None
    if name in ("map@k", "recall@k"):
        counted = targets != -1 if name == "map@k" else targets == 1
        rows = [n for n in range(len(p)) if w[n] and counted[n].any()]
        k = given["k"]
        values = [
            precision_at(targets[n], p[n], k)
            if name == "map@k"
            else sum(targets[n, c] == 1 for c in ranked_known(targets[n], p[n])[:k])
            / (targets[n] == 1).sum()
            for n in rows
        ]
        return np.average(values, weights=w[rows]) if rows else None
    if name == "pf1":
        values = []
        for k in range(p.shape[1]):
            v = w * (targets[:, k] != -1)
            if positives := (v * (targets[:, k] == 1)).sum():
                right = (v * (targets[:, k] == 1) * p[:, k]).sum()
                precision, recall = right / (v * p[:, k]).sum(), right / positives
                values.append(2 * precision * recall / (precision + recall))
        return np.mean(values) if values else None
    if not known.any():
        return None
    flat = targets[known], p[known]
    if name in ("micro-map", "micro-auc"):
        if not {1} <= set(flat[0]) or (name == "micro-auc" and not {0, 1} <= set(flat[0])):
            return None
        measure = {"micro-map": oracle.average_precision_score, "micro-auc": oracle.roc_auc_score}
        return measure[name](*flat, sample_weight=cells[known])
    if name == "logloss":
        return oracle.log_loss(*flat, labels=[0, 1], sample_weight=cells[known])
    if name == "weighted-logloss":
        rows, values = [n for n in range(len(p)) if known[n].any()], []
        for n in rows:
            there = targets[n] != -1
            weigh = np.where(targets[n] == 1, given["positive_weight"], 1) * given["class_weights"]
            values.append(
                oracle.log_loss(
                    targets[n][there], p[n][there], labels=[0, 1], sample_weight=weigh[there]
                )
            )
        return np.average(values, weights=w[rows])
    beta = given.get("beta", 1)
    if name in ("micro-f1", "micro-f-beta"):
        return oracle.fbeta_score(
            flat[0], flat[1] > 0.5, beta=beta, zero_division=0, sample_weight=cells[known]
        )
    answers = (p > 0.5) & (targets >= 0)
    if name in ("macro-f1", "macro-f-beta"):
        present = ((targets == 1) & (cells > 0)).any()
        counted = known.any(axis=0) & present
        values = [
            oracle.fbeta_score(
                targets[:, k] == 1, answers[:, k], beta=beta, zero_division=0, sample_weight=w
            )
            for k in np.flatnonzero(counted)
        ]
        return np.mean(values) if values else None
    assert name in ("f-beta", "samples-f-beta")
    rows = known.any(axis=1)
    return oracle.fbeta_score(
        targets[rows] == 1,
        answers[rows],
        beta=beta,
        average="samples",
        zero_division=0,
        sample_weight=w[rows],
    )


def ranked_known(targets, p):
    return [c for c in np.argsort(-p, kind="stable") if targets[c] != -1]


@settings(max_examples=60, deadline=None)
@given(answers(), st.booleans(), st.booleans(), st.data())
def test_every_metric_of_weighted_rows_is_scikit_learns(case, several, whole, data):
    targets, p = case
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    w = rng.integers(0, 3, len(p)).astype(float) if whole else rng.random(len(p)) + 0.1
    assume(w.any())
    if several:
        targets = rng.choice([-1, 0, 1], p=[0.1, 0.6, 0.3], size=p.shape)
        p = p.clip(1e-6, 1 - 1e-6)
    task, twin = (
        ("multilabel", weighted_multilabel) if several else ("multiclass", weighted_multiclass)
    )
    for row in METRICS[task]:
        options = options_of(row, p.shape[1])
        metric = metrics.find(row.name, task, options, classes=names_of(p))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = twin(row.name, targets, p, w, metric.given)
        if expected is None:
            with pytest.raises(InputError, match="is not defined"):
                metric.score(targets, p, w)
            continue
        expected = 1.0 if np.isnan(expected) else expected
        assert metric.score(targets, p, w) == pytest.approx(expected), row.name
        if whole:
            again = np.repeat(np.arange(len(p)), w.astype(int))
            assert metric.score(targets[again], p[again]) == pytest.approx(expected), row.name


@st.composite
def numbers(draw):
    n, seed = draw(st.integers(3, 30)), draw(st.integers(0, 2**32 - 1))
    targets = draw(st.sampled_from([(), (1,), (3,)]))
    random = np.random.default_rng(seed)
    step = draw(st.sampled_from([1, 4, 1000]))  # coarse steps give ties
    truth, predicted = (np.round(random.normal(size=(n, *targets)) * step) / step for _ in "ab")
    w = random.integers(0, 3, n).astype(float) if draw(st.booleans()) else random.random(n) + 0.1
    return truth, predicted, w


@settings(max_examples=100, deadline=None)
@given(numbers())
def test_numbers_are_graded_as_scikit_learn_and_scipy_grade_them(case):
    truth, predicted, w = case
    kept = w > 0
    assume(kept.any())
    assume(all(len(set(column)) > 1 for column in truth[kept].reshape(kept.sum(), -1).T))
    for name, measure in {
        "rmse": oracle.root_mean_squared_error,
        "mae": oracle.mean_absolute_error,
        "r2": oracle.r2_score,
    }.items():
        expected = measure(truth, predicted, sample_weight=w)
        assert score(name, truth, predicted, w) == pytest.approx(expected), name
    again = np.repeat(np.arange(len(w)), np.where(w % 1, 1, w).astype(int))
    pairs = [x[again].reshape(len(again), -1).T for x in (truth, predicted)]
    expected = np.mean(
        [spearmanr(a, b).statistic if len(set(b)) > 1 else 0 for a, b in zip(*pairs, strict=True)]
    )
    assert score("spearman", truth[again], predicted[again]) == pytest.approx(expected, abs=1e-9)
    if (w % 1 == 0).all():
        assert score("spearman", truth, predicted, w) == pytest.approx(expected, abs=1e-9)


def test_numbers_without_spread_are_told():
    same, other = np.ones(3), np.array([1.0, 2, 3])
    for name in ("r2", "spearman"):
        with pytest.raises(InputError, match=f"{name} is not defined on rows that all have"):
            score(name, same, other)
    assert score("spearman", other, same) == 0
    with pytest.raises(ValueError, match="differ"):
        score("mae", other, np.ones((3, 2)))


@settings(max_examples=60, deadline=None)
@given(answers(), st.sampled_from(["mae", "rmse"]))
def test_grades_are_graded_as_numbers(case, name):
    targets, p = case
    graded = next(row for row in ROWS if row.name == name and row.tasks == ("ordinal",))
    expected = score(name, targets.astype(float), p.argmax(axis=1).astype(float))
    assert graded.score(targets, p) == pytest.approx(expected)
    values = np.arange(p.shape[1]) ** 2 / 2
    expected = score(name, values[targets], values[p.argmax(axis=1)])
    named = metrics.find(name, "ordinal", classes=[str(value) for value in values])
    assert named.score(targets, p) == pytest.approx(expected)


def test_grades_that_are_no_numbers_are_as_far_apart_as_their_places():
    targets, p = np.array([2]), np.array([[0.1, 0.6, 0.3]])
    for classes, distance in (
        (("0", "1", "4"), 3),
        (("none", "1", "4"), 1),
        (("0", "1", "nan"), 1),
    ):
        for name in ("mae", "rmse"):
            assert metrics.find(name, "ordinal", classes=classes).score(targets, p) == distance
    kappas = [
        metrics.find("linear-kappa", "ordinal", classes=classes).score(
            np.array([0, 1, 2]), np.eye(3)[[0, 2, 2]]
        )
        for classes in (("0", "1", "4"), ("a", "b", "c"))
    ]
    assert kappas[0] == kappas[1]


def test_each_metric_is_a_function_of_the_package():
    targets, p = np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]])
    assert metrics.accuracy(targets, p, np.array([1, 3])) == 0.25
    assert metrics.macro_f1(np.eye(2, dtype=int), np.eye(2)) == 1.0
    assert metrics.f_beta(np.eye(2, dtype=int), np.eye(2)) == 1.0
    assert metrics.map_at_k(targets, p, k=2) == 0.75
    assert metrics.rmse(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0
    with pytest.raises(AttributeError, match="no attribute 'accuracies'"):
        metrics.accuracies(targets, p)


def test_a_users_function_is_a_metric_with_and_without_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(
        "import numpy as np\n"
        "def plain(targets, probabilities):\n"
        "    return np.mean(probabilities[np.arange(len(targets)), targets])\n"
        "def weighted(targets, probabilities, weights=None):\n"
        "    return np.average(probabilities[np.arange(len(targets)), targets], weights=weights)\n"
    )
    targets, p = np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]])
    for name in ("own.py:plain", "own.py:weighted"):
        assert score(name, targets, p) == pytest.approx(0.65)
        assert score(name, targets, p, np.array([1.0, 4.0])) == pytest.approx(0.5)
