"""Features are what the classifier sees, rows are drawn alike, and PCA is that of numpy."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.modules.module import register_module_forward_pre_hook

from comptool.errors import InputError
from comptool.inference.config import Computing, FeaturesConfig
from comptool.inference.features import draw_rows, make_feature_plan, penultimate, project
from comptool.models.checkpoint_file import load_checkpoint, save_checkpoint

HERE = Computing(device="cpu", workers=0, batch_size=4, quiet=True)


def planned(*runs, **changes):
    config = FeaturesConfig(runs=runs, output=Path("f.png"), per_class=9, **changes)
    return make_feature_plan(config)


def test_features_are_what_the_classifier_is_given(pairs):
    """By hand: read, resize, normalise, and listen in front of the classifier."""
    run = pairs("one", size=24)
    ids = [f"tr{number:03d}" for number in (3, 1, 8, 0, 5, 10)]
    pairs.held_out("one", ids)
    network, _ = load_checkpoint(run)
    heard = []
    network.classifier.register_forward_pre_hook(lambda _, given: heard.append(given[0][0]))
    for identity in ids:
        inputs = []
        for sensor in ("SAR", "EO"):
            chip = cv2.imread(f"data/{sensor}_{identity}.png", cv2.IMREAD_GRAYSCALE)
            method = cv2.INTER_AREA if sensor == "SAR" else cv2.INTER_LINEAR
            chip = cv2.resize(chip, (24, 24), interpolation=method) / 255
            channels = [(chip - m) / s for m, s in ((0.4, 0.2), (0.5, 0.3), (0.6, 0.4))]
            inputs.append(torch.tensor(np.stack(channels)[None], dtype=torch.float32))
        with torch.no_grad():
            network(*inputs)
    (subject,) = planned("one").subjects
    assert subject.samples.frame["id"].tolist() == ids
    features, computed = penultimate(subject, HERE)
    assert (computed.device, computed.precision, computed.fallbacks) == ("cpu", "float32", [])
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, torch.stack(heard).numpy(), atol=2e-5)
    assert features.std(axis=0).max() > 1e-3


def test_features_that_do_not_fit_are_computed_in_parts(pairs):
    pairs("one")
    pairs.held_out("one", [f"tr{number:03d}" for number in range(7)])
    (subject,) = planned("one").subjects
    whole, _ = penultimate(subject, HERE)

    def allocate(module, inputs):
        if isinstance(module, torch.nn.Conv2d) and len(inputs[0]) > 2:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED")

    handle = register_module_forward_pre_hook(allocate)
    try:
        parts, computed = penultimate(subject, HERE)
    finally:
        handle.remove()
    assert computed.fallbacks == ["out of memory: at most 2 images at once"]
    np.testing.assert_allclose(parts, whole, atol=1e-5)


@pytest.mark.parametrize("texts", [["c,a"], ["a", "c"]])
def test_classes_that_stand_out_are_joined_by_commas_or_repeated(pairs, texts):
    pairs("one")
    pairs.held_out("one", ["tr000", "tr001", "tr002"])
    assert planned("one", highlight=texts).highlighted == {0, 2}


def test_a_network_that_tells_no_rows_apart_is_refused(pairs):
    run = pairs("one")
    pairs.held_out("one", ["tr000", "tr001", "tr002"])
    network, header = load_checkpoint(run)
    for weight in network.parameters():
        torch.nn.init.zeros_(weight)
    save_checkpoint(run / "best.safetensors", network, header, force=True)
    with pytest.raises(InputError, match="all 3 rows have the same features: nothing has been"):
        penultimate(planned("one").subjects[0], HERE)


def test_a_network_whose_features_are_no_numbers_is_refused(pairs):
    run = pairs("one")
    pairs.held_out("one", ["tr000", "tr001", "tr002"])
    network, header = load_checkpoint(run)
    torch.nn.init.constant_(next(network.parameters()), torch.nan)
    save_checkpoint(run / "best.safetensors", network, header, force=True)
    with pytest.raises(InputError, match="gives features that are not finite"):
        penultimate(planned("one").subjects[0], HERE)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 5), st.randoms())
def test_the_draw_hangs_on_ids_and_not_on_their_order(targets, per_class, random):
    targets = np.array(targets)
    ids = np.array([f"i{number}" for number in range(len(targets))])
    drawn = draw_rows(ids, targets, per_class, seed=0)
    assert drawn.tolist() == sorted(set(drawn.tolist()))
    counts = np.bincount(targets, minlength=4)
    np.testing.assert_array_equal(
        np.bincount(targets[drawn], minlength=4), np.minimum(counts, per_class)
    )
    order = random.sample(range(len(ids)), len(ids))
    again = draw_rows(ids[order], targets[order], per_class, seed=0)
    assert set(ids[order][again]) == set(ids[drawn])


def test_another_seed_draws_other_rows():
    ids, targets = np.array([f"i{number}" for number in range(50)]), np.zeros(50, int)
    draws = {tuple(draw_rows(ids, targets, 5, seed)) for seed in range(5)}
    assert len(draws) == 5


def test_principal_components_are_those_of_the_singular_values():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(30, 6)) * [5, 3, 1, 1, 1, 1] + 7
    found = project(features, "pca", seed=0)
    centred = features - features.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    # A direction may be turned round.
    np.testing.assert_allclose(np.abs(found.points), np.abs(u[:, :2] * s[:2]), atol=1e-8)
    np.testing.assert_allclose(found.explained, s[:2] ** 2 / (s**2).sum(), atol=1e-8)
    assert str(found) == "PCA, {:.0%} and {:.0%} of the variance".format(*found.explained)


@pytest.mark.parametrize("rows", [3, 40])
def test_tsne_takes_few_rows_and_follows_the_seed(rows):
    rng = np.random.default_rng(0)
    features = np.repeat(np.eye(8, dtype=np.float32)[:2] * 50, [rows - 1, 1], axis=0)
    features = features + rng.normal(size=features.shape).astype(np.float32)
    found = project(features, "tsne", seed=1)
    assert found.points.shape == (rows, 2)
    assert np.isfinite(found.points).all()
    np.testing.assert_array_equal(found.points, project(features, "tsne", seed=1).points)
    assert str(found) == "t-SNE"
