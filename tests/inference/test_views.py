"""Views are what their names say, and form a group; merges are their formulas."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from comptool.errors import InputError, UsageError
from comptool.inference import onnx_backend
from comptool.inference.torch_backend import see
from comptool.inference.tta.merge import merge
from comptool.inference.tta.policies import (
    D4,
    GROUPS,
    VIEW_NAMES,
    read_scheme,
    seen_size,
)

IMAGE = torch.arange(2 * 3 * 6 * 6, dtype=torch.float32).reshape(2, 3, 6, 6)
INVERSE = {"rotate-90": "rotate-270", "rotate-270": "rotate-90"}


def element_of(image):
    return next(name for name in D4 if torch.equal(see(IMAGE, name), image))


def test_every_name_has_its_view_and_every_view_its_name():
    assert {name for names in GROUPS.values() for name in names if "scale" not in name} == set(
        VIEW_NAMES
    )
    for name in VIEW_NAMES:
        assert see(IMAGE, name).shape == IMAGE.shape


def test_the_eight_views_of_d4_differ_and_are_closed_under_composition():
    assert len({see(IMAGE, name).contiguous().numpy().tobytes() for name in D4}) == 8
    for first, second in itertools.product(D4, repeat=2):
        assert element_of(see(see(IMAGE, first), second)) in D4


@pytest.mark.parametrize("name", D4)
def test_each_view_of_d4_has_its_inverse(name):
    assert torch.equal(see(see(IMAGE, name), INVERSE.get(name, name)), IMAGE)


def test_turns_are_torchs():
    for degrees in (90, 180, 270):
        turned = torch.rot90(IMAGE, degrees // 90, (-2, -1))
        assert torch.equal(see(IMAGE, f"rotate-{degrees}"), turned)
    assert torch.equal(see(IMAGE, "transpose"), IMAGE.mT)
    mirrored = torch.from_numpy(IMAGE.numpy()[..., ::-1].copy())
    assert torch.equal(see(IMAGE, "horizontal"), mirrored)


@pytest.mark.parametrize("group", [*GROUPS, "all"])
@pytest.mark.parametrize("sides", [(32, 16), (24, 56)])
def test_views_are_at_the_same_place_in_modalities_of_different_size(group, sides):
    """A smooth scene, seen by two sensors of different resolution, is one scene in every view."""
    for name in VIEW_NAMES if group == "all" else GROUPS[group]:
        seen = [see(scene(side), name) for side in sides]
        shape = tuple(min(image.shape[axis] for image in seen) for axis in (-2, -1))
        first, second = (torch.nn.functional.adaptive_avg_pool2d(one, 4) for one in seen)
        assert min(shape) > 0
        assert (first - second).abs().max() < 0.06


def scene(side):
    place = (torch.arange(side) + 0.5) / side
    return (place[:, None] + 0.5 * place[None, :] ** 2)[None, None]


def test_crops_show_seven_eighths_of_the_side_at_the_size_of_the_image():
    corners = torch.zeros(1, 1, 16, 16)
    corners[..., 0, 0], corners[..., 0, -1], corners[..., -1, 0], corners[..., -1, -1] = 1, 2, 3, 4
    for name, value in zip(GROUPS["5crop"], (1, 2, 3, 4, None), strict=True):
        crop = see(corners, name)
        assert crop.shape == corners.shape
        kept = {round(float(corner)) for corner in (crop[..., 0, 0], crop[..., 0, -1],
                crop[..., -1, 0], crop[..., -1, -1])}  # fmt: skip
        assert kept == ({0} if value is None else {0, value})
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    assert see(ramp, "crop-centre").mean() == pytest.approx(7.5, abs=1e-4)
    assert see(ramp, "crop-top-left").mean() == pytest.approx(6.5, abs=1e-4)


@pytest.mark.parametrize(
    ("factor", "size"), [("0.75", (18, 36)), ("1.25", (30, 60)), ("2", (48, 96))]
)
def test_scales_change_the_size(factor, size):
    assert tuple(see(torch.zeros(1, 3, 24, 48), f"scale-{factor}").shape[-2:]) == size


@pytest.mark.parametrize("name", ["scale-0", "scale-9", "scale-x", "scale-nan"])
def test_a_scale_without_a_sensible_factor_is_refused(name):
    with pytest.raises(UsageError, match=f"the view '{name}' needs a factor above 0 and up to 4"):
        seen_size(name, 1, 1)


def test_an_unknown_view_or_group_is_named_with_the_nearest():
    with pytest.raises(
        UsageError, match="no view is called 'horizontl'; did you mean 'horizontal'"
    ):
        see(IMAGE, "horizontl")
    with pytest.raises(
        UsageError, match="no group of views is called 'flip'; did you mean 'flips'"
    ):
        read_scheme("flip", "mean")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("views.json", '["identity", "rotate-180", "scale-1.5"]'),
        ("views.json", '{"views": ["identity", "rotate-180", "scale-1.5"]}'),
        ("views.toml", 'views = ["identity", "rotate-180", "scale-1.5"]'),
    ],
)
def test_views_can_be_listed_in_a_file(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert read_scheme(str(tmp_path / name), "mean").views == (
        "identity",
        "rotate-180",
        "scale-1.5",
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "[", "is not readable as JSON (Expecting value"),
        ("a.toml", "views", "is not readable as TOML (Expected '='"),
        ("a.json", "{}", "its list of views lacks views"),
        ("a.json", "[]", "has no list of view names called 'views'"),
        ("a.json", "[1]", "its list of views is damaged: views[0] must be text, found 1"),
        ("a.json", '["identity", "vertical", "identity"]', "lists a view twice (found 'identity')"),
        (
            "a.json",
            '{"views": ["identity"], "weights": [1, 2]}',
            "its weights are not one number for each of 1 views",
        ),
        (
            "a.toml",
            "views = ['identity', 'vertical']\nweights = [1, -2]",
            "weights of views are numbers from 0 on, not all 0 (found '1', '-2')",
        ),
        ("a.json", '["vertikal"]', "no view is called 'vertikal'; did you mean 'vertical'"),
    ],
)
def test_a_file_that_lists_no_views_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError) as error:
        read_scheme(str(path), "mean")
    assert str(error.value).startswith(f"{path}: {message}")
    with pytest.raises(InputError, match="there is no such file of views"):
        read_scheme(str(tmp_path / "none.toml"), "mean")


def test_weights_of_a_file_are_shares_of_the_mean_alone(tmp_path):
    path = tmp_path / "views.toml"
    path.write_text("views = ['identity', 'vertical', 'horizontal']\nweights = [3, 0, 1]\n")
    scheme = read_scheme(str(path), "mean")
    assert scheme.views == ("identity", "horizontal")
    assert scheme.weights == (0.75, 0.25)
    with pytest.raises(UsageError, match="are those of the mean, not of max"):
        read_scheme(str(path), "max")


def test_groups_can_be_joined():
    views = read_scheme("multiscale,flips", "gmean").views
    assert views == ("scale-0.75", "identity", "scale-1.25", "horizontal", "vertical")


@pytest.mark.parametrize("name", [*VIEW_NAMES, "scale-0.3", "scale-0.75", "scale-1.25", "scale-3"])
@pytest.mark.parametrize("shape", [(2, 24, 31, 3), (1, 64, 64, 1)])
def test_arrays_are_seen_as_torch_sees_them(name, shape):
    images = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
    given = onnx_backend.see(images, name)
    wanted = see(torch.from_numpy(images).permute(0, 3, 1, 2).float(), name).permute(0, 2, 3, 1)
    np.testing.assert_allclose(given, wanted.numpy(), atol=2e-3)  # of 255
    assert given.flags.c_contiguous and given.dtype == np.float32
    assert given.shape[1:3] == seen_size(name, *shape[1:3])


softmax = partial(special.softmax, axis=-1)
FORMULAS = {
    "mean": lambda shares: shares.mean(0),
    "gmean": lambda shares: np.exp(np.log(shares).mean(0)),
    "max": lambda shares: shares.max(0),
}
LOGITS = st.lists(st.lists(st.floats(-20, 20), min_size=3, max_size=3), min_size=1, max_size=5).map(
    lambda rows: np.array(rows)[:, None, :]
)


@given(logits=LOGITS, how=st.sampled_from(sorted(FORMULAS)))
def test_merges_are_their_formulas_and_sum_to_one(logits, how):
    merged = merge(logits, how, "multiclass")
    wanted = FORMULAS[how](softmax(logits))
    np.testing.assert_allclose(merged, wanted / wanted.sum(-1, keepdims=True), atol=1e-9)
    np.testing.assert_allclose(merged.sum(-1), 1, atol=1e-9)


@given(logits=LOGITS, how=st.sampled_from(sorted(FORMULAS)))
def test_a_multilabel_merge_treats_each_class_as_yes_or_no(logits, how):
    merged = merge(logits, how, "multilabel")
    yes = 1 / (1 + np.exp(-logits))
    wanted, against = FORMULAS[how](yes), FORMULAS[how](1 - yes)
    np.testing.assert_allclose(merged, wanted / (wanted + against), atol=1e-9)


@given(logits=LOGITS, seed=st.integers(0, 99), task=st.sampled_from(["multiclass", "multilabel"]))
def test_a_weighted_mean_is_that_of_the_probabilities(logits, seed, task):
    weights = np.random.default_rng(seed).dirichlet(np.ones(len(logits)))
    each = [merge(one[None], "mean", task) for one in logits]
    merged = merge(logits, "mean", task, weights.tolist())
    np.testing.assert_allclose(merged, np.tensordot(weights, each, axes=1), atol=1e-9)
    with pytest.raises(UsageError, match="those of the mean, not of gmean"):
        merge(logits, "gmean", task, weights.tolist())


@given(logits=LOGITS, how=st.sampled_from(sorted(FORMULAS)), seed=st.integers(0, 99))
def test_merges_ignore_the_order_of_the_views_and_leave_one_view_alone(logits, how, seed):
    shuffled = np.random.default_rng(seed).permutation(logits)
    first, second = (merge(one, how, "multiclass") for one in (logits, shuffled))
    np.testing.assert_allclose(first, second, atol=1e-12, rtol=0)
    np.testing.assert_allclose(merge(logits[:1], how, "multiclass"), softmax(logits[0]))


def test_the_geometric_mean_survives_probabilities_that_float32_has_not():
    logits = np.array([[[0.0, -300.0, -310.0]], [[-300.0, 0.0, -310.0]]], np.float32)
    merged = merge(logits, "gmean", "multiclass")
    assert merged.dtype == np.float32
    np.testing.assert_allclose(merged[0, :2], [0.5, 0.5])


def test_an_unknown_merge_is_named():
    with pytest.raises(UsageError, match="no merge is called 'median'; did you mean"):
        merge(np.zeros((1, 1, 2)), "median", "multiclass")
