"""Steps that are recorded once and played: when, with what, and to the same end as without."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from comptool.errors import UsageError
from comptool.models.streams import StreamModel
from comptool.training.config import TrainSettings
from comptool.training.cuda_graph import WARM_UPS, CudaRecorder, is_recorded
from comptool.training.preparation import prepare
from comptool.training.processes import Processes
from comptool.training.update import Update

CPU = torch.device("cpu")
CARD = Processes(0, 1, torch.device("cuda", 0))
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
# Rates that are the same number in float32: what is rounded, Adam would blow up.
EXACT = {
    "lr": 2**-9,
    "schedule": "step",
    "decay_epochs": "1",
    "decay_rate": 0.5,
    "warmup_epochs": 0,
}
RICH = {"mixup": 0.3, "ema": 0.9, "clip_grad": 1.0, "layer_decay": 0.5}


class StandIn:
    """Records as a GPU does: nothing is computed until it is played, on the tensors of then."""

    def __init__(self, refusal: str | None = None) -> None:
        self.warm_ups = self.plays = self.records = 0
        self.refusal = refusal

    def warm_up(self, work):
        self.warm_ups += 1
        return work()

    def record(self, work):
        self.records += 1
        if self.refusal:
            raise RuntimeError(self.refusal)
        loss = torch.zeros(())

        def play():
            self.plays += 1
            loss.copy_(work().detach())

        return play, loss


def trained(plan, recorder, device=CPU, epochs=2, say=lambda text: None):
    """A session after so many epochs, and the losses of its updates."""
    session = prepare(plan, plan.members[0], Processes(0, 1, device), lambda text: None).session
    session.recorder = recorder
    update, losses = Update(session, None, say), []
    for epoch in range(epochs):
        session.begin_epoch(epoch)
        session.batches.set_epoch(epoch, 0)
        for number, batch in enumerate(session.train_loader):
            losses.append(update([batch], epoch, number))
    return session, torch.stack(losses).tolist()


def assert_alike(one, two, rtol=1e-5, atol=1e-7):
    for first, second in ((one.model, two.model), (one.optimisation, two.optimisation)):
        states = [part.state_dict() for part in (first, second)]
        if "ema" in states[0]:
            states = [state["ema"] or {} for state in states]
        for name, tensor in states[0].items():
            torch.testing.assert_close(states[1][name], tensor, rtol=rtol, atol=atol)


@pytest.mark.parametrize("given", [{}, RICH, {"optimizer": "sgd"}, {"optimizer": "momentum"}])
def test_played_steps_train_as_eager_ones(given, folds, plan_of):
    # Three batches of four and one of three in an epoch of 15 rows.
    plan = plan_of(**EXACT, **given)
    recorder = StandIn()
    eager, expected = trained(plan, None)
    played, losses = trained(plan, recorder)
    assert (recorder.warm_ups, recorder.records, recorder.plays) == (WARM_UPS, 1, 6 - WARM_UPS)
    assert losses == pytest.approx(expected, rel=1e-5)
    assert_alike(eager, played)
    rates = [group["lr"] for group in played.optimisation.optimizer.param_groups]
    assert rates == [group["lr"] for group in eager.optimisation.optimizer.param_groups]
    assert all(isinstance(rate, float) for rate in rates)


def test_what_a_model_draws_follows_from_the_step_also_when_it_is_played(folds, plan_of):
    def disturb(module, images):
        if isinstance(module, StreamModel) and module.training:
            return tuple(image + 0.1 * torch.randn_like(image) for image in images)
        return images

    handle = register_module_forward_pre_hook(disturb)
    try:
        plan = plan_of(optimizer="sgd", augment="none")
        _, expected = trained(plan, None)
        _, losses = trained(plan, StandIn())
    finally:
        handle.remove()
    assert losses == pytest.approx(expected, rel=1e-4)


def test_what_cannot_be_recorded_goes_on_eagerly_and_says_so_once(folds, plan_of):
    said = []
    recorder = StandIn("operation not permitted when stream is capturing\nand more")
    eager, expected = trained(plan_of(**EXACT), None)
    refused, losses = trained(plan_of(**EXACT), recorder, say=said.append)
    assert recorder.records == 1
    assert said == [
        "the step cannot be a CUDA graph (operation not permitted when stream is capturing); it "
        "goes on without"
    ]
    assert losses == pytest.approx(expected, rel=1e-5)
    assert_alike(eager, refused)


def test_a_batch_that_did_not_fit_is_not_recorded(folds, plan_of):
    recorder = StandIn()
    full = []

    def allocate(module, inputs):
        if isinstance(module, StreamModel) and module.training and len(inputs[0]) > 4:
            full.append(len(inputs[0]))
            raise torch.OutOfMemoryError("no room")

    handle = register_module_forward_pre_hook(allocate)
    try:
        trained(plan_of(batch_size=8), recorder)
    finally:
        handle.remove()
    assert (full, recorder.warm_ups, recorder.records) == ([8], 1, 0)


def recorded(processes=CARD, compiled=False, **given):
    """Whether steps of a run are recorded."""
    settings = TrainSettings(**{"cuda_graph": "on", "batch_size": 8, "amp": "off"} | given)
    return is_recorded(settings, processes, compiled=compiled)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"processes": Processes(0, 1, CPU)}, "--device cpu"),
        ({"processes": Processes(0, 2, torch.device("cuda", 0))}, "several processes"),
        ({"grad_accum": 2}, "--grad-accum above 1"),
        ({"compiled": True}, "compiled steps"),
        ({"amp": "fp16"}, "--amp fp16, whose loss scale is read after every step"),
        ({"calibrate_gradients": ("intra",)}, "--calibrate-gradients, which reads gradients"),
        (
            {"defer_weights": 3, "weighting": "sqrt"},
            "--defer-weights, which changes the loss",
        ),
        (
            {"optimizer": "lion"},
            "--optimizer lion, but for adam, adamw, sgd, momentum and nesterov",
        ),
    ],
)
def test_what_stands_against_a_graph_is_refused_where_one_is_asked_for(given, what):
    with pytest.raises(UsageError) as refusal:
        recorded(**given)
    assert str(refusal.value) == f"--cuda-graph on is not for {what}"
    assert not recorded(**given, cuda_graph="auto")
    assert not recorded(**given, cuda_graph="off")


def test_large_batches_are_recorded_only_where_it_is_asked_for():
    found = [
        recorded(cuda_graph=wanted, batch_size=size)
        for wanted in ("auto", "on", "off")
        for size in (64, 65)
    ]
    assert found == [True, False, True, True, False, False]


def test_a_run_on_a_cpu_refuses_a_graph_before_anything_is_written(folds, fit, tmp_path):
    with pytest.raises(UsageError, match="--cuda-graph on is not for --device cpu"):
        fit(cuda_graph="on")
    assert not (tmp_path / "weights").exists()


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("given", [{}, RICH, {"optimizer": "sgd"}, {"optimizer": "momentum"}])
def test_a_graph_trains_as_eager_steps_do(given, folds, plan_of):
    device = torch.device("cuda", 0)
    plan = plan_of(device="cuda", amp="off", **EXACT, **given)
    said = []
    eager, expected = trained(plan, None, device)
    played, losses = trained(plan, CudaRecorder(device), device, say=said.append)
    assert said == []
    assert losses == pytest.approx(expected, rel=1e-2)
    assert_alike(eager, played, rtol=0.05, atol=5e-3)


@pytest.mark.gpu
@GPU
def test_a_model_draws_on_after_a_recording_that_broke_off():
    device = torch.device("cuda", 0)
    recorder, ones = CudaRecorder(device), torch.ones(8, device=device)

    def work():
        dropped = nn.functional.dropout(ones)
        return dropped.sum() * float(dropped.sum())

    with pytest.raises(RuntimeError):
        recorder.record(work)
    torch.manual_seed(0)
    first = nn.functional.dropout(ones)
    torch.manual_seed(0)
    assert torch.equal(nn.functional.dropout(ones), first)
