"""Learning rates, clipping, averaging and loss scaling, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from comptool.errors import UsageError
from comptool.training.config import OPTIMIZERS, TrainSettings
from comptool.training.optim import MixedPrecision, Optimisation, autocast_dtype

CPU = torch.device("cpu")
UPDATES = 10  # per epoch


def optimisation(model=None, **given) -> Optimisation:
    settings = TrainSettings(**{"lr": 1.0, "warmup_epochs": 0.0, **given})
    model = model or nn.Linear(1, 1)
    return Optimisation(model, settings, settings.lr, UPDATES, MixedPrecision(settings.amp, CPU))


def rates(steps, **given) -> list[float]:
    optimised, found = optimisation(**given), []
    for step in steps:
        optimised.begin(step)
        found.append(optimised.lr)
    return found


def test_cosine_falls_from_the_rate_to_the_least_rate():
    steps = range(0, 40, 3)
    expected = [0.1 + 0.5 * 0.9 * (1 + math.cos(math.pi * step / 40)) for step in steps]
    assert rates(steps, epochs=4, min_lr=0.1) == pytest.approx(expected)


@pytest.mark.parametrize("mul", [None, 1, 2, 3])
def test_a_cosine_restarts_as_in_torch(mul):
    weights = nn.Linear(1, 1).parameters()
    twin = CosineAnnealingWarmRestarts(torch.optim.SGD(weights, lr=1.0), 15, mul or 1, 0.1)
    expected = []
    for _ in range(80):
        expected += twin.get_last_lr()
        twin.step()
    found = rates(range(80), epochs=8, min_lr=0.1, cycle_epochs=1.5, cycle_mul=mul)
    assert found == pytest.approx(expected)


def test_a_cycle_of_less_than_two_updates_is_refused():
    with pytest.raises(UsageError) as refusal:
        rates([0], epochs=6, cycle_epochs=0.1)
    assert str(refusal.value) == (
        "--cycle-epochs 0.1 is less than two updates, of which an epoch has 10"
    )


def test_step_decays_every_so_many_epochs():
    assert rates([0, 19, 20, 39, 40], epochs=6, schedule="step", decay_epochs="2",
                 decay_rate=0.5) == pytest.approx([1, 1, 0.5, 0.5, 0.25])  # fmt: skip


def test_step_decays_at_points_in_time():
    found = rates([0, 9, 10, 29, 30, 59], epochs=6, schedule="step", decay_epochs="1,3",
                  decay_rate=0.2)  # fmt: skip
    assert found == pytest.approx([1, 1, 0.2, 0.2, 0.04, 0.04])


@pytest.mark.parametrize("points", ["0.01", "0.01,3"])
def test_a_step_before_the_first_update_is_refused(points):
    with pytest.raises(UsageError) as refusal:
        rates([0], epochs=6, schedule="step", decay_epochs=points)
    assert str(refusal.value) == (
        f"--decay-epochs {points} is less than half an update, of which an epoch has 10"
    )


def test_constant_stays():
    assert rates([0, 1, 399], epochs=40, schedule="constant") == [1, 1, 1]


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_warm_up_rises_in_a_line_from_a_hundredth(schedule):
    found = rates([0, 5, 10], epochs=100, schedule=schedule, warmup_epochs=1.0)
    assert found == pytest.approx([0.01, 0.505, 1.0], rel=1e-3)


def test_a_schedule_depends_on_the_update_alone():
    assert rates([17], epochs=4) == [rates(range(18), epochs=4)[17]]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_moves_the_weights_and_its_state_can_be_kept(name, tmp_path):
    model = nn.Linear(4, 3)
    before = model.weight.detach().clone()
    optimised = optimisation(model, optimizer=name, lr=0.01)
    for step in range(2):
        optimised.begin(step)
        optimised.backward(model(torch.randn(5, 4)).square().mean())
        optimised.step()
    assert not torch.equal(model.weight, before)
    torch.save(optimised.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    optimisation(model, optimizer=name, lr=0.01).load_state_dict(state)


class Network(nn.Module):
    """Weights of each shape that optimizers tell apart."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 3, 3, bias=False)
        self.norm = nn.BatchNorm2d(3)
        self.linear = nn.Linear(3, 2)

    def forward(self, images):
        return self.linear(self.norm(self.convolution(images)).mean(dim=(2, 3)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("devices", [("cpu", "cuda"), ("cuda", "cpu"), ("cuda", "cuda")])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_on_a_gpu_every_state_goes_on_where_another_device_left_it(name, devices):
    settings = TrainSettings(
        optimizer=name, ema=0.9, clip_grad=0.1, warmup_epochs=0.0, schedule="constant"
    )
    images = torch.randn(6, 8, 2, 5, 5, generator=torch.Generator().manual_seed(0))

    def trained(begun, device, updates):
        torch.manual_seed(1)
        model = Network().to(device)
        precision = MixedPrecision("off", torch.device(device))
        found = Optimisation(model, settings, 1e-3, UPDATES, precision)
        if begun is not None:
            model.load_state_dict(begun.model.state_dict())
            found.load_state_dict(begun.state_dict())
        for number in updates:
            found.begin(number)
            found.backward((model(images[number].to(device)) - 1).square().mean())
            found.step()
            found.average(number)
        return found

    first, second = devices
    whole = trained(None, "cpu", range(6))
    begun = trained(None, first, range(3))
    found = trained(begun, second, range(3, 6))
    for one, other in zip(
        (*whole.model.state_dict().values(), *whole.evaluated.state_dict().values()),
        (*found.model.state_dict().values(), *found.evaluated.state_dict().values()),
        strict=True,
    ):
        assert other.device.type == second
        torch.testing.assert_close(other.cpu(), one, rtol=1e-3, atol=1e-5)
    states = [of.optimizer.state_dict()["state"] for of in (whole, found)]
    assert states[0].keys() == states[1].keys()
    assert sum(map(len, states[0].values()))
    for number, state in states[0].items():
        for key, value in state.items():
            other = torch.as_tensor(states[1][number][key]).cpu()
            torch.testing.assert_close(other, torch.as_tensor(value), rtol=1e-3, atol=1e-5)


def test_weight_decay_spares_biases():
    model = nn.Linear(2, 2)
    weight, bias = model.weight.detach().clone(), model.bias.detach().clone()
    optimised = optimisation(model, optimizer="momentum", lr=0.1, weight_decay=0.5)
    optimised.begin(0)
    optimised.backward(0 * model(torch.zeros(1, 2)).sum())
    optimised.step()
    torch.testing.assert_close(model.weight, weight * (1 - 0.1 * 0.5))
    assert torch.equal(model.bias, bias)


@pytest.mark.parametrize("amp", ["off", "fp16"])
def test_the_gradient_is_clipped_in_true_units(amp):
    # loss = 30 w: the gradient is 30, clipped to 2; one step of plain SGD at rate 0.1 is 0.2.
    model = nn.Linear(1, 1, bias=False)
    before = model.weight.item()
    optimised = optimisation(model, optimizer="momentum", lr=0.1, weight_decay=0.0, clip_grad=2.0,
                             amp=amp)  # fmt: skip
    optimised.begin(0)
    optimised.backward(30 * model.weight.sum())
    optimised.step()
    assert before - model.weight.item() == pytest.approx(0.2, rel=1e-4)


def test_an_overflow_in_half_precision_skips_the_update():
    model = nn.Linear(1, 1, bias=False)
    before = model.weight.item()
    optimised = optimisation(model, optimizer="sgd", amp="fp16")
    scale = optimised.scaler.get_scale()
    optimised.begin(0)
    optimised.backward(math.inf * model.weight.sum())
    optimised.step()
    assert model.weight.item() == before
    assert optimised.scaler.get_scale() < scale


def test_averaged_weights_follow_the_warmed_up_decay():
    model = nn.Linear(1, 1, bias=False)
    optimised = optimisation(model, optimizer="sgd", lr=0.1, ema=0.9)
    expected = None
    for update in range(12):
        optimised.begin(update)
        optimised.backward(model.weight.sum())
        optimised.step()
        optimised.average(update)
        decay = min(0.9, 1 - (1 + update) ** (-2 / 3))
        weight = model.weight.item()
        expected = weight if expected is None else decay * expected + (1 - decay) * weight
    assert optimised.evaluated.weight.item() == pytest.approx(expected, rel=1e-5)
    assert optimised.evaluated is not model


def test_precision_on_a_cpu_is_float32_unless_asked_for():
    assert autocast_dtype("auto", CPU) is None
    assert autocast_dtype("off", CPU) is None
    assert autocast_dtype("bf16", CPU) is torch.bfloat16
    assert [MixedPrecision(amp, CPU).scaler.is_enabled() for amp in ("off", "bf16", "fp16")] == [
        False, False, True
    ]  # fmt: skip


def test_autocast_computes_in_the_type_that_was_chosen():
    layer, image = nn.Conv2d(3, 4, 3), torch.randn(1, 3, 8, 8)
    for amp, dtype in (("off", torch.float32), ("bf16", torch.bfloat16)):
        with MixedPrecision(amp, CPU).autocast():
            assert layer(image).dtype is dtype
