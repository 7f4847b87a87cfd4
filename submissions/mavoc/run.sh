#!/usr/bin/env bash
# Seed solution "Dual-stream fusion and data augmentation for imbalanced SAR and EO multi-modal
# classification" (MAVOC challenge), as a chain of comptool commands.
#
#   bash submissions/mavoc/run.sh                    a practice competition, sized for 2 CPU cores
#   DATA=~/mavoc bash submissions/mavoc/run.sh       the organisers' files, at the source's settings
#
# Everything it writes stays in submissions/mavoc/practice or submissions/mavoc/real.
set -euo pipefail
cd "$(dirname "$0")"

if [ -n "${DATA:-}" ]; then
  data=$(cd "$DATA" && pwd)
  mkdir real || { echo "submissions/mavoc/real exists: move it away to start anew" >&2; exit 3; }
  cd real
  comptool init "$data" --name mavoc
  settings=(--img-size 256 --batch-size 32 --epochs 200 --optimizer adam --lr 1e-3
            --schedule step --decay-epochs 100,150 --decay-rate 0.2 --augment flips)
  more=(--epochs 50 --decay-epochs 25)
else
  rm -rf practice
  mkdir practice
  cd practice
  comptool simulate mavoc -o data --scale "${SCALE:-0.2}" --seed "${SEED:-0}"
  comptool init data --name mavoc
  # From random weights the default optimizer (AdamW at its default rate) learns sooner.
  settings=(--img-size 64 --batch-size 32 --epochs "${EPOCHS:-16}" --augment flips)
  more=(--epochs "${MORE_EPOCHS:-5}" --lr 1e-3)
fi
loss=(--loss focal --gamma 2 --label-smoothing 0.1)

# Under-sample to the smallest class, a fifth of each class for validation.
comptool split --balance under --cap 1000 --val 0.2

# Train, then look at the test set.
comptool train --model mobilenetv2-dual "${loss[@]}" "${settings[@]}"
comptool infer
comptool tta --transforms flips

# The surest test rows, with the class they were given, become training rows.
comptool pseudolabel submissions/preds.csv --threshold 0.96 --allow-empty
comptool train --model mobilenetv2-dual "${loss[@]}" "${settings[@]}" "${more[@]}" \
  --extra pseudo.csv --init-from mobilenetv2-dual
comptool infer mobilenetv2-dual-pseudo -o submissions/preds_pseudo.csv
comptool tta mobilenetv2-dual-pseudo --transforms flips -o submissions/preds_pseudo_tta.csv

# Both trainings together; then the head classes give back what they took from the tail.
comptool ensemble submissions/preds_tta.csv submissions/preds_pseudo_tta.csv
comptool recalibrate --top-k-head 4 --fraction 0.1
archive=$(comptool submit --zip)

if [ -f data/answers.csv ]; then
  echo
  echo "score on the hidden answers"
  while read -r step file; do
    comptool submit "$file" -o "submissions/scored_$step.csv" --quiet >/dev/null
    printf '%-14s %s\n' "$step" "$(comptool score "submissions/scored_$step.csv" --answers data/answers.csv --quiet)"
  done <<STEPS
plain submissions/preds.csv
tta submissions/preds_tta.csv
pseudo-labels submissions/preds_pseudo_tta.csv
ensemble submissions/ensemble.csv
recalibrated submissions/recalibrated.csv
STEPS
fi
echo
echo "checked submission: $PWD/$archive"
