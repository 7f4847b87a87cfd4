"""Label shift: the class shares of the training rows replaced by those of the test set.

By Bayes' rule, predictions that presume the shares ``a`` become predictions under the shares ``b``
when each class is multiplied by ``b / a`` and rows are normalised. If ``b`` is not known,
M. Saerens, P. Latinne and C. Decaestecker ("Adjusting the Outputs of a Classifier to New a Priori
Probabilities", Neural Computation 14(1), 2002) estimate it from the test probabilities by
expectation maximisation, assuming that only the shares differ between training and test set and
that the probabilities are calibrated.

Logit adjustment (A. K. Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, arXiv
2007.07314, section 4.1) divides by ``a ** tau``; here ``(b / a) ** tau`` if the shares of the test
set are not uniform. Tau is searched on out-of-fold rows: for an overconfident network it differs
from the 1 of Bayes' rule.

The shares of a test set are estimated in two ways. Expectation maximisation is applied to
probabilities that were calibrated by vector scaling on out-of-fold rows (A. Alexandari, A. Kundaje
and A. Shrikumar, "Maximum Likelihood with Bias-Corrected Calibration is Hard-To-Beat at Label Shift
Adaptation", ICML 2020, arXiv 1901.06852). Black-box shift estimation (Z. Lipton, Y.-X. Wang and
A. Smola, "Detecting and Correcting for Label Shift with Black Box Predictors", ICML 2018, arXiv
1802.03916) only needs the answers: ``C w = q`` with the shares C of answer and class among the
out-of-fold rows and q of answers in the test set gives the ratios w of the shares. Their intervals
are those of bootstrap samples of both kinds of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from comptool.errors import UsageError
from comptool.postprocess.calibration.context import (
    Answer,
    Apply,
    CalibrationContext,
    Doubles,
    Floats,
    Indices,
    LabelledRows,
    answered,
    logarithms,
    rows_to_one,
)
from comptool.postprocess.calibration.scaling import best_vector

ITERATIONS = 2000
TOLERANCE = 1e-9
# Bootstrap samples: of maximum likelihood, and of the cheaper black-box estimate.
REPLICATES, BLACK_BOX_REPLICATES = 20, 200
# Rows of either kind in a sample for maximum likelihood; of more evidence the calibration is exact.
MOST_ROWS = 5_000
COARSE = 1e-5
# Classes whose shares are shown, and the share of classes outside of the interval that is too much.
SHOWN, DISAGREE = 6, 0.25
CHANCE = 0.05
TAUS = np.round(np.arange(-1, 3.01, 0.05), 2)


def prior(context: CalibrationContext) -> Apply:
    """Replace the training shares by the target shares, by default estimated from the test set."""
    before = _positive(context.trained_shares())

    def apply(probabilities: Floats) -> Answer:
        if context.target is not None:
            return answered(probabilities * (context.target / before), estimated=False)
        estimate, iterations = estimated_shares(probabilities, before)
        shares = [round(share, 6) for share in estimate.tolist()]
        return answered(
            np.maximum(probabilities * (estimate / before), np.finfo(np.float64).tiny),
            estimated=True,
            shares=shares,
            iterations=iterations,
        )

    return apply


@dataclass(frozen=True)
class ShareEstimate:
    """Class shares of a test set, estimated from its predictions."""

    shares: Doubles  # (K,), all above 0
    replicates: tuple[Doubles, ...]  # the shares of bootstrap samples
    black_box: Doubles  # (K,), a second estimate, with its interval of 95 %
    low: Doubles
    high: Doubles
    shifted: bool = True  # False: no difference beyond chance, and the shares are those before

    def outside(self) -> int:
        """Classes whose share is outside of the interval of the second estimate."""
        return int(((self.shares < self.low) | (self.shares > self.high)).sum())

    def note(self, classes: Sequence[str], before: Doubles) -> str:
        """The shares that differ most from those before, in words, and whether both agree."""
        order = np.argsort(-np.abs(self.shares - before), kind="stable")[:SHOWN]
        parts = [
            f"{classes[c]} {self.shares[c]:.3f} ({self.low[c]:.3f} to {self.high[c]:.3f})"
            for c in order
        ]
        more = len(classes) - len(order)
        text = f"estimated shares (95 % by the answers alone): {', '.join(parts)}"
        text += f" and {more} more" if more else ""
        if not self.shifted:
            text = (
                "the estimated shares do not differ from those of the out-of-fold rows by more "
                "than chance: these are presumed"
            )
        if (far := self.outside()) > DISAGREE * len(classes):
            text += (
                f"; of {far} of {len(classes)} classes they are outside of that interval: more "
                "than the shares may differ, so do not rely on them"
            )
        return text


def estimate_shares(
    probabilities: Floats, evidence: LabelledRows, *, seed: int = 0
) -> ShareEstimate:
    """Estimate the class shares of a test set.

    If no class differs from the evidence by more than the replicates vary (5 % for all classes
    together, Bonferroni), the shares are those of the evidence: a correction by noise would harm.

    Parameters
    ----------
    probabilities
        Of the test set, (N, K).
    evidence
        Out-of-fold rows; each class needs one.
    seed
        Of the bootstrap samples.
    """
    rng = np.random.default_rng(seed)
    test, rows = rows_to_one(probabilities), rows_to_one(evidence.probabilities)
    scales, shifts = best_vector(evidence)
    calibrated = _scaled(test, scales, shifts)
    shares = _above(estimated_shares(calibrated, evidence.shares())[0], len(test))
    answers, own = test.argmax(axis=1), rows.argmax(axis=1)
    replicates = []
    for _ in range(REPLICATES):
        drawn = rng.integers(len(test), size=min(len(test), MOST_ROWS))
        sample, before = calibrated[drawn], evidence.shares()
        if len(rows) <= MOST_ROWS:
            again = evidence.take(_sampled(evidence.targets, rng))
            before = again.shares()
            sample = _scaled(test[drawn], *best_vector(again))
        found = estimated_shares(sample, before, tolerance=COARSE)[0]
        # A sample of fewer rows than there are varies more.
        narrow = np.sqrt(len(drawn) / len(test))
        replicates.append(_above(shares + narrow * (found - shares), len(test)))
    before = evidence.shares()
    spread = np.maximum(np.std(replicates, axis=0), COARSE)
    bound = scipy.stats.norm.ppf(1 - CHANCE / 2 / len(shares))
    shifted = bool((np.abs(shares - before) > bound * spread).any())
    if not shifted:
        replicates = [_above(before + one - shares, len(test)) for one in replicates]
        shares = before
    samples = []
    for _ in range(BLACK_BOX_REPLICATES):
        some, others = rng.integers(len(test), size=len(test)), _sampled(evidence.targets, rng)
        samples.append(
            black_box_shares(answers[some], own[others], evidence.targets[others], rows.shape[1])
        )
    low, high = np.percentile(samples, (2.5, 97.5), axis=0)
    exact = black_box_shares(answers, own, evidence.targets, rows.shape[1])
    return ShareEstimate(shares, tuple(replicates), exact, low, high, shifted)


def black_box_shares(answers: Indices, own: Indices, targets: Indices, num_classes: int) -> Doubles:
    """Class shares, (K,), of a test set with these answers.

    Parameters
    ----------
    answers
        Answered classes of the test set, (N,).
    own, targets
        Answered and true classes of labelled rows, (M,); each class has a row.
    num_classes
        K.

    Examples
    --------
    >>> own, targets = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 1])
    >>> black_box_shares(np.array([0, 0, 1, 1]), own, targets, 2).round(3)
    array([0.333, 0.667])
    """
    joint = np.zeros((num_classes, num_classes))
    np.add.at(joint, (own, targets), 1 / len(targets))
    ratios = np.linalg.lstsq(joint, np.bincount(answers, minlength=num_classes) / len(answers))[0]
    shares = np.maximum(ratios * joint.sum(axis=0), 0)
    return np.asarray(shares / shares.sum() if shares.any() else joint.sum(axis=0))


def _scaled(probabilities: Doubles, scales: Doubles, shifts: Doubles) -> Doubles:
    moved: Doubles = scipy.special.softmax(logarithms(probabilities) * scales + shifts, axis=1)
    return moved


def _sampled(targets: Indices, rng: np.random.Generator) -> Indices:
    """A bootstrap sample of rows within each class, so that no class is lost."""
    parts = [np.flatnonzero(targets == c) for c in np.unique(targets)]
    return np.concatenate([rng.choice(rows, len(rows)) for rows in parts])


def _above(shares: Doubles, num_rows: int) -> Doubles:
    """Shares of at least half a row, which sum to one."""
    least = np.maximum(shares, 0.5 / num_rows)
    return np.asarray(least / least.sum())


def estimated_shares(
    probabilities: Floats, before: Doubles, *, tolerance: float = TOLERANCE
) -> tuple[Doubles, int]:
    """Maximum likelihood class shares of a test set, and the number of iterations."""
    rows = rows_to_one(probabilities)
    shares = before
    for iteration in range(1, ITERATIONS + 1):
        ratio = shares / before
        # Mean of the posteriors without the (N, K) array.
        new = ratio * (rows.T @ (1 / (rows @ ratio))) / len(rows)
        change = np.abs(new - shares).max()
        shares = new
        if change < tolerance:
            return shares, iteration
    return shares, ITERATIONS


def logit_adjust(context: CalibrationContext) -> Apply:
    """Replace the training shares by the target's, or uniform ones, to a power.

    The power is the best on the out-of-fold rows, ties to the one nearest to 0 (no change).
    """
    before = _positive(context.trained_shares())
    ratio = (1 / len(before) if context.target is None else context.target) / before
    rows = context.rows()
    values = [
        context.metric.sign
        * context.metric.score(rows.targets, rows_to_one(rows.probabilities * ratio**tau))
        for tau in TAUS
    ]
    best = np.flatnonzero(np.isclose(values, max(values), rtol=0, atol=1e-12))
    tau = float(TAUS[best[np.abs(TAUS[best]).argmin()]])
    return lambda probabilities: answered(probabilities * ratio**tau, tau=tau)


def _positive(shares: Doubles) -> Doubles:
    if not (shares > 0).all():
        raise UsageError(
            f"{np.count_nonzero(shares <= 0)} classes have no training row, so their shares cannot "
            "be adjusted"
        )
    return shares
