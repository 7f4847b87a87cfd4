"""Small copies of images that stand inside a page, as data URIs."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np

QUALITY = 80


def data_uri(path: Path, size: int) -> str | None:
    """The image as a JPEG data URI, or None if there is no readable image.

    Parameters
    ----------
    path
        Any image file that OpenCV reads; more than 8 bits are scaled to the brightest pixel.
    size
        Longest side in pixels; a smaller image stays as it is.
    """
    try:
        content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    except OSError:
        return None
    image = cv2.imdecode(content, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH) if content.size else None
    if image is None:
        return None
    if image.dtype != np.uint8:
        # To be looked at, so each is stretched to its own range.
        image = cv2.convertScaleAbs(image, alpha=255 / max(float(image.max()), 1e-9))
    height, width = image.shape[:2]
    scale = size / max(height, width)
    if scale < 1:
        shape = max(1, round(width * scale)), max(1, round(height * scale))
        image = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
