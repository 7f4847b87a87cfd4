"""Report of a profile: phases of a step, its ceiling, and advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DECODE, AUGMENT, COLLATE = "decode", "augment", "collate"
IDLE, TRANSFER, FORWARD, BACKWARD = "idle", "transfer", "forward", "backward"
OPTIMIZER, MERGE, OTHER = "optimizer", "merge", "other"
WAIT = "wait"  # for a batch; the clock determines the lost part
# In the order of the step.
PHASES = (
    DECODE, AUGMENT, COLLATE, IDLE, TRANSFER, FORWARD, BACKWARD, OPTIMIZER, MERGE, OTHER
)  # fmt: skip
MEANINGS = {
    IDLE: "nothing to compute",
    TRANSFER: "to the device, normalisation, mixing",
    OTHER: "between the phases",
}


@dataclass(frozen=True)
class Loading:
    """Loading of the images of a step, in seconds of one core."""

    phases: Mapping[str, float]  # seconds by phase
    loaders: int  # parallel processes or threads; 0: the step itself loads

    @property
    def seconds(self) -> float:
        """The sum of the phases."""
        return sum(self.phases.values())

    def divided(self, waited: float) -> dict[str, float]:
        """A wait of a step that loads its own images, divided like loading."""
        return {phase: waited * part / self.seconds for phase, part in self.phases.items()}


@dataclass(frozen=True)
class Profile:
    """Measured steps of a command."""

    command: str  # ``train``, ``infer`` or ``tta``
    device: str
    images: float  # samples per step
    steps: int  # number of measured steps
    phases: Mapping[str, float]  # seconds by phase in a mean step; the sum is the step
    waited: float  # seconds of waiting for a batch; a CUDA device may be busy meanwhile
    ceiling: float  # seconds of the same step on samples in place
    half: float | None  # time of half of these samples, 0 to 1; None: not measured
    loading: Loading | None  # None: whole batches are made on the device
    advice: tuple[str, ...] = field(default=())  # one sentence each

    @property
    def step(self) -> float:
        """Seconds of a mean step."""
        return sum(self.phases.values())

    @property
    def share_of_ceiling(self) -> float:
        """Share of the speed on samples in place, about 0 to 1."""
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
                name: _milliseconds(spent) for name, spent in self._parallel().items()
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
        """The profile as a table, its ceiling, and advice."""
        lines = [
            f"{self.command} on {self.device}: {self.steps} steps of {self.images:g} images",
            f"{'phase':<9}  {'ms a step':>9}  {'share':>6}",
        ]
        for name, spent in self._ordered():
            row = f"{name:<9}  {_milliseconds(spent):9.2f}  {self.share(name):6.1%}"
            lines.append(f"{row}  {MEANINGS.get(name, '')}".rstrip())
        lines.append(f"{'sum':<9}  {_milliseconds(self.step):9.2f}  {1:6.1%}")
        parallel = ", ".join(
            f"{name} {_milliseconds(ms):.2f}" for name, ms in self._parallel().items()
        )
        if parallel and self.loading:
            plural = "s" if self.loading.loaders > 1 else ""
            lines.append(
                f"in {self.loading.loaders} parallel loader{plural}, ms of a core a step: "
                f"{parallel}"
            )
        lines.append(
            f"{self.images / self.step:.1f} images/s; ceiling, with images in "
            f"place: {self.images / self.ceiling:.1f} ({self.share_of_ceiling:.0%} reached)"
        )
        return "\n".join([*lines, "what to change", *(f"  {one}" for one in self.advice)])

    def _ordered(self) -> list[tuple[str, float]]:
        return [(name, self.phases[name]) for name in PHASES if name in self.phases]

    def _parallel(self) -> dict[str, float]:
        """The phases of parallel loaders."""
        if self.loading is None or not self.loading.loaders:
            return {}
        return dict(self.loading.phases)


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 3)
