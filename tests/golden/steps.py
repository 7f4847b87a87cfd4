# ruff: noqa: E501
"""The commands of the record: a name, then what stands after ``comptool``.

Those of one section run one after another in one folder. ``{pairs}``, ``{chips}`` and ``{scenes}``
stand for the options of a tiny training without augmentation; the steps whose name begins with
``augment`` are the only ones that draw augmentations.
"""

from __future__ import annotations

import shlex

_TINY = "--pretrained no --img-size 32 -b 8 -j 0 --device cpu --compile off --augment none"
TRAININGS = {
    "pairs": f"--model test_efficientnet-dual --epochs 8 --lr 3e-3 {_TINY}",
    "chips": f"--model test_efficientnet --epochs 8 --lr 3e-3 {_TINY}",
    "scenes": f"--model test_efficientnet --epochs 8 --lr 3e-3 {_TINY}",
}

PAIRS = """
init                 init data --name cup
inspect              inspect
split-holdout        split --val 0.25 -o holdout.csv
split-balanced       split --balance under --cap 9 --val 0.25 -o balanced.csv
split                split --folds 2
train-fold-0         train {pairs} --loss focal --gamma 2 --label-smoothing 0.1 --run-name first
train-folds          train {pairs} --fold all --ema 0.9 --epochs 4 --run-name folded
train-mobilenet      train {pairs} --model mobilenetv2-dual --folds balanced.csv --epochs 1
train-intra          train {pairs} --calibrate-gradients intra --clip-grad 1 --epochs 1 --run-name intra
train-inter          train {pairs} --auxiliary-heads --calibrate-gradients inter --epochs 1 --run-name inter
train-sgd            train {pairs} --optimizer sgd --lr 0.05 --schedule step --decay-epochs 1,2 --decay-rate 0.2 --grad-accum 2 --epochs 3 --fold 1 --run-name sgd
train-sar            train {pairs} --model test_efficientnet --modality sar --fold none --epochs 1 --run-name sar
augment-flips        train {pairs} --augment flips --cutout 0.4 --epochs 1 --run-name flips
infer                infer first
infer-folds          infer folded -o submissions/preds_folded.csv
infer-torch          infer first sgd --backend torch -o submissions/preds_torch.npy --json
infer-parquet        infer sgd -o submissions/preds_sgd.parquet
tta                  tta first
tta-d4               tta folded --transforms d4 --merge gmean -o submissions/preds_tta_d4.csv
tta-search           tta first --transforms d4 --search greedy -o submissions/preds_tta_search.csv
pseudolabel          pseudolabel submissions/preds.csv --quantile 0.6 --soft
pseudolabel-balance  pseudolabel submissions/preds.csv --threshold 0.4 --balance -o balanced_pseudo.csv
train-extra          train {pairs} --extra pseudo.csv --init-from first --epochs 3 --run-name second
ensemble             ensemble submissions/preds.csv submissions/preds_folded.csv --weights 2,1
ensemble-formats     ensemble submissions/preds_torch.npy submissions/preds_sgd.parquet --method gmean -o gmean.csv
ensemble-rank        ensemble submissions/preds.csv submissions/preds_folded.csv --method rank-mean -o rank.csv
ensemble-vote        ensemble submissions/preds.csv submissions/preds_tta.csv submissions/preds_folded.csv --method vote -o vote.csv
recalibrate          recalibrate --top-k-head 2 --fraction 0.25
recalibrate-optimal  recalibrate --method quota-optimal --target-prior uniform -o optimal.csv
recalibrate-prior    recalibrate submissions/preds.csv --method prior -o prior.csv --json
recalibrate-adjust   recalibrate submissions/preds.csv --method logit-adjust --target-prior uniform -o adjusted.csv
recalibrate-sinkhorn recalibrate submissions/preds.csv --method sinkhorn --target-prior shares.csv -o sinkhorn.csv
recalibrate-can      recalibrate submissions/preds.csv --method can --entropy-threshold 0.5 --iterations 2 -o can.csv
recalibrate-scale    recalibrate submissions/preds.csv --method temperature -o temperature.csv --json
recalibrate-vector   recalibrate submissions/preds.csv --method vector -o vector.csv
recalibrate-isotonic recalibrate submissions/preds.csv --method isotonic -o isotonic.csv
recalibrate-compare  recalibrate submissions/preds.csv --compare --target-prior uniform
submit               submit --zip
submit-check         submit --check-only submissions/cup.zip
submit-check-fails   submit --check-only shares.csv
score                score submissions/cup.csv --answers answers.csv
score-record         score submissions/cup.csv --answers answers.csv --public 0.5 --record --json
evaluate             evaluate first --pictures pictures
evaluate-answers     evaluate submissions/preds_folded.csv --answers answers.csv --bootstrap 50 --json
review               review folded --pairs noise.csv
features             features first sgd --highlight 3 -o features.png -j 1 --device cpu --json
runs-json            runs --sort name --bootstrap 50 --json
runs-record          runs --record submissions/cup.csv --public 0.71 --private 0.69
no-such-run          infer nobody -o nobody.csv
exists-already       split --folds 2
no-such-option       split --foldz 2
"""

CHIPS = """
init                 init data --name tail --metric balanced-accuracy
inspect              inspect
split-groups         split --folds 3
split-findings       split --val 0.2 --seeds 5 --findings findings.csv --exclude constant --exclude label-conflict -o found.csv
split-corrections    split --val 0.2 --corrections corrections.csv -o corrected.csv
stage-1              train {chips} --optimizer sgd --lr 0.05 --run-name stage-1
stage-2              train {chips} --init-from stage-1 --drop-classes 0 --optimizer sgd --lr 0.05 --run-name stage-2
stage-3              train {chips} --init-from stage-2 --per-class 12 --freeze backbone --reset-head --run-name stage-3
train-kept           train {chips} --init-from stage-1 --drop-classes 0,1 --keep-dropped-logits --epochs 1 --run-name kept
train-ldam           train {chips} --model test_efficientnet+cosine --loss ldam --weighting effective --defer-weights 1 --epochs 2 --run-name ldam
train-softmax        train {chips} --loss balanced-softmax --balance class-aware --epochs 2 --run-name softmax
train-poly           train {chips} --loss poly-softmax --fold none --channels 1 --schedule constant --epochs 1 --run-name poly
train-over           train {chips} --balance over --cycle-epochs 1 --layer-decay 0.8 --optimizer lion --epochs 2 --run-name over
train-folds          train {chips} --fold all --cache ram --patience 2 --metric macro-f1 --run-name folded
augment-mixup        train {chips} --mixup 0.4 --cutmix 1 --class-weights weights.csv --epochs 1 --run-name mixup
augment-weak         train {chips} --balanced-mixup 0.2 --augment weak --magnitude 7 --num-ops 1 --epochs 1 --run-name weak
augment-strong       train {chips} --balance under --augment strong --epochs 1 --run-name strong
infer                infer stage-3
tta-crops            tta stage-3 --transforms 5crop,multiscale
tta-file             tta stage-1 --transforms views.toml -o submissions/preds_views.csv
ensemble-search      ensemble submissions/preds.csv submissions/preds_views.csv --oof stage-3 --oof stage-1 --search greedy --json
ensemble-continuous  ensemble submissions/preds.csv submissions/preds_views.csv --oof stage-3 --oof stage-1 --search continuous -o continuous.csv
pseudolabel          pseudolabel submissions/preds.csv --precision 0.15 --allow-empty
recalibrate-compare  recalibrate --compare --oof folded --json
submit               submit submissions/preds.csv
score                score submissions/tail.csv --answers answers.csv --metric balanced-accuracy
evaluate             evaluate stage-2 --json
review               review folded --limit 20
features             features stage-1 stage-2 --method tsne --per-class 10 -o features.png -j 1 --device cpu
runs                 runs --sort name --bootstrap 50
"""

SCENES = """
init                 init data --name scenes
inspect              inspect
split                split --val 0.25
split-folds          split --folds 3 --seeds 20 -o folds3.csv
split-random         split --val 0.2 --strategy random --no-refine --seeds 5 -o random.csv
split-unknown        split --val 0.25 --map-zero-to-unknown -o unknown.csv
train-bce            train {scenes} --run-name bce
train-asl            train {scenes} --model test_efficientnet+ml-decoder --loss asl --loss-option gamma_neg=2 --run-name asl
train-ignore         train {scenes} --loss partial-asl --loss-option mode=ignore --folds unknown.csv --run-name ignore
prior                prior ignore -j 1 --device cpu
train-selective      train {scenes} --loss partial-asl --prior prior.csv --folds unknown.csv --epochs 1 --run-name selective
train-zlpr           train {scenes} --model test_efficientnet+q2l --loss zlpr --epochs 1 --run-name zlpr
train-two-way        train {scenes} --model test_efficientnet+ml-decoder-learnable --model-option dropout=0.2 --loss two-way --epochs 1 --run-name two-way
train-db             train {scenes} --loss distribution-balanced --balance class-aware --epochs 1 --run-name db
train-poly           train {scenes} --loss poly --epochs 1 --run-name poly
train-focal          train {scenes} --loss sigmoid-focal --fold all --folds folds3.csv --epochs 2 --run-name focal
augment-file         train {scenes} --augment policy.json --epochs 1 --run-name policy
infer                infer bce asl
infer-asl            infer asl -o submissions/preds_asl.csv
tta                  tta bce
tta-search           tta asl --search greedy -o submissions/preds_tta_search.csv --json
pseudolabel          pseudolabel submissions/preds.csv --threshold 0.6 --lower 0.4
pseudolabel-promise  pseudolabel submissions/preds_tta.csv --precision 0.5 --per-class --allow-empty -o promised.csv
train-extra          train {scenes} --extra pseudo.csv --init-from bce --epochs 2 --run-name second
ensemble             ensemble submissions/preds_asl.csv submissions/preds_tta.csv
ensemble-classes     ensemble submissions/preds_asl.csv submissions/preds_tta.csv --oof asl --oof bce --search greedy --per-class --bags 3 -o classes.csv --json
recalibrate          recalibrate submissions/preds_tta.csv --method thresholds --average macro
recalibrate-scale    recalibrate submissions/preds_tta.csv --method temperature -o temperature.csv
recalibrate-vector   recalibrate submissions/preds_tta.csv --method vector -o vector.csv
recalibrate-isotonic recalibrate submissions/preds_tta.csv --method isotonic -o isotonic.csv
recalibrate-compare  recalibrate submissions/preds_tta.csv --compare
submit               submit submissions/ensemble.csv --zip
submit-threshold     submit submissions/preds_asl.csv --threshold 0.5 -o thresholded.csv
submit-lists         submit submissions/preds_asl.csv --sample-submission lists.csv --form list -o listed.csv
score                score submissions/scenes.csv --answers answers.csv --per-class worst.csv --thresholds 0.3,0.5
score-lists          score listed.csv --answers answers.csv --metric micro-f1 --json
evaluate             evaluate bce --bootstrap 100 --json
review               review asl --truth complete.csv
review-missing       review bce --kind missing -o missing.csv
runs                 runs --sort score --bootstrap 50
"""

LISTINGS = """
version              --version
models               models
models-json          models 'mobilenetv3*' --json
losses               losses
losses-asl           losses asl --json
losses-unknown       losses focall
"""

# The practice competitions of the package: compared where it is asked for by name.
PRACTICE = """
mavoc                simulate mavoc -o mavoc --scale 0.001 -j 1
aicoss               simulate aicoss -o aicoss --scale 0.001 -j 1
ntire                simulate ntire -o ntire --scale 0.001 -j 1
"""

OPTIONAL = ("simulate",)
SECTIONS = {
    "pairs": PAIRS, "scenes": SCENES, "chips": CHIPS, "listings": LISTINGS, "simulate": PRACTICE,
}  # fmt: skip


def steps(section: str) -> dict[str, list[str]]:
    """The arguments of each command of a section, by its name."""
    lines = [line.split(maxsplit=1) for line in SECTIONS[section].strip().splitlines()]
    found = {name: shlex.split(rest.format(**TRAININGS)) for name, rest in lines}
    assert len(found) == len(lines), f"two steps of {section} have one name"
    return found
