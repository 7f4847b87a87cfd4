"""A few pairs of images in a folder."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from comptool.competition.samples import Samples


@pytest.fixture
def samples(tmp_path) -> Samples:
    """Eleven pairs of classes a and b: grey ``sar`` chips of 14 to 16 px, ``eo`` in colour of 8."""
    rng = np.random.default_rng(0)
    table = []
    for number in range(11):
        for name, side, channels in (("sar", 14 + number % 3, 1), ("eo", 8, 3)):
            pixels = rng.integers(0, 256, (side, side, channels), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / f"{name}_{number}.png"), pixels)
        table.append([f"00{number}", f"sar_{number}.png", f"eo_{number}.png", "ab"[number % 2]])
    frame = pd.DataFrame(table, columns=["id", "sar_path", "eo_path", "label"], dtype=str)
    paths = {"sar": "sar_path", "eo": "eo_path"}
    return Samples(frame, tmp_path, "id", paths, "label", None, tmp_path / "train.csv")
