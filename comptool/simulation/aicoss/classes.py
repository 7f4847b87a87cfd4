"""The 60 classes of AICOSS: when each is true of a drawn scene, and how easily it is missed.

The names are those of the label table behind the challenge (MLRSNet; Qi et al. 2020, "MLRSNet: a
multi-label high spatial resolution remote sensing dataset for semantic scene understanding"), in
its order and spelling ("habor" is the harbour), so that a script for one runs on the other.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassRule:
    """One class.

    Parameters
    ----------
    name
        Column name.
    least
        Share of the picture, 0 to 1, that the class must fill to be true.
    missed
        Relative rate at which labellers overlook it; 1 is usual.
    """

    name: str
    least: float
    missed: float


RULES = (
    ClassRule("airplane", 0.004, 0.5),
    ClassRule("airport", 0.3, 1.0),
    ClassRule("bare soil", 0.04, 2.0),
    ClassRule("baseball diamond", 0.03, 0.4),
    ClassRule("basketball court", 0.015, 0.8),
    ClassRule("beach", 0.05, 0.5),
    ClassRule("bridge", 0.02, 0.7),
    ClassRule("buildings", 0.003, 1.0),
    ClassRule("cars", 0.0012, 1.8),
    ClassRule("chaparral", 0.03, 1.3),
    ClassRule("cloud", 0.05, 0.8),
    ClassRule("containers", 0.02, 0.5),
    ClassRule("crosswalk", 0.004, 2.2),
    ClassRule("dense residential area", 0.25, 0.9),
    ClassRule("desert", 0.3, 0.8),
    ClassRule("dock", 0.002, 1.0),
    ClassRule("factory", 0.05, 1.2),
    ClassRule("field", 0.08, 1.3),
    ClassRule("football field", 0.04, 1.2),
    ClassRule("forest", 0.2, 1.0),
    ClassRule("freeway", 0.06, 0.8),
    ClassRule("golf course", 0.3, 0.4),
    ClassRule("grass", 0.05, 1.4),
    ClassRule("greenhouse", 0.02, 0.5),
    ClassRule("gully", 0.1, 0.8),
    ClassRule("habor", 0.2, 0.7),
    ClassRule("intersection", 0.02, 1.1),
    ClassRule("island", 0.04, 0.6),
    ClassRule("lake", 0.06, 0.7),
    ClassRule("mobile home", 0.04, 0.6),
    ClassRule("mountain", 0.3, 0.7),
    ClassRule("overpass", 0.015, 0.7),
    ClassRule("park", 0.3, 1.3),
    ClassRule("parking lot", 0.03, 1.2),
    ClassRule("parkway", 0.06, 1.0),
    ClassRule("pavement", 0.05, 1.2),
    ClassRule("railway", 0.02, 0.8),
    ClassRule("railway station", 0.04, 1.1),
    ClassRule("river", 0.06, 0.8),
    ClassRule("road", 0.015, 1.2),
    ClassRule("roundabout", 0.03, 0.5),
    ClassRule("runway", 0.03, 0.6),
    ClassRule("sand", 0.03, 1.6),
    ClassRule("sea", 0.08, 0.8),
    ClassRule("ships", 0.003, 0.9),
    ClassRule("snow", 0.08, 0.9),
    ClassRule("snowberg", 0.3, 0.6),
    ClassRule("sparse residential area", 0.3, 1.0),
    ClassRule("stadium", 0.1, 0.3),
    ClassRule("swimming pool", 0.005, 1.0),
    ClassRule("tanks", 0.02, 0.4),
    ClassRule("tennis court", 0.015, 0.5),
    ClassRule("terrace", 0.2, 0.7),
    ClassRule("track", 0.03, 0.8),
    ClassRule("trail", 0.008, 2.0),
    ClassRule("transmission tower", 0.003, 0.5),
    ClassRule("trees", 0.012, 1.2),
    ClassRule("water", 0.03, 1.2),
    ClassRule("wetland", 0.3, 0.8),
    ClassRule("wind turbine", 0.0025, 0.4),
)
CLASSES = tuple(rule.name for rule in RULES)
# The small edition: things of which a network can learn something from a thousand pictures.
SMALL_CLASSES = (
    "airplane",
    "bare soil",
    "baseball diamond",
    "bridge",
    "buildings",
    "cars",
    "containers",
    "dock",
    "field",
    "forest",
    "grass",
    "parking lot",
    "pavement",
    "road",
    "sand",
    "ships",
    "swimming pool",
    "tennis court",
    "trees",
    "water",
)
