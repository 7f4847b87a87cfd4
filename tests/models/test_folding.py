"""BatchNorm folded into convolutions: what is computed stays what it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from comptool import models
from comptool.models.deploy import fold_batch_norm


def trained(module: nn.Module) -> nn.Module:
    """With statistics as training leaves them: those of a new BatchNorm change nothing."""
    torch.manual_seed(0)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor, low, high in (
                (norm.running_mean, -0.2, 0.2),
                (norm.running_var, 0.8, 1.25),
                (norm.weight.data, 0.8, 1.25),
                (norm.bias.data, -0.2, 0.2),
            ):
                tensor.uniform_(low, high)
    return module.eval()


def norms(module: nn.Module) -> int:
    return sum(isinstance(one, nn.BatchNorm2d) for one in module.modules())


@pytest.mark.parametrize(
    "name",
    [
        "test_resnet",
        "test_efficientnet",
        "mobilenetv2_100-dual",
        "eurosat-cbam",
        "tf_efficientnet_lite0",
    ],
)
def test_every_norm_behind_a_convolution_is_folded_and_the_logits_stay(name):
    network = trained(models.create(name, 5))
    images = [torch.randn(3, 3, 64, 64) for _ in range(2 if name.endswith("-dual") else 1)]
    with torch.no_grad():
        wanted = network(*images)
        before = norms(network)
        assert fold_batch_norm(network, [image[:2] for image in images]) == before > 0
        assert norms(network) == 0
        given = network(*images)
    torch.testing.assert_close(given.softmax(-1), wanted.softmax(-1), atol=1e-4, rtol=0)


class Branching(nn.Module):
    """A convolution whose output is wanted twice, as it is and normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images):
        seen = self.convolution(images)
        return self.norm(seen).mean((2, 3)) - seen.mean((2, 3))


class Repeating(nn.Module):
    """One norm behind two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.norm = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images):
        return (self.norm(self.one(images)) + self.norm(self.other(images))).mean((2, 3))


@pytest.mark.parametrize("network", [Branching(), Repeating(), nn.Conv2d(3, 4, 3)])
def test_a_network_that_would_compute_something_else_is_left_as_it_is(network):
    trained(network)
    images = torch.randn(2, 3, 8, 8)
    known = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        wanted = network(images)
        assert fold_batch_norm(network, [images]) == 0
        torch.testing.assert_close(network(images), wanted, atol=0, rtol=0)
    torch.testing.assert_close(network.state_dict(), known, atol=0, rtol=0)
