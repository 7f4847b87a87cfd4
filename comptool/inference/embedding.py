"""``comptool embed``: features of a network with published weights, which trains nothing.

The features are computed as predictions are, through torch or ONNX Runtime: the classifier of the
network is the identity, and what comes out are numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from comptool import models, tasks
from comptool.competition.samples import Samples, read_samples, test_samples
from comptool.data.sample_digest import sample_digest
from comptool.errors import UsageError
from comptool.inference.config import Computing, EmbedConfig
from comptool.inference.plan import TrainedMember, in_model_order
from comptool.inference.predict import Prediction, joined
from comptool.inference.tta.policies import PLAIN, Scheme, read_scheme
from comptool.io import provenance
from comptool.io.atomic import refuse_existing, together
from comptool.io.predictions import SUFFIXES, Predictions, write_predictions
from comptool.io.provenance import EmbeddingFacts
from comptool.io.runs import BEST
from comptool.models.checkpoint_file import save_checkpoint
from comptool.models.streams import OutputScale
from comptool.options import FOLDS
from comptool.training.config import Files, TrainSettings
from comptool.training.data import TrainPlan, make_plan
from comptool.training.setup import new_model

Say = Callable[[str], None]


@dataclass(frozen=True)
class EmbedPlan:
    """Plan of `embed`: the rows of each file, and the network."""

    training: TrainPlan  # what a training of the network would read
    rows: tuple[tuple[Path, Samples], ...]  # output and samples, the training rows first
    scheme: Scheme
    force: bool

    def __str__(self) -> str:
        lines = [f"network: {self.training.settings.model}"]
        lines += [
            f"samples: {len(samples)} of {samples.source}; output: {output}"
            for output, samples in self.rows
        ]
        return "\n".join(lines)


def plan_embedding(config: EmbedConfig) -> EmbedPlan:
    """Find the rows and check them and the options.

    Raises
    ------
    UsageError
        If a name is unknown or not that of a table, or the model takes another number of images.
    InputError
        If a table or an image cannot be used.
    OutputExistsError
        If an output exists and may not be replaced.
    """
    output = config.output
    if output.suffix not in SUFFIXES:
        raise UsageError(f"--output is '{output}'; features are kept as {', '.join(SUFFIXES)}")
    beside = output.with_name(f"{output.stem}_test{output.suffix}")
    for path in (output, beside):
        refuse_existing(path, config.force)
    if models.parse_name(config.model).head != models.DEFAULT_HEAD:
        name = replace(models.parse_name(config.model), head=models.DEFAULT_HEAD)
        raise UsageError(f"features are those before the head; take --model {name}")
    scheme = PLAIN if config.transforms is None else read_scheme(config.transforms, PLAIN.merge)
    settings = TrainSettings(
        model=config.model,
        pretrained=config.pretrained,
        img_size=config.img_size,
        modality=config.modality,
        reader=config.reader,
        missing_modality="zero" if config.missing_modality == "zero" else None,
        seed=config.seed,
        fold="none",
    )
    folds = FOLDS if config.folds is None and FOLDS.is_file() else config.folds
    files = Files(competition=config.competition, folds=folds)
    # The folder is never made: nothing is trained.
    training = make_plan(settings, files, output.with_name(f"{output.name}.none"))
    competition, samples = training.competition, training.rows.samples
    rows = [(output, samples)]
    if config.test is not None:
        rows.append((beside, read_samples(config.test, competition, labelled=False)))
    elif competition.test is not None or competition.sample_submission is not None:
        rows.append((beside, test_samples(competition)))
    names = tuple(samples.paths)
    ordered = [
        (path, replace(one, paths={name: one.paths[name] for name in names})) for path, one in rows
    ]
    return EmbedPlan(training, tuple(ordered), scheme, config.force)


def embed(
    plan: EmbedPlan, computing: Computing, arguments: Mapping[str, object], say: Say
) -> list[str]:
    """Compute the features of all rows and write the files, all or none; returns warnings.

    Each file has the ids and the features (N, F) of its rows, float32, in the form of predictions.
    Raises an InputError if the weights or an image cannot be used, a UsageError if the device is
    missing or out of memory.
    """
    training = plan.training
    with TemporaryDirectory() as folder:
        member = _frozen(training, Path(folder), say)
        found, warnings = [], dict[str, None]()
        for path, samples in plan.rows:
            ordered = in_model_order(samples, member.header)
            prediction = Prediction([member], ordered, [plan.scheme], computing)
            with closing(prediction.batches()) as batches:
                (features,) = joined(batches)
            ids = samples.frame[samples.id].to_numpy(dtype=object)
            names = tuple(member.header.classes)
            table = Predictions(ids, names, features, id_column=samples.id)
            found.append((path, samples, table, prediction.computed))
            warnings |= dict.fromkeys(prediction.findings())
    views = None if plan.scheme is PLAIN else list(plan.scheme.views)
    inputs = [*training.inputs, *(samples.source for _, samples in plan.rows)]
    with together():
        for place, (path, samples, table, computed) in enumerate(found):
            write_predictions(path, table, force=plan.force)
            facts = EmbeddingFacts(
                model=training.settings.model,
                weights=str(member.header.pretrained),
                img_size=member.header.img_size,
                views=views,
                test=str(plan.rows[1][0]) if place == 0 and len(plan.rows) > 1 else None,
                samples=sample_digest(samples),
                computed=computed,
            )
            provenance.record(
                path,
                command="embed",
                arguments=arguments,
                inputs=list(dict.fromkeys(inputs)),
                facts=facts,
            )
    return list(warnings)


def _frozen(plan: TrainPlan, folder: Path, say: Say) -> TrainedMember:
    """A checkpoint of the network, whose outputs are its features as numbers."""
    model, header = new_model(plan, plan.members[0], say)
    whole: Any = model
    width = int(whole.classifier.in_features)
    identity = nn.Linear(width, width)
    with torch.no_grad():
        identity.weight.copy_(torch.eye(width))
        identity.bias.zero_()
    whole.classifier = identity
    whole.output = OutputScale([0.0] * width, [1.0] * width)
    header = replace(
        header,
        task=tasks.by_shape(cells=False, numbers=True).name,
        classes=[f"feature_{number}" for number in range(width)],
        class_counts={},
        trained_counts={},
    )
    save_checkpoint(folder / BEST, model, header)
    return TrainedMember(folder, header)
