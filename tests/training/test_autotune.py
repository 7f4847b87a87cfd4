"""How a run is computed: measured once, kept, and the run's own when it is resumed."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from comptool.errors import UsageError
from comptool.training import autotune
from comptool.training.autotune import (
    BUDGET,
    TURNS,
    ComputeConfig,
    compilation_pays,
    step_seconds,
)
from comptool.training.compilation import CannotCompileError, compiled
from comptool.training.distributed import Processes
from comptool.training.setup import prepare
from comptool.training.train_step import TrainStep
from comptool.training.tuning_cache import FOLDER, TuningCache

CPU = torch.device("cpu")
ALL, ONE = ComputeConfig("cpu", threads=8), ComputeConfig("cpu", threads=1)
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """An empty folder of caches."""
    monkeypatch.setenv("COMPTOOL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def used(monkeypatch) -> list[int]:
    """Two cores, and the threads that torch is told to use; it goes on with one."""
    told = []
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(autotune, "most_threads", lambda: 2)
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    return told


@pytest.fixture
def timed(monkeypatch):
    """``timed(seconds)``: seconds of a step in each configuration, in runs of any length."""

    def put(seconds, least=1):
        monkeypatch.setattr(autotune, "LEAST_STEPS", least)
        monkeypatch.setattr(autotune, "Benchmark", lambda *given: seconds)

    return put


@pytest.fixture
def config_of():
    """``config_of("run")``: the configuration in its ``run.json``."""

    def read(name="run"):
        found = json.loads(Path("weights", name, "run.json").read_text())["way"]
        return ComputeConfig(**found)

    return read


def all_are_faster(config):
    return 0.010 if config.threads == 2 else 0.020


def one_is_faster(config):
    return 0.010 * config.threads


def compilation_is_faster(config):
    return 0.010 if config.compiled else 0.020


@pytest.mark.parametrize(
    ("seconds", "threads", "told"),
    [
        (all_are_faster, 2, "2 threads: 10 ms a step (channels_last, 1 thread 20)"),
        (one_is_faster, 1, "1 thread: 10 ms a step (channels_last, 2 threads 20)"),
        (lambda config: 0.0103 if config.threads == 2 else 0.010, 2,
         "2 threads: 10 ms a step (channels_last, 1 thread 10)"),
    ],
)  # fmt: skip
def test_a_run_takes_the_faster_number_of_threads_and_channels_last(
    folds, fit, timed, config_of, used, seconds, threads, told
):
    timed(seconds)
    said = []
    fit(epochs=1, say=said.append)
    assert config_of() == ComputeConfig("cpu", threads=threads)
    assert f"computes channels_last, {told}" in said
    assert used[-1] == threads
    weights = torch.load("weights/run/last.pt", weights_only=True)["weights"].values()
    kernels = [one for one in weights if one.ndim == 4 and min(one.shape[1:]) > 1]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)


def test_a_later_measurement_changes_no_run(folds, fit, timed, config_of, kept):
    """A seed gives the same weights however the machine was disturbed when it was measured."""
    timed(all_are_faster)
    fit("first", epochs=1)
    timed(one_is_faster)
    fit("second", epochs=1)
    assert config_of("first") == config_of("second")
    first, second = (kept(name)["weights"] for name in ("first", "second"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    fit("third", epochs=1, batch_size=5)
    assert config_of("third").threads == 1  # of other batches nothing was known


def test_a_short_run_takes_the_default_whatever_is_kept(folds, fit, timed, config_of):
    timed(one_is_faster)
    fit("measured", epochs=1)
    timed(one_is_faster, least=5)  # an epoch has four steps
    fit("short", epochs=1)
    fit("long", epochs=2)
    assert config_of("short") == ComputeConfig("cpu", threads=2)
    assert config_of("long") == config_of("measured") == ComputeConfig("cpu", threads=1)


def test_without_a_place_to_keep_it_nothing_is_measured(folds, fit, timed, config_of, place):
    place.write_text("a file where the folder should be")
    timed(all_are_faster)
    said = []
    fit(epochs=1, cache="off", say=said.append)
    assert config_of() == ComputeConfig("cpu", threads=2)
    assert not any(text.startswith("computes") for text in said)


def test_a_dry_run_measures_nothing(folds, timed, plan_of, place):
    timed(all_are_faster)
    from comptool.training.setup import rehearse

    rehearse(plan_of())
    assert not place.exists()


def test_a_number_of_threads_that_is_set_is_kept_and_measured_by_itself(
    folds, fit, timed, config_of, monkeypatch
):
    timed(one_is_faster)
    fit("free", epochs=1)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    fit("set", epochs=1)
    assert (config_of("free").threads, config_of("set").threads) == (1, 2)


def test_a_resumed_run_keeps_its_configuration(folds, fit, timed, config_of, place, monkeypatch):
    timed(all_are_faster)
    fit(epochs=1, schedule="constant", warmup_epochs=0.0)
    for path in (place / FOLDER).iterdir():
        path.unlink()
    timed(one_is_faster)
    fit(resume=True, epochs=2)
    assert config_of() == ComputeConfig("cpu", threads=2)
    monkeypatch.setattr(autotune, "most_threads", lambda: 1)
    fit(resume=True, epochs=3)  # on a machine that has no more
    assert config_of() == ComputeConfig("cpu", threads=1)


def test_a_run_of_an_earlier_version_goes_on(folds, fit, config_of):
    """Its memory order was measured too, and ``run.json`` has the option --cuda-graph."""
    fit(epochs=1, schedule="constant", warmup_epochs=0.0)
    state = torch.load("weights/run/last.pt", weights_only=True)
    state["header"]["way"]["channels_last"] = False
    torch.save(state, "weights/run/last.pt")
    record = Path("weights/run/run.json")
    document = json.loads(record.read_text())
    document["arguments"]["cuda_graph"] = "auto"
    del document["seal"]
    record.write_text(json.dumps(document))
    fit(resume=True, epochs=2)
    assert config_of() == ComputeConfig("cpu", channels_last=False, threads=2)


def test_compilation_is_tried_in_long_runs_and_used_where_it_pays(
    folds, fit, timed, config_of, monkeypatch, history, kept
):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    monkeypatch.setattr(autotune, "LONG_RUN", 0.1)
    timed(compilation_is_faster)
    said = []
    fit("short", epochs=1, say=said.append)
    assert not config_of("short").compiled and not any("compiled" in text for text in said)
    fit("long", epochs=2, say=said.append)
    assert config_of("long").compiled
    assert any(text.endswith("; compiled: 10 ms a step after 0 s") for text in said)
    fit("off", epochs=2, compile="off")
    assert not config_of("off").compiled
    losses = [float(history(name)[-1]["train_loss"]) for name in ("long", "off")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert kept("long")["weights"].keys() == kept("off")["weights"].keys()


def test_a_gain_below_a_tenth_leaves_a_run_as_it_is(folds, fit, timed, config_of, monkeypatch):
    monkeypatch.setattr(autotune, "LONG_RUN", 0.0)
    timed(lambda config: 0.0095 if config.compiled else 0.010)
    said = []
    fit(epochs=1, say=said.append)
    assert not config_of().compiled
    assert any("; not compiled, which does not pay: 10 ms" in text for text in said)


@pytest.mark.parametrize("failing", ["forward", "backward"])
def test_what_cannot_be_compiled_is_trained_without_and_said(
    folds, fit, config_of, monkeypatch, place, failing
):
    from functorch.compile import make_boxed_func  # which takes seconds
    from torch._dynamo.backends.common import aot_autograd
    from torch._dynamo.exc import TorchDynamoException

    def refused(graph, inputs):
        raise TorchDynamoException("no C++ compiler")

    def taken(graph, inputs):
        return make_boxed_func(graph.forward)

    # As in use, the backward pass is made when it is first computed.
    compilers = {"fw_compiler": taken, "bw_compiler": taken} | {f"{failing[0]}w_compiler": refused}
    backend = aot_autograd(**compilers)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    monkeypatch.setattr(autotune, "LONG_RUN", 0.0)
    monkeypatch.setattr(autotune, "LEAST_STEPS", 1)
    said = []
    fit(epochs=1, say=said.append)
    assert not config_of().compiled
    assert any("; not compiled, which is not possible here: " in text for text in said)
    with pytest.raises(CannotCompileError, match="continue with --resume --compile off"):
        fit("asked", epochs=1, compile="on")
    fit("asked", resume=True, compile="off")
    assert not config_of("asked").compiled


def test_only_whole_batches_are_compiled(monkeypatch):
    made = []

    def backend(graph, inputs):
        made.append(len(inputs))
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
    called = compiled(model, 4)
    for size in (4, 3, 4, 1, 4):
        images = torch.ones(size, 3)
        torch.testing.assert_close(called(images), model(images))
    assert len(made) == 1


def test_the_first_measurement_stays(place):
    of = {"model": "m", "batch_size": 4}
    cache = TuningCache(of, CPU)
    assert cache.read("step", ("all",)) is None and cache.is_writable()
    assert cache.keep("step", {"all": 1.0}) == {"all": 1.0}
    assert TuningCache(of, CPU).keep("step", {"all": 2.0}) == {"all": 1.0}
    assert TuningCache({**of, "batch_size": 8}, CPU).read("step", ("all",)) is None
    (file,) = (place / FOLDER).iterdir()
    file.write_text("{")  # by a disk that was full
    assert cache.read("step", ("all",)) is None
    assert cache.keep("step", {"all": 3.0}) == {"all": 3.0}


def test_a_benchmark_leaves_the_model_and_its_draws_as_they_are(folds, fit, monkeypatch, kept):
    """Measured for real, and computed with the default all the same: the same weights."""
    fit("plain", epochs=1)
    monkeypatch.setattr(autotune, "LEAST_STEPS", 1)
    monkeypatch.setattr(autotune, "HARDLY", 100)
    said = []
    fit("measured", epochs=1, say=said.append)
    assert any(text.startswith("computes channels_last, 2 threads: ") for text in said)
    plain, measured = kept("plain"), kept("measured")
    for part in ("weights", "best"):
        assert all(torch.equal(plain[part][name], measured[part][name]) for name in plain[part])


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: None,
        lambda found: [found],
        lambda found: {},
        lambda found: {"all": 0.1},
        lambda found: {**found, "all": "fast"},
        lambda found: {**found, "two": 0.1},
    ],
)
def test_a_damaged_measurement_is_taken_again(folds, fit, timed, config_of, place, damage):
    timed(all_are_faster)
    fit("first", epochs=1)
    (file,) = (place / FOLDER).iterdir()
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "found": damage(document["found"])}))
    timed(one_is_faster)
    fit("second", epochs=1)
    assert (config_of("first").threads, config_of("second").threads) == (2, 1)
    fit("third", epochs=1)
    assert config_of("third") == config_of("second")
    assert list(file.parent.iterdir()) == [file]


class Machine:
    """Takes the seconds that a function says, one step after another."""

    def __init__(self, seconds):
        self.seconds, self.steps = seconds, []

    def __call__(self, config):
        self.steps.append(config)
        return self.seconds(config)


def test_a_clear_lead_needs_two_turns_and_a_narrow_one_more():
    for factor, turns in ((1.5, 2), (1.1, TURNS)):
        machine = Machine(lambda config, factor=factor: 0.01 * (1 if config == ALL else factor))
        found = step_seconds(machine, {"all": ALL, "one": ONE})
        assert found == pytest.approx({"all": 0.01, "one": 0.01 * factor})
        assert machine.steps == [ALL, ONE] * (turns + 1)  # the first step is not counted


def test_large_networks_are_timed_no_longer_than_needed(monkeypatch):
    machine = Machine(lambda config: BUDGET)
    monkeypatch.setattr(autotune, "perf_counter", lambda: BUDGET * len(machine.steps))
    step_seconds(machine, {"all": ALL, "one": ONE})
    assert len(machine.steps) == 2 * (3 + 1)


def test_one_disturbed_turn_changes_nothing():
    machine = Machine(lambda config: 9.0 if len(machine.steps) == 3 else 0.01)
    found = step_seconds(machine, {"all": ALL, "one": ONE})
    assert found == pytest.approx({"all": 0.01, "one": 0.01})


@pytest.mark.parametrize(
    ("plain", "compiled", "start", "steps", "pays"),
    [
        (0.060, 0.050, 40.0, 6_000, True),  # saves 60 s
        (0.060, 0.050, 40.0, 3_000, False),  # saves 30 s
        (0.054, 0.050, 1.0, 90_000, False),  # not by a tenth
        (0.050, 0.060, 0.0, 90_000, False),
    ],
)
def test_compilation_pays_by_a_tenth_and_more_than_its_start(plain, compiled, start, steps, pays):
    assert compilation_pays(steps, plain, compiled, start) is pays


@pytest.mark.parametrize(("seconds", "tried"), [(149.0, False), (150.0, True)])
def test_compilation_is_tried_in_runs_of_ten_minutes_and_no_shorter_ones(
    folds, fit, timed, seconds, tried
):
    steps = []

    def timed_out(config):
        steps.append(config)
        return seconds

    timed(timed_out)
    fit(epochs=1)  # four steps
    assert any(config.compiled for config in steps) is tried


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "--compile reduce-overhead is for CUDA devices, not for --device cpu; take --compile "
         "on"),
        ({"device": "cuda", "grad_accum": 2}, "--compile reduce-overhead cannot add up the "
         "gradients of --grad-accum 2; take --compile on"),
    ],
)  # fmt: skip
def test_where_there_are_no_cuda_graphs_none_are_asked_for(given, message, folds, plan_of):
    plan = plan_of(compile="reduce-overhead", **given)
    with pytest.raises(UsageError) as refusal:
        autotune._check_compile(plan.settings, torch.device(plan.settings.device))
    assert str(refusal.value) == message


def test_the_mode_of_compilation_reaches_torch(monkeypatch):
    modes = []
    monkeypatch.setattr(torch, "compile", lambda module, **given: modes.append(given["mode"]))
    for mode in ("on", "auto", "reduce-overhead"):
        compiled(torch.nn.Linear(3, 2), 4, mode)
    assert modes == [None, None, "reduce-overhead"]


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("given", [{}, {"mixup": 0.3, "ema": 0.9, "clip_grad": 1.0}])
def test_steps_of_cuda_graphs_train_as_eager_ones(given, folds, plan_of):
    device, losses = torch.device("cuda", 0), []
    for mode in ("off", "reduce-overhead"):
        plan = plan_of(device="cuda", amp="off", compile=mode, **given)
        processes = Processes(0, 1, device)
        session = prepare(plan, plan.members[0], processes, lambda text: None).session
        update, found = TrainStep(session, None, lambda text: None), []
        for epoch in range(2):
            session.begin_epoch(epoch)
            session.batches.set_epoch(epoch, 0)
            for number, batch in enumerate(session.train_loader):
                found.append(update([batch], epoch, number))
        losses.append(torch.stack(found).tolist())
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)
