"""``comptool train``: images and labels in, a run folder out."""

from __future__ import annotations

import typer

from comptool.errors import UsageError
from comptool.training.settings import TrainSettings as Default

from . import _image_options as i
from . import _options
from . import _stage_options as g
from . import _step_options as s
from . import _train_options as o


def train(
    ctx: typer.Context,
    model: o.Model = Default.model,
    pretrained: o.Pretrained = Default.pretrained,
    init_from: o.InitFrom = None,
    model_option: o.ModelOption = None,
    auxiliary_heads: o.AuxiliaryHeads = False,
    loss: g.Loss = None,
    gamma: g.Gamma = None,
    label_smoothing: g.LabelSmoothing = None,
    loss_option: g.LossOption = None,
    prior: g.Prior = None,
    balance: g.Balance = Default.balance,
    weighting: g.Weighting = None,
    class_weights: g.ClassWeights = None,
    defer_weights: g.DeferWeights = Default.defer_weights,
    reset_head: g.ResetHead = False,
    freeze: g.Freeze = None,
    drop_classes: g.DropClasses = None,
    keep_dropped_logits: g.KeepDroppedLogits = False,
    per_class: g.PerClass = None,
    img_size: i.ImgSize = None,
    channels: i.Channels = None,
    augment: i.Augment = Default.augment,
    cutout: i.Cutout = None,
    magnitude: i.Magnitude = None,
    num_ops: i.NumOps = None,
    mixup: i.Mixup = Default.mixup,
    cutmix: i.Cutmix = Default.cutmix,
    balanced_mixup: i.BalancedMixup = Default.balanced_mixup,
    modality: i.Modality = None,
    missing_modality: i.MissingModality = None,
    cache: i.Cache = Default.cache,
    data_on: i.DataOn = Default.data_on,
    epochs: o.Epochs = Default.epochs,
    batch_size: s.BatchSize = Default.batch_size,
    grad_accum: s.GradAccum = Default.grad_accum,
    optimizer: o.Optimizer = Default.optimizer,
    lr: o.Lr = None,
    weight_decay: o.WeightDecay = Default.weight_decay,
    layer_decay: o.LayerDecay = None,
    clip_grad: o.ClipGrad = None,
    calibrate_gradients: o.CalibrateGradients = None,
    calibration_limits: o.CalibrationLimits = None,
    schedule: o.Schedule = Default.schedule,
    warmup_epochs: o.WarmupEpochs = None,
    decay_epochs: o.DecayEpochs = None,
    decay_rate: o.DecayRate = None,
    min_lr: o.MinLr = None,
    cycle_epochs: o.CycleEpochs = None,
    cycle_mul: o.CycleMul = None,
    ema: o.Ema = Default.ema,
    amp: o.Amp = Default.amp,
    compile: o.Compile = Default.compile,
    fold: o.Fold = Default.fold,
    folds: o.Folds = None,
    metric: o.Metric = None,
    patience: o.Patience = None,
    extra: o.Extra = None,
    run_name: o.RunName = None,
    resume: o.Resume = False,
    seed: _options.SeedOption = Default.seed,
    device: _options.DeviceOption = Default.device,
    workers: _options.WorkersOption = None,
    competition: _options.CompetitionOption = None,
    force: _options.ForceOption = False,
    quiet: _options.QuietOption = False,
    json: _options.JsonOption = False,
    dry_run: _options.DryRunOption = False,
) -> None:
    """Train a model and keep its best weights.

    Without folds.csv a fifth of the rows is held out. Writes weights/RUN/ with best.safetensors,
    oof.csv (the validated rows), metrics.csv, run.json and last.pt, from which --resume goes on
    with the weights of an uninterrupted run. Under torchrun the same command uses several GPUs.

    Example: comptool train --model mobilenetv2-dual --loss focal --epochs 30
    """
    from comptool.torch_imports import loading_torch

    with loading_torch():
        from comptool.training.plan import make_plan
        from comptool.training.record import run_folder, settle

    if force and resume:
        raise UsageError("--resume goes on with a run and --force replaces it; give one of them")
    run = run_folder(run_name, model, extra)
    settings, files = settle(run, _options.given(ctx), resume=resume)
    plan = make_plan(settings, files, run, force=force, resume=resume)
    for note in plan.notes:
        _options.say(note, quiet)
    with loading_torch():
        from comptool.training.preparation import rehearse
        from comptool.training.run import train as run_training

    if dry_run:
        rehearse(plan)
        return _options.say(plan.text(), quiet)
    outcome = run_training(plan, lambda text: _options.say(text, quiet), quiet=quiet, force=force)
    if outcome is not None:
        _options.give(outcome.run, outcome.document(), json)
