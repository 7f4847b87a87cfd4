"""Outlines in metres: rectangles, blobs, curves and the strips along them.

Letters: n shapes, k corners of one; the last axis is x (to the right) and y (down).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.floating]
Number = float | npt.NDArray[np.floating]

CORNERS = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])


def placed(outline: Points, x: Number, y: Number, angle: Number) -> Points:
    """An outline of shape (k, 2) or (n, k, 2), turned and moved; numbers may have shape (n,)."""
    cos, sin = np.cos(angle)[..., None], np.sin(angle)[..., None]
    across, down = outline[..., 0], outline[..., 1]
    column = across * cos - down * sin + np.asarray(x)[..., None]
    row = across * sin + down * cos + np.asarray(y)[..., None]
    return np.stack([column, row], axis=-1)


def rectangle(x: Number, y: Number, length: Number, width: Number, angle: Number) -> Points:
    """Rectangles of shape (4, 2), or (n, 4, 2) from numbers of shape (n,)."""
    sides = np.stack([np.asarray(length), np.asarray(width)], axis=-1)
    return placed(CORNERS * sides[..., None, :], x, y, angle)


def blob(
    rng: np.random.Generator, x: float, y: float, radius: float, rough: float = 0.25
) -> Points:
    """A closed, smooth, irregular outline of shape (48, 2)."""
    turns = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    order = np.arange(2, 7)[:, None]
    waves = np.cos(order * turns + rng.uniform(0, 2 * np.pi, (5, 1))) * rng.normal(0, 1, (5, 1))
    radii = radius * np.maximum(1 + rough * (waves / order).sum(axis=0), 0.3)
    return np.stack([x + radii * np.cos(turns), y + radii * np.sin(turns)], axis=1)


def arc(x: float, y: float, radius: float, start: float, end: float, count: int = 24) -> Points:
    """Points on a circle from one angle to another, of shape (count, 2)."""
    turns = np.linspace(start, end, count)
    return np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns)], axis=1)


def bent(start: Points, end: Points, bend: float, count: int = 24) -> Points:
    """A curve from start to end that strays ``bend`` metres to one side, of shape (count, 2)."""
    step = end - start
    normal = np.array([-step[1], step[0]]) / max(float(np.hypot(*step)), 1e-9)
    along = np.linspace(0, 1, count)[:, None]
    return start + along * step + 4 * bend * along * (1 - along) * normal


def winding(rng: np.random.Generator, span: float, sway: float, angle: float) -> Points:
    """A winding line through the origin, ``2 * span`` metres long, of shape (48, 2)."""
    along = np.linspace(-span, span, 48)
    order = np.array([1.0, 2.0, 3.0])[:, None]
    swing = np.sin(order * np.pi * along / span + rng.uniform(0, 2 * np.pi, (3, 1))) / order
    return placed(np.stack([along, sway * swing.sum(axis=0)], axis=1), 0.0, 0.0, angle)


def strip(line: Points, width: Number) -> Points:
    """The outline of a band along a line of k points; ``width`` may have shape (k,)."""
    slope = np.gradient(line, axis=0)
    slope /= np.maximum(np.hypot(slope[:, 0], slope[:, 1]), 1e-9)[:, None]
    normal = np.stack([-slope[:, 1], slope[:, 0]], axis=1)
    half = normal * np.broadcast_to(np.asarray(width) / 2, len(line))[:, None]
    return np.concatenate([line + half, (line - half)[::-1]])


def beside(line: Points, offset: float) -> Points:
    """The line that runs ``offset`` metres to the right of another."""
    slope = np.gradient(line, axis=0)
    slope /= np.maximum(np.hypot(slope[:, 0], slope[:, 1]), 1e-9)[:, None]
    return line + offset * np.stack([-slope[:, 1], slope[:, 0]], axis=1)


def stations(
    line: Points, places: npt.NDArray[np.floating]
) -> tuple[Points, npt.NDArray[np.floating]]:
    """Points at distances along a line, of shape (n, 2), and the line's direction there."""
    steps = np.diff(line, axis=0)
    reached = np.concatenate([[0.0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))])
    x, y = (np.interp(places, reached, line[:, axis]) for axis in (0, 1))
    segment = np.clip(np.searchsorted(reached, places) - 1, 0, len(steps) - 1)
    return np.stack([x, y], axis=1), np.arctan2(steps[segment, 1], steps[segment, 0])


def length_of(line: Points) -> float:
    """Length of a line in metres."""
    steps = np.diff(line, axis=0)
    return float(np.hypot(steps[:, 0], steps[:, 1]).sum())
