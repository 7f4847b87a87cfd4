"""16-bit images are read at one scale, in training as in prediction; blank ones are told."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from comptool.inference.config import Computing, InferConfig
from comptool.inference.plan import plan_prediction
from comptool.inference.predict import predict
from comptool.inference.tta.policies import PLAIN
from comptool.io.runs import read_header

SAID = (
    "sar images have 16 bits and values up to 3533: they are scaled so that 4095 (12 bits) is white"
)


@pytest.fixture
def deepen(folder):
    """Store SAR chips in 16 bits as a sensor of 12 bits does: ``deepen()``."""

    def rewrite() -> None:
        for number in range(24):
            path = f"images/sar_{number:02}.png"
            pixels = cv2.imread(path, cv2.IMREAD_GRAYSCALE).astype(int)
            # The smallest value that is scaled to this byte.
            cv2.imwrite(path, (-(-pixels * 4095 // 255)).astype(np.uint16))

    return rewrite


def predicted(run: str) -> np.ndarray:
    plan = plan_prediction(InferConfig(runs=(run,), output=Path("new.csv"), test=Path("folds.csv")))
    computing = Computing(device="cpu", workers=0, quiet=True)
    return predict(plan.members, plan.samples, [PLAIN], computing)[0][0]


def test_twelve_bits_in_sixteen_train_and_predict_as_the_same_images_in_eight(
    folds, deepen, fit, kept, same
):
    fit("eight", epochs=2)
    before = predicted("eight")
    deepen()
    said = []
    fit("twelve", epochs=2, say=said.append)
    assert said[0] == SAID
    assert read_header(Path("weights/twelve")).bits == {"sar": 12, "eo": 16}
    same(kept("twelve")["weights"], kept("eight")["weights"])
    np.testing.assert_array_equal(predicted("twelve"), before)


def test_a_resumed_run_and_a_child_keep_the_scale(folds, deepen, fit):
    deepen()
    fit("run", epochs=1, schedule="constant", warmup_epochs=0.0)
    cv2.imwrite("images/sar_03.png", np.full((40, 40), 60_000, np.uint16))
    fit("run", resume=True, epochs=2)
    said = []
    fit("child", epochs=1, init_from=Path("weights/run"), say=said.append)
    for run in ("run", "child"):
        assert read_header(Path("weights") / run).bits == {"sar": 12, "eo": 16}
    assert not any("16 bits" in line for line in said)


def test_every_fold_has_the_scale_of_all_rows(folds, deepen, fit):
    deepen()
    # Of fold 0, which its own member does not train on.
    cv2.imwrite("images/sar_00.png", np.full((40, 40), 16_000, np.uint16))
    fit(fold="all", epochs=1)
    depths = {read_header(Path(f"weights/run/fold-{fold}")).bits["sar"] for fold in range(3)}
    assert depths == {14}


def test_blank_images_of_training_are_counted_and_named(folds, fit):
    for number in (0, 4, 13):  # the first is of the validated fold
        cv2.imwrite(f"images/sar_{number:02}.png", np.zeros((40, 40), np.uint8))
    said = []
    fit(epochs=2, augment="weak", balance="over", say=said.append)
    assert [line for line in said if line.startswith("WARNING")] == [
        "WARNING: 2 of the 15 sar images to train on are all zero: 's04', 's13'"
    ]
