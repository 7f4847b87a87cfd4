"""``comptool review``: labels that out-of-fold predictions doubt, to look at and correct."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from . import _options
from ._options import CompetitionOption, DryRunOption, ForceOption, JsonOption, QuietOption


class Kind(StrEnum):
    """Which labels are doubted."""

    both = "both"
    missing = "missing"
    extra = "extra"


def review(
    predictions: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN|OOF",
            help="A run, or a file of out-of-fold predictions. [default: the latest run]",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the doubted labels go.")
    ] = _options.REVIEW,
    page: Annotated[
        Path | None, typer.Option(help="Where the page goes. [default: as the output, .html]")
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(help="One class per image: write the noise rates of class pairs to this CSV."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="The label table. [default: the one that the run was trained with]"),
    ] = None,
    kind: Annotated[
        Kind,
        typer.Option(
            help="Several labels: missing is marked absent, probably present; extra the reverse."
        ),
    ] = Kind.both,
    limit: Annotated[
        int, typer.Option(min=1, help="Labels on the page, the most doubted; the CSV has all.")
    ] = 500,
    truth: Annotated[
        Path | None,
        typer.Option(help="True labels, to measure by: a practice competition's complete_labels."),
    ] = None,
    competition: CompetitionOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Rank the labels that out-of-fold predictions say are missing or wrong.

    Writes review.csv, the most doubted first, and a page with a thumbnail and a tick box for each:
    open it in a browser, tick the labels that are wrong, download corrections.csv and apply it with
    'comptool split --corrections corrections.csv'. Cells that are not annotated are never listed.

    With one class per image, also tells how many labels are wrong by the confident joint, and of
    which pairs of classes (confident learning). What the model confuses counts as wrong there, so
    that the figure of a weak model is too high; the order of the list suffers less.

    Example: comptool review tresnet-l --limit 200
    """
    from comptool.competition import load
    from comptool.evaluation.held_out import find_out_of_fold
    from comptool.evaluation.label_review import KINDS
    from comptool.evaluation.reviewing import ReviewFiles, review_file
    from comptool.outputs import refuse_existing

    files = ReviewFiles(output, page or output.with_suffix(".html"), pairs)
    for path in files:
        refuse_existing(path, force)
    facts = load(competition)
    found = find_out_of_fold(predictions)
    _options.say(found.reason, quiet)
    if dry_run:
        _options.say(f"would write {' and '.join(map(str, files))}")
        return
    kinds = KINDS if kind is Kind.both else [kind.value]
    result = review_file(
        found, facts, files, labels=labels, truth=truth, kinds=kinds, limit=limit, force=force
    )
    _options.say(result.text(), quiet)
    _options.say(f"page with the first {result.gallery.cards}: {files.page}", quiet)
    summary = {"output": output, "page": files.page, "rows": result.num_rows}
    _options.give(output, {**summary, **result.doubts.facts}, json)
