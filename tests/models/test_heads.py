"""ML-Decoder and Query2Label: sizes, every layout of map, one and two streams, mistakes."""

from __future__ import annotations

import re

import pytest
import torch
from torch.nn import functional

from comptool import models
from comptool.errors import UsageError

SMALL = {"q2l": {"hidden_dim": 32}, "q2l-full": {"hidden_dim": 32}}
HEADS = ["ml-decoder", "ml-decoder-learnable", "q2l", "q2l-full"]


def count(module, trained=True):
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trained)


def images(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(shape, generator=generator) for shape in shapes]


def on_meta(name, num_classes=60, **options):
    with torch.device("meta"):
        return models.create(name, num_classes, **options)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("resnet50", 23.63),
        ("resnet101", 42.62),
        ("tresnet_v2_l+ml-decoder", 51.26),
        ("tresnet_xl", 75.94),
        ("tresnet_xl+ml-decoder", 83.38),
        # The published table cuts 83.4276 off, and rounds every other figure.
        ("tresnet_xl+ml-decoder-learnable", 83.43),
    ],
)
def test_whole_models_have_the_published_number_of_trained_parameters(name, millions):
    assert count(on_meta(name)) / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize(
    ("backbone", "head", "parameters"),
    [
        ("resnet50", "ml-decoder", 7_135_292),  # 2048 channels
        ("resnet50", "ml-decoder-learnable", 7_135_292 + 46_080),
        ("tresnet_xl", "ml-decoder", 7_602_236),  # 2656 channels
        ("tresnet_xl", "ml-decoder-learnable", 7_602_236 + 46_080),
    ],
)
def test_the_ml_decoder_has_the_published_number_of_parameters(backbone, head, parameters):
    model = on_meta(f"{backbone}+{head}")
    assert count(model.decoder) + count(model.classifier) == parameters


def test_q2l_has_the_parameters_of_its_layers():
    model = on_meta("resnet50+q2l")
    attention, inner, norm = 4 * 256 * 256 + 4 * 256, 2 * 256 * 2048 + 2048 + 256, 512
    encoder = attention + inner + 2 * norm
    decoder = 2 * attention + inner + 3 * norm
    transformer = encoder + norm + 2 * decoder + norm
    assert count(model.decoder) == 2048 * 256 + 256 + 60 * 256 + transformer
    assert count(model.classifier) == 60 * 256 * 60 + 60


def test_q2l_full_has_the_parameters_of_its_layers():
    attention, inner, norm = 4 * 2048**2 + 4 * 2048, 2 * 2048 * 8192 + 8192 + 2048, 4096
    layers = 3 * (attention + inner + 2 * norm) + norm
    wide = on_meta("resnet50+q2l-full")
    assert count(wide.decoder) == 60 * 2048 + layers
    assert count(wide.classifier) == 60 * 2048 + 60
    narrow = on_meta("resnet34+q2l-full")
    assert count(narrow.decoder) == 60 * 2048 + layers + 512 * 2048 + 2048


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    ("backbone", "shapes"),
    [
        ("test_resnet", [(2, 3, 64, 48)]),  # NCHW
        ("tresnet_m", [(2, 3, 64, 64)]),
        ("test_convnext", [(2, 3, 64, 48)]),
        ("test_mambaout", [(2, 3, 64, 48)]),  # NHWC
        ("test_vit", [(2, 3, 64, 48)]),  # tokens after a class token
        ("mobilenetv3_small_050", [(2, 3, 64, 48)]),  # a layer between pooling and classifier
        ("test_resnet-dual", [(2, 3, 60, 60), (2, 3, 32, 40)]),
        ("test_vit-dual", [(2, 3, 64, 48), (2, 3, 32, 32)]),
    ],
)
def test_logits_features_and_gradients(backbone, head, shapes):
    torch.manual_seed(0)
    sizes = [shape[2:] for shape in shapes]
    options = SMALL.get(head, {})
    model = models.create(f"{backbone}+{head}", 7, img_size=sizes, **options).train()
    batch = images(*shapes)
    model(*batch).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    model.eval()
    with torch.no_grad():
        logits, features = model(*batch), model.forward_features(*batch)
    assert logits.shape == (2, 7)
    assert features.shape == (2, 7 * (768 if head.startswith("ml") else 32))
    assert model.classifier.in_features == features.shape[1]
    torch.testing.assert_close(model.classifier(features), logits)
    assert model.streams == len(shapes)


def test_swin_v2_is_read_too():
    model = models.create("swinv2_tiny_window8_256+ml-decoder", 5, img_size=(64, 64)).eval()
    with torch.no_grad():
        assert model(*images((1, 3, 64, 64))).shape == (1, 5)


def test_many_classes_share_a_hundred_queries():
    model = on_meta("test_resnet+ml-decoder", 250)
    assert model.decoder.queries.shape == (100, 768)
    assert model.classifier.weight.shape == (100, 768, 3)
    assert on_meta("test_resnet+ml-decoder", 250, num_queries=20).decoder.queries.shape[0] == 20
    assert on_meta("test_resnet+ml-decoder", 5, num_queries=20).decoder.queries.shape[0] == 5


def test_fixed_queries_are_saved_and_not_trained():
    model = models.create("test_resnet+ml-decoder", 4)
    assert "decoder.queries" in model.state_dict()
    assert "decoder.queries" not in dict(model.named_parameters())
    trained = models.create("test_resnet+ml-decoder-learnable", 4)
    assert trained.decoder.queries.requires_grad
    trained.load_state_dict(model.state_dict())
    model.eval(), trained.eval()
    batch = images((2, 3, 32, 32))
    with torch.no_grad():
        assert torch.equal(model(*batch), trained(*batch))
    option = models.create("test_resnet+ml-decoder", 4, learnable_queries=True)
    assert count(option) == count(trained)


def test_dropout_is_an_option_of_its_own():
    for head in HEADS:
        random = models.create(f"test_resnet+{head}", 4, dropout=0.5, **SMALL.get(head, {}))
        sure = models.create(f"test_resnet+{head}", 4, dropout=0.0, **SMALL.get(head, {}))
        batch = images((2, 3, 32, 32))
        for model in (random, sure):
            model.encoders.eval()  # batch normalisation would be random over the batch
            model.decoder.train()
        with torch.no_grad():
            assert not torch.equal(random(*batch), random(*batch))
            torch.testing.assert_close(sure(*batch), sure(*batch))


def test_the_streams_of_a_pair_are_told_apart():
    torch.manual_seed(0)
    model = models.create("test_resnet-dual+ml-decoder", 3).eval()
    a, b = images((2, 3, 32, 32), (2, 3, 48, 32))
    with torch.no_grad():
        logits = model(a, b)
        assert not torch.allclose(logits, model(b, a), atol=1e-3)
        assert not torch.equal(logits, model(a, 1 - b))
        assert not torch.equal(logits, model(1 - a, b))


def test_modalities_may_differ_in_channels():
    model = models.create("test_resnet-dual+ml-decoder", 3, in_chans=[1, 4])
    assert model(*images((2, 1, 54, 54), (2, 4, 32, 32))).shape == (2, 3)


@pytest.mark.parametrize("head", HEADS)
def test_bf16_autocast_changes_little(head):
    torch.manual_seed(0)
    model = models.create(f"test_resnet+{head}", 4, **SMALL.get(head, {})).eval()
    batch = images((4, 3, 64, 64))
    with torch.no_grad():
        exact = model(*batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = model(*batch)
    assert rounded.isfinite().all()
    torch.testing.assert_close(rounded.float(), exact, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("head", HEADS)
def test_a_head_learns(head):
    torch.manual_seed(0)
    options = {"dropout": 0.0, **SMALL.get(head, {})}
    model = models.create(f"test_resnet+{head}", 4, **options)
    (batch,) = images((8, 3, 32, 32))
    targets = (torch.arange(32).reshape(8, 4) % 3 == 0).float()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(30):
        loss = functional.binary_cross_entropy_with_logits(model(batch), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_a_file_of_the_whole_backbone_fits_what_a_head_leaves_of_it(tmp_path):
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(1)
    published = timm.create_model("test_convnext")
    path = tmp_path / "weights.safetensors"
    save_file(published.state_dict(), path)
    model = models.create("test_convnext+ml-decoder", 4, pretrained=path).eval()
    published.eval()
    batch = images((2, 3, 64, 64))
    with torch.no_grad():
        assert torch.equal(
            model.encoders[0].forward_features(*batch), published.forward_features(*batch)
        )


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("test_resnet+ml-decoder", {"dropout": 1.0}, "dropout is 1.0; it has to be in [0, 1)"),
        ("test_resnet+q2l", {"dropout": -1}, "dropout is -1; it has to be in [0, 1)"),
        ("test_resnet+ml-decoder", {"num_queries": 0}, "num_queries is 0; it has to be 1 or more"),
        (
            "test_resnet+q2l",
            {"hidden_dim": 100},
            "hidden_dim is 100; it has to be a positive multiple of 8",
        ),
        (
            "test_resnet+q2l-full",
            {"hidden_dim": 6},
            "hidden_dim is 6; it has to be a positive multiple of 4",
        ),
        (
            "test_resnet+q2l",
            {"num_queries": 6},
            "the model 'test_resnet+q2l' takes no 'num_queries'; it takes 'img_size', "
            "'drop_path_rate', 'drop_block', 'grad_checkpointing', 'hidden_dim', 'dropout'",
        ),
        (
            "test_resnet+ml-decodr",
            {},
            "no head is called 'ml-decodr'; did you mean 'ml-decoder', 'ml-decoder-learnable' or "
            "'coral'?",
        ),
    ],
)
def test_mistakes_are_named(name, options, message):
    with pytest.raises(UsageError) as error:
        models.create(name, 10, **options)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("backbone", "why"),
    [
        ("crossvit_9_240", "CrossVit has none (several outputs)"),
        ("pit_ti_224", "PoolingVisionTransformer has none (features of shape (1, 1, 256))"),
    ],
)
def test_a_backbone_without_one_map_is_refused(backbone, why):
    message = f"the head needs a feature map and the backbone {why}"
    with pytest.raises(UsageError, match=re.escape(message)):
        on_meta(f"{backbone}+q2l")


def test_the_number_of_images_has_to_be_that_of_the_streams():
    model = models.create("test_resnet-dual+ml-decoder", 3)
    with pytest.raises(ValueError, match="the model takes 2 images per sample; got 1"):
        model(*images((2, 3, 32, 32)))
