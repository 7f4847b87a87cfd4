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
"""

from __future__ import annotations

import numpy as np

from comptool.errors import UsageError
from comptool.postprocess.calibration.context import (
    Answer,
    Apply,
    CalibrationContext,
    Doubles,
    Floats,
    answered,
    rows_to_one,
)

ITERATIONS = 2000
TOLERANCE = 1e-9
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


def estimated_shares(probabilities: Floats, before: Doubles) -> tuple[Doubles, int]:
    """Maximum likelihood class shares of a test set, and the number of iterations."""
    rows = rows_to_one(probabilities)
    shares = before
    for iteration in range(1, ITERATIONS + 1):
        ratio = shares / before
        # Mean of the posteriors without the (N, K) array.
        new = ratio * (rows.T @ (1 / (rows @ ratio))) / len(rows)
        change = np.abs(new - shares).max()
        shares = new
        if change < TOLERANCE:
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
