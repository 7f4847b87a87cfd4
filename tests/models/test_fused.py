"""The heads upon pooled features: plain, of cosines, and one more for each stream."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from comptool import models
from comptool.errors import UsageError


def pair(channels=3):
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(4, channels, 32, 32, generator=generator) for _ in range(2)]


def test_in_training_every_stream_answers_for_itself_too():
    model = models.create("test_resnet-dual", 5, auxiliary_heads=True)
    logits = model(*pair())
    assert logits.shape == (3, 4, 5)
    model.eval()
    with torch.no_grad():
        alone = [encoder(image) for encoder, image in zip(model.encoders, pair(), strict=True)]
        assert torch.equal(model(*pair()), model.classifier(torch.cat(alone, dim=1)))
        assert torch.equal(model.forward_features(*pair()), torch.cat(alone, dim=1))


def test_an_auxiliary_head_sees_its_own_stream_alone():
    model = models.create("test_resnet-dual", 5, auxiliary_heads=True)
    for index in (0, 1):
        model.zero_grad()
        model(*pair())[1 + index].square().sum().backward()
        for other in (0, 1):
            reached = [
                p.grad is not None and p.grad.any() for p in model.encoders[other].parameters()
            ]
            assert any(reached) == (other == index)


def test_auxiliary_heads_cost_one_linear_layer_each():
    with torch.device("meta"):
        plain, more = (models.create("mobilenetv2-dual", 10, auxiliary_heads=on) for on in (0, 1))
    counts = [sum(p.numel() for p in model.parameters()) for model in (plain, more)]
    assert counts == [4_473_354, 4_473_354 + 2 * 12_810]


def test_a_single_stream_has_no_auxiliary_head():
    with pytest.raises(UsageError) as error:
        models.create("test_resnet", 5, auxiliary_heads=True)
    assert str(error.value) == (
        "auxiliary_heads are for models of several streams, whose name has -dual"
    )


@pytest.mark.parametrize("name", ["test_resnet+cosine", "test_resnet-dual+cosine"])
def test_a_logit_of_the_cosine_head_is_a_scaled_cosine(name):
    model = models.create(name, 5, scale=12.0).eval()
    images = pair()[: model.streams]
    with torch.no_grad():
        features = model.forward_features(*images)
        expected = functional.cosine_similarity(
            features[:, None], model.classifier.weight[None], dim=2
        )
        torch.testing.assert_close(model(*images), 12 * expected, rtol=1e-4, atol=1e-5)
        model.classifier.weight.mul_(torch.rand(5, 1) + 0.1)
        torch.testing.assert_close(model(*images), 12 * expected, rtol=1e-4, atol=1e-5)


def test_cosines_are_precise_under_autocast_and_reach_every_parameter():
    model = models.create("test_resnet-dual+cosine", 5, auxiliary_heads=True)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(*pair())
    assert logits.dtype == torch.float32
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_a_scale_that_is_none_is_refused():
    with pytest.raises(UsageError) as error:
        models.create("test_resnet+cosine", 5, scale=0.0)
    assert str(error.value) == "scale is 0.0; it has to be above 0"


@pytest.mark.parametrize("name", ["test_resnet-dual", "test_resnet-dual+ml-decoder"])
def test_the_junction_stands_between_streams_and_heads(name):
    """What is put in its place sees every stream, and decides what the heads see."""
    model = models.create(name, 5).eval()
    with torch.no_grad():
        before = model(*pair())

    class Silenced(torch.nn.Module):
        def forward(self, streams, num_heads):
            self.shapes = [tuple(stream.shape) for stream in streams]
            return [[streams[0], torch.zeros_like(streams[1])]] * num_heads

    keys = list(model.state_dict())
    model.junction = Silenced()
    assert list(model.state_dict()) == keys
    first, second = pair()
    with torch.no_grad():
        assert not torch.equal(model(first, second), before)
        assert torch.equal(model(first, second), model(first, first))
    assert len(model.junction.shapes) == 2
