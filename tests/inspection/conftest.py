"""Downloads of a few generated pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

Pixels = npt.NDArray[np.integer]


@pytest.fixture
def picture() -> Callable[..., Pixels]:
    """A landscape that no other seed has: smooth noise of several scales, (H, W, 3) uint8."""

    def draw(seed: int, height: int = 64, width: int = 64) -> Pixels:
        random = np.random.default_rng(seed)
        image = np.zeros((height, width, 3))
        for side in (3, 6, 12):
            noise = random.normal(size=(side, side, 3))
            image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        return np.clip(128 + 45 * image, 0, 255).astype(np.uint8)

    return draw


@pytest.fixture
def download(tmp_path) -> Callable[..., Path]:
    """Write pictures and their table: ``download(train={"a": pixels}, labels={"a": "x"})``.

    Pixels are in the order R, G, B; bytes are written as they are.
    """

    def write(
        train: Mapping[str, Pixels | bytes],
        test: Mapping[str, Pixels | bytes] | None = None,
        labels: Mapping[str, str] | None = None,
        header: str = "id,path,label",
    ) -> Path:
        for name, images in (("train", train), ("test", test or {})):
            lines = [header if name == "train" else "id,path"]
            for identity, image in images.items():
                path = tmp_path / "data" / name / f"{identity}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(image, bytes):
                    path.write_bytes(image)
                else:
                    cv2.imwrite(str(path), image[:, :, ::-1] if image.ndim == 3 else image)
                label = f",{(labels or {}).get(identity, 'xy'[len(lines) % 2])}"
                lines.append(f"{identity},{name}/{path.name}{label if name == 'train' else ''}")
            if len(lines) > 1:
                (tmp_path / "data" / f"{name}.csv").write_text("\n".join(lines) + "\n")
        return tmp_path / "data"

    return write
