"""The three EuroSAT networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from comptool import models
from comptool.errors import InputError, UsageError
from comptool.models.backbones.drop_block import DropBlock
from comptool.models.backbones.eurosat import (
    BalancedAttention,
    BalancedBlock,
    SpatialAttention,
    fusion_weights,
)

NETWORKS = {
    "eurosat-baseline": (4_293_642, 512, (128, 8, 8), 0.5),
    "eurosat-cbam": (9_912_212, 256, (512, 1, 1), 0.4),
    "eurosat-bmta": (13_115_813, 512, (512, 8, 8), 0.5),
}


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_and_shapes_are_the_published_ones(name):
    parameters, width, shape, drop_rate = NETWORKS[name]
    model = models.create(name, 10).eval()
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert models.BACKBONES.find(name).summary.endswith(f" {parameters:,} parameters.")
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        features = model.forward_features(images)
        assert features.shape == (2, width)
        torch.testing.assert_close(model.classifier(features), model(images))
        assert model.encoders[0].forward_features(images).shape == (2, *shape)
    assert model.dropout.p == drop_rate
    assert models.create(name, 10, drop_rate=0.1).dropout.p == 0.1


@pytest.mark.parametrize("name", NETWORKS)
def test_the_backward_pass_reaches_every_parameter(name):
    torch.manual_seed(0)
    model = models.create(name, 3)
    model(torch.rand(4, 3, 64, 64)).square().sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), parameter_name


@pytest.mark.parametrize("name", NETWORKS)
def test_two_streams_of_other_channels_and_heads_are_taken(name):
    model = models.create(f"{name}-dual", 3, in_chans=[1, 4], img_size=[[64, 64], [80, 64]]).eval()
    with torch.no_grad():
        assert model(torch.rand(2, 1, 64, 64), torch.rand(2, 4, 80, 64)).shape == (2, 3)
        queried = models.create(f"{name}+ml-decoder", 4).eval()
        assert queried(torch.rand(2, 3, 64, 64)).shape == (2, 4)


def test_the_hidden_layer_of_the_baseline_fits_the_image_size():
    model = models.create("eurosat-baseline", 3, img_size=(32, 50)).eval()
    assert model.encoders[0].hidden.in_features == 128 * 4 * 6
    with torch.no_grad():
        assert model(torch.rand(2, 3, 32, 50)).shape == (2, 3)
    assert (model.forward_features(torch.rand(2, 3, 32, 50)) >= 0).all()


@pytest.mark.parametrize(("name", "least"), [("eurosat-baseline", 8), ("eurosat-cbam", 64)])
def test_images_that_are_too_small_are_refused(name, least):
    with pytest.raises(UsageError) as error:
        models.create(name, 3, img_size=(least, least - 1))
    assert str(error.value) == (
        f"the backbone '{name}' takes no images of {least}x{least - 1} pixels ({least} or more)"
    )


def test_spatial_attention_weighs_places_by_mean_and_maximum():
    layer = SpatialAttention()
    images = torch.randn(2, 5, 6, 6)
    padded = np.zeros((2, 2, 12, 12))
    padded[:, 0, 3:9, 3:9] = images.numpy().mean(1)
    padded[:, 1, 3:9, 3:9] = images.numpy().max(1)
    kernel = layer.conv.weight.detach().numpy()[0]
    weights = np.array(
        [
            [[(padded[b, :, r : r + 7, c : c + 7] * kernel).sum() for c in range(6)]
             for r in range(6)]
            for b in range(2)
        ]
    )  # fmt: skip
    expected = images.numpy() * sigmoid(weights)[:, None]
    np.testing.assert_allclose(layer(images).detach().numpy(), expected, atol=1e-5)


def test_balanced_attention_is_the_formula():
    """Against numpy: strips, squeeze, gates and the learnt share."""
    torch.manual_seed(0)
    layer = BalancedAttention(32).eval()
    with torch.no_grad():
        layer.theta.fill_(-0.7)
    assert layer.coordinate.conv1.weight.shape == (4, 32, 1, 1)
    assert layer.channel.fc1.weight.shape == (2, 32, 1, 1)
    images = torch.randn(2, 32, 5, 6)
    x = images.numpy()

    def dense(convolution, values):
        return np.einsum("oc,bcn->bon", convolution.weight.detach().numpy()[:, :, 0, 0], values)

    strips = np.concatenate([x.mean(3), x.mean(2)], axis=2)
    hidden = np.maximum(dense(layer.coordinate.conv1, strips) / np.sqrt(1 + 1e-5), 0)
    rows = sigmoid(dense(layer.coordinate.conv_h, hidden[:, :, :5]))
    columns = sigmoid(dense(layer.coordinate.conv_w, hidden[:, :, 5:]))
    coordinate = x * rows[:, :, :, None] * columns[:, :, None, :]
    squeezed = np.maximum(dense(layer.channel.fc1, x.mean((2, 3))[:, :, None]), 0)
    channel = x * sigmoid(dense(layer.channel.fc2, squeezed))[..., None]
    alpha = sigmoid(-0.7)
    expected = alpha * coordinate + (1 - alpha) * channel
    np.testing.assert_allclose(layer(images).detach().numpy(), expected, atol=1e-5)


def test_alpha_is_learnt_from_both_sides():
    layer = BalancedAttention(32)
    images = torch.randn(4, 32, 5, 5)
    layer(images).square().sum().backward()
    difference = (layer.coordinate(images) - layer.channel(images)).detach()
    weighed = layer(images).detach()
    alpha = float(layer.alpha.detach())
    expected = (2 * weighed * difference).sum() * alpha * (1 - alpha)
    torch.testing.assert_close(layer.theta.grad, expected, rtol=1e-3, atol=1e-4)


def test_the_fusion_weights_are_named_by_their_place():
    model = models.create("eurosat-bmta", 10)
    alphas = fusion_weights(model)
    places = "1_1 1_2 1_3 2_1 2_2 2_3 3_1 3_2 3_3 4_1 4_2".split()
    assert list(alphas) == [f"alpha_{place}" for place in places]
    assert list(alphas.values()) == pytest.approx([0.6224593] * 11)
    with torch.no_grad():
        model.encoders[0].stages[3][1].attention.theta.fill_(0.28)
    assert fusion_weights(model)["alpha_4_2"] == pytest.approx(0.56955, abs=1e-5)
    with torch.device("meta"):
        assert fusion_weights(models.create("shake-shake-26-2x32d", 3)) == {}


def test_two_streams_have_fusion_weights_of_their_own():
    alphas = fusion_weights(models.create("eurosat-bmta-dual", 3))
    assert len(alphas) == 22
    assert [next(iter(alphas)), list(alphas)[11]] == ["alpha_1_1_1", "alpha_2_1_1"]


def test_drop_block_rises_with_the_stage():
    for rate, options in ((0.2, {}), (0.4, {"drop_block": 0.4})):
        with torch.device("meta"):
            model = models.create("eurosat-bmta", 3, **options)
        rates = [m.rate for m in model.modules() if isinstance(m, DropBlock)]
        quarters = [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4]
        assert rates == pytest.approx([rate / 4 * quarter for quarter in quarters])


def test_a_block_adds_what_it_weighed_to_its_shortcut():
    block = BalancedBlock(32, 64, 2, 0.1).eval()
    images = torch.randn(2, 32, 8, 8)
    with torch.no_grad():
        expected = (block.attention(block.residual(images)) + block.shortcut(images)).relu()
        torch.testing.assert_close(block(images), expected)
    assert isinstance(BalancedBlock(32, 32, 1, 0.1).shortcut, torch.nn.Identity)


def test_layers_learn_the_more_slowly_the_deeper_they_lie():
    with torch.device("meta"):
        model = models.create("eurosat-bmta", 3)
    layer = model.group_matcher()
    encoder = "encoders.0."
    names = ("stem.0.weight", "stages.0.0.residual.0.weight", "stages.3.1.attention.theta")
    depths = [layer(encoder + name) for name in names]
    assert depths == sorted(set(depths))
    assert layer("classifier.weight") == (float("inf"),)


def test_weights_of_a_file_are_taken_whole_or_not_at_all(tmp_path):
    source = models.create("eurosat-bmta", 3).encoders[0]
    path = tmp_path / "encoder.safetensors"
    save_file(source.state_dict(), path)
    model = models.create("eurosat-bmta", 5, pretrained=path)
    state = model.encoders[0].state_dict()
    assert all(torch.equal(value, state[name]) for name, value in source.state_dict().items())
    with pytest.raises(InputError) as error:
        models.create("eurosat-cbam", 5, pretrained=path)
    assert str(error.value).startswith(f"{path}: does not fit the backbone 'eurosat-cbam': missing")
