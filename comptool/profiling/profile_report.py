"""The report of a profile: phases of a step, its ceiling, and what to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DECODE, AUGMENT, COLLATE = "decode", "augment", "collate"
IDLE, TRANSFER, FORWARD, BACKWARD = "idle", "transfer", "forward", "backward"
OPTIMIZER, MERGE, OTHER = "optimizer", "merge", "other"
WAIT = "wait"  # for a batch; how much of it is lost is for the clock to say
# In processing order.
PHASES = (
    DECODE, AUGMENT, COLLATE, IDLE, TRANSFER, FORWARD, BACKWARD, OPTIMIZER, MERGE, OTHER
)  # fmt: skip
MEANINGS = {
    IDLE: "without anything to compute",
    TRANSFER: "to the device, normalised, mixed",
    OTHER: "between the phases",
}


@dataclass(frozen=True)
class Loading:
    """What loading the images of a step takes of one core."""

    phases: Mapping[str, float]  # seconds of each of its phases
    loaders: int  # loading processes or threads; 0: the step itself

    @property
    def seconds(self) -> float:
        """Total seconds."""
        return sum(self.phases.values())

    def divided(self, waited: float) -> dict[str, float]:
        """A wait for images loaded by the step itself, divided like loading."""
        return {phase: waited * part / self.seconds for phase, part in self.phases.items()}


@dataclass(frozen=True)
class Profile:
    """Profile of a few steps.

    ``phases`` are seconds of a mean step, of which ``waited`` are spent waiting for a batch; a CUDA
    device may be busy meanwhile. ``ceiling`` is the time of the same step on samples already in
    place, ``half`` the relative time of half of these samples. ``loading`` is None if the images
    lie on the device.
    """

    command: str
    device: str
    images: float
    steps: int
    phases: Mapping[str, float]
    waited: float
    ceiling: float
    half: float | None
    loading: Loading | None
    advice: tuple[str, ...] = field(default=())

    @property
    def step(self) -> float:
        """Seconds of a mean step."""
        return sum(self.phases.values())

    @property
    def share_of_ceiling(self) -> float:
        """Speed relative to samples in place, about 0 to 1."""
        return self.ceiling / self.step

    def share(self, *phases: str) -> float:
        """Share of phases in the step, 0 to 1."""
        return sum(self.phases.get(phase, 0.0) for phase in phases) / self.step

    def document(self) -> dict[str, object]:
        """The profile as JSON values: milliseconds per step, and images per second."""
        return {
            "command": self.command,
            "device": self.device,
            "images_per_step": round(self.images, 2),
            "steps": self.steps,
            "milliseconds": {name: _milliseconds(spent) for name, spent in self._ordered()},
            "milliseconds_beside": {
                name: _milliseconds(spent) for name, spent in self._beside().items()
            },
            "loaders": self.loading.loaders if self.loading else None,
            "milliseconds_per_step": _milliseconds(self.step),
            "ceiling_milliseconds_per_step": _milliseconds(self.ceiling),
            "images_per_second": round(self.images / self.step, 1),
            "ceiling_images_per_second": round(self.images / self.ceiling, 1),
            "share_of_ceiling": round(self.share_of_ceiling, 4),
            "advice": list(self.advice),
        }

    def text(self) -> str:
        """The profile as a table, its ceiling, and the advice."""
        lines = [
            f"{self.command} on {self.device}: {self.steps} steps of {self.images:g} images",
            f"{'phase':<9}  {'ms a step':>9}  {'share':>6}",
        ]
        for name, spent in self._ordered():
            row = f"{name:<9}  {_milliseconds(spent):9.2f}  {self.share(name):6.1%}"
            lines.append(f"{row}  {MEANINGS.get(name, '')}".rstrip())
        lines.append(f"{'sum':<9}  {_milliseconds(self.step):9.2f}  {1:6.1%}")
        beside = ", ".join(f"{name} {_milliseconds(ms):.2f}" for name, ms in self._beside().items())
        if beside and self.loading:
            plural = "s" if self.loading.loaders > 1 else ""
            lines.append(
                f"beside it, {self.loading.loaders} loader{plural}, ms of a core a step: {beside}"
            )
        lines.append(
            f"{self.images / self.step:.1f} images/s; {self.images / self.ceiling:.1f} on images "
            f"that are in place, of which this is {self.share_of_ceiling:.0%}"
        )
        return "\n".join([*lines, "what to change", *(f"  {one}" for one in self.advice)])

    def _ordered(self) -> list[tuple[str, float]]:
        return [(name, self.phases[name]) for name in PHASES if name in self.phases]

    def _beside(self) -> dict[str, float]:
        if self.loading is None or not self.loading.loaders:
            return {}
        return dict(self.loading.phases)


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 3)
