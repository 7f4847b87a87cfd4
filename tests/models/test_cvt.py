"""CvT through the transformers package, as a backbone like any other."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.optim import create_optimizer_v2

from comptool import models
from comptool.errors import InputError, UsageError
from comptool.models.backbones.cvt import VARIANTS
from comptool.models.pretrained import published_source

pytestmark = pytest.mark.skipif(find_spec("transformers") is None, reason="needs comptool[cvt]")


def images(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def theirs():
    """The package's own classifier of five classes with the sizes of CvT-21."""
    from transformers import CvtConfig, CvtForImageClassification

    torch.manual_seed(0)
    return CvtForImageClassification(CvtConfig(depth=[1, 4, 16], num_labels=5)).eval()


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    model = theirs()
    path = tmp_path_factory.mktemp("cvt") / "model.safetensors"
    save_file(model.state_dict(), path)
    return model, path


@pytest.mark.parametrize(("name", "millions"), [("cvt-21+q2l", 36.75), ("cvt-w24-384+q2l", 281.8)])
def test_whole_models_have_the_published_number_of_trained_parameters(name, millions):
    with torch.device("meta"):
        model = models.create(name, 60)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained / 1e6 == pytest.approx(millions, abs=0.05 if millions > 100 else 0.005)


def test_the_map_is_the_last_hidden_state_of_three():
    model = models.create("cvt-21+q2l", 5).eval()
    encoder = model.encoders[0]
    batch = images(1, 3, 224, 224)
    with torch.no_grad():
        features = encoder.forward_features(batch)
        hidden = encoder.cvt(batch, output_hidden_states=True).hidden_states
    assert features.shape == (1, 384, 14, 14)
    assert torch.equal(features, hidden[2])
    assert len(hidden) == 3


def test_the_plain_head_is_the_packages_classifier(published):
    model, path = published
    ours = models.create("cvt-21", 5, pretrained=path).eval()
    ours.classifier.load_state_dict(model.classifier.state_dict())
    batch = images(2, 3, 64, 48)
    with torch.no_grad():
        torch.testing.assert_close(ours(batch), model(batch).logits)


def test_the_first_layer_is_adapted_to_the_channels(published):
    model, path = published
    grey = models.create("cvt-21", 5, pretrained=path, in_chans=1)
    (stem,) = [p for n, p in grey.named_parameters() if n.endswith("embeddings.projection.weight")
               and "stages.0." in n]  # fmt: skip
    original = model.cvt.encoder.stages[0].embedding.convolution_embeddings.projection.weight
    torch.testing.assert_close(stem, original.sum(1, keepdim=True))


def test_two_streams_of_other_sizes_learn_together():
    model = models.create("cvt-21-dual+ml-decoder", 4, img_size=[[48, 48], [32, 64]])
    logits = model(images(2, 3, 48, 48), images(2, 3, 32, 64))
    logits.square().sum().backward()
    assert logits.shape == (2, 4)
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_layers_and_exemptions_are_known_to_timms_optimizers():
    with torch.device("meta"):
        model = models.create("cvt-21", 4)
    optimizer = create_optimizer_v2(model, lr=1.0, weight_decay=0.1, layer_decay=0.5)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {names[id(p)]: group for group in optimizer.param_groups for p in group["params"]}
    stem = "encoders.0.cvt.encoder.stages.0.embedding.convolution_embeddings.projection.weight"
    # 21 layers, the norm after them, the classifier.
    assert found[stem]["lr_scale"] == pytest.approx(0.5**22)
    assert found["classifier.weight"]["lr_scale"] == 1
    assert found["encoders.0.cvt.encoder.stages.2.cls_token"]["weight_decay"] == 0
    coarse = timm.models.group_parameters(model, model.group_matcher(coarse=True), reverse=True)
    assert sorted(set(coarse.values())) == [0, 1, 2, 3, 4]


def test_the_data_config_is_that_of_the_published_weights():
    with torch.device("meta"):
        assert models.create("cvt-21", 4).data_config.input_size == (224, 224)
        assert models.create("cvt-w24-384", 4).data_config.input_size == (384, 384)
    assert published_source("cvt-21-dual+q2l") == "microsoft/cvt-21"
    assert published_source("cvt-w24-384") == VARIANTS["cvt-w24-384"].source


def test_a_file_that_does_not_fit_is_named(published, tmp_path):
    model, _ = published
    lacking = {k: v for k, v in model.state_dict().items() if k != "layernorm.bias"}
    save_file(lacking, tmp_path / "lacking.safetensors")
    with pytest.raises(InputError) as error:
        models.create("cvt-21", 5, pretrained=tmp_path / "lacking.safetensors")
    assert str(error.value) == (
        f"{tmp_path / 'lacking.safetensors'}: does not fit the backbone 'cvt-21': missing "
        "'layernorm.bias'"
    )
    other = model.state_dict() | {"layernorm.bias": torch.zeros(3)}
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"of another shape: 'layernorm\.bias'$"):
        models.create("cvt-21", 5, pretrained=tmp_path / "other.safetensors")


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError) as error:
        models.create("cvt-21", 5)
    assert str(error.value) == (
        "CvT backbones need the package 'transformers'. Install it with: "
        "pip install 'comptool[cvt]'"
    )
