"""Classification with alternating normalisation (CAN): uncertain rows against a class prior.

Source: M. Jia, A. Reiter, S.-N. Lim, Y. Artzi, C. Cardie, "When in Doubt: Improving Classification
Performance with Alternating Normalization", Findings of EMNLP 2021, arXiv 2109.13449. Two details
are from the authors' code: the power is applied in every iteration, and without a confident row the
identity matrix replaces the confident rows.

A row is uncertain if the entropy of its k largest probabilities, rescaled to sum to one and with
base k, reaches the threshold. Each uncertain row b is stacked below the confident rows A; in each
iteration L = [A; b] is raised to the power alpha, its columns are divided by their sums and
multiplied by the prior, and its rows are divided by their sums. The last row replaces b. Uncertain
rows do not influence each other.

Differs from the authors' code: a single k decides (theirs counts a row as uncertain if any k does).
One iteration costs O((N + U) K) altogether, because the column sums over the N confident rows are
shared by all U uncertain ones; each further iteration costs O(N U K).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from comptool.errors import UsageError
from comptool.postprocess.calibration.context import (
    TRAIN,
    UNIFORM,
    Answer,
    Apply,
    CalibrationContext,
    Doubles,
    Floats,
    rows_to_one,
    swallowed,
)

TOP_K = 3
# Floats of one block of stacks: 64 MiB.
BLOCK = 2**23


def can(
    context: CalibrationContext,
    *,
    alpha: float = 1.0,
    entropy_threshold: float = 0.9,
    top_k: int | None = None,
    iterations: int = 1,
    prior: Literal["uniform", "train"] | None = None,
) -> Apply:
    """Adjust the uncertain rows, and answer every row with its most probable class."""
    if not 0 < alpha < np.inf:
        raise UsageError(f"--alpha must be a finite number above 0, not {alpha}")
    given, presumed = context.target, "have the shares presumed"
    if prior == TRAIN:
        given = context.counts("Take --prior uniform").shares()
        presumed = "have the training set's shares"
    elif given is None or prior == UNIFORM:
        given, presumed = None, "are equally frequent"

    def apply(probabilities: Floats) -> Answer:
        num_rows, num_classes = probabilities.shape
        shares = np.full(num_classes, 1 / num_classes) if given is None else given
        k = min(TOP_K, num_classes) if top_k is None else top_k
        uncertain = top_k_entropy(probabilities, k) >= entropy_threshold
        adjusted = probabilities.astype(np.float64)
        adjusted[uncertain] = alternate(
            adjusted[~uncertain], adjusted[uncertain], shares, alpha=alpha, iterations=iterations
        )
        labels = adjusted.argmax(axis=1)
        adjusted[~uncertain] = rows_to_one(adjusted[~uncertain])
        counts = np.bincount(labels, minlength=num_classes)
        # A rare class may take up to a uniform share of the rows without a warning.
        expected = np.maximum(shares, 1 / num_classes) * num_rows
        names = context.names(num_classes)
        warnings = swallowed(names, counts, expected)
        if not uncertain.any():
            warnings.append(
                f"no row is uncertain (top-{k} entropy {entropy_threshold} or more): no row changes"
            )
        if uncertain.all():
            warnings.append(
                "every row is uncertain: the identity matrix replaces the confident rows"
            )
        facts = {
            "alpha": alpha,
            "iterations": iterations,
            "top_k": k,
            "entropy_threshold": entropy_threshold,
            "prior": dict(zip(names, shares.tolist(), strict=True)),
            "uncertain_rows": int(uncertain.sum()),
        }
        note = (
            f"{facts['uncertain_rows']} of {num_rows} rows are uncertain and adjusted; this "
            f"presumes that the test classes {presumed}"
        )
        return Answer(adjusted, labels, facts, ~uncertain, [note], warnings)

    return apply


def top_k_entropy(probabilities: Floats, k: int) -> Doubles:
    """Entropy, with base k, of each row's ``k`` largest probabilities rescaled to sum to one."""
    num_classes = probabilities.shape[1]
    if not 2 <= k <= num_classes:
        raise UsageError(f"--top-k must be 2 to {num_classes} (the number of classes), not {k}")
    top = np.partition(probabilities, num_classes - k, axis=1)[:, num_classes - k :]
    top = top.astype(np.float64) / top.sum(axis=1, keepdims=True, dtype=np.float64)
    # p log p is 0 at p = 0.
    terms = top * np.log(top, out=np.zeros_like(top), where=top > 0)
    entropy: Doubles = np.clip(-terms.sum(axis=1) / np.log(k), 0, 1)
    return entropy


def alternate(
    confident: Floats, uncertain: Floats, prior: Doubles, *, alpha: float = 1.0, iterations: int = 1
) -> Doubles:
    """Alternating normalisation of uncertain rows; a row with no prior share is unchanged."""
    if len(confident) == 0:
        confident = np.eye(uncertain.shape[1])
    above = confident.astype(np.float64) ** alpha
    below = uncertain.astype(np.float64) ** alpha
    scale = _column_scale(above.sum(axis=0) + below, prior)  # (U, K)
    result = _rows_to_one(below * scale)
    if iterations > 1:
        block = max(1, BLOCK // above.size)
        for start in range(0, len(uncertain), block):
            rows = slice(start, start + block)
            stack = _rows_to_one(above * scale[rows, None, :])  # (block, N, K)
            result[rows] = _iterate(stack, result[rows], prior, alpha, iterations - 1)
    ruled_out = result.sum(axis=1) == 0
    result[ruled_out] = uncertain[ruled_out]
    return result


def _iterate(
    above: Doubles, below: Doubles, prior: Doubles, alpha: float, iterations: int
) -> Doubles:
    """Normalise U stacks, (U, N, K) over (U, K); gives the lower rows."""
    for _ in range(iterations):
        above, below = above**alpha, below**alpha
        scale = _column_scale(above.sum(axis=1) + below, prior)
        above, below = _rows_to_one(above * scale[:, None, :]), _rows_to_one(below * scale)
    return below


def _column_scale(sums: Doubles, prior: Doubles) -> Doubles:
    return np.divide(prior, sums, out=np.zeros_like(sums), where=sums > 0)


def _rows_to_one(values: Doubles) -> Doubles:
    sums = values.sum(axis=-1, keepdims=True)
    rows: Doubles = np.divide(values, sums, out=np.zeros_like(values), where=sums > 0)
    return rows
