"""Choice of the answer form by the columns of the sample submission, the metric and the cells.

The columns say which forms are possible, the metric which of them it can read, and the cells decide
only where no metric is known. Where sample and metric contradict each other, none is chosen.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import pandas as pd

from comptool import tasks
from comptool.errors import SubmissionError, UsageError, quoted
from comptool.io.sample_columns import SampleColumns
from comptool.metrics.metric_registry import CLASSES, NUMBERS, PROBABILITIES, RANKING, Metric
from comptool.submission.answer_forms import FORMS, AnswerForm
from comptool.submission.sample_submission import Layout, SampleSubmission, image_rows
from comptool.tasks import Task

IN_WORDS = {
    PROBABILITIES: "probabilities",
    CLASSES: "classes",
    RANKING: "classes in order",
    NUMBERS: "numbers",
}


def read_layout(
    sample: pd.DataFrame,
    classes: Sequence[str] | None,
    task: str | Task,
    *,
    metric: Metric | None = None,
    form: str | None = None,
    by_threshold: bool = False,
    id_column: str | None = None,
    ids: Collection[str] | None = None,
    positive: str | None = None,
    form_by: str = "--form",
) -> Layout:
    """The layout of a sample submission, in the first form that fits columns, task and metric.

    Parameters
    ----------
    sample
        Table of text.
    classes
        The K class names or targets; None if unknown.
    task
        A task or its name.
    metric
        The organiser's.
    form
        Name of a form that the user demands.
    by_threshold
        Whether classes above a threshold are demanded instead of probabilities.
    id_column
        The competition's id column; columns before it are kept as they are.
    ids
        Ids of the test images, as far as known: they tell rows of images from rows of image and
        class.
    positive
        The class whose probability a single column has; None: by the column's name.
    form_by
        What names ``form``, for messages.

    Raises
    ------
    SubmissionError
        If no form fits, sample and metric contradict each other, or the cells cannot be read.
    UsageError
        If the demanded form is unknown or cannot stand in these columns.
    """
    kind = task if isinstance(task, Task) else tasks.find(task)
    # A function of a user need not say what it reads.
    metric = metric if metric is not None and metric.reads else None
    if len(sample.columns) < 2:
        raise SubmissionError("the sample submission has an id column and no column for answers")
    known = None if classes is None else tuple(classes)
    read = _read_sample(sample, known, kind, metric, id_column, ids)
    read = replace(read, positive=positive)
    if by_threshold and not kind.cells:
        raise UsageError("--threshold is for multi-label competitions; this one is not")
    if form is not None:
        given: AnswerForm = FORMS.load(form)()
        if reason := given.ruled_out_by(read):
            raise UsageError(f"{form_by} {form}: {reason}")
        if by_threshold and not given.by_threshold:
            raise UsageError(f"--threshold has no meaning with {form_by} {form}")
        layout = given.layout(replace(read, form_is_given=True))
        return replace(layout, reason=f"as {form_by} says")
    forms: list[AnswerForm] = [entry.load()() for entry in FORMS]
    fitting = [one for one in forms if not one.ruled_out_by(read)]
    if not fitting:
        raise SubmissionError(_nothing_fits(read, forms))
    if by_threshold:
        chosen = next(one for one in fitting if one.by_threshold)
        return replace(chosen.layout(read), reason="as --threshold says")
    agreeing = [one for one in fitting if not one.contradicted_by(read)]
    if metric is None:
        evident = [one for one in agreeing if one.evident_from(read)]
        if not evident:
            raise SubmissionError(_nothing_fits(read, forms))
        return replace(evident[0].layout(read), reason="as the sample submission shows")
    readable = [one for one in agreeing if metric.reads in one.reads]
    if not readable:
        raise SubmissionError(_contradiction(read, metric, fitting))
    chosen = readable[0]
    return replace(chosen.layout(read), reason=_reason(chosen, read, metric, fitting))


def _read_sample(
    table: pd.DataFrame,
    classes: tuple[str, ...] | None,
    task: Task,
    metric: Metric | None,
    id_column: str | None,
    ids: Collection[str] | None,
) -> SampleSubmission:
    """The sample with its id column and its rows of image and class, if it has any."""
    columns = SampleColumns.of(table, id_column)
    sample = SampleSubmission(table, classes, task, metric, columns.id, columns.kept)
    if classes is not None and not task.numbers and sample.answer in classes:
        if len(classes) != 2 and sample.score is None:
            raise SubmissionError(
                f"the sample submission asks for class '{sample.answer}' alone; there are "
                f"{len(classes)}"
            )
    # Several labels in one column are a list, unless each row has a class of its own.
    numbered = task.cells and sample.reads == PROBABILITIES
    found = image_rows(sample, ids, numbered=numbered)
    if found is None:
        return sample
    kept, rows = found
    return replace(sample, kept=(*sample.kept, *kept), rows=rows)


def _reason(
    form: AnswerForm, sample: SampleSubmission, metric: Metric, fitting: Sequence[AnswerForm]
) -> str:
    """Reason for the form of a metric, and the option for the form that the cells suggest."""
    reason = f"as the metric {metric.name} reads {IN_WORDS[metric.reads]}"
    others = [one for one in fitting if one is not form and one.evident_from(sample)]
    if others and (placeholder := form.placeholder_in(sample)):
        reason += (
            f" and '{placeholder}' in the sample submission is taken for a placeholder "
            f"(--form {others[0].name} writes {IN_WORDS[next(iter(others[0].reads))]})"
        )
    return reason


def _nothing_fits(sample: SampleSubmission, forms: Sequence[AnswerForm]) -> str:
    if refusals := [text for one in forms if (text := one.refusal(sample))]:
        return refusals[0]
    reasons = "; ".join(
        f"{one.name}: {one.ruled_out_by(sample) or one.contradicted_by(sample)}" for one in forms
    )
    return f"the sample submission asks for {quoted(sample.asked)}, which no form fits ({reasons})"


def _contradiction(sample: SampleSubmission, metric: Metric, fitting: Sequence[AnswerForm]) -> str:
    options = " or ".join(f"--form {one.name}" for one in fitting if one.is_offered(sample))
    what = f"the metric {metric.name} reads {IN_WORDS[metric.reads]}"
    if readable := [one for one in fitting if metric.reads in one.reads]:
        seen = f"the sample submission does not look like {readable[0].description}"
        what += f", but {seen}: {readable[0].contradicted_by(sample)}"
    else:
        many = f" for {len(sample.classes)} classes" if sample.classes else ""
        what += f", and the sample submission has one column, '{sample.answer}',{many}"
    return f"{what}. Say what is asked for: {options}, or correct 'metric' in comptool.toml"
