"""Shake-Shake: size, shares of both passes, and what may not change them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional

from comptool import models
from comptool.errors import UsageError
from comptool.models.backbones.shake_shake import ShakeBlock, ShakeShake, ShiftedSkip, shake
from comptool.models.pretrained import WeightsUnavailableError


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def drawn(num_images, dtype=torch.float32):
    """The shares of the first branch in the output and in the gradient, read off."""
    first = torch.ones(num_images, 2, 3, 3, dtype=dtype, requires_grad=True)
    second = torch.zeros_like(first, requires_grad=True)
    output = shake(first, second)
    output.backward(torch.ones_like(output))
    assert torch.equal(second.grad, 1 - first.grad)
    for tensor in (output.detach(), first.grad):  # one share for all of an image
        assert torch.equal(tensor, tensor[:, :1, :1, :1].expand_as(tensor))
    return output.detach()[:, 0, 0, 0], first.grad[:, 0, 0, 0]


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("shake-shake-26-2x32d", {"in_chans": 1}, 2_922_874),
        ("shake-shake-26-2x32d", {}, 2_922_874 + 2 * 16 * 9),
        ("shake-shake-26-2x64d", {}, 11_653_978),
        ("shake-shake-26-2x32d", {"widen": 2}, 11_653_978),
        # Gastaldi's table of the paper counts 26.2 million.
        ("shake-shake-26-2x96d", {}, 26_192_922),
    ],
)
def test_the_number_of_parameters_is_the_published_one(name, options, parameters):
    with torch.device("meta"):
        assert count(models.create(name, 10, **options)) == parameters


@pytest.mark.parametrize(("channels", "side"), [(1, 56), (3, 31)])
def test_logits_and_features_have_their_shapes(channels, side):
    model = models.create("shake-shake-26-2x32d", 7, in_chans=channels).eval()
    images = torch.rand(2, channels, side, side)
    with torch.no_grad():
        features = model.forward_features(images)
        assert features.shape == (2, 128)
        torch.testing.assert_close(model.classifier(features), model(images))
        quarter = -(-side // 4)
        assert model.encoders[0].forward_features(images).shape == (2, 128, quarter, quarter)


def test_it_takes_other_heads_and_two_streams():
    model = models.create("shake-shake-26-2x32d-dual+ml-decoder", 5, depth=8).eval()
    with torch.no_grad():
        assert model(torch.rand(2, 3, 24, 24), torch.rand(2, 3, 16, 16)).shape == (2, 5)


def test_the_backward_pass_reaches_every_parameter():
    model = models.create("shake-shake-26-2x32d", 3, depth=14)
    torch.manual_seed(0)
    model(torch.rand(4, 3, 16, 16)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_the_depth_counts_layers():
    for depth, blocks in ((8, 1), (26, 4), (38, 6)):
        with torch.device("meta"):
            model = models.create("shake-shake-26-2x32d", 3, depth=depth)
        convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
        paths = [m for m in model.modules() if isinstance(m, ShiftedSkip)]
        # Every branch has its convolutions; those of the skips are no layers.
        assert (len(convolutions) - 1 - 2 * len(paths)) / 2 + 2 == depth
        assert [len(stage) for stage in model.encoders[0].stages] == [blocks] * 3


def test_shares_are_uniform_and_independent_of_one_another():
    torch.manual_seed(1)
    ahead, back = drawn(4000)
    for shares in (ahead, back):
        assert stats.kstest(shares.numpy(), "uniform").pvalue > 0.001
        assert len(shares.unique()) > 3900
    assert abs(np.corrcoef(ahead, back)[0, 1]) < 0.05
    # The next block draws anew.
    assert abs(np.corrcoef(ahead, drawn(4000)[0])[0, 1]) < 0.05


def test_gradients_are_those_of_an_autograd_twin():
    """The twin gives the backward pass its share by detaching what the forward pass has more."""
    images = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(2, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()

    def branches():
        return (images * weights[index].view(1, 3, 1, 1) for index in (0, 1))

    torch.manual_seed(2)
    output = shake(*branches())
    (found,) = torch.autograd.grad(output.square().sum(), weights)
    torch.manual_seed(2)
    ahead, back = torch.rand(2, 5, 1, 1, 1)
    first, second = branches()
    value = ahead * first + (1 - ahead) * second
    slope = back * first + (1 - back) * second
    twin = slope + (value - slope).detach()
    torch.testing.assert_close(output, twin)
    (expected,) = torch.autograd.grad(twin.square().sum(), weights)
    torch.testing.assert_close(found, expected)


def test_in_evaluation_each_branch_counts_half_and_nothing_is_drawn():
    block = ShakeBlock(4, 8, 2, drop_block=0.5).eval()
    images = torch.randn(3, 4, 9, 9)
    before = torch.get_rng_state()
    with torch.no_grad():
        output = block(images)
        active = images.relu()
        expected = block.skip(images) + 0.5 * block.first(active) + 0.5 * block.second(active)
    torch.testing.assert_close(output, expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_second_path_of_the_skip_sees_the_image_one_pixel_left_and_up():
    skip = ShiftedSkip(2, 4, 2).eval()
    images = torch.randn(1, 2, 6, 7)
    active = images.relu().numpy()
    moved = np.zeros_like(active)
    moved[:, :, :-1, :-1] = active[:, :, 1:, 1:]
    halves = [
        np.einsum("oc,bchw->bohw", path.weight.detach().numpy()[:, :, 0, 0], seen[:, :, ::2, ::2])
        for path, seen in ((skip.straight, active), (skip.shifted, moved))
    ]
    with torch.no_grad():
        expected = skip.norm(torch.from_numpy(np.concatenate(halves, axis=1)))
        torch.testing.assert_close(skip(images), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_the_type_and_the_distribution(dtype):
    torch.manual_seed(3)
    ahead, back = drawn(2000, dtype)
    for shares in (ahead, back):
        assert shares.dtype == dtype
        assert shares.min() >= 0 and shares.max() <= 1
        assert abs(shares.float().mean() - 0.5) < 0.02
        assert abs(shares.float().var() - 1 / 12) < 0.005


def test_autocast_trains():
    model = models.create("shake-shake-26-2x32d", 3, depth=8)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(torch.rand(4, 3, 16, 16))
    assert logits.dtype == torch.bfloat16
    functional.cross_entropy(logits.float(), torch.tensor([0, 1, 2, 0])).backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in model.parameters())


def updated(module, *, again=False, called=None):
    """Gradients and buffers after one step of training from a fixed seed."""
    module.load_state_dict(FRESH)
    module.set_grad_checkpointing(again)
    module.train().zero_grad()
    torch.manual_seed(7)
    images = torch.rand(4, 3, 12, 12)
    (module if called is None else called)(images).square().sum().backward()
    gradients = {name: p.grad.clone() for name, p in module.named_parameters()}
    return gradients, {name: buffer.clone() for name, buffer in module.named_buffers()}


torch.manual_seed(0)
NETWORK = ShakeShake(3, 8, 2, 0.3)
FRESH = {name: tensor.clone() for name, tensor in NETWORK.state_dict().items()}


def test_recomputed_activations_change_nothing():
    """Not the shares, not the masks, not the running statistics."""
    kept, again = updated(NETWORK), updated(NETWORK, again=True)
    for before, after in zip(kept, again, strict=True):
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert NETWORK.stem[1].num_batches_tracked == 1


def test_a_compiled_graph_draws_the_same_way():
    compiled = torch.compile(NETWORK, backend="aot_eager", fullgraph=True)
    for eager, graph in zip(updated(NETWORK), updated(NETWORK, called=compiled), strict=True):
        for name in eager:
            torch.testing.assert_close(graph[name], eager[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 27}, "depth is 27; it has to be 6 n + 2: 8, 14, 20, 26, ..."),
        ({"depth": 2}, "depth is 2; it has to be 6 n + 2: 8, 14, 20, 26, ..."),
        ({"widen": 0}, "widen is 0; it has to be 1 or more"),
        ({"drop_block": 1.0}, "drop_block is 1.0; it has to be in [0, 1)"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(UsageError) as error:
        models.create("shake-shake-26-2x32d", 3, **options)
    assert str(error.value) == message


def test_published_weights_are_said_to_be_missing():
    with pytest.raises(WeightsUnavailableError) as error:
        models.create("shake-shake-26-2x32d", 3, pretrained=True)
    assert str(error.value).startswith("no weights are published for 'shake-shake-26-2x32d'. ")
