"""Gradient calibration in a model: against autograd, over processes, at any scale."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from comptool import models
from comptool.training.config import Calibration
from comptool.training.distributed import Processes
from comptool.training.gradient_balancing import (
    BalancedJunction,
    GradientLogger,
    average_over,
    total_loss,
)

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


class Passes(list):
    """Norms, ratios and weights of every backward pass."""

    def __call__(self, *found):
        self.append(found)


def calibrated(model, calibration, **options):
    model.junction = BalancedJunction(calibration, observe=Passes(), **options)
    return model


# Against autograd


@pytest.mark.parametrize("reference", ["mean", "max", "min"])
@pytest.mark.parametrize("name", ["test_resnet-dual", "test_convnext-dual+ml-decoder"])
def test_intra_scales_the_gradients_of_each_encoder_and_of_nothing_else(name, reference):
    plain = gradients(network(name))
    model = calibrated(network(name), Calibration(intra=reference))
    found = gradients(model)
    ((norms, ratios, _),) = model.junction.observe
    level = {"mean": norms.mean(), "max": norms.max(), "min": norms.min()}[reference]
    torch.testing.assert_close(ratios, (level / norms).clamp(0.1, 10))
    assert (ratios - 1).abs().max() > 0.01
    for parameter, gradient in plain.items():
        stream = parameter.split(".")[1]
        factor = ratios[int(stream)] if parameter.startswith("encoders.") else 1
        torch.testing.assert_close(found[parameter], gradient * factor, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("intra", [None, "mean"])
@pytest.mark.parametrize("inter", [False, True])
def test_both_levels_are_those_of_an_autograd_twin(twin, intra, inter):
    calibration = Calibration(intra, inter)
    expected = twin(network(auxiliary_heads=True), images(), TARGETS, calibration)
    model = calibrated(network(auxiliary_heads=True), calibration)
    found = gradients(model)
    ((norms, ratios, weights),) = model.junction.observe
    torch.testing.assert_close(weights, expected.weights, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(norms, expected.norms)
    torch.testing.assert_close(ratios, expected.ratios)
    for parameter, gradient in expected.gradients.items():
        torch.testing.assert_close(found[parameter], gradient, rtol=1e-3, atol=1e-6)


def test_what_the_model_says_is_not_changed():
    model = network(auxiliary_heads=True)
    before = model(*images())
    calibrated(model, Calibration("mean", True))
    assert torch.equal(model(*images()), before)
    with torch.no_grad():
        assert torch.equal(model(*images()), before)
    assert not model.junction.observe


def test_several_processes_do_what_one_does_with_the_whole_batch():
    """Two threads, each with half of the rows, tell one another what they are asked for."""
    random = torch.Generator().manual_seed(0)
    tasks = [[torch.randn(6, 5, generator=random), torch.randn(6, 4, generator=random) * 9]
             for _ in range(3)]  # fmt: skip
    calibration = Calibration("mean", inter=True)
    whole = BalancedJunction(calibration).balanced(tasks)
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
        return BalancedJunction(calibration, average=average).balanced(mine)

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
    found = gradients(model, scale=1024.0)
    plain = calibrated(network(auxiliary_heads=True), calibration)
    for name, gradient in gradients(plain).items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(model.junction.observe, plain.junction.observe)


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
    passes = Passes()
    found = BalancedJunction(Calibration("max"), observe=passes).balanced([parts])
    assert [part.dtype for part in found] == [torch.float16] * 2
    # 10 is the largest factor.
    torch.testing.assert_close(found[0].float(), torch.full((4, 3), 0.1), rtol=1e-3, atol=0)
    assert passes[0][0].dtype == torch.float32


@pytest.mark.parametrize("inter", [False, True])
def test_what_is_not_finite_stays_so_and_raises_nothing(inter):
    parts = [[torch.ones(2, 3), torch.full((2, 3), torch.inf)]] * 3
    logger = GradientLogger(Calibration("mean", inter), ["sar", "eo"], torch.device("cpu"))
    junction = BalancedJunction(Calibration("mean", inter), observe=logger.observe)
    assert not torch.cat(junction.balanced(parts)).isfinite().all()
    assert set(logger.read().values()) == {None}


def logged(calibration, passes, logger=None):
    """A logger of these passes, each of objectives and modalities."""
    logger = logger or GradientLogger(calibration, ["sar", "eo"], torch.device("cpu"))
    junction = BalancedJunction(calibration, observe=logger.observe)
    for gradients_there in passes:
        junction.balanced(gradients_there)
    return logger


def one_pass(factor):
    return [[torch.tensor([[3.0, 4.0]]) * factor, torch.tensor([[10.0]])]]


def test_a_logger_gives_the_means_of_what_was_found_since_it_was_read():
    logger = logged(Calibration("mean"), [one_pass(1.0), one_pass(3.0)])
    expected = {
        "gradient_norm_sar": 10,
        "gradient_norm_eo": 10,
        "gradient_ratio_sar": (7.5 / 5 + 12.5 / 15) / 2,
        "gradient_ratio_eo": (7.5 / 10 + 12.5 / 10) / 2,
    }
    assert logger.read() == pytest.approx(expected)
    assert logger.read() == dict.fromkeys(expected)


def test_a_logger_goes_on_from_its_state():
    whole = logged(Calibration("mean"), [one_pass(0.1), one_pass(0.7)])
    first = logged(Calibration("mean"), [one_pass(0.1)])
    second = logged(Calibration("mean"), [])
    second.load_state_dict(first.state_dict())
    assert logged(Calibration("mean"), [one_pass(0.7)], second).read() == whole.read()


def test_a_logger_has_columns_for_what_is_calibrated():
    tasks = [[torch.ones(2, 3), torch.ones(2, 1)], [2 * torch.ones(2, 3), torch.zeros(2, 1)]]
    found = logged(Calibration(inter=True), [[*tasks, [torch.zeros(2, 3), torch.ones(2, 1)]]])
    columns = ["gradient_norm_sar", "gradient_norm_eo", "joint_objective_weight"]
    columns += ["objective_weight_sar", "objective_weight_eo"]
    read = found.read()
    assert list(read) == columns
    assert sum(list(read.values())[2:]) == pytest.approx(1)


def test_the_norm_is_that_of_one_image():
    random = torch.Generator().manual_seed(0)
    each = torch.randn(6, 5, generator=random)  # gradients of the loss of each image
    for batch in (each, each[:3]):
        expected = batch.square().sum(dim=1).mean().sqrt()
        logger = logged(Calibration(), [[[batch / len(batch), batch / len(batch)]]])
        found = logger.read()
        assert found["gradient_norm_sar"] == pytest.approx(float(expected), rel=1e-6)


# Models


def test_a_compiled_model_has_the_same_gradients():
    calibration = Calibration("mean", inter=True)
    expected = gradients(calibrated(network(auxiliary_heads=True), calibration))
    model = calibrated(network(auxiliary_heads=True), calibration)
    called = torch.compile(model, backend="aot_eager")
    total_loss(CROSS_ENTROPY, called(*images()), TARGETS).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-3, atol=1e-5)
    assert len(model.junction.observe) == 1


def test_the_loss_of_several_objectives_is_their_sum():
    logits = torch.randn(3, 6, 3, generator=torch.Generator().manual_seed(0))
    expected = sum(CROSS_ENTROPY(one, TARGETS) for one in logits)
    torch.testing.assert_close(total_loss(CROSS_ENTROPY, logits, TARGETS), expected)
    alone = total_loss(CROSS_ENTROPY, logits[0], TARGETS)
    torch.testing.assert_close(alone, CROSS_ENTROPY(logits[0], TARGETS))
