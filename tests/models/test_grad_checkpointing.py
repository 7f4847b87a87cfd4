"""Activations that are computed again in the backward pass: the same gradients, less memory."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from comptool import models
from comptool.errors import UsageError

NAMES = ["mobilenetv2-dual", "test_vit-dual", "test_resnet"]


class Kept:
    """Bytes of the activations that a forward pass keeps for the backward pass."""

    def __init__(self, model, images) -> None:
        weights = {parameter.data_ptr() for parameter in model.parameters()}
        self.bytes = 0

        def keep(tensor):
            if tensor.data_ptr() not in weights:
                self.bytes += tensor.numel() * tensor.element_size()
            return tensor

        torch.manual_seed(3)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = model(*images).square().sum()
        loss.backward()


def built(name, **options):
    torch.manual_seed(0)
    streams = 2 if "-dual" in name else 1
    model = models.create(name, 3, img_size=[[64, 64]] * streams, **options)
    return model.train(), [torch.randn(2, 3, 64, 64) for _ in range(streams)]


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_the_same_and_less_is_kept(name):
    plain, images = built(name)
    frugal, _ = built(name, grad_checkpointing=True)
    frugal.load_state_dict(plain.state_dict())
    kept, less = Kept(plain, images).bytes, Kept(frugal, images).bytes
    assert less < 0.75 * kept
    for (path, own), other in zip(plain.named_parameters(), frugal.parameters(), strict=True):
        torch.testing.assert_close(other.grad, own.grad, rtol=1e-3, atol=1e-4, msg=path)


@pytest.mark.parametrize("name", ["dla46_c", "eurosat-cbam", "cvt-21"])
def test_what_cannot_is_refused(name):
    with pytest.raises(UsageError, match="grad_checkpointing"):
        built(name, grad_checkpointing=True)


def test_it_is_for_training_alone():
    model, images = built("test_resnet+ml-decoder", grad_checkpointing=True)
    average = deepcopy(model).eval()
    for mode in (True, False, True):
        model.train(mode)
        model(*images)
        assert model.encoders[0].grad_checkpointing is mode
    assert not average.encoders[0].grad_checkpointing
    assert not any("checkpointing" in name for name in model.state_dict())
