#!/usr/bin/env bash
# Three folded runs on a practice competition through comparison, ensemble and submission, once per
# seed: is the nested score that `comptool ensemble --search` prints true on the hidden answers?
#
#   bash submissions/mavoc/folds.sh                          ten seeds, sized for 2 CPU cores
#   SEEDS="3 4" SCALE=0.1 EPOCHS=16 bash submissions/mavoc/folds.sh
#
# Everything it writes stays in submissions/mavoc/folds; the table is folds/nested.csv.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p folds && cd folds

for seed in ${SEEDS:-0 1 2 3 4 5 6 7 8 9}; do
  rm -rf "seed-$seed" && mkdir "seed-$seed"
  (
    cd "seed-$seed"
    comptool simulate mavoc -o data --scale "${SCALE:-0.05}" --seed "$seed" --quiet
    comptool init data --name mavoc --quiet
    comptool split --folds 3 --balance under --seed "$seed" --quiet
    files=()
    for member in 1 2 3; do
      comptool train --model "${MODEL:-test_efficientnet-dual}" --fold all --run-name "run$member" \
        --seed "$seed$member" --img-size 32 --batch-size 16 --epochs "${EPOCHS:-8}" --lr 3e-3 --quiet
      comptool infer "run$member" -o "submissions/preds_run$member.csv" --quiet
      files+=("submissions/preds_run$member.csv")
    done
    comptool recalibrate "${files[0]}" --compare --target-prior uniform
    comptool ensemble "${files[@]}" --search greedy --json > search.json
    comptool submit submissions/ensemble.csv --zip
    # One part: all rows.
    comptool score submissions/mavoc.csv --answers data/answers.csv --public 0 --json > score.json
  )
  python - "$seed" <<'PYTHON'
import json
import sys
from pathlib import Path

seed = sys.argv[1]
found = json.loads(Path(f"seed-{seed}/search.json").read_text())
hidden = json.loads(Path(f"seed-{seed}/score.json").read_text())["private"]
nested = found["nested"]
inside = nested["low"] <= hidden <= nested["high"]
table = Path("nested.csv")
lines = table.read_text().splitlines() if table.exists() else ["seed,nested,low,high,hidden,inside"]
lines = [line for line in lines if not line.startswith(f"{seed},")]
numbers = ",".join(f"{number:.4f}" for number in (*nested.values(), hidden))
table.write_text("\n".join([*lines, f"{seed},{numbers},{inside}"]) + "\n")
PYTHON
done
echo
cat nested.csv
echo "$(grep -c ',True$' nested.csv) of $(($(wc -l < nested.csv) - 1)) hidden scores lie inside the interval of the nested score"
