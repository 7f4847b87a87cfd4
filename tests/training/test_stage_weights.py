"""Weights of a stage: frozen parts, new heads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from comptool import models
from comptool.training.distributed import Processes
from comptool.training.optim import freeze, set_training
from comptool.training.setup import prepare


def weights(run):
    return load_file(Path("weights", run, "best.safetensors"))


def is_of_backbone(name):
    return name.startswith("encoders.")


# Frozen parts.


def test_a_frozen_backbone_stays_to_the_last_bit_and_its_statistics_too(folds, fit):
    fit("one", epochs=1)
    fit("two", init_from=Path("weights/one"), freeze="backbone", epochs=2, ema=0.5, augment="weak")
    one, two = weights("one"), weights("two")
    changed = {name for name in one if not torch.equal(one[name], two[name])}
    assert changed == {"classifier.weight", "classifier.bias"}
    assert any("running_mean" in name for name in one)


def test_the_optimizer_has_what_trains_and_nothing_else(folds, plan_of):
    for decay in (0.0, 0.02):
        plan = plan_of(freeze="backbone", weight_decay=decay)
        processes = Processes(0, 1, torch.device("cpu"))
        session = prepare(plan, plan.members[0], processes, lambda text: None).session
        held = [p for group in session.optimisation.optimizer.param_groups for p in group["params"]]
        trained = list(session.model.classifier.parameters())
        assert {id(p) for p in held} == {id(p) for p in trained}


def test_a_frozen_head_stays_while_the_backbone_learns(folds, fit):
    fit("one", epochs=1)
    fit("two", init_from=Path("weights/one"), freeze="head", epochs=1)
    one, two = weights("one"), weights("two")
    changed = {name for name in one if not torch.equal(one[name], two[name])}
    assert changed and all(is_of_backbone(name) for name in changed)


def test_a_frozen_part_is_in_evaluation_mode_and_without_gradients():
    model = models.create("test_efficientnet-dual", 3)
    freeze(model, "backbone")
    set_training(model, "backbone")
    assert not any(module.training for module in model.encoders.modules())
    assert model.training and model.classifier.training
    assert not any(p.requires_grad for p in model.encoders.parameters())
    assert all(p.requires_grad for p in model.classifier.parameters())


def test_a_frozen_backbone_of_random_weights_is_warned_of(folds, fit):
    told = []
    fit("one", epochs=1, freeze="backbone", say=told.append)
    assert any("random weights and is frozen" in text for text in told)


# New heads.


def test_auxiliary_heads_learn_beside_the_joint_one(folds, fit):
    given = {"auxiliary_heads": True, "epochs": 1, "seed": 3}
    fit("still", **given, lr=1e-9)
    fit("learnt", **given)
    still, learnt = weights("still"), weights("learnt")
    heads = [name for name in still if not is_of_backbone(name) and name.endswith("weight")]
    assert len(heads) == 3
    assert not any(torch.allclose(still[name], learnt[name], atol=1e-5) for name in heads)


def test_a_new_head_stands_on_the_old_backbone(folds, fit):
    fit("one", epochs=2)
    settings = {"init_from": Path("weights/one"), "reset_head": True, "freeze": "backbone"}
    fit("two", **settings, epochs=1, lr=1e-9, seed=5)
    one, two = weights("one"), weights("two")
    for name in one:
        assert torch.equal(one[name], two[name]) == is_of_backbone(name)
    # The head of a new model of that seed.
    fit("fresh", epochs=1, lr=1e-9, seed=5)
    assert torch.allclose(
        weights("fresh")["classifier.weight"], two["classifier.weight"], atol=1e-6
    )


@pytest.mark.parametrize("first", [True, False])
def test_auxiliary_heads_begin_with_a_stage_or_end_with_the_one_before(first, folds, fit):
    fit("one", epochs=1, auxiliary_heads=first)
    fit("two", init_from=Path("weights/one"), epochs=1, lr=1e-9, auxiliary_heads=not first)
    one, two = weights("one"), weights("two")
    assert len(one.keys() ^ two.keys()) == 4
    assert all(name.startswith("auxiliary.") for name in one.keys() ^ two.keys())
    for name in one.keys() & two.keys():
        if name.endswith("weight"):
            assert torch.allclose(one[name], two[name], atol=1e-6), name


@pytest.mark.parametrize("reset", [True, False])
def test_a_new_head_has_the_scale_of_its_own_labels(reset, folds, fit):
    Path("comptool.toml").write_text(
        'name = "x"\ntask = "regression"\nmetric = "rmse"\n[data]\ntrain = "folds.csv"\n'
        'id = "image_id"\nlabel = "class_id"\n[modalities]\nsar = "sar_path"\neo = "eo_path"\n'
    )
    text = folds.read_text()
    for name, unit, given in (
        ("one", 1, {}),
        ("two", 100, {"init_from": Path("weights/one"), "reset_head": reset}),
    ):
        numbers = text
        for letter, number in zip("abc", (10.5, 20.5, 60.5), strict=True):
            numbers = numbers.replace(f",{letter},", f",{number * unit},")
        folds.write_text(numbers)
        fit(name, epochs=1, **given)
    one, two = (weights(name)["output.mean"].item() for name in ("one", "two"))
    assert 20 < one < 40
    assert (two > 2000) == reset
