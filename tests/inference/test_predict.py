"""Predictions: what they are worth, against an oracle, and what must not change them."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from comptool import models
from comptool.errors import InputError, UsageError
from comptool.inference.config import Computing, InferConfig
from comptool.inference.plan import plan_prediction
from comptool.inference.predict import predict
from comptool.inference.tta.policies import GROUPS, PLAIN, Scheme
from comptool.io.records import ModelRecord
from comptool.models.checkpoint_file import load_checkpoint, save_checkpoint

HERE = Computing(device="cpu", workers=0, quiet=True, backend="torch")


@pytest.fixture(params=["auto", "torch"])
def _backend(request, monkeypatch):
    """What torch computes, and what ONNX Runtime does in its place, is held to the same."""
    monkeypatch.setattr(sys.modules[__name__], "HERE", replace(HERE, backend=request.param))


by_both = pytest.mark.usefixtures("_backend")


def planned(*runs):
    return plan_prediction(InferConfig(runs=runs, output=Path("preds.csv")))


def probabilities(*runs, scheme=PLAIN, **options):
    plan = planned(*runs)
    (result,), _ = predict(
        plan.members, plan.samples, [scheme], Computing(**{**vars(HERE), **options})
    )
    return result


@by_both
def test_predictions_are_those_of_the_network_on_each_image_by_itself(pairs):
    """By hand: read, resize, normalise, softmax."""
    run = pairs("one", size=24)
    network, _ = load_checkpoint(run)
    wanted = []
    for number in range(9):
        inputs = []
        for sensor in ("SAR", "EO"):
            chip = cv2.imread(f"data/{sensor}_te{number:03d}.png", cv2.IMREAD_GRAYSCALE)
            method = cv2.INTER_AREA if sensor == "SAR" else cv2.INTER_LINEAR
            chip = cv2.resize(chip, (24, 24), interpolation=method) / 255
            channels = [(chip - m) / s for m, s in ((0.4, 0.2), (0.5, 0.3), (0.6, 0.4))]
            inputs.append(torch.tensor(np.stack(channels)[None], dtype=torch.float32))
        with torch.no_grad():
            wanted.append(network(*inputs).softmax(-1)[0].numpy())
    given = probabilities("one")
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, np.stack(wanted), atol=1e-6)
    np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-6)
    assert given.std(axis=0).min() > 1e-3  # the network tells the images apart


@by_both
def test_the_batch_size_changes_nothing(pairs):
    pairs("one")
    for scheme in (PLAIN, Scheme(GROUPS["d4"], "gmean")):
        wanted = probabilities("one", scheme=scheme)
        for batch_size in (1, 2, 5, 9):
            given = probabilities("one", scheme=scheme, batch_size=batch_size)
            np.testing.assert_allclose(given, wanted, atol=1e-6)


def test_the_number_of_workers_changes_nothing(pairs):
    pairs("one")
    np.testing.assert_array_equal(probabilities("one", workers=1), probabilities("one"))


@by_both
def test_members_of_different_sizes_are_averaged(pairs):
    for number, size in enumerate((16, 24, 32)):
        pairs(f"run{number}", size=size, seed=number)
    each = [probabilities(f"run{number}") for number in range(3)]
    together = probabilities("run0", "run1", "run2")
    np.testing.assert_allclose(together, np.mean(each, axis=0), atol=1e-7)
    np.testing.assert_allclose(together, probabilities("run2", "run0", "run1"), atol=1e-7)


def test_the_mean_of_identical_members_is_the_member(pairs):
    run = pairs("one")
    for copy in ("two", "three"):
        shutil.copytree(run, run.parent / copy)
    np.testing.assert_allclose(
        probabilities("one", "two", "three"), probabilities("one"), rtol=1e-6, atol=1e-7
    )


def test_a_run_named_twice_counts_once(pairs):
    pairs("one")
    assert len(planned("one", "weights/one").members) == 1


def test_a_folded_run_is_the_mean_of_its_members(pairs):
    for fold in range(2):
        pairs(f"folded/fold-{fold}", seed=fold)
    each = [probabilities(f"weights/folded/fold-{fold}") for fold in range(2)]
    np.testing.assert_allclose(probabilities("folded"), np.mean(each, axis=0), atol=1e-7)


@pytest.mark.parametrize("merge", ["mean", "gmean", "max"])
def test_the_one_view_as_it_is_is_plain_prediction(pairs, merge):
    pairs("one")
    given = probabilities("one", scheme=Scheme(("identity",), merge))
    np.testing.assert_allclose(given, probabilities("one"), atol=1e-6)


def rewrite(change):
    for path in Path("data").glob("*_te*.png"):
        cv2.imwrite(str(path), change(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)))


@by_both
def test_views_are_predictions_of_files_that_are_turned_alike_in_both_modalities(pairs):
    """Flip the files of both sensors, predict plainly, average by hand."""
    pairs("one", img_size={"sar": [32, 32], "eo": [16, 16]})
    augmented = probabilities("one", scheme=Scheme(GROUPS["flips"], "mean"))
    plain = [probabilities("one")]
    for code in (1, 0):
        rewrite(lambda chip, code=code: cv2.flip(chip, code))
        plain.append(probabilities("one"))
        rewrite(lambda chip, code=code: cv2.flip(chip, code))
    np.testing.assert_allclose(augmented, np.mean(plain, axis=0), atol=1e-6)
    assert np.abs(plain[0] - plain[1]).max() > 1e-3


@pytest.mark.parametrize("merge", ["mean", "gmean", "max"])
def test_a_turned_scene_has_the_prediction_of_the_scene_under_d4(pairs, merge):
    pairs("one", img_size={"sar": [32, 32], "eo": [16, 16]})
    before = probabilities("one", scheme=Scheme(GROUPS["d4"], merge))
    rewrite(lambda chip: np.ascontiguousarray(np.rot90(chip)))
    np.testing.assert_allclose(
        probabilities("one", scheme=Scheme(GROUPS["d4"], merge)), before, atol=1e-5
    )


@by_both
def test_schemes_that_share_views_give_what_each_gives_alone(pairs):
    pairs("one")
    plan = planned("one")
    schemes = [PLAIN, *(Scheme(GROUPS[group], how) for group in GROUPS for how in ("mean", "max"))]
    together, _ = predict(plan.members, plan.samples, schemes, HERE)
    for scheme, result in zip(schemes, together, strict=True):
        np.testing.assert_allclose(result, probabilities("one", scheme=scheme), atol=1e-7)
        np.testing.assert_allclose(result.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_near_and_still_sums_to_one_in_float32(pairs, precision):
    pairs("one")
    half = probabilities("one", precision=precision)
    assert half.dtype == np.float32
    np.testing.assert_allclose(half.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(half, probabilities("one"), atol=0.1)
    assert not np.array_equal(half, probabilities("one"))


@by_both
def test_a_single_modality_is_predicted_too(pairs):
    pairs("eo", modalities=["eo"])
    pairs("sar", modalities=["sar"])
    assert np.abs(probabilities("eo") - probabilities("sar")).max() > 1e-3


@by_both
def test_modalities_are_given_to_the_network_in_its_own_order(pairs):
    run = pairs("one")
    header = {"modalities": ["eo", "sar"]}
    swapped = pairs("swapped", **header)
    network, full = load_checkpoint(run)
    features = network.classifier.in_features // 2
    network.encoders = torch.nn.ModuleList([network.encoders[1], network.encoders[0]])
    weight = network.classifier.weight.data
    network.classifier.weight.data = torch.cat([weight[:, features:], weight[:, :features]], 1)
    save_checkpoint(swapped / "best.safetensors", network, replace(full, **header), force=True)
    np.testing.assert_allclose(probabilities("swapped"), probabilities("one"), atol=1e-6)


def findings():
    plan = planned("one")
    return predict(plan.members, plan.samples, [PLAIN], HERE)[1]


def test_all_zero_and_identical_images_are_named(pairs):
    pairs("one")
    assert findings() == []
    for number in (2, 5):
        cv2.imwrite(f"data/SAR_te00{number}.png", np.zeros((20, 20), np.uint8))
    cv2.imwrite("data/EO_te004.png", np.zeros((20, 20), np.uint8))
    shutil.copy("data/SAR_te001.png", "data/SAR_te007.png")
    assert findings() == [
        "2 sar images are all zero: te002, te005",
        "2 groups of pixel-identical sar images: te001 = te007, te002 = te005",
        "1 eo image is all zero: te004",
    ]


def test_sixteen_bits_out_of_the_scale_that_the_run_was_trained_at_are_named(pairs):
    pairs("one", bits={"sar": 12, "eo": 16})
    deep = np.full((20, 20), 3000, np.uint16)
    for number, value in ((1, 0), (2, 16), (3, 17), (5, 4095), (6, 4096)):
        deep[0, 0] = value
        cv2.imwrite(
            f"data/SAR_te00{number}.png", np.where(value > 99, deep, value).astype("uint16")
        )
    assert findings() == [
        "1 sar image is all zero: te001",
        "WARNING: 1 16-bit sar image is black at the scale that the run was trained at: te002",
        "WARNING: 1 16-bit sar image is brighter than all that the run was trained on, and white "
        "there: te006",
    ]


@by_both
def test_a_missing_image_may_be_a_black_chip(pairs):
    pairs("one")
    before = probabilities("one")
    cv2.imwrite("data/EO_te003.png", np.zeros((16, 16), np.uint8))
    black = probabilities("one")
    Path("data/EO_te003.png").unlink()
    with pytest.raises(InputError, match="sample 'te003' has no eo image"):
        probabilities("one")
    np.testing.assert_array_equal(probabilities("one", missing="zero"), black)
    assert not np.allclose(before[3], black[3])
    plan = planned("one")
    options = Computing(**{**vars(HERE), "missing": "zero"})
    assert predict(plan.members, plan.samples, [PLAIN], options)[1] == [
        "1 eo image is missing: te003"
    ]


@by_both
def test_a_network_of_fixed_input_size_refuses_other_scales_before_it_starts(pairs):
    run = pairs("one")
    header = load_checkpoint(run)[1]
    described = ModelRecord("test_vit-dual", {})
    sizes = {name: [160, 160] for name in header.modalities}
    save_checkpoint(
        run / "best.safetensors",
        models.create("test_vit-dual", 3),
        replace(header, model=described, img_size=sizes),
        force=True,
    )
    assert probabilities("one", scheme=Scheme(("identity", "rotate-90"), "mean")).shape == (9, 3)
    with pytest.raises(UsageError) as error:
        probabilities("one", scheme=Scheme(GROUPS["multiscale"], "mean"))
    assert str(error.value).startswith(
        "the network of weights/one does not take the view 'scale-0.75' ("
    )


@by_both
def test_predictions_that_are_not_finite_are_refused(pairs):
    run = pairs("one")
    network, header = load_checkpoint(run)
    with torch.no_grad():
        network.classifier.bias[1] = float("nan")
    save_checkpoint(run / "best.safetensors", network, header, force=True)
    with pytest.raises(InputError) as error:
        probabilities("one")
    assert str(error.value) == (
        "weights/one: the network gives probabilities that are not finite "
        "(found 'te000', 'te001', 'te002' and 6 more). Its training diverged; train again"
    )


@pytest.mark.parametrize("device", ["gpu", "mps", "cuda:99"])
def test_a_device_that_is_not_here_is_named_and_not_replaced(pairs, device):
    pairs("one")
    with pytest.raises(UsageError, match=device):
        probabilities("one", device=device)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("fp16", 0.1), ("bf16", 0.1)])
def test_a_gpu_gives_what_the_cpu_gives(pairs, precision, tolerance):
    pairs("one")
    scheme = Scheme(GROUPS["d4"], "mean")
    # Batches enough for their kernels to be recorded and replayed, and one of another shape.
    options = {"device": "cuda", "precision": precision, "workers": 1, "batch_size": 2}
    given = probabilities("one", scheme=scheme, **options)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, probabilities("one", scheme=scheme), atol=tolerance)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_with_little_memory_computes_in_parts(pairs):
    pairs("one", size=384)
    plan = planned("one")
    computing = replace(HERE, device="cuda", precision="fp32", batch_size=9)

    def predicted():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        (result,), found = predict(plan.members, plan.samples, [PLAIN], computing)
        return result, [one for one in found if "out of memory" in one]

    whole, found = predicted()
    assert found == []
    share = torch.cuda.max_memory_allocated() / torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction(0.6 * share)
    try:
        parts, found = predicted()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    (note,) = found
    assert note.startswith("out of memory: at most ")
    np.testing.assert_allclose(parts, whole, atol=1e-4)
