"""The fast ways to step and to average give what the plain ways give."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from timm.optim import create_optimizer_v2
from timm.utils import ModelEmaV3
from torch import nn

from comptool.training.config import TrainSettings
from comptool.training.optim import MOMENTUM, AveragedWeights, MixedPrecision, Optimisation

CPU = torch.device("cpu")


def network() -> nn.Module:
    torch.manual_seed(0)
    # A bias in front of the normalisation has no gradient but rounding, which Adam would blow up.
    convolution = nn.Conv2d(3, 8, 3, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(288, 4))


def optimisation(model: nn.Module, name: str) -> Optimisation:
    settings = TrainSettings(optimizer=name, lr=0.01, schedule="constant", warmup_epochs=0)
    return Optimisation(model, settings, 0.01, 10, MixedPrecision("off", CPU))


def images(seed: int) -> torch.Tensor:
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "momentum"])
def test_a_fused_optimizer_steps_as_a_plain_one(name):
    model = network()
    twin = deepcopy(model)
    fused = optimisation(model, name)
    assert all(group["fused"] for group in fused.optimizer.param_groups)
    plain = create_optimizer_v2(
        twin, opt=name, lr=0.01, weight_decay=0.02, momentum=MOMENTUM, foreach=False
    )
    for step in range(5):
        fused.begin(step)
        fused.backward(model(images(step)).square().mean())
        fused.step()
        plain.zero_grad()
        twin(images(step)).square().mean().backward()
        plain.step()
    for own, other in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-6)


def test_a_state_of_a_plain_optimizer_goes_on_fused():
    model = network()
    optimised = optimisation(model, "adamw")
    optimised.begin(0)
    optimised.backward(model(images(0)).square().mean())
    optimised.step()
    state = optimised.state_dict()
    for group in state["optimizer"]["param_groups"]:
        group.update(fused=None, foreach=None, capturable=True)
    other = optimisation(deepcopy(model), "adamw")
    other.load_state_dict(state)
    for group in other.optimizer.param_groups:
        assert (group["fused"], group["capturable"]) == (True, False)
    moments = [kept["exp_avg"] for kept in other.optimizer.state.values()]
    expected = [kept["exp_avg"] for kept in optimised.optimizer.state.values()]
    assert all(torch.equal(*pair) for pair in zip(moments, expected, strict=True))


@pytest.mark.parametrize("name", ["adamw", "momentum", "lion"])
def test_a_state_goes_on_in_another_memory_layout(name):
    """On another device, or on one that computes faster so."""
    model = network()
    optimised = optimisation(model, name)
    for step in range(2):
        optimised.begin(step)
        optimised.backward(model(images(step)).square().mean())
        optimised.step()
    twin = deepcopy(model).to(memory_format=torch.channels_last)
    other = optimisation(twin, name)
    other.load_state_dict(deepcopy(optimised.state_dict()))
    for one in (optimised, other):
        one.begin(2)
        one.backward(one.model(images(2)).square().mean())
        one.step()
    for own, moved in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(moved, own, rtol=1e-4, atol=1e-6)


def test_averaged_weights_are_those_of_timm():
    model = network()
    own, timms = AveragedWeights(model, 0.9), ModelEmaV3(model, 0.9, use_warmup=True)
    for step in range(1, 6):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += torch.randn_like(parameter)
        model(images(step))  # moves the statistics, and counts batches
        own.update(model, step=step)
        timms.update(model, step=step)
    expected = timms.module.state_dict()
    assert expected["1.num_batches_tracked"] == 5
    for name, tensor in own.module.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_averaged_weights_follow_weights_that_were_loaded():
    model, other = network(), network()
    average = AveragedWeights(model, 0.9)
    other(images(1))
    model.load_state_dict(other.state_dict())
    average.update(model, step=1)
    for name, tensor in average.module.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
