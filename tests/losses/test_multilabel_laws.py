"""What every multi-label loss keeps: masks, limits, precision, gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from comptool.losses.sigmoid import (
    Asymmetric,
    BinaryCrossEntropy,
    DistributionBalanced,
    PartialAsymmetric,
    Poly,
    SigmoidFocal,
    TwoWay,
    Zlpr,
)

COUNTS = {"class_counts": [3, 50, 0, 100], "num_samples": 100}
PRIOR = [0.01, 0.5, 0.04, 0.06]
# Every loss with settings that exercise each of its branches; powers below 1 have infinite slopes.
MASKING = {
    "bce": BinaryCrossEntropy(),
    "bce weighted": BinaryCrossEntropy(pos_weight=[1.0, 2.0, 0.5, 3.0], smoothing=0.1),
    "bce sum": BinaryCrossEntropy(reduction="sum"),
    "sigmoid-focal": SigmoidFocal(),
    "sigmoid-focal .5": SigmoidFocal(gamma=0.5, alpha=None),
    "asl": Asymmetric(),
    "asl .5": Asymmetric(gamma_neg=0.5, gamma_pos=0.25, smoothing=0.1),
    "asl unclipped": Asymmetric(gamma_neg=0.5, gamma_pos=0, clip=0),
    "asl mean": Asymmetric(reduction="mean"),
    "partial ignore": PartialAsymmetric(mode="ignore"),
    "partial normalize": PartialAsymmetric(mode="ignore-normalize", clip=0.05),
    "zlpr": Zlpr(),
    "two-way": TwoWay(),
    "distribution-balanced": DistributionBalanced(**COUNTS),
    "distribution-balanced focal": DistributionBalanced(**COUNTS, gamma=0.5, smoothing=0.1),
    "poly": Poly(),
    "poly focal": Poly(epsilon=-1, gamma=0.5, alpha=0.25),
}
SELECTING = {
    "partial negative": PartialAsymmetric(mode="negative", gamma_unann=0.5, clip=0.05),
    "partial selective": PartialAsymmetric(likelihood_topk=1),
    "partial prior": PartialAsymmetric(likelihood_topk=1, prior=PRIOR),
}
EVERY = MASKING | SELECTING
BATCHES = {
    "mixed": [[1, 0, -1, 1], [0, 0, 1, -1], [-1, 0, 1, 0]],
    "no positives": [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    "all positives": [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]],
    "all unknown": [[-1, -1, -1, -1], [-1, -1, -1, -1], [-1, -1, -1, -1]],
    "a row unknown": [[-1, -1, -1, -1], [1, 0, 1, 0], [0, 1, 0, 0]],
}
losses_of = pytest.mark.parametrize("loss", EVERY.values(), ids=EVERY)
masking = pytest.mark.parametrize("loss", MASKING.values(), ids=MASKING)


def random_logits(rows=3, seed=0, dtype=torch.float32):
    return 3 * torch.randn(rows, 4, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@losses_of
@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_huge_logits_stay_finite(loss, batch, dtype):
    targets = torch.tensor(batch)
    signs = torch.tensor([[1, -1, 1, -1], [-1, 1, -1, 1], [1, 1, 0, 0]], dtype=dtype)
    for size in (1e4, -1e4, 100.0, -20.0, 1e-6, 0.0):
        logits = (size * signs).requires_grad_()
        value = loss(logits, targets)
        value.backward()
        assert value.isfinite(), size
        assert value >= 0 or isinstance(loss, Poly), size
        assert logits.grad.isfinite().all(), size


@losses_of
@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_gradients_are_those_of_the_value(loss, batch):
    targets = torch.tensor(batch)
    logits = random_logits(dtype=torch.float64).requires_grad_()
    # Focusing factors without gradient make the gradient another function's.
    if not isinstance(loss, PartialAsymmetric):
        assert torch.autograd.gradcheck(lambda x: loss(x, targets), logits)


@pytest.mark.parametrize("mode", ["negative", "ignore", "ignore-normalize", "selective"])
@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_gradients_of_the_partial_loss_are_right_where_nothing_is_focused(mode, batch):
    loss = PartialAsymmetric(
        mode=mode, gamma_pos=0, gamma_neg=0, gamma_unann=0, clip=0.05, likelihood_topk=1
    )
    targets = torch.tensor(batch)
    at = random_logits(dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, targets), at)


@losses_of
def test_half_precision_is_computed_in_float32(loss):
    targets = torch.tensor(BATCHES["mixed"])
    for dtype in (torch.float16, torch.bfloat16):
        half = random_logits().to(dtype)
        assert loss(half, targets).dtype == torch.float32
        torch.testing.assert_close(loss(half, targets), loss(half.float(), targets))


@losses_of
def test_autocast_does_not_lower_the_precision(loss):
    targets = torch.tensor(BATCHES["mixed"])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss(random_logits(), targets)
    torch.testing.assert_close(inside, loss(random_logits(), targets), rtol=0, atol=0)


@masking
def test_a_batch_that_knows_nothing_costs_nothing(loss):
    logits = random_logits().requires_grad_()
    value = loss(logits, torch.full((3, 4), -1))
    value.backward()
    assert value.item() == 0
    assert logits.grad.abs().max() == 0


@masking
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    batch=st.lists(
        st.lists(st.sampled_from([-1, 0, 1]), min_size=4, max_size=4), min_size=1, max_size=5
    ),
    other=st.sampled_from([-1e4, 0.0, 7.0, torch.inf, -torch.inf]),
)
def test_what_stands_in_an_unknown_cell_is_without_effect(loss, seed, batch, other):
    targets = torch.tensor(batch)
    logits = random_logits(len(batch), seed)
    changed = torch.where(targets == -1, other, logits).requires_grad_()
    value = loss(changed, targets)
    value.backward()
    torch.testing.assert_close(value, loss(logits, targets), rtol=0, atol=0)
    assert (changed.grad[targets == -1] == 0).all()
    assert changed.grad.isfinite().all()


@masking
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), rows=st.integers(1, 4))
def test_an_unknown_row_is_as_if_it_were_not_there(loss, seed, rows):
    logits = random_logits(rows + 1, seed)
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(-1, 2, (rows + 1, 4), generator=generator)
    targets[rows] = -1
    torch.testing.assert_close(loss(logits, targets), loss(logits[:rows], targets[:rows]))


@pytest.mark.parametrize(
    "loss",
    [
        BinaryCrossEntropy(smoothing=0.1), SigmoidFocal(), Asymmetric(), Asymmetric(clip=0),
        Poly(), Zlpr(), TwoWay(), PartialAsymmetric(mode="ignore"),
        PartialAsymmetric(mode="ignore-normalize"),
    ],
    ids=str,
)  # fmt: skip
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), column=st.integers(0, 3))
def test_an_unknown_class_is_as_if_it_were_not_there(loss, seed, column):
    logits = random_logits(4, seed)
    targets = torch.randint(-1, 2, (4, 4), generator=torch.Generator().manual_seed(seed))
    # A row that would be left without a known cell counts in neither batch.
    targets[:, column] = -1
    kept = [k for k in range(4) if k != column]
    torch.testing.assert_close(loss(logits, targets), loss(logits[:, kept], targets[:, kept]))


@pytest.mark.parametrize(
    "loss",
    [
        BinaryCrossEntropy(), SigmoidFocal(), Asymmetric(reduction="mean"), Poly(gamma=2),
        PartialAsymmetric(mode="ignore", reduction="mean"),
    ],
    ids=str,
)  # fmt: skip
def test_masking_cells_is_deleting_them(loss):
    logits, targets = random_logits(), torch.tensor(BATCHES["mixed"])
    known = targets != -1
    left = loss(logits[known].unsqueeze(1), targets[known].unsqueeze(1))
    torch.testing.assert_close(loss(logits, targets), left)


@pytest.mark.parametrize(
    "loss",
    [loss for name, loss in EVERY.items() if name not in ("two-way", "bce sum")],
    ids=[name for name in EVERY if name not in ("two-way", "bce sum")],
)
def test_a_batch_twice_over_costs_the_same(loss):
    logits, targets = random_logits(), torch.tensor(BATCHES["mixed"])
    twice = loss(torch.cat([logits, logits]), torch.cat([targets, targets]))
    torch.testing.assert_close(twice, loss(logits, targets))


@losses_of
def test_any_type_of_target_gives_the_same(loss):
    targets = torch.tensor(BATCHES["mixed"])
    value = loss(random_logits(), targets)
    for dtype in (torch.int8, torch.float16, torch.float64):
        torch.testing.assert_close(loss(random_logits(), targets.to(dtype)), value, rtol=0, atol=0)
    known = targets == 1
    torch.testing.assert_close(loss(random_logits(), known), loss(random_logits(), known.long()))


@losses_of
def test_only_minus_one_is_masked(loss):
    logits = random_logits().requires_grad_()
    targets = torch.tensor([[1, 0, 0, 1], [0, 1, 1, 0], [1, 0, 1, 1]])
    loss(logits, targets).backward()
    clipped = isinstance(loss, Asymmetric | PartialAsymmetric) and loss.clip > 0
    free = clipped & (targets == 0) & (torch.sigmoid(logits) <= 0.05)
    assert ((logits.grad != 0) | free).all()


@losses_of
@pytest.mark.parametrize("targets", [torch.zeros(3), torch.zeros(3, 5), torch.zeros(2, 4)])
def test_other_shapes_are_refused(loss, targets):
    with pytest.raises(ValueError, match="one shape"):
        loss(random_logits(), targets)


@losses_of
def test_a_loss_has_no_saved_state_and_moves_with_its_settings(loss):
    assert loss.state_dict() == {}
    assert repr(loss).startswith(type(loss).__name__)


def test_in_half_precision_a_confident_negative_has_a_gradient_where_the_formula_has_nan():
    logits = torch.tensor([[-12.0, 3.0]], dtype=torch.float16, requires_grad=True)
    Asymmetric()(logits, torch.tensor([[0, 1]])).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 1] < 0
