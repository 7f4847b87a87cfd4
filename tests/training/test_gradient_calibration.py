"""Gradient calibration in a model: against autograd, over processes, at any scale."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from comptool import models
from comptool.errors import UsageError
from comptool.training.gradient_balance import Calibration
from comptool.training.gradient_calibration import (
    CalibratedJunction,
    average_over,
    total_loss,
)
from comptool.training.processes import Processes

CROSS_ENTROPY = nn.CrossEntropyLoss()
TARGETS = torch.tensor([0, 1, 2, 0, 2, 1])


def images():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(6, 3, 32, 32, generator=generator) for _ in range(2)]


def network(name="test_resnet-dual", **options):
    torch.manual_seed(0)
    model = models.create(name, 3, **options)
    return model


def gradients(model, batch=slice(None), scale=1.0):
    """Of one backward pass, by the name of the parameter."""
    model.zero_grad()
    logits = model(*(image[batch] for image in images()))
    (total_loss(CROSS_ENTROPY, logits, TARGETS[batch]) * scale).backward()
    return {name: p.grad.clone() / scale for name, p in model.named_parameters()}


def calibrated(model, calibration, **options):
    model.junction = CalibratedJunction(calibration, **options)
    return model


# Against autograd


@pytest.mark.parametrize("reference", ["mean", "max", "min"])
@pytest.mark.parametrize("name", ["test_resnet-dual", "test_convnext-dual+ml-decoder"])
def test_intra_scales_the_gradients_of_each_encoder_and_of_nothing_else(name, reference):
    plain = gradients(network(name))
    model = calibrated(network(name), Calibration(intra=reference))
    found = gradients(model)
    norms, ratios = model.junction.norms, model.junction.ratios
    level = {"mean": norms.mean(), "max": norms.max(), "min": norms.min()}[reference]
    torch.testing.assert_close(ratios, (level / norms).clamp(0.1, 10))
    assert (ratios - 1).abs().max() > 0.01
    for parameter, gradient in plain.items():
        stream = parameter.split(".")[1]
        factor = ratios[int(stream)] if parameter.startswith("encoders.") else 1
        torch.testing.assert_close(found[parameter], gradient * factor, rtol=1e-3, atol=1e-6)


def twin(model, calibration):
    """Gradients by hand: each objective's at the features, weighed, scaled, and sent back."""
    features = [encoder(image) for encoder, image in zip(model.encoders, images(), strict=True)]
    leaves = [feature.detach().requires_grad_() for feature in features]
    tasks = [CROSS_ENTROPY(model.classifier(torch.cat(leaves, dim=1)), TARGETS)]
    tasks += [
        CROSS_ENTROPY(head(leaf), TARGETS)
        for head, leaf in zip(model.auxiliary, leaves, strict=True)
    ]
    parts = [torch.autograd.grad(task, leaves, retain_graph=True, allow_unused=True)
             for task in tasks]  # fmt: skip
    rows = torch.stack(
        [
            torch.cat([torch.zeros_like(leaf) if part is None else part
                       for part, leaf in zip(own, leaves, strict=True)], dim=1).flatten()
            for own in parts
        ]
    ).double()  # fmt: skip
    weights = torch.ones(3, dtype=torch.float64)
    if calibration.inter:
        units = rows / rows.norm(dim=1, keepdim=True)
        apart, aside = rows[:1] - rows[1:], units[:1] - units[1:]
        rest = rows[0] @ aside.T @ torch.linalg.pinv(apart @ aside.T)
        weights = torch.cat([1 - rest.sum().view(1), rest])
    summed = (weights @ rows).view(len(TARGETS), -1).float().chunk(2, dim=1)
    norms = torch.stack([part.norm() for part in summed])
    ratios = (norms.mean() / norms).clamp(0.1, 10) if calibration.intra else torch.ones(2)
    model.zero_grad()
    for feature, part, ratio in zip(features, summed, ratios, strict=True):
        feature.backward(part * ratio)
    found = {name: p.grad for name, p in model.named_parameters() if name.startswith("encoders.")}
    heads = [name for name, _ in model.named_parameters() if not name.startswith("encoders.")]
    of_heads = torch.autograd.grad(sum(tasks), [model.get_parameter(name) for name in heads])
    return found | dict(zip(heads, of_heads, strict=True)), weights


@pytest.mark.parametrize("intra", [None, "mean"])
@pytest.mark.parametrize("inter", [False, True])
def test_both_levels_are_those_of_an_autograd_twin(intra, inter):
    calibration = Calibration(intra, inter)
    expected, weights = twin(network(auxiliary_heads=True), calibration)
    model = calibrated(network(auxiliary_heads=True), calibration)
    found = gradients(model)
    torch.testing.assert_close(model.junction.weights, weights, rtol=1e-4, atol=1e-6)
    for parameter, gradient in expected.items():
        torch.testing.assert_close(found[parameter], gradient, rtol=1e-3, atol=1e-6)


def test_what_the_model_says_is_not_changed():
    model = network(auxiliary_heads=True)
    before = model(*images())
    calibrated(model, Calibration("mean", True))
    assert torch.equal(model(*images()), before)
    with torch.no_grad():
        assert torch.equal(model(*images()), before)
    assert model.junction.norms is None


def test_several_processes_do_what_one_does_with_the_whole_batch():
    """Two threads, each with half of the rows, tell one another what they are asked for."""
    random = torch.Generator().manual_seed(0)
    tasks = [[torch.randn(6, 5, generator=random), torch.randn(6, 4, generator=random) * 9]
             for _ in range(3)]  # fmt: skip
    calibration = Calibration("mean", inter=True)
    whole = CalibratedJunction(calibration).calibrated(tasks)
    barrier, told = threading.Barrier(2), [torch.empty(0)] * 2

    def half(rank):
        def average(tensor):
            told[rank] = tensor
            barrier.wait()
            mean = (told[0] + told[1]) / 2
            barrier.wait()
            return mean

        # The mean loss of half the rows has twice the gradient for each of them.
        mine = [[2 * part[rank::2] for part in task] for task in tasks]
        return CalibratedJunction(calibration, average=average).calibrated(mine)

    with ThreadPoolExecutor(2) as pool:
        halves = list(pool.map(half, (0, 1)))
    for modality, gradient in enumerate(whole):
        for rank in (0, 1):
            torch.testing.assert_close(halves[rank][modality], 2 * gradient[rank::2])


def test_one_process_has_nobody_to_ask():
    tensor = torch.ones(2)
    assert average_over(Processes(0, 1, torch.device("cpu")))(tensor) is tensor


# Scales


def test_the_scale_of_the_loss_changes_nothing():
    calibration = Calibration("mean", inter=True)
    model = calibrated(network(auxiliary_heads=True), calibration, loss_scale=lambda: 1024.0)
    found, norms = gradients(model, scale=1024.0), model.junction.norms
    plain = calibrated(network(auxiliary_heads=True), calibration)
    for name, gradient in gradients(plain).items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(norms, plain.junction.norms)


def test_accumulated_batches_are_calibrated_each_by_itself():
    model = calibrated(network(), Calibration("mean")).eval()
    halves = [gradients(model, half) for half in (slice(0, 3), slice(3, 6))]
    model.zero_grad()
    for half in (slice(0, 3), slice(3, 6)):
        logits = model(*(image[half] for image in images()))
        (CROSS_ENTROPY(logits, TARGETS[half]) / 2).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, (halves[0][name] + halves[1][name]) / 2)


def test_gradients_in_half_precision_keep_their_type():
    parts = [torch.full((4, 3), 0.01, dtype=torch.float16), torch.ones(4, 2, dtype=torch.float16)]
    junction = CalibratedJunction(Calibration("max"))
    found = junction.calibrated([parts])
    assert [part.dtype for part in found] == [torch.float16] * 2
    # 10 is the largest factor.
    torch.testing.assert_close(found[0].float(), torch.full((4, 3), 0.1), rtol=1e-3, atol=0)
    assert junction.norms.dtype == torch.float32


@pytest.mark.parametrize("inter", [False, True])
def test_what_is_not_finite_stays_so_and_raises_nothing(inter):
    parts = [[torch.ones(2, 3), torch.full((2, 3), torch.inf)]] * 2
    junction = CalibratedJunction(Calibration("mean", inter))
    assert not torch.cat(junction.calibrated(parts)).isfinite().all()
    assert junction.drain() is None


def test_the_record_is_the_mean_since_it_was_asked_for():
    junction = CalibratedJunction(Calibration("mean"))
    assert junction.drain() is None
    for factor in (1.0, 3.0):
        junction.calibrated([[torch.tensor([[3.0, 4.0]]) * factor, torch.tensor([[10.0]])]])
    norms, ratios = junction.drain()
    assert norms == pytest.approx([10, 10])
    assert ratios == pytest.approx([(7.5 / 5 + 12.5 / 15) / 2, (7.5 / 10 + 12.5 / 10) / 2])
    assert junction.drain() is None


# Models


def test_a_compiled_model_has_the_same_gradients():
    calibration = Calibration("mean", inter=True)
    expected = gradients(calibrated(network(auxiliary_heads=True), calibration))
    model = calibrated(network(auxiliary_heads=True), calibration)
    called = torch.compile(model, backend="aot_eager")
    total_loss(CROSS_ENTROPY, called(*images()), TARGETS).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-3, atol=1e-5)
    assert model.junction.ratios is not None


def test_the_loss_of_several_objectives_is_their_sum():
    logits = torch.randn(3, 6, 3, generator=torch.Generator().manual_seed(0))
    expected = sum(CROSS_ENTROPY(one, TARGETS) for one in logits)
    torch.testing.assert_close(total_loss(CROSS_ENTROPY, logits, TARGETS), expected)
    alone = total_loss(CROSS_ENTROPY, logits[0], TARGETS)
    torch.testing.assert_close(alone, CROSS_ENTROPY(logits[0], TARGETS))


def test_one_objective_cannot_be_balanced():
    model = calibrated(network(), Calibration(inter=True))
    with pytest.raises(UsageError) as error:
        model(*images())
    assert str(error.value) == (
        "inter balances objectives and the model has one; give it auxiliary heads, or leave inter "
        "out"
    )
    assert model.eval()(*images()).shape == (6, 3)
