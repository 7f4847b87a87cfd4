"""The kinds of scene, how often each is met, and the picture of one of them.

The kinds are the 46 scene categories of MLRSNet, and two of ours for what its categories hold only
in passing: football fields without a track, and ships on open water.

A scene is drawn at twice the resolution of the picture and then photographed: exposure, haze, a
colour cast, the lens and the sensor. A *view* is one photograph; the second view of a scene is
displaced a little and differs in everything that is the camera's.
Letters: S pixels along a side of the picture, P = 2 S drawn ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from comptool.simulation.aicoss import (
    coast,
    country,
    housing,
    leisure,
    town,
    transport,
    wilds,
)
from comptool.simulation.aicoss.canvas import Bytes, Canvas, Floats, shares
from comptool.simulation.aicoss.land import clouds
from comptool.simulation.aicoss.strays import add_stray

Layer = TypeVar("Layer", Bytes, Floats)
SUPERSAMPLING = 2
LARGEST_SHIFT = 4  # drawn pixels by which a second view is displaced
STRAY = 0.3  # chance of each of two things outside of their usual scene
CLOUDY = "cloud"
# What lies under the clouds of the kind "cloud".
UNDER_CLOUD = ("forest", "farmland", "bareland", "meadow", "wetland", "open sea", "desert")


@dataclass(frozen=True)
class SceneKind:
    """One kind of scene.

    Parameters
    ----------
    name
        Its name.
    draw
        Draws it on an empty canvas.
    metres
        Range of the width of the ground that is seen.
    weight
        How often it is met, relative to the others.
    small
        The same in the small edition; 0 where it is not met there.
    """

    name: str
    draw: Callable[[Canvas], None]
    metres: tuple[float, float]
    weight: float
    small: float = 0.0


KINDS = (
    SceneKind("airplane", transport.apron, (90, 170), 1.6, 1.6),
    SceneKind("airport", transport.airfield, (600, 900), 1.4),
    SceneKind("bareland", wilds.bareland, (100, 300), 1.6, 1.5),
    SceneKind("baseball diamond", leisure.baseball, (90, 140), 0.8, 1.2),
    SceneKind("basketball court", leisure.basketball_courts, (70, 110), 1.4),
    SceneKind("beach", coast.beach, (120, 300), 2.2, 2.0),
    SceneKind("bridge", coast.bridge, (110, 200), 2.0, 2.4),
    SceneKind("chaparral", wilds.chaparral, (80, 160), 2.0),
    SceneKind(CLOUDY, wilds.forest, (300, 900), 1.2),
    SceneKind("commercial area", town.commercial, (130, 200), 2.4, 2.2),
    SceneKind("dense residential", housing.dense_residential, (100, 160), 2.8, 3.4),
    SceneKind("desert", wilds.desert, (200, 900), 1.8),
    SceneKind("eroded farmland", wilds.eroded, (250, 600), 1.4),
    SceneKind("farmland", country.fields, (200, 500), 3.0, 3.6),
    SceneKind("forest", wilds.forest, (120, 300), 2.6, 2.8),
    SceneKind("freeway", transport.motorway, (90, 160), 2.2, 1.6),
    SceneKind("golf course", leisure.golf, (180, 300), 1.6),
    SceneKind("ground track field", leisure.track_field, (150, 230), 1.6),
    SceneKind("football field", leisure.football_fields, (120, 200), 0.2),
    SceneKind("harbor", coast.harbour, (110, 180), 1.8, 2.0),
    SceneKind("industrial area", town.industrial, (150, 260), 2.0),
    SceneKind("intersection", transport.intersection, (70, 120), 2.2, 2.4),
    SceneKind("island", coast.island, (200, 700), 1.4),
    SceneKind("lake", country.lake, (250, 700), 1.6, 1.2),
    SceneKind("meadow", country.grassland, (120, 300), 2.8, 3.0),
    SceneKind("mobile home park", housing.mobile_homes, (90, 150), 1.0),
    SceneKind("mountain", wilds.mountains, (800, 2000), 2.2),
    SceneKind("overpass", transport.overpass, (100, 170), 1.4),
    SceneKind("park", leisure.park, (130, 240), 0.6),
    SceneKind("parking lot", town.car_park, (60, 110), 2.2, 2.4),
    SceneKind("parkway", transport.parkway, (80, 130), 1.0),
    SceneKind("railway", transport.railway, (80, 150), 1.4),
    SceneKind("railway station", transport.railway_station, (140, 220), 0.35),
    SceneKind("river", country.river, (200, 600), 2.0, 1.6),
    SceneKind("roundabout", transport.roundabout, (80, 130), 0.55),
    SceneKind("shipping yard", coast.container_yard, (110, 180), 1.2, 0.9),
    SceneKind("open sea", coast.shipping, (120, 260), 0.6, 0.8),
    SceneKind("snowberg", wilds.snowberg, (800, 2500), 1.4),
    SceneKind("sparse residential", housing.sparse_residential, (90, 150), 1.2, 1.6),
    SceneKind("stadium", leisure.arena, (230, 340), 0.5),
    SceneKind("storage tank", town.tank_farm, (100, 220), 1.2),
    SceneKind("swimming pool", leisure.pools, (60, 100), 1.2, 1.2),
    SceneKind("tennis court", leisure.tennis_courts, (70, 130), 1.4, 1.2),
    SceneKind("terrace", wilds.terraces, (200, 500), 1.2),
    SceneKind("transmission tower", country.power_line, (60, 100), 0.4),
    SceneKind("greenhouse", country.greenhouse, (130, 240), 1.2),
    SceneKind("wetland", wilds.wetland, (200, 600), 1.6),
    SceneKind("wind turbine", country.turbines, (110, 180), 0.3),
)
BY_NAME = {kind.name: kind for kind in KINDS}


def photograph(
    kind: SceneKind,
    side: int,
    scene: np.random.Generator,
    camera: np.random.Generator,
    *,
    displaced: bool = False,
) -> tuple[Bytes, npt.NDArray[np.float64]]:
    """One picture and what it shows.

    Parameters
    ----------
    kind
        What is drawn.
    side
        S.
    scene, camera
        Sources of what is random in the scene and in its photograph.
    displaced
        Whether this is a second view.

    Returns
    -------
    tuple of numpy.ndarray
        RGB bytes of shape (S, S, 3), and the share of the picture that each of the 60 classes
        fills, of shape (60,).
    """
    canvas = Canvas(SUPERSAMPLING * side, float(scene.uniform(*kind.metres)), scene)
    if kind.name == CLOUDY:
        BY_NAME[UNDER_CLOUD[int(scene.integers(len(UNDER_CLOUD)))]].draw(canvas)
        lit = canvas.lit()
        clouds(canvas, lit, float(scene.uniform(0.25, 0.75)))
    else:
        kind.draw(canvas)
        for _ in range(int(scene.binomial(2, STRAY))):
            add_stray(canvas)
        lit = canvas.lit()
    if displaced:
        lit = _displace(canvas, lit, camera)
    return _develop(lit, side, camera), shares(canvas.surface, canvas.zones)


def _displace(canvas: Canvas, lit: Floats, camera: np.random.Generator) -> Floats:
    # The aircraft flew on: everything moves, and the rim that comes into view mirrors the old one.
    right, down = camera.integers(-LARGEST_SHIFT, LARGEST_SHIFT + 1, 2).tolist()
    move = np.array([[1, 0, right], [0, 1, down]], np.float32)

    def moved(layer: Layer) -> Layer:
        size = (canvas.side, canvas.side)
        return np.asarray(
            cv2.warpAffine(
                layer, move, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT
            ),
            layer.dtype,
        )

    canvas.surface = moved(canvas.surface)
    canvas.zones = {name: moved(zone) for name, zone in canvas.zones.items()}
    return moved(lit)


def _develop(lit: Floats, side: int, camera: np.random.Generator) -> Bytes:
    """The photograph of a lit scene of shape (P, P, 3): bytes of shape (S, S, 3)."""
    picture = cv2.resize(lit, (side, side), interpolation=cv2.INTER_AREA)
    width = camera.uniform(0.0, 0.65)
    if width > 0.3:
        picture = cv2.GaussianBlur(picture, (5, 5), width)
    grey = picture.mean(axis=2, keepdims=True)
    picture = grey + np.float32(camera.uniform(0.55, 1.15)) * (picture - grey)
    gain = camera.uniform(0.82, 1.22) * (1 + camera.normal(0, 0.025, 3))
    haze = 0.3 * camera.random() ** 1.7
    picture = picture * np.float32(gain * (1 - haze)) + np.float32(haze * np.array([196, 204, 214]))
    noise = camera.standard_normal((side, side), dtype=np.float32)
    picture += (noise * np.float32(camera.uniform(0.8, 3.5)))[:, :, None]
    developed: Bytes = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return developed
