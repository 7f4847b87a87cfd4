"""Networks of one channel: by option, by the images, by the run that they start from."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from comptool import models
from comptool.competition.config import load
from comptool.data.image_io import spread
from comptool.errors import InputError, UsageError
from comptool.inference.config import Computing
from comptool.inference.plan import TrainedMember, held_out
from comptool.inference.predict import predict
from comptool.inference.tta.policies import PLAIN
from comptool.io.predictions import read_predictions
from comptool.io.runs import read_header
from comptool.training.setup import new_model

RUN = Path("weights/run")
GREY, COLOUR = {"sar": 1, "eo": 1}, {"sar": 3, "eo": 3}


def built(plan):
    return new_model(plan, plan.members[0], lambda text: None)


def repaint(modality, paint):
    for path in Path("images").glob(f"{modality}_*.png"):
        cv2.imwrite(str(path), paint(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)))


def as_colour(chip):
    return np.repeat(chip[:, :, None], 3, axis=2)


def tinted(chip):
    return np.stack([chip, chip // 2, chip], axis=2)


def test_a_run_of_one_channel_predicts_as_it_validated(folds, fit):
    said = []
    fit(channels="1", epochs=2, say=said.append)
    assert any("sar 32x32 grey, eo 32x32 grey pixels" in text for text in said)
    header = read_header(RUN)
    assert header.channels == GREY
    assert len(header.mean["sar"]) == len(header.std["eo"]) == 1
    member = TrainedMember(RUN, header)
    computing = Computing(device="cpu", workers=0, quiet=True)
    (predicted,), _ = predict([member], held_out(member, load()), [PLAIN], computing)
    oof = read_predictions(RUN / "oof.csv")
    np.testing.assert_allclose(predicted, oof.probabilities, atol=1e-5)
    assert np.ptp(predicted, axis=0).max() > 1e-3


def test_a_resumed_run_keeps_its_channels(folds, fit, kept):
    settings = {"channels": "auto", "schedule": "constant", "warmup_epochs": 0.0}
    fit("whole", epochs=2, **settings)
    fit("parts", epochs=1, **settings)
    fit("parts", resume=True, epochs=2)
    assert read_header(Path("weights/parts")).channels == GREY
    for name, weight in kept("whole")["weights"].items():
        assert torch.equal(weight, kept("parts")["weights"][name]), name
    with pytest.raises(UsageError, match="begun with --channels auto"):
        fit("parts", resume=True, channels="3")


def test_shake_shake_of_one_channel_has_the_weights_of_its_paper(folds, plan_of):
    plan = plan_of(model="shake-shake-26-2x32d", modality=("sar",), channels="1")
    model, header = built(plan)
    seven_classes_fewer = 7 * (128 + 1)
    assert sum(weight.numel() for weight in model.parameters()) == 2_922_874 - seven_classes_fewer
    assert header.channels == {"sar": 1}


@pytest.mark.parametrize(
    ("paint", "channels"),
    [(as_colour, GREY), (tinted, {"sar": 1, "eo": 3}), (lambda chip: chip, GREY)],
)
def test_the_images_tell_the_channels(folds, plan_of, paint, channels):
    repaint("eo", paint)
    model, header = built(plan_of(channels="auto"))
    assert header.channels == channels
    assert [encoder.conv_stem.in_channels for encoder in model.encoders] == list(channels.values())
    assert [len(header.mean[name]) for name in channels] == list(channels.values())
    assert built(plan_of())[1].channels == COLOUR


@given(st.integers(1, 500), st.integers(2, 70))
def test_images_that_are_looked_at_are_spread_over_all_rows(count, most):
    rows = spread(count, most).tolist()
    assert rows == sorted(set(rows))
    assert (rows[0], rows[-1], len(rows)) == (0, count - 1, min(count, most))
    gaps = np.diff(rows)
    assert not gaps.size or gaps.max() - gaps.min() <= 1


def test_a_stage_takes_the_channels_of_the_stage_before(folds, fit, plan_of):
    fit("first", channels="1", epochs=1)
    for asked in (None, "auto", "1"):
        model, header = built(plan_of(init_from=Path("first"), channels=asked))
        assert header.channels == GREY
        assert model.encoders[0].conv_stem.in_channels == 1
    with pytest.raises(UsageError) as error:
        built(plan_of(init_from=Path("first"), channels="3"))
    assert str(error.value) == (
        "--channels is 3, and weights/first, whose weights it starts from, takes 1 of each sar "
        "image; leave --channels out"
    )


def test_published_weights_are_summed_to_one_channel(folds, plan_of):
    torch.manual_seed(0)
    published = timm.create_model("test_efficientnet")
    save_file(published.state_dict(), "published.safetensors")
    plan = plan_of(channels="1", pretrained="published.safetensors")
    model, header = built(plan)
    wanted = published.conv_stem.weight.sum(dim=1, keepdim=True)
    torch.testing.assert_close(model.encoders[1].conv_stem.weight, wanted)
    assert header.mean["sar"] == [pytest.approx(np.mean(published.pretrained_cfg["mean"]))]


def test_weights_of_other_channels_are_refused_where_they_cannot_be_summed(folds, plan_of):
    network = models.create("eurosat-baseline", 3).encoders[0]
    save_file(network.state_dict(), "colour.safetensors")
    plan = plan_of(model="eurosat-baseline-dual", channels="1", pretrained="colour.safetensors")
    with pytest.raises(InputError, match=r"does not fit .* of another shape: '.*weight'"):
        built(plan)


def test_other_numbers_are_no_channels(comptool):
    result = comptool("train", "--channels", "2")
    assert result.exit_code == 2
    assert "'2' is not one of '1', '3', 'auto'" in result.stderr
