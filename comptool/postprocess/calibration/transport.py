"""Class sizes met exactly: optimal assignment of rows, and Sinkhorn scaling of probabilities.

Assigning rows to classes of given sizes at the greatest total score is a transportation problem:
F. L. Hitchcock, "The distribution of a product from several sources to numerous localities", 1941.
A linear programme over all N K cells is slow for large N, but K prices, one per class, settle
nearly all rows: each row takes the class with the greatest score minus price. Prices are
approximated by entropic regularisation; rows far from a tie keep the class chosen at these prices;
the programme is solved exactly (HiGHS) for the other rows, and rows are added until no settled row
prefers another class at the prices of the programme. By linear programming duality the assignment
of all rows is then optimal.

Sinkhorn: R. Sinkhorn and P. Knopp, "Concerning nonnegative matrices and doubly stochastic
matrices", Pacific Journal of Mathematics 21(2), 1967. Of all tables whose rows sum to one and whose
columns have the given means, the result has the least Kullback-Leibler divergence from the
predictions. Probabilities below 1e-12 count as 1e-12; otherwise there may be no such table.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy

from comptool.errors import UsageError
from comptool.postprocess.calibration.context import (
    Answer,
    Apply,
    CalibrationContext,
    Doubles,
    Floats,
    Indices,
    answered,
    rows_to_one,
)
from comptool.postprocess.calibration.quota import FRACTION, choose_heads, has_heads, quota_size

TINY = float(np.finfo(np.float64).tiny)
SMOOTHINGS = (1.0, 0.3, 0.1, 0.03)
ROUNDS = 40
# Rows used for the smoothed prices.
SAMPLE = 10_000
# Share of the rows that the first programme solves.
FIRST_SHARE = 0.03
LEAST_REACH = 1e-3
SLACK = 1e-9
INFEASIBLE = 2


def quota_optimal(
    context: CalibrationContext,
    *,
    top_k_head: int | None = None,
    head_classes: str | None = None,
    fraction: float = FRACTION,
) -> Apply:
    """The assignment of rows that meets the quotas at the greatest total log-probability.

    With presumed class shares, every class has a quota. Without, head classes have quotas, as in
    `quota`, but the result does not depend on their order.
    """
    target, head = context.target, []
    if target is None:
        if not has_heads(context, top_k_head, head_classes):
            raise UsageError("no class has a quota: give --target-prior or --head-classes")
        head = choose_heads(context, top_k_head, head_classes)[0]
        if len(head) * fraction > 1 + 1e-9:
            raise UsageError(
                f"{len(head)} quotas of {fraction} are more than all rows; lower --fraction"
            )

    def apply(probabilities: Floats) -> Answer:
        # Below the smallest float32, so that only zeros are changed.
        scores = np.log(np.maximum(probabilities, TINY, dtype=np.float64))
        if target is not None:
            sizes = whole_sizes(target, len(scores))
            labels = assign(scores, sizes)
        else:
            labels = _head_only(scores, np.array(head), fraction)
            sizes = np.bincount(labels, minlength=scores.shape[1])
        return Answer(rows_to_one(probabilities), labels, {"sizes": sizes.tolist()})

    return apply


def _head_only(scores: Doubles, head: Indices, fraction: float) -> Indices:
    """Assign quotas to the head classes; the others are one class with their largest score."""
    size = quota_size(len(scores), fraction)
    tail = np.setdiff1d(np.arange(scores.shape[1]), head)
    left = len(scores) - size * len(head)
    if not tail.size and left:
        raise UsageError(
            f"every class has a quota of {size} rows, which leaves {left} of {len(scores)} without "
            "a class; give the shares: --target-prior"
        )
    if not tail.size:
        return head[assign(scores[:, head], np.full(len(head), size))]
    best = tail[scores[:, tail].argmax(axis=1)]
    merged = np.column_stack([scores[:, head], scores[np.arange(len(scores)), best]])
    places = assign(merged, np.append(np.full(len(head), size), left))
    return np.where(places == len(head), best, np.append(head, -1)[places])


def whole_sizes(shares: Doubles, num_rows: int) -> Indices:
    """Integers in these shares that sum to ``num_rows``, by largest remainders, ties in order."""
    exact = shares * num_rows
    sizes = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(-(exact - sizes), kind="stable")
    sizes[order[: num_rows - sizes.sum()]] += 1
    return sizes


def assign(scores: Doubles, sizes: Indices) -> Indices:
    """Class of each row at the greatest total score; class c gets ``sizes[c]`` rows."""
    if sizes.sum() != len(scores) or (sizes < 0).any():
        raise ValueError(f"sizes {sizes.tolist()} do not sum to {len(scores)} rows")
    wanted = np.flatnonzero(sizes)
    if len(wanted) == 1:
        return np.full(len(scores), wanted[0])
    # Equal rows are one row of the programme.
    table, which, supplies = np.unique(
        scores[:, wanted], axis=0, return_inverse=True, return_counts=True
    )
    amounts = _transport(table, supplies, sizes[wanted])
    order = np.argsort(which, kind="stable")
    labels = np.empty(len(scores), dtype=np.int64)
    labels[order] = np.repeat(np.tile(wanted, len(table)), amounts.ravel())
    return labels


def _transport(table: Doubles, supplies: Indices, sizes: Indices) -> Indices:
    """Number of copies of each row assigned to each class, (N, K)."""
    offers = table - _prices(table, supplies, sizes)
    regret = offers.max(axis=1, keepdims=True) - offers
    margins = np.partition(regret, 1, axis=1)[:, 1]
    reach = float(np.quantile(margins, FIRST_SHARE))
    cells = regret <= reach
    tolerance = SLACK * (1 + np.abs(table).max())
    while True:
        found = _programme(table, supplies, sizes, cells)
        if found is None:  # too few cells to fill the sizes
            reach = max(2 * reach, LEAST_REACH)
            cells |= regret <= reach
            continue
        amounts, prices = found
        offers = table - prices
        own = np.where(amounts > 0, offers, -np.inf).max(axis=1, keepdims=True)
        better = offers > own + tolerance
        if not better.any():
            return amounts
        cells |= better


def _prices(table: Doubles, supplies: Indices, sizes: Indices) -> Doubles:
    """Prices, (K,), at which about the given number of rows prefers each class."""
    sample = np.linspace(0, len(table) - 1, min(SAMPLE, len(table))).astype(np.intp)
    prices = np.zeros(len(sizes))
    wanted = np.log(sizes / sizes.sum())
    for smoothing in SMOOTHINGS:
        for rows in [sample] * ROUNDS + [slice(None)] * 4:
            chosen = scipy.special.softmax((table[rows] - prices) / smoothing, axis=1)
            shares = supplies[rows] @ chosen / supplies[rows].sum()
            prices = prices + smoothing * (np.log(np.maximum(shares, 1e-12)) - wanted)
    return prices


def _programme(
    table: Doubles, supplies: Indices, sizes: Indices, cells: npt.NDArray[np.bool_]
) -> tuple[Indices, Doubles] | None:
    """Solve the linear programme over some cells; its vertices are integers.

    Rows with a single cell are settled. Gives amounts, (N, K), and prices, (K,), or None if these
    cells cannot fill the sizes.
    """
    amounts = cells * supplies[:, None]
    is_open = cells.sum(axis=1) > 1
    amounts[is_open] = 0
    left = sizes - amounts.sum(axis=0)
    row, column = np.nonzero(cells[is_open])
    num_rows, num_cells = int(is_open.sum()), len(row)
    sums = scipy.sparse.csc_array(
        (
            np.ones(2 * num_cells),
            (np.concatenate([row, num_rows + column]), np.tile(np.arange(num_cells), 2)),
        ),
        shape=(num_rows + len(sizes), num_cells),
    )
    wanted = np.concatenate([supplies[is_open], left])
    if not num_rows or (left < 0).any():
        return None
    found = scipy.optimize.linprog(
        -table[is_open][row, column], A_eq=sums, b_eq=wanted, method="highs"
    )
    if found.status == INFEASIBLE:
        return None
    if found.status != 0:
        raise RuntimeError(f"the assignment was not solved: {found.message}")
    amounts[np.flatnonzero(is_open)[row], column] = np.rint(found.x)
    return amounts, -found.eqlin.marginals[num_rows:]


ITERATIONS = 2000
TOLERANCE = 1e-9
FLOOR = 1e-12


def sinkhorn(context: CalibrationContext) -> Apply:
    """Scale columns until the mean probability of each class is its presumed share."""
    target = context.target_shares()

    def apply(probabilities: Floats) -> Answer:
        scales, gap = column_scales(probabilities, target)
        return answered(np.maximum(probabilities, FLOOR) * scales, largest_gap=gap)

    return apply


def column_scales(probabilities: Floats, target: Doubles) -> tuple[Doubles, float]:
    """Factors of the columns, and the largest difference between a mean and its share."""
    table = np.maximum(probabilities, FLOOR, dtype=np.float64)
    scales = np.ones(table.shape[1])
    gap = np.inf
    for _ in range(ITERATIONS):
        means = scales * (table.T @ (1 / (table @ scales))) / len(table)
        gap = float(np.abs(means - target).max())
        if gap < TOLERANCE:
            break
        scales = scales * target / means
        scales /= scales.max()
    return scales, gap
