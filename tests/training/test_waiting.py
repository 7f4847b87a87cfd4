"""Nothing within an epoch waits for the device."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from signal import SIGINT, raise_signal

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from comptool import losses, models
from comptool.data.transfers import on_device
from comptool.errors import InputError
from comptool.training.config import OPTIMIZERS, TrainSettings
from comptool.training.distributed import Processes
from comptool.training.nan_guard import LossMonitor
from comptool.training.optim import MixedPrecision, Optimisation
from comptool.training.setup import prepare
from comptool.training.train_step import TrainStep
from comptool.training.validate import evaluate

CPU = torch.device("cpu")
RICH = {"ema": 0.9, "clip_grad": 1.0, "mixup": 0.3, "cutmix": 0.5, "grad_accum": 2}
INTRA = {"calibrate_gradients": ("intra",)}
# What cannot be answered before everything that was asked of a device is done.
WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique")


class Counting(TorchDispatchMode):
    """Counts the operations that would wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        masked = name == "index" and any(at.dtype is torch.bool for at in args[1] if at is not None)
        if masked or name.startswith(WAITING):
            self.waited[name] += 1
        return function(*args, **(kwargs or {}))


def session_of(plan, device=CPU, measure="all"):
    processes = Processes(0, 1, device)
    session = prepare(plan, plan.members[0], processes, lambda text: None, measure=measure).session
    session.begin_epoch(0)
    session.batches.set_epoch(0, 0)
    return session


def train(session, loaded) -> list[float]:
    """The updates of these batches with late looks; the sums that were seen meanwhile."""
    update = TrainStep(session, None, lambda text: None)
    watch = LossMonitor(session.processes, late=True)
    batches = on_device(loaded, session.processes.device)
    accumulated, seen, found = session.settings.grad_accum, 0, []
    for number in range(session.updates_per_epoch):
        window = [batch for _, batch in zip(range(accumulated), batches, strict=False)]
        watch.add(update(window, 0, number))
        seen += sum(map(session.seen, window))
        sight = watch.look(seen, False, wait=False)
        if sight is not None:
            found.append(sight.loss_sum)
    return found


def validate(session, loaded):
    return evaluate(
        session.optimisation.evaluated,
        on_device(loaded, session.processes.device),
        session.transform,
        session.criterion,
        session.processes,
        lambda: False,
        task=session.task,
        counted=session.counted,
    )


@pytest.mark.parametrize("given", [{}, RICH, INTRA, {"optimizer": "sgd"}])
def test_updates_ask_the_device_for_no_number(given, folds, plan_of):
    session = session_of(plan_of(**given))
    loaded = list(session.train_loader)
    with Counting() as counting:
        found = train(session, loaded)
    assert len(found) == session.updates_per_epoch - 1
    assert found == sorted(found)
    assert found[0] > 0
    assert not counting.waited


def test_counting_sees_what_waits():
    with Counting() as counting:
        float(torch.ones(()))
        torch.ones(3)[torch.tensor([True, False, True])]
    assert counting.waited == {"_local_scalar_dense": 1, "index": 1}


@pytest.fixture
def asked(monkeypatch) -> Counter:
    """Counts what is asked of tensors in Python, which inference mode hides from a dispatch."""
    found = Counter()

    def counted(name, method):
        def ask(tensor, *args):
            found[name] += 1
            return method(tensor, *args)

        return ask

    for name in ("item", "cpu", "tolist", "__float__", "__int__", "__bool__"):
        monkeypatch.setattr(torch.Tensor, name, counted(name, getattr(torch.Tensor, name)))
    return found


@pytest.mark.parametrize("counts", [1, 2])
def test_validation_asks_once_for_its_loss_and_once_for_its_shares(counts, folds, plan_of, asked):
    session = session_of(plan_of())
    loaded = list(session.valid_loader)
    assert len(loaded) > 1
    session.counted = np.arange(len(session.counted)) % counts == 0  # every row, every other
    asked.clear()
    with Counting() as counting:
        probabilities, loss, _ = validate(session, loaded)
    assert asked == {"__float__": 1, "cpu": 1}
    assert not counting.waited
    rows = [row["class_id"] for row in csv.DictReader(folds.open()) if row["fold"] == "0"]
    targets = torch.tensor(["abc".index(label) for label in rows])
    logs = torch.from_numpy(probabilities).log()
    expected = torch.nn.functional.nll_loss(logs[::counts], targets[::counts])
    assert loss == pytest.approx(float(expected), 1e-4)


def test_a_late_look_gives_what_the_one_before_asked():
    watch = LossMonitor(Processes(0, 1, CPU), late=True)
    watch.begin(1.5)
    watch.add(torch.tensor(2.0))
    assert watch.look(4, False, wait=False) is None
    watch.add(torch.tensor(torch.nan))
    first = watch.look(8, True, wait=False)
    assert (first.loss_sum, first.seen, first.diverged, first.stop) == (3.5, 4, False, False)
    second = watch.look(12, False, wait=False)
    assert (second.seen, second.diverged, second.stop) == (8, True, True)
    watch.begin(0.0)
    assert watch.look(1, False, wait=False) is None
    now = watch.look(2, True, wait=True)
    assert (now.loss_sum, now.seen, now.diverged, now.stop) == (0.0, 2, False, True)


@pytest.fixture
def looks_late(monkeypatch) -> None:
    """Training looks at its loss as on a GPU, every second update."""
    monkeypatch.setattr(Processes, "check_every", 2)
    monkeypatch.setattr(
        "comptool.training.trainer.LossMonitor",
        lambda processes, late: LossMonitor(processes, late=True),
    )


def test_late_looks_let_no_weights_be_kept_that_are_no_numbers(looks_late, folds, fit):
    with pytest.raises(InputError, match="the loss became NaN or infinite in epoch 1"):
        fit(lr=1e15, optimizer="sgd", warmup_epochs=0, batch_size=2)
    assert sorted(path.name for path in Path("weights/run").iterdir()) == ["last.pt", "run.json"]
    state = torch.load("weights/run/last.pt", weights_only=True)
    assert all(tensor.isfinite().all() for tensor in state["weights"].values())


def test_late_looks_stop_at_once_and_go_on(looks_late, folds, fit, kept, same, at_forward):
    fit("whole", **RICH)
    with pytest.raises(KeyboardInterrupt), at_forward(3, lambda: raise_signal(SIGINT)):
        fit("broken", **RICH)
    state = torch.load("weights/broken/last.pt", weights_only=True)["progress"]
    assert (state["epoch"], state["update"]) == (0, 2)
    fit("broken", resume=True)
    same(kept("broken"), kept("whole"))


def test_on_a_cpu_batches_come_as_they_are_and_when_they_are_taken():
    drawn = []

    def source():
        for number in range(3):
            drawn.append(number)
            yield number

    batches = on_device(source(), CPU)
    assert drawn == []
    assert [next(batches), drawn] == [0, [0]]
    assert [next(batches), drawn] == [1, [0, 1]]


def on_gpu(test):
    """The mark of a test that needs a CUDA device."""
    missing = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    return pytest.mark.gpu(missing(test))


@contextmanager
def no_waits() -> Iterator[None]:
    """An error of each operation that waits for the device."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


WAITS = {
    "item": lambda one: one[0].item(),
    "branch": lambda one: 1 if one[0] > 0 else 0,
    "to the host": lambda one: one.cpu(),
    "from the host": lambda one: torch.ones(3).to(one.device),
    "places of a mask": lambda one: one.nonzero(),
    "by a mask": lambda one: one[one > 0],
    "put by a mask": lambda one: one.index_put_((one > 0,), one.new_ones(())),
    "end of the work": lambda one: torch.cuda.current_stream().synchronize(),
}


@on_gpu
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_on_a_gpu_a_wait_is_an_error(wait):
    there = torch.ones(3, device="cuda")
    with no_waits(), pytest.raises(RuntimeError, match="called a synchronizing CUDA operation"):
        wait(there)


BAGS = """
task = "multiclass"
metric = "accuracy"
[data]
train = "folds.csv"
id = "image_id"
label = "class_id"
bag = "place"
[modalities]
sar = "{sar_path}"
eo = "{eo_path}"
"""
WEIGHTED = {"weighting": "effective", "loss": "focal"}
TRAININGS = {
    "float32": {"amp": "off"},
    "bf16": {"amp": "bf16", **RICH},
    "fp16": {"amp": "fp16", **RICH},
    "fp16 with balanced gradients": {"amp": "fp16", **INTRA, "clip_grad": 1.0},
    "auxiliary heads": {"amp": "bf16", "auxiliary_heads": True, **INTRA},
    "sgd": {"optimizer": "sgd", "amp": "fp16"},
    "deferred weights": {**WEIGHTED, "defer_weights": 1, "balance": "over"},
    "weights in turn": {**WEIGHTED, "balance": "class-aware", "freeze": "backbone"},
    "dropped class": {"drop_classes": ("c",), "mixup": 0.3},
    "balanced mixup": {"balanced_mixup": 0.5, "schedule": "constant"},
    "loaded by workers": {"data_on": "cpu", "augment": "strong", "cutmix": 0.5},
    "augmentation": {"augment": "weak", "schedule": "step", "decay_epochs": "1"},
    "bags": {"bag_size": 2, "pool": "attention", "weighting": "inverse", "amp": "fp16"},
    "bags of any": {"bag_size": 2, "pool": "noisy-or", "amp": "bf16", "ema": 0.9},
}


@on_gpu
@pytest.mark.parametrize("given", TRAININGS.values(), ids=TRAININGS)
def test_on_a_gpu_updates_do_not_wait(given, folds, plan_of):
    if "bag_size" in given:
        rows = list(csv.reader(folds.open()))
        places = ["place", *(number // 18 * 9 + number % 9 for number in range(len(rows) - 1))]
        with folds.open("w", newline="") as stream:
            csv.writer(stream).writerows(
                [*row, place] for row, place in zip(rows, places, strict=True)
            )
        Path("comptool.toml").write_text(BAGS)
    device = torch.device("cuda")
    plan = plan_of(device="cuda", img_size=("16",), **given)
    session = session_of(plan, device, measure="nothing")
    train(session, session.train_loader)  # what is allocated and chosen at first may wait
    session.begin_epoch(1)
    session.batches.set_epoch(1, 0)
    before = session.model.state_dict()["classifier.weight"].clone()
    batches = iter(session.train_loader)  # its workers may be waited for
    with no_waits():
        train(session, batches)
    assert not torch.equal(session.model.state_dict()["classifier.weight"], before)


class Parts(torch.nn.Module):
    """Weights of each shape that optimizers tell apart."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(2, 3, 3)
        self.norm = torch.nn.GroupNorm(1, 3)
        self.linear = torch.nn.Linear(3, 2)

    def forward(self, images):
        return self.linear(self.norm(self.convolution(images)).mean(dim=(2, 3)))


# Of timm; it asks in each update and for each weight whether to project it.
ASKING = ("adamp",)


@on_gpu
@pytest.mark.parametrize("amp", ["bf16", "fp16"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_on_a_gpu_which_optimizers_wait(name, amp):
    device = torch.device("cuda")
    settings = TrainSettings(
        optimizer=name, amp=amp, clip_grad=1.0, ema=0.9, warmup_epochs=0, schedule="constant"
    )
    model = Parts().to(device)
    precision = MixedPrecision(amp, device)
    optimisation = Optimisation(model, settings, 1e-3, 10, precision)
    images = torch.randn(4, 2, 5, 5, device=device)

    def update(number: int) -> None:
        optimisation.begin(number)
        with precision.autocast():
            loss = model(images).float().square().mean()
        optimisation.backward(loss)
        optimisation.step()
        optimisation.average(number)

    update(0)
    before = model.linear.weight.detach().clone()
    # Loss scaling asks for overflows, unless the optimizer is fused and looks at them itself.
    fused = "fused" in optimisation.optimizer.defaults
    if name in ASKING or (amp == "fp16" and not fused):
        with no_waits(), pytest.raises(RuntimeError, match="called a synchronizing CUDA"):
            update(1)
        return
    with no_waits():
        update(1)
        assert isinstance(optimisation.loss_scale, torch.Tensor)
    assert not torch.equal(model.linear.weight, before)


SMALL = "test_efficientnet"
# Of backbones in several sizes the smallest.
NETWORKS = [
    ("mobilenetv2", {}),
    ("resnet34", {}),
    ("cvt-21", {}),
    ("shake-shake-26-2x32d", {"drop_block": 0.3}),
    ("eurosat-baseline", {}),
    ("eurosat-cbam", {}),
    ("eurosat-bmta", {}),
    ("test_vit", {"drop_path_rate": 0.2}),
    (SMALL, {"drop_rate": 0.3, "grad_checkpointing": True}),
    (f"{SMALL}-dual", {"auxiliary_heads": True, "attention": True}),
    *((f"{SMALL}{dual}+{head}", {}) for head in models.HEADS.names for dual in ("", "-dual")),
]
LARGE = (
    "cvt-21",
    "resnet34",
    "eurosat-cbam",
    "eurosat-bmta",
    f"{SMALL}+q2l-full",
    f"{SMALL}-dual+q2l-full",
)


@on_gpu
@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param(name, given, id=name, marks=[pytest.mark.slow] * (name in LARGE))
        for name, given in NETWORKS
    ],
)
def test_on_a_gpu_no_network_waits(name, options):
    side = 64 if name in ("cvt-21", "eurosat-cbam") else 32
    model = models.create(name, 3, img_size=(side, side), **options).cuda().train()
    images = [torch.randn(2, 3, side, side, device="cuda") for _ in range(model.streams)]
    for context in (nullcontext(), no_waits()):
        with context, torch.autocast("cuda", torch.bfloat16):
            model(*images).float().square().mean().backward()


def example(name: str, task: str) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    """A loss with logits and targets of a task, for eight rows and five classes."""
    given = {"class_counts": [5.0] * 5, "num_samples": 40, "prior": [0.3] * 5}
    known = losses.options(name)
    loss = losses.create(name, **{key: given[key] for key in given if key in known})
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 4 if task == "ordinal" else 5, generator=random)
    targets = {
        "multiclass": torch.arange(8) % 5,
        "ordinal": torch.arange(8) % 5,
        "multilabel": torch.randint(-1, 2, (8, 5), generator=random).float(),
        "regression": torch.randn(8, 5, generator=random),
    }
    return loss, logits, targets[task]


@on_gpu
@pytest.mark.parametrize(
    ("name", "task"), [(entry.name, task) for entry in losses.LOSSES for task in entry.tasks]
)
def test_on_a_gpu_no_loss_waits(name, task):
    loss, logits, targets = example(name, task)
    expected = loss(logits, targets)
    loss, logits, targets = loss.cuda(), logits.cuda().requires_grad_(), targets.cuda()
    loss(logits, targets).backward()  # what is made at first may wait
    with no_waits():
        found = loss(logits, targets)
        found.backward()
    assert float(found.detach()) == pytest.approx(float(expected), rel=1e-4)


@on_gpu
def test_on_a_gpu_batches_arrive_whole_beside_other_work(folds, plan_of):
    device = torch.device("cuda")
    session = session_of(plan_of(augment="none"))
    expected = list(session.train_loader)
    pinned = [
        batch._replace(
            images=[image.pin_memory() for image in batch.images],
            targets=batch.targets.pin_memory(),
        )
        for batch in expected
    ]
    load = torch.randn(4000, 4000, device=device)
    for batch, moved in zip(expected, on_device(pinned, device), strict=True):
        load = load @ load / 4000
        for image, there in zip(batch.images, moved.images, strict=True):
            assert there.is_cuda
            assert torch.equal(there.float().cpu(), image.float())
        assert torch.equal(moved.targets.cpu(), batch.targets)
