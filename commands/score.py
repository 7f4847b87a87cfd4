"""``comptool score``: grade of a submission on known answers."""

from __future__ import annotations

from comptool.reports.config import ScoreConfig

from .options import give, say


def score(config: ScoreConfig) -> None:
    """Grade a submission on known answers.

    Like an organiser, with a public and a private part, in every form that submit writes. The
    label column of the answers is that of comptool.toml, otherwise of the submission. The part of a
    row depends on its id alone, so that scores are comparable. Multi-label answers that are -1 or
    blank are ignored, and classes without positives left out of map and auc.

    Example: comptool score submissions/mavoc.csv --answers data/answers.csv
    """
    from comptool.io.atomic import refuse_existing
    from comptool.reports.score import grade, report
    from comptool.tracking import scores

    submission, answers, per_class = config.submission, config.answers, config.per_class
    if per_class is not None:
        refuse_existing(per_class, config.force)
    if config.dry_run:
        writes = [*([per_class] if per_class else []), *([scores.SCORES] if config.record else [])]
        end = f"would write {' and '.join(map(str, writes))}" if writes else "nothing is written"
        say(f"would read {submission} and {answers}; {end}", config.quiet)
        return
    graded = grade(submission, answers, public=config.public, metric=config.metric)
    texts, facts = report(
        graded, submission, answers, per_class, config.thresholds, force=config.force
    )
    for text in texts:
        say(text, config.quiet)
    if config.record:
        made = scores.record_grade(submission, graded)
        say(scores.described(made), config.quiet)
    summary = {"submission": str(submission), **graded.summary(), **facts}
    give(str(graded), summary, config.json)
