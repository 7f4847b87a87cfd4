"""Options of ``comptool submit``, and what makes them contradict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from comptool.errors import UsageError
from comptool.options import Output, WithCompetition, argument, option


@dataclass(frozen=True)
class SubmitConfig(Output, WithCompetition):
    """The options of ``comptool submit``."""

    predictions: Path | None = argument(
        None, help="Predictions.", shown="the last step of the chain in submissions/"
    )
    output: Path | None = option(
        help="Submission to write.",
        names=("--output", "-o"),
        shown="submissions/<competition>.csv",
    )
    zipped: bool = option(
        False, help="Also write a zip with results.csv at its root.", names=("--zip",)
    )
    threshold: float | None = option(
        help="Multi-label: threshold above which a class is in the list, or its column 1 instead "
        "of a probability.",
        min=0,
        max=1,
        shown="0.5 for lists; none for columns",
    )
    check_only: Path | None = option(
        help="CSV or zip to check against the sample submission; nothing is written."
    )
    sample_submission: Path | None = option(
        help="The organiser's sample submission.", shown="the competition's"
    )

    def check(self) -> None:
        """Raise a UsageError if a check is combined with options of a submission."""
        made_of = (self.predictions, self.output, self.threshold, self.zipped or None)
        if self.check_only is not None and any(one is not None for one in made_of):
            raise UsageError(
                "--check-only writes nothing: no predictions, -o, --threshold or --zip with it"
            )
