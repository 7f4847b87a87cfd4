"""Features of an image that need no training, for the baselines."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def histograms(path: Path) -> Floats:
    """Histograms of colour and of edge directions, and a coarse copy of the image."""
    image = cv2.resize(cv2.imread(str(path)), (128, 128))
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    planes = [*np.moveaxis(image, 2, 0), *np.moveaxis(cv2.cvtColor(image, cv2.COLOR_BGR2HSV), 2, 0)]
    size, angle = cv2.cartToPolar(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1))
    edges = [np.histogram(angle, 16, weights=size)[0] / 1e3, np.histogram(size, 16, (0, 400))[0]]
    coarse = [cv2.resize(plane, (8, 8)).ravel() for plane in (grey, cv2.blur(size, (9, 9)))]
    colours = [np.histogram(plane, 16, (0, 256))[0] for plane in planes]
    return np.concatenate([*colours, *edges, *coarse])


def pixels(path: Path) -> Floats:
    """The middle half of a grey image, 24 x 24 pixels."""
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    height, width = grey.shape
    middle = grey[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return cv2.resize(middle, (24, 24), interpolation=cv2.INTER_AREA).ravel() / 255.0
