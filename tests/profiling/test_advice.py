"""What is advised, by what was measured: a table."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import import_module

import pytest
from typer.main import get_command

from comptool.profiling import profile_report
from comptool.profiling.profile_report import (
    Circumstances,
    Loading,
    Profile,
    advice_for_inference,
    advice_for_training,
)

FAST = Profile(
    command="train",
    device="cuda",
    images=32,
    steps=20,
    phases={
        "idle": 0.002,
        "transfer": 0.002,
        "forward": 0.03,
        "backward": 0.06,
        "optimizer": 0.006,
    },
    waited=0.0,
    ceiling=0.096,
    half=0.55,
    loading=Loading({"decode": 0.05, "augment": 0.04, "collate": 0.01}, 2),
)
CARD = Circumstances(
    cuda=True, most_loaders=8, batch_size=32, full_precision=False, decodes_anew=False
)
CPU = replace(CARD, cuda=False, full_precision=True)


def waiting(seconds: float, **changes) -> Profile:
    """The step, and a wait for images before it."""
    return replace(FAST, phases=FAST.phases | {"idle": seconds}, waited=seconds, **changes)


def options(sentences) -> set[str]:
    return set(re.findall(r"--[a-z-]+ ?[^ :,]*", " ".join(sentences)))


def test_a_step_at_its_ceiling_has_nothing_to_change():
    for said in (advice_for_training(FAST, CARD), advice_for_inference(FAST, CARD)):
        assert said == (
            "no option: 96% of the ceiling is reached, and the ceiling is what the network itself "
            "takes",
        )


@pytest.mark.parametrize(
    ("profile", "circumstances", "wanted"),
    [
        # Five cores load 0.1 s of images in 0.02 s; at the ceiling two would do, and are there.
        (waiting(0.1), CARD, set()),
        (waiting(0.1, ceiling=0.02), CARD, {"--workers 5"}),
        (waiting(0.1, ceiling=0.02), replace(CARD, most_loaders=4), {"--workers 4"}),
        (waiting(0.1, ceiling=0.02), replace(CARD, most_loaders=2), set()),
        # The host may wait as long as the card has something to do.
        (replace(FAST, waited=0.09, ceiling=0.02), CARD, set()),
        (waiting(0.1), replace(CARD, could_be_placed=True), {"--data-on gpu"}),
        (waiting(0.1), replace(CPU, decodes_anew=True), {"--cache ram", "--cache disk"}),
        (waiting(0.005), replace(CPU, decodes_anew=True), set()),
        (
            waiting(0.1, loading=Loading({"decode": 0.001, "augment": 0.09, "collate": 0.0}, 2)),
            replace(CPU, decodes_anew=True),
            set(),
        ),
        (replace(FAST, half=0.74), CARD, set()),
        (replace(FAST, half=0.9), CARD, {"--batch-size 64"}),
        (replace(FAST, half=None), CARD, set()),
        (
            replace(FAST, half=0.9),
            replace(CARD, could_take_cuda_graphs=True),
            {"--compile reduce-overhead", "--batch-size 64"},
        ),
        (FAST, replace(CARD, could_take_cuda_graphs=True), set()),
        # 0.1 s a step: 70 epochs of 100 updates are 700 s, which is long; 50 are not.
        (FAST, replace(CARD, could_compile=True, updates=100, epochs=70), {"--compile auto"}),
        (FAST, replace(CARD, could_compile=True, updates=100, epochs=50), set()),
        (FAST, replace(CARD, updates=100, epochs=70), set()),
        (
            FAST,
            replace(CARD, will_try_to_compile=True, updates=100, epochs=70),
            {"--compile on"},
        ),
        (FAST, replace(CARD, will_try_to_compile=True, updates=100, epochs=50), set()),
        (
            replace(FAST, phases=FAST.phases | {"transfer": 0.03}),
            replace(CARD, could_be_placed=True),
            {"--data-on gpu"},
        ),
        (replace(FAST, phases=FAST.phases | {"transfer": 0.03}), CARD, set()),
        # They are there already.
        (
            replace(FAST, phases=FAST.phases | {"transfer": 0.03}, loading=None),
            replace(CARD, could_be_placed=True),
            set(),
        ),
        (replace(FAST, phases=FAST.phases | {"optimizer": 0.05}), CPU, {"--batch-size 64"}),
        (
            replace(FAST, phases=FAST.phases | {"optimizer": 0.05}, half=0.9),
            replace(CPU, could_be_larger=False),
            set(),
        ),
        (FAST, replace(CARD, full_precision=True), {"--amp auto"}),
        (FAST, CPU, set()),
    ],
)
def test_training_is_advised_what_the_measurement_shows(profile, circumstances, wanted):
    assert options(advice_for_training(profile, circumstances)) == wanted


@pytest.mark.parametrize(
    ("profile", "circumstances", "wanted"),
    [
        (FAST, replace(CARD, full_precision=True), {"--fp16"}),
        (FAST, CPU, set()),
        (FAST, replace(CPU, could_take_onnx=True), {"--backend onnx"}),
        (waiting(0.1, ceiling=0.02), CARD, {"--workers 5"}),
        (replace(FAST, half=0.9), CARD, {"--batch-size 64"}),
    ],
)
def test_prediction_is_advised_what_the_measurement_shows(profile, circumstances, wanted):
    assert {one.strip() for one in options(advice_for_inference(profile, circumstances))} == wanted


@pytest.mark.parametrize(
    ("command", "advise"), [("train", advice_for_training), ("infer", advice_for_inference)]
)
def test_every_option_that_is_advised_can_be_typed(command, advise):
    everything = replace(
        waiting(0.1, ceiling=0.02, half=0.9),
        phases={"idle": 0.1, "transfer": 0.1, "forward": 0.01, "optimizer": 0.1},
    )
    card = replace(CARD, could_be_placed=True, decodes_anew=True, full_precision=True)
    long = replace(CPU, could_compile=True, could_take_cuda_graphs=True, updates=1000, epochs=100)
    said = [*advise(everything, card), *advise(everything, replace(long, could_take_onnx=True))]
    parser = get_command(import_module("comptool.commands.app").app).commands[command]
    typed = options(said)
    assert len(typed) >= 4
    for option in typed:
        parser.make_context(command, option.split())


def test_a_step_above_its_ceiling_is_not_praised():
    (said,) = advice_for_training(replace(FAST, ceiling=0.12), CARD)
    assert "measure again, with more --steps" in said


def test_a_wait_that_no_option_ends_is_said_to_be_one():
    assert advice_for_inference(waiting(0.1), replace(CARD, most_loaders=2)) == (
        "no option: 51% of the step is a wait for images, which these cores do not load any faster",
    )


def test_numbers_in_advice_are_those_that_were_measured():
    long = replace(CARD, could_compile=True, updates=100, epochs=61)
    assert profile_report.compile_network(FAST, long) == (
        "the run takes 10 minutes, and a compiled network may pay from 60 epochs on: --compile "
        "auto measures it"
    )
    said = profile_report.more_workers(waiting(0.1, ceiling=0.02), CARD)
    assert said == (
        "51% of the step is a wait for images, which take one core 100.0 ms a step: --workers 5"
    )


def test_a_ceiling_that_is_not_reached_is_not_said_to_be():
    (said,) = advice_for_inference(replace(FAST, ceiling=0.05), CPU)
    assert said == (
        "no option: 50% of the ceiling is reached; loading takes the rest from cores that the step "
        "needs, too"
    )
