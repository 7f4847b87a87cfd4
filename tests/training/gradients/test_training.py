"""Gradient calibration in a training: its updates, its columns, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
import torch
from safetensors.torch import load_file

from comptool.errors import UsageError
from comptool.io.runs import read_header
from comptool.training.config import calibration_of
from comptool.training.distributed import Processes
from comptool.training.gradient_balancing import gradient_curves
from comptool.training.setup import prepare

BOTH = {"auxiliary_heads": True, "calibrate_gradients": ("intra:max", "inter")}
INTRA = {"calibrate_gradients": ("intra:max",)}
NORMS = ["gradient_norm_sar", "gradient_norm_eo"]
RATIOS = ["gradient_ratio_sar", "gradient_ratio_eo"]
WEIGHTS = ["joint_objective_weight", "objective_weight_sar", "objective_weight_eo"]
# A network whose activations are computed twice, without what it drops at random.
CHECKPOINTED = {
    "model": "eurosat-bmta-dual",
    "model_option": ("grad_checkpointing=true", "drop_block=0", "drop_rate=0"),
}


def session_of(plan, device="cpu"):
    """A session whose joint head listens to EO far more than to SAR."""
    processes = Processes(0, 1, torch.device(device))
    session = prepare(plan, plan.members[0], processes, lambda text: None).session
    with torch.no_grad():
        weight = session.model.classifier.weight
        weight[:, weight.shape[1] // 2 :] *= 6
    return session


def one_update(plan, twin, device="cpu", share=1.0):
    """A session after its first backward pass, and the twin of that pass, without calibration."""
    session = session_of(plan, device)
    untouched = session_of(plan, device).model.train()
    session.begin_epoch(0)
    session.batches.set_epoch(0, 0)
    batch = next(iter(session.train_loader))
    scaler = session.optimisation.scaler
    if scaler.is_enabled():  # it would begin with more than this network's gradients bear
        scaler.load_state_dict(scaler.state_dict() | {"scale": 1024.0})
    session.optimisation.begin(0)
    session.optimisation.backward(session.loss(*session.see(batch, 0, 0)), share)
    scaler.unscale_(session.optimisation.optimizer)
    images, targets = session.transform.see(batch.images), batch.targets.to(device)
    with session.precision.autocast():
        return session, twin(untouched, images, targets, calibration_of(plan.settings))


@pytest.mark.parametrize(
    "given",
    [
        INTRA,
        {"calibrate_gradients": ("intra:min",), "calibration_limits": "0.9,1"},
        {"auxiliary_heads": True, "calibrate_gradients": ("inter",)},
        BOTH | CHECKPOINTED,
    ],
)
def test_an_update_has_the_gradients_of_an_autograd_twin(folds, plan_of, twin, given):
    # Half of an update: the other batch of two that are accumulated has the other half.
    session, expected = one_update(plan_of(augment="none", **given), twin, share=0.5)
    for name, parameter in session.model.named_parameters():
        torch.testing.assert_close(
            2 * parameter.grad, expected.gradients[name], rtol=1e-3, atol=1e-5
        )
    found = session.gradients.read()
    assert [found[name] for name in NORMS] == pytest.approx(expected.norms.tolist(), rel=1e-4)
    if "intra" in str(given):
        assert [found[name] for name in RATIOS] == pytest.approx(expected.ratios.tolist(), rel=1e-4)
    if given.get("auxiliary_heads"):
        weights = [found[name] for name in WEIGHTS]
        assert weights == pytest.approx(expected.weights.tolist(), rel=1e-3)


def assert_unscaled(session, expected):
    """Gradients are those of a twin in the same precision, whose loss is not scaled."""
    found = session.gradients.read()
    assert [found[name] for name in NORMS] == pytest.approx(expected.norms.tolist(), rel=0.01)
    assert [found[name] for name in RATIOS] == pytest.approx(expected.ratios.tolist(), rel=0.01)
    for part in ("encoders.0", "encoders.1", "classifier"):
        names = [name for name in expected.gradients if name.startswith(part)]
        near = torch.cat([session.model.get_parameter(name).grad.flatten() for name in names])
        exact = torch.cat([expected.gradients[name].flatten() for name in names])
        assert (near - exact).norm() < 0.05 * exact.norm(), part


@pytest.mark.parametrize("given", [INTRA, BOTH])
@pytest.mark.parametrize("amp", ["fp16", "bf16"])
def test_mixed_precision_calibrates_the_unscaled_gradients(folds, plan_of, twin, amp, given):
    session, expected = one_update(plan_of(augment="none", amp=amp, **given), twin)
    assert session.optimisation.loss_scale == (1024 if amp == "fp16" else 1)
    assert max(expected.ratios) > (1.2 if given is BOTH else 3)
    assert_unscaled(session, expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("compile", ["off", "on"])
def test_fp16_on_a_gpu_calibrates_the_unscaled_gradients(folds, plan_of, twin, compile):
    plan = plan_of(augment="none", amp="fp16", device="cuda", compile=compile, **BOTH)
    assert_unscaled(*one_update(plan, twin, "cuda"))


def test_an_overflow_counts_in_no_column(folds, plan_of, twin):
    session, _ = one_update(plan_of(augment="none", **BOTH), twin)
    before = session.gradients.state_dict()
    batch = next(iter(session.train_loader))
    session.optimisation.backward(session.loss(*session.see(batch, 0, 0)) * torch.inf)
    assert session.gradients.state_dict() == before


def test_a_run_has_columns_for_what_it_calibrates(folds, fit, history):
    fit("plain", epochs=1, auxiliary_heads=True)
    fit("both", epochs=2, **BOTH)
    plain, both = history("plain"), history("both")
    assert list(both[0]) == [*plain[0], *NORMS, *RATIOS, *WEIGHTS]
    for row in both:
        numbers = {name: float(row[name]) for name in (*NORMS, *RATIOS, *WEIGHTS)}
        assert all(numbers[name] > 0 for name in NORMS)
        assert max(numbers[name] for name in RATIOS) >= 1
        assert sum(numbers[name] for name in WEIGHTS) == pytest.approx(1)
    assert read_header(Path("weights/both")).arguments["calibrate_gradients"] == [
        "intra:max",
        "inter",
    ]


def test_a_picture_shows_what_is_calibrated():
    rows = [
        {"epoch": 1, NORMS[0]: 2.0, NORMS[1]: 1.0, WEIGHTS[0]: 0.2, WEIGHTS[1]: 0.3},
        {"epoch": 2, NORMS[0]: None, NORMS[1]: 0.5, WEIGHTS[0]: 0.4, WEIGHTS[1]: 0.1},
    ]
    norms, weights = gradient_curves(rows)
    assert norms.series == {"sar": [2.0, None], "eo": [1.0, 0.5]}
    assert weights.series == {"sar": [0.3, 0.1], "joint head": [0.2, 0.4]}
    assert not gradient_curves([{"epoch": 1, "val_accuracy": 0.5}])


def test_a_calibrated_run_has_a_picture_and_another_in_its_place_none(folds, fit):
    picture = Path("weights/run/gradients.png")
    fit("run", epochs=1, **INTRA)
    assert cv2.imread(str(picture)) is not None
    fit("run", epochs=1, force=True)
    assert not picture.exists()


def test_the_checkpoint_of_a_calibrated_run_is_that_of_any_other(folds, fit):
    fit("plain", epochs=1, auxiliary_heads=True, ema=0.5)
    fit("both", epochs=1, ema=0.5, **BOTH)
    plain, both = (load_file(f"weights/{name}/best.safetensors") for name in ("plain", "both"))
    assert plain.keys() == both.keys()
    assert any(not torch.equal(plain[name], both[name]) for name in plain)
    assert read_header(Path("weights/plain")).model == read_header(Path("weights/both")).model


def test_a_resumed_run_keeps_its_calibration(folds, fit):
    fit("run", epochs=1, **BOTH)
    with pytest.raises(UsageError) as refusal:
        fit("run", resume=True, calibrate_gradients=("intra",), calibration_limits="0.5,2")
    assert str(refusal.value) == (
        "a resumed run keeps its settings; weights/run was begun with --calibrate-gradients "
        "intra:max inter, no --calibration-limits. Leave them out, or start another run with "
        "--init-from"
    )
