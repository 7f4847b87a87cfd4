"""The metric that an organiser's text names.

A phrase is looked for in what a page says under "Evaluation", first in the sentences that say how
submissions are evaluated. The first metric is taken. If comptool does not have it (Dice,
Levenshtein), none is, and the others are named with their options.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from comptool import metrics
from comptool.errors import UsageError, quoted

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
STATES = re.compile(
    r"\b(evaluated|scored|judged|ranked|graded|assessed|measured|metric (is|will be)|"
    r"(evaluation|the|our) metric)\b",
    re.IGNORECASE,
)
# Words before a metric that a text denies.
DENIED = re.compile(
    r"\b(not|instead of|rather than|unlike)"
    r"( (be|been|evaluated|scored|judged|ranked|graded|assessed|measured|by|on|with|using|based|in|"
    r"terms|of|the|a|their|your|its|plain|simple|just|overall))*\s*$",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"[.!?]\s|\n")
LINK = re.compile(r"\[([^\]\n]*)\]\([^)\n]*\)")
END = re.compile(r"^#+\W*(submission|prizes?|timeline|data\b|citation|rules)", re.I | re.M)
MAX_SECTION = 1500  # characters

# Of several names, the first that the task has is meant.
# The longest of the phrases that begin first counts.
PHRASES: dict[str, tuple[str, ...]] = {
    r"(weighted )?\bquadratic(ally)?\b[^.\n]{0,30}\bkappa\b|\bQWK\b|"
    r"(weighted )?(cohen'?s )?(weighted )?\bkappa\b[^.\n]{0,40}\bquadratic(ally)?\b": (
        "quadratic-kappa",
    ),
    r"\blinear(ly)?[ -](weighted )?(cohen'?s )?kappa\b|"
    r"(weighted )?(cohen'?s )?(weighted )?\bkappa\b[^.\n]{0,40}\blinear(ly)?\b": (
        "linear-kappa",
    ),
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
    r"(binary )?cross[- ]entropy|\blog[- ]?loss|logarithmic loss|log likelihood loss": (
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
    # A map of tiles is no metric.
    r"(mean )?average precision|\b(?-i:mAP|MAP)\b": ("map",),
    r"root[- ]mean[- ]squared?[- ](error|deviation)|\b(mc?)?rmse\b": ("rmse",),
    r"mean absolute error|\bmae\b": ("mae",),
    r"coefficient of determination|\br\^?2\b(?![- ](bucket|storage|object))|r-squared|r²": ("r2",),
    r"spearman": ("spearman",),
    r"expected cost|cost matrix": ("expected-cost",),
    r"(categori[sz]ation|classification|multi-?class|prediction|top-1|overall|mean|test) accuracy|"
    r"percentage of[^.]{0,40} correct|accuracy (score|of your|of the)|"
    r"(on|by|using|is|the|based on)( their| its| your)? accuracy|classification error": (
        "accuracy",
    ),
}  # fmt: skip
# Metrics that comptool does not have, which keep a later one from being taken for the organiser's.
NOT_SUPPORTED = (
    r"weighted (cohen'?s )?kappa|cohen'?s weighted kappa",
    r"weighted[- ]((averaged?|mean)[- ])?f[- _]?(1|measure|score)\b|"
    r"\bf[- _]?1[- ]?(score)?[ ,(-]*(with )?weighted",
    r"root[- ]mean[- ]squared?[- ](log\w*|error in log)|\brmsle\b",
    r"\b((mean )?average precision[^.]{0,60}(\biou\b|intersection)|modified version of the|"
    r"laplace log|dice|intersection over union|\biou\b|levenshtein|jaccard|kullback|pearson|"
    r"hausdorff|label[- ]ranking|lwlrap|pascal voc|hamming|matthews|crps|bleu|"
    r"concordance|normalized gini|log of the mean absolute)\b",
    r"brier( score| loss)?",
    r"\bmean[- ]squared?[- ](error|deviation|log\w*)|\bmse\b|\bmsle\b",
    r"mean absolute percentage error|\bs?mape\b",
    r"(expected )?calibration error|\bece\b",
    r"(normali[sz]ed )?discounted cumulative gain|\bndcg\b|mean reciprocal rank|\bmrr\b",
    r"(hinge|pinball|quantile|tversky) loss|equal error rate|\beer\b|youden",
    r"cosine similarity|structural similarity|\bssim\b|\bpsnr\b|\bg-mean\b",
)  # fmt: skip


@dataclass(frozen=True)
class Stated:
    """A metric as a text names it."""

    file: str
    phrase: str
    names: tuple[str, ...]  # see `PHRASES`; none of a metric in `NOT_SUPPORTED`
    # other metrics in the text, as phrases with their names
    others: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def metric(self, task: str, options: Mapping[str, object]) -> tuple[str | None, str]:
        """The metric's name for a task, and what is to be said: of it, or why there is none."""
        lacking = ", which comptool does not have for this task"
        for name in self.names:
            try:
                metrics.find(name, task, options)
            except UsageError as error:
                if any(name == row.name for row in metrics.listing(task)):
                    lacking = f": {error}"
            else:
                said = f"metric: {name} ({self.file}: '{self.phrase}')"
                return name, said + self._not_taken(name, task)
        return None, f"{self.file} names '{self.phrase}'{lacking}" + self._not_taken(None, task)

    def _not_taken(self, taken: str | None, task: str) -> str:
        """The other metrics of the task that the text names, and how to take one."""
        rest: dict[str, str] = {}
        for phrase, names in self.others:
            of_task = [name for name in names if _is_of(name, task)]
            if of_task and of_task[0] != taken:
                rest.setdefault(of_task[0], phrase)
        if not rest:
            return ""
        phrases, options = quoted(list(rest.values())), [f"--metric {name}" for name in rest]
        what = f"assumed: {taken}, not {phrases}" if taken else f"it names {phrases} after that"
        return f"; {what}; to take that, {' or '.join(options)}"


def _is_of(name: str, task: str) -> bool:
    """Whether a task has a metric, whatever options it needs."""
    base = name.partition("@")[0]
    return any(base == row.name.partition("@")[0] for row in metrics.listing(task))


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


Named = tuple[str, tuple[str, ...]]


def named_metric(text: str) -> tuple[str, tuple[str, ...], tuple[Named, ...]] | None:
    r"""The phrase by which a text names the metric, its names by task, and other metrics in it.

    Examples
    --------
    >>> named_metric("## Evaluation\nScored by the quadratic weighted kappa.")
    ('quadratic weighted kappa', ('quadratic-kappa',), ())
    >>> named_metric("Submissions are evaluated on MAP@5, not on accuracy.")
    ('MAP@5', ('map@5',), ())
    >>> named_metric("Entries are ranked by log loss; ties by accuracy.")
    ('log loss', ('logloss',), (('by accuracy', ('accuracy',)),))
    """
    text = LINK.sub(r"\1", text).replace("**", "").replace("\xa0", " ")
    heading = SECTION.search(text)
    parts = [text[heading.end() :]] if heading else [one[0] for one in STATED.finditer(text)]
    for part in parts:
        end = END.search(part)
        part = part[: end.start() if end else None][:MAX_SECTION]
        if hits := _hits(part):
            hits.sort(key=lambda one: not _is_stated(part, one[0].start()))
            (phrase, names), *others = (_filled(*one) for one in hits)
            return phrase, names, tuple(one for one in others if one[1] != names)
    return None


def _filled(hit: re.Match[str], names: tuple[str, ...]) -> Named:
    """A phrase, and its names with the number that is in it."""
    number = next((one for one in hit.groupdict().values() if one), "")
    return hit[0], tuple(name.replace("{k}", number) for name in names)


def _hits(text: str) -> list[tuple[re.Match[str], tuple[str, ...]]]:
    """Phrases of a text that do not overlap, in its order, without those that it denies."""
    phrases = [*PHRASES.items(), *((phrase, ()) for phrase in NOT_SUPPORTED)]
    found = [
        (hit, names)
        for phrase, names in phrases
        for hit in re.finditer(phrase, text, re.IGNORECASE)
    ]
    found.sort(key=lambda one: (one[0].start(), -one[0].end()))
    hits, end = [], 0
    for hit, names in found:
        if hit.start() >= end:
            end = hit.end()
            if not DENIED.search(text[: hit.start()]):
                hits.append((hit, names))
    return hits


def _is_stated(text: str, place: int) -> bool:
    """Whether the sentence at a place says how submissions are evaluated."""
    ends = [one.end() for one in SENTENCE_END.finditer(text)]
    cut = bisect(ends, place)
    return bool(STATES.search(text, ([0, *ends])[cut], ([*ends, len(text)])[cut]))
