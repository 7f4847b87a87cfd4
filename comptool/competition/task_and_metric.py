"""The metric that an organiser's text names, and the task that labels and metric stand for.

A phrase is looked for in what a page says under "Evaluation". What is no metric of comptool (Dice,
Levenshtein) is in the table as well, lest a later sentence be taken for the metric.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from comptool.competition.label_columns import answers_of
from comptool.metrics.metric_registry import METRICS, ORDINAL, REGRESSION

TEXT_NAME = re.compile(
    r"(description|overview|evaluation|metric|readme|competition|about|rules)[^/]*\.(md|txt|rst|html)",
    re.IGNORECASE,
)
TEXT_ORDER = ("evaluation", "metric", "description", "overview")
MAX_TEXT = 1_000_000  # bytes
SECTION = re.compile(
    r"^\W*(evaluation|evaluation metrics?|metrics?|scoring|judging|judging criteria|"
    r"evaluation criteria|leaderboard)\W*$",
    re.IGNORECASE | re.MULTILINE,
)
STATED = re.compile(
    r"[^.\n]*\b(evaluated|scored|judged|ranked|evaluation metric|the metric)\b[^\n]*", re.IGNORECASE
)
LINK = re.compile(r"\[([^\]\n]*)\]\([^)\n]*\)")
END = re.compile(r"^#+\W*(submission|prizes?|timeline|data\b|citation|rules)", re.I | re.M)
MAX_SECTION = 1500  # characters
OF_GRADES = frozenset({"quadratic-kappa", "linear-kappa"})
OF_NUMBERS = frozenset({"rmse", "mae", "r2", "spearman"})

# Of several names, the first that the task has is meant; without one, comptool has no such metric.
# The longest of the phrases that begin first counts.
PHRASES: dict[str, tuple[str, ...]] = {
    r"(quadratic(ally)?[ -]weighted|weighted quadratic) (cohen'?s )?kappa|\bQWK\b": (
        "quadratic-kappa",
    ),
    r"linear(ly)?[ -]weighted (cohen'?s )?kappa": ("linear-kappa",),
    r"(cohen'?s )?kappa( score| coefficient)?": ("kappa",),
    r"(mean )?average precision ?(@|at) ?(the )?(top )?(?P<k>\d+)": ("map@{k}",),
    r"\bmap ?@ ?(?P<k>\d+)": ("map@{k}",),
    r"recall ?(@|at) ?(?P<k>\d+)": ("recall@{k}",),
    r"\btop[- ]1\b[^.]{0,30}(accuracy|error)": ("accuracy",),
    r"\btop[- ](?P<k>\d+)\b[^.]{0,30}(accuracy|error)|accuracy ?@ ?(?P<j>\d+)": ("accuracy@{k}",),
    r"partial (area under|auc|roc)|\bpauc\b": ("pauc@0.8",),
    r"weighted (auc|area under)": ("weighted-auc",),
    r"area under the (receiver|roc)|\broc[- ]?auc\b|\bauc\b|\bauroc\b|roc area": ("auc",),
    r"weighted[\w -]{0,20}(log[- ]?loss|logarithmic loss)": ("weighted-logloss",),
    r"(binary )?cross[- ]entropy|log[- ]?loss|logarithmic loss|log likelihood loss": (
        "logloss",
    ),
    r"probabilistic f[- _]?(1|score)|\bpf1\b": ("pf1",),
    r"(macro[- ]?(averaged?)?[- ]?f[- ]?(1|measure|score))|f1[- ]?(score)?[ ,(-]*macro": (
        "macro-f1",
    ),
    # One class per image: every false positive is another row's false negative.
    r"micro[- ]?(averaged?)?[- ]?(\[)?f[- _]?(1|measure|score)|f1[- ]?(score)?[ ,(-]*micro": (
        "micro-f1", "accuracy",
    ),
    r"mean ?f[- _]?1?[- ]?score|mean f1|sample[- ]wise f[- _]?1|example[- ]based f[- _]?1": (
        "samples-f-beta@1", "accuracy",
    ),
    r"\bf_?2\b|f2[- ]score": ("f-beta",),
    r"\bf[- _]?1[- ]?(score|measure)?|\bf[- ]?(score|measure)": ("macro-f1",),
    r"balanced (multi-?class )?accuracy|mean (per[- ]class|class-?wise) (accuracy|recall)|"
    r"macro[- ]averaged recall": ("balanced-accuracy",),
    r"(mean )?average precision|\bmap\b": ("map",),
    r"root[- ]mean[- ]squared?[- ](log\w*|error in log)|\brmsle\b": (),
    r"root[- ]mean[- ]squared?[- ](error|deviation)|\bmc?rmse\b": ("rmse",),
    r"mean absolute error|\bmae\b": ("mae",),
    r"coefficient of determination|\br2 score|\br\^?2\b|r-squared|r²": ("r2",),
    r"spearman": ("spearman",),
    r"expected cost|cost matrix": ("expected-cost",),
    r"(categori[sz]ation|classification|multi-?class|prediction|top-1|overall|mean|test) accuracy|"
    r"percentage of[^.]{0,40} correct|accuracy (score|of your|of the)|"
    r"(on|by|using|is|the|based on)( their| its| your)? accuracy|classification error": (
        "accuracy",
    ),
    r"average precision[^.]{0,60}(\biou\b|intersection)|modified version of the|"
    r"laplace log|dice|intersection over union|\biou\b|levenshtein|jaccard|kullback|pearson|"
    r"hausdorff|label[- ]ranking|lwlrap|pascal voc|hamming|matthews|crps|bleu|"
    r"concordance|normalized gini|log of the mean absolute": (),
}  # fmt: skip


@dataclass(frozen=True)
class Stated:
    """What a text says of the metric."""

    file: str
    phrase: str
    names: tuple[str, ...]  # see `PHRASES`

    def metric(self, task: str) -> str | None:
        """The metric's name for a task, or None if comptool has none."""
        known = {name.partition("@")[0] for name in METRICS[task].names}
        return next((name for name in self.names if name.partition("@")[0] in known), None)


def stated_metric(folder: Path, files: Sequence[str]) -> Stated | None:
    """The metric that a text of the organiser names, or None."""
    texts = [name for name in files if TEXT_NAME.fullmatch(name)]
    texts.sort(key=lambda name: (_place(name), name))
    for name in texts:
        path = folder / name
        if path.stat().st_size > MAX_TEXT:
            continue
        found = named_metric(path.read_text(encoding="utf-8", errors="replace"))
        if found is not None:
            return Stated(name, *found)
    return None


def _place(name: str) -> int:
    words = [place for place, word in enumerate(TEXT_ORDER) if word in name.lower()]
    return min(words, default=len(TEXT_ORDER))


def named_metric(text: str) -> tuple[str, tuple[str, ...]] | None:
    r"""The phrase by which a text names the metric, and the names of the metric by task.

    Examples
    --------
    >>> named_metric("## Evaluation\nScored by the quadratic weighted kappa.")
    ('quadratic weighted kappa', ('quadratic-kappa',))
    >>> named_metric("Submissions are evaluated on MAP@5, not on accuracy.")
    ('MAP@5', ('map@5',))
    """
    text = LINK.sub(r"\1", text).replace("**", "").replace("\xa0", " ")
    heading = SECTION.search(text)
    parts = [text[heading.end() :]] if heading else [one[0] for one in STATED.finditer(text)]
    for part in parts:
        end = END.search(part)
        part = part[: end.start() if end else None][:MAX_SECTION]
        hits = [
            (hit.start(), -len(hit[0]), hit, names)
            for phrase, names in PHRASES.items()
            for hit in [re.search(phrase, part, re.IGNORECASE)]
            if hit
        ]
        if hits:
            *_, hit, names = min(hits, key=lambda one: one[:2])
            number = next((one for one in hit.groupdict().values() if one), "")
            return hit[0], tuple(name.replace("{k}", number) for name in names)
    return None


def task_by_values(labels: Sequence[str], metric: str | None, sample: pd.DataFrame | None) -> str:
    """``ordinal`` or ``regression`` if a column of labels and the metric stand for it, else blank.

    Numbers with a fraction are no classes. Whole numbers are grades or numbers if the metric is one
    of grades or numbers, and numbers if the sample submission answers them with fractions beyond 1.

    Examples
    --------
    >>> task_by_values(["0", "2", "1"], "quadratic-kappa", None)
    'ordinal'
    >>> task_by_values(["3", "17", "1"], "rmse", None), task_by_values(["0", "1"], "auc", None)
    ('regression', '')
    """
    values = pd.to_numeric(pd.Series(list(labels), dtype=object), errors="coerce")
    if values.isna().any() or values.empty:
        return ""
    whole = (values % 1 == 0).all()
    if metric in OF_GRADES and whole:
        return ORDINAL
    if metric in OF_NUMBERS:
        return REGRESSION
    if not whole:
        return REGRESSION
    return REGRESSION if metric is None and _answers_fractions(sample) else ""


def _answers_fractions(sample: pd.DataFrame | None) -> bool:
    """Whether a sample submission has one column of numbers, some with a fraction and beyond 1."""
    answers = answers_of(sample)
    if sample is None or len(answers) != 1:
        return False
    values = pd.to_numeric(sample[answers[0]], errors="coerce")
    return bool(values.notna().all() and (values % 1 != 0).any() and (values.abs() > 1).any())


def asks_for_ranking(sample: pd.DataFrame | None, labels: Sequence[str]) -> int:
    """How many classes, best first, a sample submission lists in a cell; 0 if it does not."""
    answers = answers_of(sample)
    if sample is None or len(answers) != 1:
        return 0
    cells = [cell.split() for cell in sample[answers[0]]]
    lengths = {len(cell) for cell in cells}
    known = set(labels)
    number = lengths.pop() if len(lengths) == 1 else 0
    return number if number > 1 and any(known.issuperset(cell) for cell in cells) else 0


def asks_for_one_probability(sample: pd.DataFrame) -> bool:
    """Whether a sample submission has one column, of numbers with a decimal point."""
    answers = answers_of(sample)
    return len(answers) == 1 and bool(sample[answers[0]].str.fullmatch(r"[01]?\.\d+").all())
