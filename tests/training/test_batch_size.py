"""``--batch-size auto``: as many images as fit, a number from then on."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.modules.module import register_module_forward_pre_hook

from comptool.errors import UsageError
from comptool.io.runs import read_header
from comptool.models.streams import StreamModel
from comptool.training.auto_batch_size import Trial, largest, with_batch_size
from comptool.training.config import AS_MANY_AS_FIT
from comptool.training.distributed import Processes

CPU = Processes(0, 1, torch.device("cpu"))


@given(st.integers(0, 5000), st.integers(1, 5000))
def test_the_largest_is_found_to_an_eighth(holds, most):
    tried = []

    def fits(number):
        tried.append(number)
        return number <= holds

    found = largest(fits, most)
    bound = min(holds, most)
    assert found <= max(bound, 1)
    assert found >= bound - max(bound // 8, 1)
    assert max(tried) <= most
    assert len(tried) == len(set(tried)) <= 18


@contextmanager
def memory_for(images):
    """A device on which training holds so many images at once."""

    def allocate(module, inputs):
        if isinstance(module, StreamModel) and module.training and len(inputs[0]) > images:
            raise torch.OutOfMemoryError("no room")

    handle = register_module_forward_pre_hook(allocate)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("options", [{}, {"ema": 0.9, "freeze": "backbone"}])
def test_a_trial_finds_what_a_step_holds(options, folds, plan_of):
    trial = Trial(plan_of(batch_size=AS_MANY_AS_FIT, **options), plan_of().members[0], CPU)
    with memory_for(21):
        assert [trial.fits(number) for number in (8, 22, 21)] == [True, False, True]
        assert largest(trial.fits, 1000) == 20


def test_a_trial_takes_rows_of_several_labels(scenes, plan_scenes):
    scenes()
    plan = plan_scenes()
    assert Trial(plan, plan.members[0], CPU).fits(3)


def test_on_a_cpu_it_is_the_default_or_all_rows(folds, fit):
    said = []
    fit(batch_size=AS_MANY_AS_FIT, epochs=1, say=said.append)
    assert said[0] == (
        "--batch-size auto: 15 images (all there are to train on); steps in an epoch: 1; --lr is "
        "not scaled: 0.003 from random weights, 0.001 from others"
    )
    record = json.loads(Path("weights/run/run.json").read_text())
    assert record["arguments"]["batch_size"] == 15
    assert read_header(Path("weights/run")).arguments["batch_size"] == 15


def test_a_resumed_run_keeps_the_number(folds, fit, at_forward, kept, same):
    def stop():
        raise KeyboardInterrupt

    fit("whole", batch_size=15)
    with pytest.raises(KeyboardInterrupt), at_forward(2, stop):
        fit("broken", batch_size=AS_MANY_AS_FIT)
    fit("broken", resume=True)
    same(kept("broken"), kept("whole"))


def test_a_plan_of_many_rows_has_the_default_on_a_cpu(folds, plan_of):
    plan = plan_of(batch_size=AS_MANY_AS_FIT, lr=0.02)
    member = plan.members[0]
    plan = replace(plan, members=(replace(member, train=member.train.repeat(9)),))
    said = []
    assert with_batch_size(plan, CPU, said.append).settings.batch_size == 32
    assert said == [
        "--batch-size auto: 32 images (the default, for a CPU gains nothing by more); steps in an "
        "epoch: 5; --lr is not scaled: 0.02"
    ]


def test_a_dry_run_tries_nothing_out(folds, plan_of):
    from comptool.training.setup import rehearse

    with memory_for(0):
        rehearse(plan_of(batch_size=AS_MANY_AS_FIT))


def test_a_batch_size_below_nothing_is_refused(folds, plan_of):
    with pytest.raises(UsageError, match="--batch-size is -1; it has to be 0 or more"):
        plan_of(batch_size=-1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_what_is_found_leaves_a_tenth(folds, plan_of):
    device = torch.device("cuda", 0)
    plan = plan_of(batch_size=AS_MANY_AS_FIT, device="cuda", img_size=("256",))
    trial = Trial(plan, plan.members[0], Processes(0, 1, device))
    usable = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    torch.cuda.reset_peak_memory_stats(device)
    assert not trial.fits(200_000)
    number = largest(trial.fits, 200_000)
    assert trial.fits(number)
    assert torch.cuda.max_memory_reserved(device) <= 0.92 * usable
