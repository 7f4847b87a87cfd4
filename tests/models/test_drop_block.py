"""DropBlock: how much it drops, in which shapes, and in which networks."""

from __future__ import annotations

import pytest
import timm
import torch

from comptool import models
from comptool.errors import UsageError
from comptool.models.backbones.drop_block import DropBlock, progressive_rates


@pytest.mark.parametrize(("side", "rate"), [(8, 0.2), (16, 0.1), (32, 0.05)])
def test_about_the_share_asked_for_is_dropped(side, rate):
    """timm's, with the same arguments, drops 84 % of the 8 x 8 map."""
    torch.manual_seed(0)
    output = DropBlock(rate)(torch.ones(400, 4, side, side))
    dropped = (output == 0).float().mean()
    assert abs(dropped - rate) < 0.15 * rate + 0.01
    assert abs(output.mean() - 1) < 1e-3


def test_what_is_dropped_are_squares():
    torch.manual_seed(1)
    output = DropBlock(0.02, block_size=3)(torch.ones(50, 1, 20, 20))
    dropped = (output == 0).float()
    # Every dropped cell lies in a 3 x 3 square of dropped cells.
    whole = torch.nn.functional.avg_pool2d(dropped, 3, 1) > 0.999
    covered = torch.nn.functional.max_pool2d(torch.nn.functional.pad(whole.float(), [2] * 4), 3, 1)
    assert dropped.any()
    assert torch.equal(covered, dropped)


@pytest.mark.parametrize("shape", [(4, 4), (2, 6), (1, 1), (7, 8)])
def test_maps_smaller_than_the_block_are_taken(shape):
    torch.manual_seed(0)
    output = DropBlock(0.3)(torch.ones(200, 3, *shape))
    assert output.isfinite().all()
    assert 0.1 < (output == 0).float().mean() < 0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_maps_in_half_precision_survive(dtype):
    torch.manual_seed(0)
    output = DropBlock(0.1)(torch.ones(8, 8, 40, 40, dtype=dtype))
    assert output.dtype == dtype
    assert output.isfinite().all()
    assert (output.float().mean() - 1).abs() < 0.01


def test_in_evaluation_nothing_happens():
    images = torch.rand(2, 3, 8, 8)
    assert DropBlock(0.5).eval()(images) is images
    assert DropBlock(0.0)(images) is images


def test_rates_rise_in_equal_steps():
    assert progressive_rates(0.2, 4) == pytest.approx([0.05, 0.1, 0.15, 0.2])
    assert progressive_rates(0.0, 3) == [0, 0, 0]


@pytest.mark.parametrize("name", ["resnet18", "resnet26-dual"])
def test_a_resnet_of_timm_takes_it_in_every_block(name):
    with torch.device("meta"):
        model = models.create(name, 3, drop_block=0.2)
        plain = models.create(name, 3)
    for encoder in model.encoders:
        rates = [[block.drop_block.rate for block in getattr(encoder, f"layer{n}")] for n in "1234"]
        assert rates == [pytest.approx([0.05 * n] * 2) for n in (1, 2, 3, 4)]
    assert model.state_dict().keys() == plain.state_dict().keys()


def test_it_acts_in_training_and_not_in_evaluation():
    torch.manual_seed(0)
    model = models.create("resnet10t", 3, drop_block=0.3)
    for name, parameter in model.named_parameters():
        if name.endswith("bn2.weight"):  # zero at first: no branch has a part yet
            torch.nn.init.ones_(parameter)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert not torch.equal(model.forward_features(images), model.forward_features(images))
        model.eval()
        assert torch.equal(model(images), model(images))


def test_a_backbone_without_a_place_for_it_is_named():
    with pytest.raises(UsageError) as error:
        models.create("mobilenetv2", 3, drop_block=0.1)
    assert str(error.value) == "the backbone 'mobilenetv2_100' takes no 'drop_block'"
    assert not hasattr(timm.create_model("mobilenetv2_100"), "layer1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0,), "drop_block is 1.0; it has to be in [0, 1)"),
        ((-0.1,), "drop_block is -0.1; it has to be in [0, 1)"),
        ((0.1, 4), "the block size of DropBlock is 4; it has to be odd"),
    ],
)
def test_values_out_of_range_are_refused(arguments, message):
    with pytest.raises(UsageError) as error:
        DropBlock(*arguments)
    assert str(error.value) == message
