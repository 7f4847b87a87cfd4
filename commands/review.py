"""``comptool review``: labels that contradict out-of-fold predictions."""

from __future__ import annotations

from comptool.reports.config import ReviewConfig

from .options import give, say


def review(config: ReviewConfig) -> None:
    """Rank the labels that contradict out-of-fold predictions.

    Writes review.csv, the most doubtful first, and a page with a thumbnail and a tick box for each:
    open it in a browser, tick the wrong labels, download corrections.csv and apply it with
    'comptool split --corrections corrections.csv'. Cells that are not annotated are never listed.

    With one class per image, also estimates the number of wrong labels, and of confused pairs of
    classes, from the confident joint (confident learning). Confusions of the model count as wrong
    labels, so a weak model gives too high an estimate; the ranking suffers less.

    Example: comptool review tresnet-l --limit 200
    """
    from comptool.competition.config import load
    from comptool.io.atomic import refuse_existing
    from comptool.label_review.gallery import ReviewFiles, review_file
    from comptool.label_review.issues import KINDS
    from comptool.postprocess.oof import find_out_of_fold

    output = config.output
    files = ReviewFiles(output, config.page or output.with_suffix(".html"), config.pairs)
    for path in files:
        refuse_existing(path, config.force)
    facts = load(config.competition)
    found = find_out_of_fold(config.predictions)
    say(found.reason, config.quiet)
    if config.dry_run:
        say(f"would write {' and '.join(map(str, files))}")
        return
    result = review_file(
        found,
        facts,
        files,
        labels=config.labels,
        truth=config.truth,
        kinds=KINDS if config.kind == "both" else [config.kind],
        limit=config.limit,
        force=config.force,
    )
    say(result.text(), config.quiet)
    say(f"page with the first {result.gallery.cards}: {files.page}", config.quiet)
    summary = {"output": output, "page": files.page, "rows": result.num_rows}
    give(output, {**summary, **result.doubts.facts}, config.json)
