"""Models made by name: shapes, sizes, gradients, options."""

from __future__ import annotations

import copy

import pytest
import timm
import torch

from comptool import models
from comptool.errors import UsageError
from comptool.models.backbones import timm_backbone


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def images(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(shape, generator=generator) for shape in shapes]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("mobilenetv2-dual", 4_473_354),
        ("mobilenetv2_100-dual", 4_473_354),
        # One encoder of 2,223,872 weights and a linear layer of 1280 * 10 + 10.
        ("mobilenetv2", 2_223_872 + 12_810),
        # torchvision's resnet34 has 21,797,672 with its 1000 classes of 512 weights and a bias.
        ("resnet34-dual", 2 * (21_797_672 - 513_000) + 2 * 512 * 10 + 10),
    ],
)
def test_there_are_no_dead_parameters(name, parameters):
    assert count(models.create(name, 10)) == parameters


@pytest.mark.parametrize(
    ("name", "shapes", "width"),
    [
        ("mobilenetv2", [(2, 3, 32, 32)], 1280),
        ("mobilenetv2-dual", [(2, 3, 60, 60), (2, 3, 32, 32)], 2560),
        ("resnet10t-dual", [(3, 3, 33, 47), (3, 3, 32, 64)], 1024),
        # Its head has a layer of its own before the classifier.
        ("mobilenetv3_small_050+linear", [(2, 3, 32, 32)], 1024),
    ],
)
def test_logits_and_features_have_their_shapes(name, shapes, width):
    model = models.create(name, 7).eval()
    batch = images(*shapes)
    with torch.no_grad():
        logits, features = model(*batch), model.forward_features(*batch)
    assert logits.shape == (shapes[0][0], 7)
    assert features.shape == (shapes[0][0], width)
    assert model.streams == len(shapes)
    torch.testing.assert_close(model.classifier(features), logits)


@pytest.mark.parametrize(
    "name", ["mobilenetv2-dual", "test_resnet-dual", "test_vit", "test_convnext", "test_byobnet"]
)
def test_the_backward_pass_reaches_every_parameter(name):
    model = models.create(name, 3, img_size=(64, 64))
    torch.manual_seed(0)
    model(*images(*[(4, 3, 64, 64)] * model.streams)).square().sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name


def test_the_encoders_are_independent():
    torch.manual_seed(0)
    model = models.create("test_resnet-dual", 3).eval()
    first, second = model.encoders
    assert not any(
        torch.equal(a, b)
        for a, b in zip(first.parameters(), second.parameters(), strict=True)
        if a.ndim == 4
    )
    a, b, c = images(*[(2, 3, 40, 40)] * 3)
    half = model.classifier.in_features // 2
    with torch.no_grad():
        ab, ac = model.forward_features(a, b), model.forward_features(a, c)
    assert torch.equal(ab[:, :half], ac[:, :half])
    assert not torch.equal(ab[:, half:], ac[:, half:])


def test_the_classifier_comes_last_and_is_fed_in_the_order_of_the_streams():
    model = models.create("test_resnet-dual", 3).eval()
    a, b = images((2, 3, 40, 40), (2, 3, 40, 40))
    with torch.no_grad():
        features = model.forward_features(a, b)
        assert torch.equal(features, torch.cat([model.encoders[0](a), model.encoders[1](b)], 1))


def test_modalities_may_differ_in_channels():
    model = models.create("test_resnet-dual", 3, in_chans=[1, 4])
    assert model(*images((2, 1, 54, 54), (2, 4, 32, 32))).shape == (2, 3)
    assert models.create("test_resnet", 3, in_chans=2)(*images((2, 2, 32, 32))).shape == (2, 3)


def test_backbones_of_a_fixed_size_are_built_for_the_size_of_each_stream():
    model = models.create("test_vit-dual", 3, img_size=[[64, 48], [32, 32]])
    assert model(*images((2, 3, 64, 48), (2, 3, 32, 32))).shape == (2, 3)
    both = models.create("test_vit-dual", 3, img_size=(32, 64))
    assert both(*images((2, 3, 32, 64), (2, 3, 32, 64))).shape == (2, 3)


def test_a_size_that_the_backbone_cannot_take_is_refused():
    with pytest.raises(UsageError) as error:
        models.create("inception_v3", 3, img_size=(32, 32))
    assert str(error.value).startswith(
        "the backbone 'inception_v3' takes no images of 32x32 pixels ("
    )


class Branching(torch.nn.Module):
    """Pooled features that depend on the values of an image."""

    calls = 0

    def forward(self, image):
        self.calls += 1
        return image.mean((2, 3)) if image.sum().item() == 0 else image


def test_a_size_is_tried_without_computing():
    encoder = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1))
    encoder.append(torch.nn.Flatten())
    seen = []
    encoder[0].register_forward_hook(lambda module, inputs, output: seen.append(output.device.type))
    timm_backbone.try_size(encoder, "x", 3, (8, 8))
    assert seen == ["meta"]
    assert encoder.training and encoder[0].weight.device.type == "cpu"


def test_a_backbone_that_looks_at_values_is_tried_with_values():
    encoder = Branching()
    timm_backbone.try_size(encoder, "x", 3, (8, 8))
    assert encoder.calls == 2


def test_a_backbone_without_pooled_features_is_refused(monkeypatch):
    encoder = torch.nn.Flatten(start_dim=2)
    with pytest.raises(UsageError, match="the backbone 'x' gives no pooled features"):
        timm_backbone.try_size(encoder, "x", 3, (8, 8))


def test_data_config_is_that_of_the_backbones_own_weights():
    inception = models.create("mobilenetv2", 3).data_config
    assert inception.mean == (0.485, 0.456, 0.406)
    assert inception.std == (0.229, 0.224, 0.225)
    assert inception.input_size == (224, 224)
    # TResNet's weights expect images that are only scaled.
    plain = timm_backbone.build("tresnet_m", in_chans=3, pretrained=False).data_config
    assert (plain.mean, plain.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_statistics_of_other_channels_are_the_average():
    config = models.create("test_resnet", 3, in_chans=1).data_config
    assert config.statistics(3) == (config.mean, config.std)
    mean, std = config.statistics(1)
    assert mean == pytest.approx([sum(config.mean) / 3])
    assert std == pytest.approx([sum(config.std) / 3])


def test_the_drop_rate_acts_before_the_classifier_and_only_in_training():
    model = models.create("test_resnet", 3, drop_rate=0.9)
    assert (model.dropout.p, models.create("test_resnet", 3).dropout.p) == (0.9, 0.0)
    batch = images((2, 3, 32, 32))
    model.encoders.eval()  # leaves only the dropout random
    with torch.no_grad():
        assert torch.equal(model.forward_features(*batch), model.forward_features(*batch))
        assert not torch.equal(model(*batch), model(*batch))
        model.eval()
        assert torch.equal(model(*batch), model(*batch))


def test_the_drop_path_rate_arrives_at_the_backbone():
    def rates(model):
        return [m.drop_prob for m in model.modules() if hasattr(m, "drop_prob")]

    assert max(rates(models.create("test_vit", 3, drop_path_rate=0.3))) == pytest.approx(0.3)
    assert not any(rates(models.create("test_vit", 3)))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "resnet34",
            {"dropout": 0.1},
            "the model 'resnet34' takes no 'dropout'; "
            "it takes 'img_size', 'drop_path_rate', 'drop_block', 'grad_checkpointing', "
            "'drop_rate', 'auxiliary_heads', 'attention'",
        ),
        # An argument of timm's that is none of ours.
        (
            "resnet34",
            {"global_pool": "max"},
            "the model 'resnet34' takes no 'global_pool'; "
            "it takes 'img_size', 'drop_path_rate', 'drop_block', 'grad_checkpointing', "
            "'drop_rate', 'auxiliary_heads', 'attention'",
        ),
        (
            "dla34",
            {"drop_path_rate": 0.1},
            "the backbone 'dla34' takes no 'drop_path_rate'",
        ),
        ("test_resnet", {"drop_rate": 1.0}, "drop_rate is 1.0; it has to be in [0, 1)"),
        ("test_resnet", {"drop_path_rate": -1}, "drop_path_rate is -1; it has to be in [0, 1)"),
        (
            "test_resnet-dual",
            {"in_chans": [3, 3, 3], "img_size": [[32, 32]] * 4},
            "the model 'test_resnet-dual' has 4 stream(s), but in_chans was given for 3",
        ),
        (
            "test_resnet-dual",
            {"img_size": [[32, 32]]},
            "the model 'test_resnet-dual' has 2 stream(s), but img_size was given for 1",
        ),
        (
            "resnt34-dual",
            {},
            "no model is called 'resnt34'; did you mean 'resnet34', 'resnet34d' or 'skresnet34'?",
        ),
        (
            "mobilenetv2.nothing",
            {},
            "no model is called 'mobilenetv2.nothing'; did you mean 'mobilenetv2_100.ra_in1k'?",
        ),
    ],
)
def test_mistakes_are_named(name, options, message):
    with pytest.raises(UsageError) as error:
        models.create(name, 10, **options)
    assert str(error.value) == message


def test_the_number_of_images_has_to_be_that_of_the_streams():
    model = models.create("test_resnet-dual", 3)
    with pytest.raises(ValueError, match="the model takes 2 images per sample; got 1"):
        model(*images((2, 3, 32, 32)))


@pytest.mark.parametrize(("num_classes", "in_chans"), [(0, 3), (3, 0), (3, [3, 0])])
def test_there_is_a_class_and_a_channel(num_classes, in_chans):
    with pytest.raises(ValueError):
        models.create("test_resnet-dual", num_classes, in_chans=in_chans)


def test_the_same_seed_gives_the_same_model_whatever_was_tried_on_it():
    made = []
    for img_size in (None, (32, 32)):
        torch.manual_seed(5)
        given = {} if img_size is None else {"img_size": img_size}
        made.append(models.create("test_resnet-dual", 3, **given))
    for a, b in zip(made[0].parameters(), made[1].parameters(), strict=True):
        assert torch.equal(a, b)
    assert made[1].training and all(module.training for module in made[1].modules())


def test_a_model_survives_a_copy_and_its_state():
    model = models.create("test_resnet-dual", 3).eval()
    twin = copy.deepcopy(model)
    other = models.create("test_resnet-dual", 3).eval()
    other.load_state_dict(model.state_dict())
    batch = images((2, 3, 32, 32), (2, 3, 40, 40))
    with torch.no_grad():
        assert torch.equal(model(*batch), twin(*batch))
        assert torch.equal(model(*batch), other(*batch))


def test_timm_gives_the_same_features():
    ours = models.create("test_resnet", 5).eval()
    theirs = timm.create_model("test_resnet", num_classes=5).eval()
    state = ours.encoders[0].state_dict()
    state |= {"fc.weight": ours.classifier.weight, "fc.bias": ours.classifier.bias}
    theirs.load_state_dict(state)
    batch = images((2, 3, 48, 48))
    with torch.no_grad():
        torch.testing.assert_close(ours(*batch), theirs(*batch))
