"""``comptool features``: what the classifiers of networks see, as a picture and a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool import provenance
from comptool.errors import InputError
from comptool.evaluation.canvas import save_picture
from comptool.evaluation.scatter import Panel, draw_scatter
from comptool.inference.computing import Computing
from comptool.inference.feature_plan import FeaturePlan, Subject
from comptool.inference.predict import ForwardPass, joined
from comptool.inference.projection import Projection, project
from comptool.inference.torch_networks import TorchNetworks
from comptool.outputs import together
from comptool.tables import write_table

COLUMNS = ("id", "class", "run", "x", "y")


@dataclass(frozen=True)
class Drawn:
    """What was drawn of one network: the number of rows, and their projection."""

    subject: Subject
    projection: Projection

    def document(self) -> dict[str, object]:
        """The facts as JSON values."""
        return {
            "run": str(self.subject.member.folder),
            "rows": len(self.subject.targets),
            "explained": self.projection.explained,
        }


def draw_features(
    plan: FeaturePlan,
    method: str,
    seed: int,
    computing: Computing,
    arguments: Mapping[str, object],
) -> list[Drawn]:
    """Compute, project and draw the features of each network; both files are written or neither.

    Parameters
    ----------
    plan
        What to draw.
    method, seed
        See :func:`comptool.inference.projection.project`; every network's features by themselves,
        for their dimensions are its own.
    computing
        Device and the like.
    arguments
        The command's arguments, for the record.

    Raises
    ------
    InputError
        If an image, a checkpoint or an output cannot be used, or a network tells no rows apart.
    UsageError
        If the device is not there or out of memory.
    """
    drawn = [
        Drawn(subject, project(penultimate(subject, computing), method, seed))
        for subject in plan.subjects
    ]
    panels = [
        Panel(
            str(one.subject.member.folder),
            str(one.projection),
            one.projection.points,
            one.subject.targets,
        )
        for one in drawn
    ]
    picture = draw_scatter(panels, plan.classes, plan.highlighted)
    facts = {"classes": list(plan.classes), "panels": [one.document() for one in drawn]}
    with together():
        save_picture(plan.output, picture, force=plan.force)
        write_table(plan.table, _points(plan, drawn), force=plan.force)
        for path in (plan.output, plan.table):
            provenance.record(
                path, command="features", arguments=arguments, inputs=plan.inputs, facts=facts
            )
    return drawn


def penultimate(subject: Subject, computing: Computing) -> npt.NDArray[np.float32]:
    """The input of the classifier for every row, float32 of shape (N, F).

    Raises
    ------
    InputError
        If an image or the checkpoint cannot be used, or all rows have the same features.
    UsageError
        If the device is not there or out of memory.
    """
    member = subject.member
    way = ForwardPass([member], subject.samples, computing, "features")
    networks = TorchNetworks([member], computing)
    (features,) = joined(way.batches(networks.forms, partial(map, networks.features)))
    if not np.ptp(features, axis=0).any():
        raise InputError(
            f"all {len(features)} rows have the same features: nothing has been learnt",
            file=member.folder,
        )
    return features


def _points(plan: FeaturePlan, drawn: list[Drawn]) -> pd.DataFrame:
    parts = []
    for one in drawn:
        samples, targets = one.subject.samples, one.subject.targets
        x, y = (list(map(repr, column)) for column in one.projection.points.T.tolist())
        ids = samples.frame[samples.id].tolist()
        names = [plan.classes[target] for target in targets]
        run = [str(one.subject.member.folder)] * len(ids)
        parts.append(pd.DataFrame(dict(zip(COLUMNS, (ids, names, run, x, y), strict=True))))
    return pd.concat(parts, ignore_index=True)
