#!/usr/bin/env bash
# Seed solution "three-stage training for a long tail" (NTIRE 2021, SAR chips alone, ten classes of
# which class 0 is four fifths of the data), as a chain of comptool commands.
#
#   bash submissions/three-stage/run.sh              a practice competition, sized for 2 CPU cores
#   DATA=~/ntire bash submissions/three-stage/run.sh the organisers' files, at the source's settings
#
# Everything it writes stays in submissions/three-stage/practice or submissions/three-stage/real.
set -euo pipefail
cd "$(dirname "$0")"

if [ -n "${DATA:-}" ]; then
  data=$(cd "$DATA" && pwd)
  mkdir real || { echo "submissions/three-stage/real exists: move it away to start anew" >&2; exit 3; }
  cd real
  comptool init "$data" --name ntire --metric balanced-accuracy
  model=shake-shake-26-2x32d
  settings=(--img-size 56 --channels 1 --batch-size 128 --warmup-epochs 5)
  lr=0.1 classifier_lr=0.01
  one=20 two=100 three=20 classifier=10 rows=5000
else
  rm -rf practice
  mkdir practice
  cd practice
  comptool simulate ntire -o data --scale "${SCALE:-0.003}" --seed "${SEED:-0}"
  comptool init data --name ntire --metric balanced-accuracy
  # A network that a CPU can train, and fewer epochs.
  model=${MODEL:-resnet10t}
  settings=(--img-size 48 --batch-size 32 --warmup-epochs 0.5)
  lr=0.05 classifier_lr=0.01
  one=${EPOCHS:-4} two=$((3 * ${EPOCHS:-4})) three=${EPOCHS:-4} classifier=$((${EPOCHS:-4} / 2 + 1))
  rows=${ROWS:-100}
fi
settings+=(--model "$model" --optimizer sgd --weight-decay 1e-4 --schedule cosine --augment flips)

# The same rows are validated in every stage, so that no score is of rows that were trained on.
comptool split --val 0.2

# 1: all classes, from random weights.
comptool train --run-name stage-1 "${settings[@]}" --pretrained no --lr "$lr" --epochs "$one" \
  --mixup 1

# 2: without the class that drowns the others; its logit is left out of the loss.
comptool train --run-name stage-2 "${settings[@]}" --init-from stage-1 --lr "$lr" --epochs "$two" \
  --drop-classes 0

# 3a: as many rows of each class, the whole network; 3b: its classifier alone.
comptool train --run-name stage-3a "${settings[@]}" --init-from stage-2 --lr "$lr" \
  --epochs "$three" --per-class "$rows"
comptool train --run-name stage-3b "${settings[@]}" --init-from stage-3a --lr "$classifier_lr" \
  --epochs "$classifier" --per-class "$rows" --freeze backbone

# Three views of each test image: as it is, and flipped either way.
comptool tta stage-3b --transforms flips
submission=$(comptool submit submissions/preds_tta.csv)
comptool submit --check-only "$submission"

echo
comptool evaluate stage-3b --pictures pictures
# What each stage makes of the classes; the source's figure 2.
comptool features stage-1 stage-2 stage-3a stage-3b --highlight 0 -o pictures/features.png

if [ -f data/answers.csv ]; then
  echo
  echo "balanced accuracy on the hidden answers"
  for run in stage-1 stage-2 stage-3a stage-3b; do
    comptool infer "$run" -o "submissions/$run.csv" --quiet >/dev/null
    printf '%-10s %s\n' "$run" "$(comptool score "submissions/$run.csv" \
      --answers data/answers.csv --public 0 --metric balanced-accuracy --quiet)"
  done
  printf '%-10s %s\n' views "$(comptool score "$submission" --answers data/answers.csv \
    --public 0 --metric balanced-accuracy --quiet)"
fi
echo
echo "checked submission: $PWD/$submission"
