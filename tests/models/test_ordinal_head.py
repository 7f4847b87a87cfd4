"""The head of grades, and outputs on the scale of the labels."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from comptool import models, tasks
from comptool.errors import UsageError
from comptool.models.late_fusion import CoralLinear
from comptool.models.streams import OutputScale


@pytest.mark.parametrize("num_grades", [2, 3, 6])
def test_the_log_odds_of_above_differ_by_thresholds_alone(num_grades):
    torch.manual_seed(0)
    layer = CoralLinear(7, num_grades - 1).double()
    with torch.no_grad():
        layer.steps.uniform_(-4, 4)
    features = 4 * torch.randn(9, 7, dtype=torch.float64)
    p = tasks.find("ordinal").probabilities(layer(features).detach().numpy())
    above = torch.from_numpy(p).flip(1).cumsum(1).flip(1)[:, 1:]
    steps = functional.softplus(layer.steps).cumsum(0)
    expected = layer.direction(features) - functional.pad(steps, (1, 0))
    torch.testing.assert_close(torch.logit(above), expected.detach())


def test_the_head_learns_thresholds_from_the_grades():
    model = models.create("eurosat-baseline+coral", 3, img_size=(16, 16))
    logits = model.eval()(torch.rand(2, 3, 16, 16))
    assert logits.shape == (2, 3)
    logits.sum().backward()
    assert model.classifier.steps.grad.shape == (2,)
    assert model.classifier.steps.grad.all()


def test_a_head_of_grades_is_refused_for_classes():
    models.check_head("resnet18+coral", "ordinal")
    models.check_head("resnet18+cosine", "multilabel")
    with pytest.raises(UsageError) as error:
        models.check_head("resnet18+coral", "multiclass")
    assert str(error.value) == (
        "the head 'coral' is for the task ordinal, and the task is multiclass; take 'resnet18'"
    )


def test_outputs_are_brought_to_the_scale_of_the_labels():
    model = models.create("eurosat-baseline", 2, img_size=(16, 16)).eval()
    images = torch.rand(2, 3, 16, 16)
    plain = model(images)
    model.output = OutputScale([100.0, -5.0], [10.0, 0.5])
    torch.testing.assert_close(
        model(images), plain * torch.tensor([10.0, 0.5]) + torch.tensor([100.0, -5.0])
    )
    assert {"output.mean", "output.std"} <= set(model.state_dict())


def test_half_precision_keeps_the_digits_of_large_numbers():
    scale = OutputScale([123_456.0], [10.0])
    with torch.autocast("cpu", torch.bfloat16):
        found = scale(torch.tensor([[0.5]]).bfloat16())
    assert found.item() == 123_461.0
