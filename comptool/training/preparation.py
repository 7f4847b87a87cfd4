"""Everything of a member before its first update: made here, and in a dry run only tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from comptool import provenance
from comptool.errors import InputError, UsageError
from comptool.models.pretrained import RANDOM
from comptool.runs import LAST
from comptool.training.autotune import Measure
from comptool.training.building import Header, new_model, resumed_model
from comptool.training.config import BACKBONE, BATCH_SIZE
from comptool.training.criterion import make_loss
from comptool.training.opening import open_session
from comptool.training.placement import WHOLE_BATCHES
from comptool.training.plan import Member, Plan
from comptool.training.processes import Processes, joined
from comptool.training.session import Session
from comptool.training.state import Progress, read_state

Say = Callable[[str], None]
# What settings name by a file, whose content may have changed since.
OF_FILES = {
    "prior": "the prior is not the one that",
    "class_weights": "the class weights are not those that",
    "augment": "the augmentation file is not the one that",
}


@dataclass(frozen=True)
class Prepared:
    """A member that is ready for its next update.

    Parameters
    ----------
    progress
        How far it is.
    header
        Of its checkpoints.
    session
        What it is trained with; None where it is finished.
    """

    progress: Progress
    header: Header
    session: Session | None


def rehearse(plan: Plan) -> None:
    """Prepare every member as training would, with random weights in the place of published ones.

    So a dry run is refused what the training would be: the model, the options of the loss, the
    device, the size of images. Nothing is written.

    Raises
    ------
    UsageError, InputError
        As :func:`prepare`.
    """
    plan = without_published_weights(plan)
    size = plan.settings.batch_size or BATCH_SIZE  # nothing is tried out in a dry run
    plan = replace(plan, settings=replace(plan.settings, batch_size=size))
    with joined(plan.settings.device) as processes:
        for member in plan.members:
            prepare(plan, member, processes, lambda text: None, measure="nothing")


def without_published_weights(plan: Plan) -> Plan:
    """The plan with random weights in the place of published ones, which take long to come."""
    if plan.settings.pretrained not in ("auto", "yes") or plan.settings.init_from is not None:
        return plan
    return replace(plan, settings=replace(plan.settings, pretrained="no", min_lr=None))


def prepare(
    plan: Plan, member: Member, processes: Processes, say: Say, *, measure: Measure = "all"
) -> Prepared:
    """The model with its weights, the loss, the data and the optimisation of a member.

    Parameters
    ----------
    plan, member
        What is trained.
    processes
        This process among its equals.
    say
        Takes messages.
    measure
        What may be measured to find the fastest way to compute the run.

    Raises
    ------
    UsageError
        If a name or an option is not known to what it is for, or the device is not there.
    InputError
        If weights, an image or the state of a resumed run cannot be used.
    """
    criterion = make_loss(plan, member)
    state: dict[str, Any] | None = None
    if plan.resume and (not plan.folded or (member.folder / LAST).exists()):
        state = read_state(member.folder / LAST)
        _check_identity(state["identity"], identity(plan, processes), member)
        progress = _progress(state["progress"], plan)
        # Runs of before there were whole batches.
        header: Header = {WHOLE_BATCHES: False, **state["header"]}
        header["arguments"] = plan.settings.document()
        if progress.finished:
            say(f"{member.folder} is finished ({progress.epoch} epochs); nothing to go on with")
            return Prepared(progress, header, None)
        model = resumed_model(header)
    else:
        progress = Progress()
        model, header = new_model(plan, member, say)
    say(_introduction(plan, member, header, processes))
    if plan.settings.freeze == BACKBONE and header["pretrained"] == RANDOM:
        say("WARNING: the backbone has random weights and is frozen: it will not learn anything")
    session = open_session(plan, member, model, header, criterion, processes, say, measure=measure)
    header["way"] = asdict(session.compute)
    header[WHOLE_BATCHES] = session.placement.whole_batches
    if state is not None:
        session.model.load_state_dict(state["weights"])
        session.optimisation.load_state_dict(state["optimisation"])
        session.gauges.load_state_dict(state.get("gauges", {}))
    if not processes.first:
        progress.loss_sum, progress.seen = 0.0, 0
    return Prepared(progress, header, session)


def identity(plan: Plan, processes: Processes) -> dict[str, Any]:
    """JSON values that a resumed run has to agree with, beside its settings."""
    return {
        "rows": plan.rows.digest(),
        "metric": plan.metric,
        "processes": processes.size,
        "prior": None if plan.prior is None else list(plan.prior),
        "class_weights": None if plan.class_weights is None else list(plan.class_weights),
        "augment": None if plan.policy_file is None else provenance.sha256(plan.policy_file),
    }


def _progress(document: dict[str, Any], plan: Plan) -> Progress:
    progress = Progress(**document)
    if progress.finished == "epochs" and progress.epoch < plan.settings.epochs:
        progress.finished = ""
    return progress


def _check_identity(found: dict[str, Any], wanted: dict[str, Any], member: Member) -> None:
    folder = member.folder
    if found.get("rows") != wanted["rows"]:
        raise InputError(
            "the rows, folds or labels are not those that this run was begun with",
            file=folder,
            mend="Bring the tables back, or start another run with --init-from",
        )
    for name, what in OF_FILES.items():
        if found.get(name) != wanted[name]:
            raise InputError(
                f"{what} this run was begun with",
                file=folder,
                mend="Bring the file back, or start another run with --init-from",
            )
    for name, option in (("metric", "--metric"), ("processes", "--nproc-per-node")):
        if found.get(name) != wanted[name]:
            raise UsageError(
                f"a resumed run keeps its settings; {folder} was begun with {option} "
                f"{found.get(name)}"
            )


def _introduction(plan: Plan, member: Member, header: Header, processes: Processes) -> str:
    sizes = ", ".join(
        f"{name} {h}x{w}{' grey' if header['channels'][name] == 1 else ''}"
        for name, (h, w) in header["img_size"].items()
    )
    device = f"{processes.size} x {processes.device.type}" if processes.size > 1 else None
    return (
        f"{member.folder}: {plan.settings.model} from {header['pretrained']} weights on "
        f"{device or processes.device}; {len(member.train)} rows to train on, {len(member.valid)} "
        f"to validate; {sizes} pixels"
    )
