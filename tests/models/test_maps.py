"""Feature maps: one layout whatever the backbone's, and nothing left over behind them."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import nn

from comptool import models
from comptool.errors import UsageError
from comptool.models.backbones import timm_backbone
from comptool.models.heads.query_heads import as_map, feature_map
from comptool.models.streams import DataConfig, Encoder

PLAIN = DataConfig((0.0,), (1.0,), (8, 8))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("test_vit", (64, 48)),
        ("test_mambaout", (96, 64)),
        ("swinv2_tiny_window8_256", (64, 64)),
        ("vit_tiny_patch16_224", (32, 80)),
        ("deit_tiny_distilled_patch16_224", (64, 32)),
        ("mixer_s32_224", (224, 224)),
    ],
)
def test_maps_are_those_that_timm_gives_as_nchw(name, size):
    torch.manual_seed(0)
    encoder = timm_backbone.build(name, in_chans=3, pretrained=False, img_size=size)
    module, width = as_map(encoder)
    images = torch.rand(2, 3, *size)
    module.eval()
    with torch.no_grad():
        found = feature_map(module, images)
        (expected,) = module.forward_intermediates(
            images, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
        )
    assert found.shape[1] == width
    torch.testing.assert_close(found, expected)


def test_a_map_that_is_nchw_already_is_left_alone():
    encoder = timm_backbone.build("test_resnet", in_chans=1, pretrained=False)
    module, width = as_map(encoder)
    images = torch.rand(2, 1, 50, 70)
    module.eval()
    with torch.no_grad():
        assert torch.equal(feature_map(module, images), module.forward_features(images))
    assert width == module.num_features


def test_asking_for_the_map_changes_no_statistics_and_no_mode():
    encoder = timm_backbone.build("test_resnet", in_chans=3, pretrained=False)
    before = {name: value.clone() for name, value in encoder.module.state_dict().items()}
    module, _ = as_map(encoder)
    assert all(part.training for part in module.modules())
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize(
    ("name", "put_out"),
    [
        ("test_resnet", set()),
        ("test_convnext", {"head.norm.weight", "head.norm.bias"}),
        ("mobilenetv3_small_050", {"conv_head.weight", "conv_head.bias"}),
        ("beit_base_patch16_224", {"fc_norm.weight", "fc_norm.bias"}),
    ],
)
def test_what_only_pooling_needs_is_put_out(name, put_out):
    with torch.device("meta"):
        encoder = timm_backbone.build(name, in_chans=3, pretrained=False)
        before = set(dict(encoder.module.named_parameters()))
        module, _ = as_map(encoder)
    assert before - set(dict(module.named_parameters())) == put_out


class Bare(nn.Module):
    """An encoder that a user might write."""

    num_features = 4

    def __init__(self, features):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.features = features

    def forward_features(self, images):
        return self.features(self.conv(images))


@pytest.mark.parametrize(
    ("features", "why"),
    [
        (lambda x: x.mean((2, 3)), "features of shape (1, 4)"),
        (lambda x: x[:, :3], "features of shape (1, 3, 6, 6)"),
        (lambda x: [x, x], "several outputs"),
    ],
)
def test_what_is_no_map_is_refused(features, why):
    encoder = Encoder(Bare(features), 4, PLAIN, (1, 8, 8))
    with pytest.raises(UsageError) as error:
        as_map(encoder)
    assert str(error.value) == (
        f"the head needs a feature map and the backbone Bare has none ({why})"
    )


def test_an_encoder_of_pooled_features_alone_is_refused():
    encoder = Encoder(nn.Flatten(), 64, PLAIN, (1, 8, 8))
    with pytest.raises(UsageError, match=r"backbone Flatten has none \(no forward_features\)"):
        as_map(encoder)


def test_an_encoder_of_ones_own_needs_no_more_than_a_map():
    module, width = as_map(Encoder(Bare(lambda x: x), 4, PLAIN, (1, 8, 8)))
    assert width == 4
    assert feature_map(module, torch.rand(2, 1, 8, 8)).shape == (2, 4, 6, 6)


class Constant(Bare):
    """An encoder that holds a number that is no buffer."""

    def __init__(self):
        super().__init__(lambda x: x * self.scale)
        self.scale = torch.full((4, 1, 1), 2.0)
        self.head = nn.Linear(4, 4)


def test_an_encoder_that_cannot_be_tried_without_numbers_is_tried_with_them():
    module, _ = as_map(Encoder(Constant(), 4, PLAIN, (1, 8, 8)))
    assert isinstance(module.head, nn.Identity)
    assert isinstance(module.conv, nn.Conv2d)


@pytest.mark.parametrize("kind", [Constant, lambda: Bare(lambda x: x)])
def test_a_map_is_found_where_no_gradient_is_wanted(kind):
    with torch.no_grad():
        module, _ = as_map(Encoder(kind(), 4, PLAIN, (1, 8, 8)))
    assert isinstance(module.conv, nn.Conv2d)


def test_a_model_made_in_inference_mode_is_the_same_and_can_be_trained():
    with torch.inference_mode():
        model = models.create("test_convnext+ml-decoder", 3)
    outside = models.create("test_convnext+ml-decoder", 3)
    assert model.state_dict().keys() == outside.state_dict().keys()
    model(torch.rand(2, 3, 32, 32)).sum().backward()


def test_blocks_that_share_a_module_keep_it_and_its_weights():
    encoder = timm_backbone.build("coat_lite_tiny", in_chans=3, pretrained=False)
    before = {name: value.clone() for name, value in encoder.module.state_dict().items()}
    module, _ = as_map(encoder)
    after = module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], value) for name, value in after.items())
    assert (
        feature_map(copy.deepcopy(module).eval(), torch.rand(1, 3, 224, 224)).device.type == "cpu"
    )


# Families whose last features are no single map: several scales, a class token alone, or tokens
# merged or cut after the grid.
WITHOUT = {"coat", "crossvit", "efficientvim", "pit", "deepseek_vit", "qwen3_vit"}


@pytest.mark.slow
@pytest.mark.parametrize("family", timm.list_modules())
def test_every_family_of_timm_has_a_map_or_says_that_it_has_none(family):
    for name in timm.list_models(module=family)[:2]:
        with torch.device("meta"):
            encoder = timm_backbone.build(name, in_chans=3, pretrained=False)
            try:
                module, width = as_map(encoder)
            except UsageError:
                assert family in WITHOUT, name
                continue
            images = torch.empty(2, *encoder.image_shape)
            module.train()
            features = feature_map(module, images)
        assert features.shape[:2] == (2, width)
        gradients = torch.autograd.grad(
            features.sum(), list(module.parameters()), allow_unused=True
        )
        assert all(gradient is not None for gradient in gradients), name
