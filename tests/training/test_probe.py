"""The way in which a run is computed: measured once, kept, and the run's own when it goes on."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from comptool.training import kept_ways, probe, ways
from comptool.training.calling import CannotCompileError, compiled
from comptool.training.kept_ways import KeptWays

CPU = torch.device("cpu")


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
    monkeypatch.setattr(probe, "most_threads", lambda: 2)
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    return told


@pytest.fixture
def timed(monkeypatch):
    """``timed(seconds)``: the seconds of a step in each way, in runs however short."""

    def put(seconds, least=1):
        monkeypatch.setattr(probe, "LEAST_STEPS", least)
        monkeypatch.setattr(probe, "Steps", lambda *given: seconds)

    return put


@pytest.fixture
def way_of():
    """The way that ``run.json`` tells of: ``way_of("run")``."""
    return lambda name="run": json.loads(Path("weights", name, "run.json").read_text())["way"]


def contiguous_is_faster(way):
    return 0.020 if way.channels_last else 0.010


def one_thread_is_faster(way):
    return 0.010 * way.threads * (1 if way.channels_last else 2)


def compilation_is_faster(way):
    return 0.010 if way.compiled else 0.020


@pytest.mark.parametrize(
    ("seconds", "channels_last", "threads", "told"),
    [
        (contiguous_is_faster, False, 2,
         "contiguous, 2 threads: 10 ms a step (channels_last, 2 threads 20; contiguous, 1 thread "
         "10)"),
        (one_thread_is_faster, True, 1,
         "channels_last, 1 thread: 10 ms a step (channels_last, 2 threads 20; contiguous, 2 "
         "threads 40)"),
    ],
)  # fmt: skip
def test_a_run_is_computed_in_the_way_that_measured_best(
    folds, fit, timed, way_of, used, seconds, channels_last, threads, told
):
    timed(seconds)
    said = []
    fit(epochs=1, say=said.append)
    expected = {"channels_last": channels_last, "threads": threads, "compiled": False}
    assert way_of() == {"device": "cpu", **expected}
    assert f"computes {told}" in said
    assert used[-1] == threads
    weights = torch.load("weights/run/last.pt", weights_only=True)["weights"].values()
    order = torch.channels_last if channels_last else torch.contiguous_format
    kernels = [one for one in weights if one.ndim == 4 and min(one.shape[1:]) > 1]
    assert all(kernel.is_contiguous(memory_format=order) for kernel in kernels)


def test_a_later_measurement_changes_no_run(folds, fit, timed, way_of, kept):
    """A seed gives the same weights however the machine was disturbed when it was measured."""
    timed(contiguous_is_faster)
    fit("first", epochs=1)
    timed(one_thread_is_faster)
    fit("second", epochs=1)
    assert way_of("first") == way_of("second")
    first, second = (kept(name)["weights"] for name in ("first", "second"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    fit("third", epochs=1, batch_size=5)
    assert way_of("third")["threads"] == 1  # of other batches nothing was known


def test_a_short_run_takes_the_default_whatever_is_kept(folds, fit, timed, way_of):
    timed(contiguous_is_faster)
    fit("measured", epochs=1)
    timed(contiguous_is_faster, least=5)  # an epoch has four steps
    fit("short", epochs=1)
    fit("long", epochs=2)
    assert way_of("short") == ways.Way("cpu", threads=2).document()
    assert way_of("long") == way_of("measured") != way_of("short")


def test_without_a_place_to_keep_it_nothing_is_measured(folds, fit, timed, way_of, place):
    place.write_text("a file where the folder should be")
    timed(contiguous_is_faster)
    said = []
    fit(epochs=1, cache="off", say=said.append)
    assert way_of() == ways.Way("cpu", threads=2).document()
    assert not any(text.startswith("computes") for text in said)


def test_a_dry_run_measures_nothing(folds, timed, plan_of, place):
    timed(contiguous_is_faster)
    from comptool.training.preparation import rehearse

    rehearse(plan_of())
    assert not place.exists()


def test_a_number_of_threads_that_is_set_is_kept_and_measured_by_itself(
    folds, fit, timed, way_of, monkeypatch
):
    timed(one_thread_is_faster)
    fit("free", epochs=1)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    fit("set", epochs=1)
    assert (way_of("free")["threads"], way_of("set")["threads"]) == (1, 2)


def test_a_run_that_goes_on_keeps_its_way(folds, fit, timed, way_of, place, monkeypatch):
    timed(contiguous_is_faster)
    fit(epochs=1, schedule="constant", warmup_epochs=0.0)
    for path in (place / kept_ways.FOLDER).iterdir():
        path.unlink()
    timed(one_thread_is_faster)
    fit(resume=True, epochs=2)
    assert way_of() == ways.Way("cpu", False, 2).document()
    monkeypatch.setattr(probe, "most_threads", lambda: 1)
    fit(resume=True, epochs=3)  # on a machine that has no more
    assert way_of() == ways.Way("cpu", False, 1).document()


def test_compilation_is_tried_in_long_runs_and_used_where_it_pays(
    folds, fit, timed, way_of, monkeypatch, history, kept
):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    monkeypatch.setattr(ways, "LONG_RUN", 0.1)
    timed(compilation_is_faster)
    said = []
    fit("short", epochs=1, say=said.append)
    assert not way_of("short")["compiled"] and not any("compiled" in text for text in said)
    fit("long", epochs=2, say=said.append)
    assert way_of("long")["compiled"]
    assert any(text.endswith("; compiled: 10 ms a step after 0 s") for text in said)
    fit("off", epochs=2, compile="off")
    assert not way_of("off")["compiled"]
    losses = [float(history(name)[-1]["train_loss"]) for name in ("long", "off")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert kept("long")["weights"].keys() == kept("off")["weights"].keys()


def test_a_run_that_is_to_be_a_graph_is_not_compiled(folds, fit, timed, way_of, monkeypatch):
    monkeypatch.setattr(probe, "may_pay", lambda steps, seconds: True)
    monkeypatch.setattr(probe, "is_recorded", lambda settings, processes, compiled: not compiled)
    timed(compilation_is_faster)
    fit(epochs=1)
    assert not way_of()["compiled"]


def test_a_gain_below_a_tenth_leaves_a_run_as_it_is(folds, fit, timed, way_of, monkeypatch):
    monkeypatch.setattr(probe, "may_pay", lambda steps, seconds: True)
    timed(lambda way: 0.0095 if way.compiled else 0.010)
    said = []
    fit(epochs=1, say=said.append)
    assert not way_of()["compiled"]
    assert any("; not compiled, which does not pay: 10 ms" in text for text in said)


@pytest.mark.parametrize("failing", ["forward", "backward"])
def test_what_cannot_be_compiled_is_trained_without_and_said(
    folds, fit, way_of, monkeypatch, place, failing
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
    monkeypatch.setattr(probe, "may_pay", lambda steps, seconds: True)
    monkeypatch.setattr(probe, "LEAST_STEPS", 1)
    said = []
    fit(epochs=1, say=said.append)
    assert not way_of()["compiled"]
    assert any("; not compiled, which is not possible here: " in text for text in said)
    with pytest.raises(CannotCompileError, match="go on with --resume --compile off"):
        fit("asked", epochs=1, compile="on")
    fit("asked", resume=True, compile="off")
    assert not way_of("asked")["compiled"]


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


def test_the_first_finding_stays(place):
    of = {"model": "m", "batch_size": 4}
    answers = {"layout": {"seconds": 0.0}}
    kept = KeptWays(of, answers, CPU)
    assert kept.read("layout") is None and kept.can_keep()
    assert kept.keep("layout", {"seconds": 1.0}) == {"seconds": 1.0}
    assert KeptWays(of, answers, CPU).keep("layout", {"seconds": 2.0}) == {"seconds": 1.0}
    assert KeptWays({**of, "batch_size": 8}, answers, CPU).read("layout") is None
    (file,) = (place / kept_ways.FOLDER).iterdir()
    file.write_text("{")  # by a disk that was full
    assert kept.read("layout") is None
    assert kept.keep("layout", {"seconds": 3.0}) == {"seconds": 3.0}


def test_a_probe_leaves_the_model_and_its_draws_as_they_are(folds, fit, monkeypatch, kept):
    """Measured for real, and computed in the default way all the same: the same weights."""
    fit("plain", epochs=1)
    monkeypatch.setattr(probe, "LEAST_STEPS", 1)
    default = ways.Way("cpu", threads=2)
    monkeypatch.setattr(probe, "fastest", lambda race, way, **given: race.faster(way, way))
    said = []
    fit("measured", epochs=1, say=said.append)
    assert any(text.startswith(f"computes {default.text}: ") for text in said)
    plain, measured = kept("plain"), kept("measured")
    for part in ("weights", "best"):
        assert all(torch.equal(plain[part][name], measured[part][name]) for name in plain[part])


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: None,
        lambda found: [found],
        lambda found: {"seconds": 0.1},
        lambda found: {**found, "seconds": "fast"},
        lambda found: {**found, "way": {"device": "cpu"}},
        lambda found: {**found, "way": {**found["way"], "threads": None}},
        lambda found: {**found, "way": {**found["way"], "cores": 4}},
    ],
)
def test_a_finding_that_somebody_has_damaged_is_measured_anew(
    folds, fit, timed, way_of, place, damage
):
    timed(contiguous_is_faster)
    fit("first", epochs=1)
    (file,) = (place / kept_ways.FOLDER).iterdir()
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "found": damage(document["found"])}))
    timed(one_thread_is_faster)
    fit("second", epochs=1)
    assert (way_of("first")["threads"], way_of("second")["threads"]) == (2, 1)
    fit("third", epochs=1)
    assert way_of("third") == way_of("second")
    assert list(file.parent.iterdir()) == [file]
