"""Pooling inside a network, against plain numpy of each bag by itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy, cross_entropy

from comptool import losses, models, tasks
from comptool.models.bag_pooling import BagPlaces, GatedAttention, pool_outputs
from comptool.tasks.pooling import ATTENTION, MAX, MEAN, NOISY_OR, POOLS, attended

CPU = torch.device("cpu")
OF_CLASSES = ("multiclass", "multilabel", "ordinal")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def shares_of(task: str, outputs: np.ndarray) -> np.ndarray:
    """What is pooled: probabilities (n, C) of classes, or of being above each grade."""
    if task == "multiclass":
        powers = np.exp(outputs)
        return powers / powers.sum(axis=1, keepdims=True)
    return sigmoid(outputs) if task == "multilabel" else np.cumprod(sigmoid(outputs), axis=1)


def pooled_by_hand(values: np.ndarray, how: str) -> np.ndarray:
    """Of the images of one bag, (n, C)."""
    if how == NOISY_OR:
        return 1 - np.prod(1 - values, axis=0)
    return values.mean(axis=0) if how == MEAN else values.max(axis=0)


def of_one_bag(task: str, outputs: np.ndarray, how: str) -> np.ndarray:
    """Probabilities of the K classes of a bag."""
    values = shares_of(task, outputs)
    if task == "multiclass" and values.shape[1] == 2:
        second = pooled_by_hand(values[:, 1:], how)[0]
        return np.array([1 - second, second])
    found = pooled_by_hand(values, how)
    if task == "ordinal":
        edges = np.concatenate([[1], found, [0]])
        return edges[:-1] - edges[1:]
    return found / found.sum() if task == "multiclass" else found


def pool(task: str, outputs, bags, how: str) -> torch.Tensor:
    places = BagPlaces.of(np.asarray(bags), CPU)
    return pool_outputs(tasks.find(task), torch.as_tensor(outputs), places, how)


@st.composite
def of_images(draw) -> tuple[np.ndarray, np.ndarray]:
    """Outputs (N, C) of images, and their bags in any order, each of one image or more."""
    bags = draw(st.lists(st.integers(0, 3), min_size=1, max_size=9))
    numbered = np.unique(bags, return_inverse=True)[1].ravel()
    random = np.random.default_rng(draw(st.integers(0, 99)))
    scale = draw(st.sampled_from([0.5, 3, 12]))
    return random.normal(scale=scale, size=(len(bags), draw(st.integers(2, 4)))), numbered


@given(of_images(), st.sampled_from(POOLS), st.sampled_from(OF_CLASSES))
def test_the_activation_of_pooled_logits_is_the_pooled_probability(found, how, task):
    outputs, bags = found
    shares = tasks.find(task).activate(pool(task, outputs, bags, how)).numpy()
    for bag, row in enumerate(shares):
        np.testing.assert_allclose(row, of_one_bag(task, outputs[bags == bag], how), atol=2e-6)


@given(of_images(), st.sampled_from(POOLS), st.sampled_from(OF_CLASSES))
def test_prediction_pools_as_training_does(found, how, task):
    outputs, bags = found
    kind = tasks.find(task)
    predicted = kind.pool(kind.probabilities(outputs), bags, how)
    trained = kind.activate(pool(task, outputs, bags, how)).numpy()
    np.testing.assert_allclose(trained, predicted, atol=2e-6)


@given(of_images(), st.sampled_from([MEAN, MAX]))
def test_numbers_are_pooled_as_they_are(found, how):
    outputs, bags = found
    for bag, row in enumerate(pool("regression", outputs, bags, how).numpy()):
        own = outputs[bags == bag]
        expected = own.mean(axis=0) if how == MEAN else own.max(axis=0)
        np.testing.assert_allclose(row, expected, rtol=1e-6)


@given(of_images())
def test_attention_is_a_mean_of_logits_by_the_softmax_of_scores(found):
    outputs, bags = found
    logits = pool("multiclass", outputs, bags, ATTENTION).numpy()
    np.testing.assert_allclose(logits, attended(outputs, bags), rtol=1e-5, atol=1e-6)
    for bag, row in enumerate(logits):
        own = outputs[bags == bag]
        weights = np.exp(own[:, -1]) / np.exp(own[:, -1]).sum()
        np.testing.assert_allclose(row, weights @ own[:, :-1], rtol=1e-5, atol=1e-6)


@given(
    of_images(),
    st.sampled_from([*POOLS, ATTENTION]),
    st.integers(1, 30),
    st.sampled_from(OF_CLASSES),
)
def test_padding_never_changes_a_bag(found, how, larger, task):
    outputs, bags = found
    # One more bag, the largest: all others get more places without an image.
    more = np.random.default_rng(0).normal(size=(len(outputs) + larger, outputs.shape[1]))
    numbers = np.concatenate([bags, np.full(len(more), bags.max() + 1)])
    padded = pool(task, np.concatenate([outputs, more]), numbers, how)
    torch.testing.assert_close(padded[:-1], pool(task, outputs, bags, how), rtol=1e-6, atol=1e-6)


@given(of_images(), st.sampled_from([*POOLS, ATTENTION]), st.sampled_from(OF_CLASSES))
def test_padding_takes_no_gradient_from_a_bag(found, how, task):
    outputs, bags = found
    more = np.ones((len(outputs) + 3, outputs.shape[1]))
    gradients = []
    for table, numbers in (
        (outputs, bags),
        (
            np.concatenate([outputs, more]),
            np.concatenate([bags, np.full(len(more), bags.max() + 1)]),
        ),
    ):
        given = torch.tensor(table, requires_grad=True)
        pool(task, given, numbers, how)[: bags.max() + 1].square().sum().backward()
        gradients.append(given.grad[: len(outputs)])
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("how", [*POOLS, ATTENTION])
@pytest.mark.parametrize("task", OF_CLASSES)
@pytest.mark.parametrize("size", [0.0, 40.0, 300.0])
def test_sure_images_give_finite_losses_and_gradients(task, how, size):
    signs = torch.tensor([[1.0, -1, 1], [-1, -1, 1], [1, 1, 1], [-1, -1, -1]])
    outputs = (signs * size).requires_grad_()
    logits = pool(task, outputs, np.array([0, 0, 1, 1]), how)
    logits.square().sum().backward()
    assert logits.isfinite().all() and outputs.grad.isfinite().all()


def test_the_loss_of_a_bag_is_that_of_its_pooled_probability():
    outputs = torch.tensor([[0.3, 1.2], [-2.0, 0.1], [0.5, -0.7]], requires_grad=True)
    bags = np.array([0, 0, 1])
    second = 1 - outputs.softmax(dim=1)[:, 1]
    either = torch.stack([1 - second[0] * second[1], 1 - second[2]])
    targets = torch.tensor([1, 0])
    wanted = binary_cross_entropy(either, targets.float())
    found = cross_entropy(pool("multiclass", outputs, bags, NOISY_OR), targets)
    torch.testing.assert_close(found, wanted)
    ours, theirs = (
        torch.autograd.grad(one, outputs, retain_graph=True)[0] for one in (found, wanted)
    )
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("task", [*OF_CLASSES, "regression"])
def test_a_bag_of_one_image_has_the_loss_of_that_image(task):
    kind = tasks.find(task)
    outputs = torch.randn(5, kind.outputs(4), generator=torch.Generator().manual_seed(0))
    criterion = losses.create(kind.default_loss)
    targets = torch.from_numpy(kind.blank_targets(5, 4))
    for how in (MEAN, MAX):
        pooled = pool(task, outputs, np.arange(5), how)
        torch.testing.assert_close(criterion(pooled, targets), criterion(outputs, targets))


def test_several_heads_are_pooled_each_by_itself():
    outputs = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(1))
    bags = np.array([0, 1, 0, 1])
    for how in (MEAN, ATTENTION):
        found = pool("multiclass", outputs, bags, how)
        for head, one in zip(found, outputs, strict=True):
            torch.testing.assert_close(head, pool("multiclass", one, bags, how))


def test_gated_attention_by_hand():
    torch.manual_seed(0)
    module = GatedAttention(6)
    features = torch.randn(4, 6)
    v, u, w = (one.weight.detach().numpy() for one in (module.v, module.u, module.w))
    h = features.numpy()
    expected = (np.tanh(h @ v.T) * sigmoid(h @ u.T)) @ w.T
    np.testing.assert_allclose(module(features).detach().numpy(), expected, rtol=1e-4, atol=1e-6)
    assert (v.shape, u.shape, w.shape) == ((128, 6), (128, 6), (1, 128))


def test_attention_of_a_model_is_its_classifier_of_the_weighted_features():
    torch.manual_seed(0)
    model = models.create("test_efficientnet", 3, attention=True).eval()
    images = torch.randn(5, 3, 32, 32)
    bags = np.array([0, 0, 0, 1, 1])
    with torch.no_grad():
        outputs, features = model(images), model.forward_features(images)
        logits = pool("multiclass", outputs, bags, ATTENTION)
        scores = model.attention(features)[:, 0]
        for bag in (0, 1):
            here = torch.from_numpy(bags == bag)
            z = scores[here].softmax(dim=0) @ features[here]
            torch.testing.assert_close(logits[bag], model.classifier(z), rtol=1e-4, atol=1e-5)


def test_the_heads_of_streams_share_the_weights_of_the_images():
    model = models.create("test_efficientnet-dual", 3, attention=True, auxiliary_heads=True)
    images = [torch.randn(4, 3, 32, 32) for _ in range(2)]
    outputs = model(*images)
    assert outputs.shape == (3, 4, 4)
    torch.testing.assert_close(outputs[1:, :, -1], outputs[:1, :, -1].expand(2, -1))
    assert math.isfinite(float(outputs.sum()))
