#!/usr/bin/env bash
# Seed solution "Balanced Multi-Task Attention for Satellite Image Classification" (EuroSAT, ten
# kinds of land, from random weights), as a chain of comptool commands: the source's recipe and
# ours, validated on the same rows.
#
#   bash submissions/eurosat/run.sh                       whether the chain holds: SAR chips, 2 CPU cores
#   DATA=~/EuroSAT_RGB bash submissions/eurosat/run.sh    the published class folders, for a GPU
#   DATA=... MODEL=eurosat-baseline EPOCHS=12 bash ...    the same images, for a CPU
#
# Everything it writes stays in submissions/eurosat/practice or submissions/eurosat/real.
set -euo pipefail
cd "$(dirname "$0")"

if [ -n "${DATA:-}" ]; then
  data=$(cd "$DATA" && pwd)
  mkdir real || { echo "submissions/eurosat/real exists: move it away to start anew" >&2; exit 3; }
  cd real
  # The publisher has no test set: 15 % of each class become one, as in the source.
  comptool init "$data" -o published.toml
  comptool split --competition published.toml --val 0.15 -o published.csv
  python - "$data" <<'PYTHON'
import csv
import sys
from pathlib import Path

rows = [
    {"id": row[0], "path": f"images/{row[1]}", "label": row[2], "fold": row[-1]}
    for row in list(csv.reader(Path("published.csv").open(newline="")))[1:]
]
test = [row for row in rows if row["fold"] == "0"]
files = {
    "train.csv": (["id", "path", "label"], [row for row in rows if row["fold"] != "0"]),
    "test.csv": (["id", "path"], test),
    "answers.csv": (["id", "label"], test),
    "sample_submission.csv": (["id", "label"], [row | {"label": rows[0]["label"]} for row in test]),
}
Path("data").mkdir()
Path("data/images").symlink_to(sys.argv[1])
for name, (columns, part) in files.items():
    with Path("data", name).open("w", newline="") as lines:
        writer = csv.DictWriter(lines, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(part)
PYTHON
  val=0.1765 # 15 % of all
  model=${MODEL:-eurosat-bmta} epochs=${EPOCHS:-80}
  metric=accuracy
  weights=(--class-weights ../class-weights.toml)
  rows=()
else
  rm -rf practice
  mkdir practice
  cd practice
  comptool simulate ntire -o data --scale "${SCALE:-0.003}" --seed "${SEED:-0}"
  val=0.2
  model=${MODEL:-eurosat-baseline} epochs=${EPOCHS:-12}
  # Four fifths of these chips are of one class; EuroSAT's classes are nearly equal.
  metric=balanced-accuracy
  weights=()
  rows=(--per-class 80)
fi
comptool init data --name eurosat --metric "$metric"
comptool split --val "$val"

shared=(--model "$model" --pretrained no --batch-size 64 --weight-decay 0.05 --epochs "$epochs"
        "${rows[@]}")
# Three cycles, of 15, 30 and 60 epochs, of which the last is cut short; fewer epochs, shorter cycles.
cycle=$(python -c "print(15 * $epochs / 80)")
source=(--lr 1e-3 --warmup-epochs 0 --cycle-epochs "$cycle" --cycle-mul 2 --patience 15
        --augment ../source.yaml)
ours=(--lr 2e-3 --augment flips --label-smoothing 0.1 --ema 0.999)

comptool train --run-name source "${shared[@]}" "${source[@]}" "${weights[@]}"
comptool train --run-name ours "${shared[@]}" "${ours[@]}"

for run in source ours; do
  echo
  comptool evaluate "$run" --pictures "pictures/$run"
done

# Three views of each test image: as it is, and flipped either way.
comptool tta source --transforms flips -o submissions/source.csv
comptool tta ours --transforms flips -o submissions/ours.csv
submission=$(comptool submit submissions/ours.csv)
comptool submit --check-only "$submission"

echo
echo "$metric on the test images"
for run in source ours; do
  comptool submit "submissions/$run.csv" -o "submissions/scored_$run.csv" --quiet >/dev/null
  printf '%-7s %s\n' "$run" "$(comptool score "submissions/scored_$run.csv" \
    --answers data/answers.csv --public 0 --metric "$metric" --quiet)"
done
echo
echo "checked submission: $PWD/$submission"
