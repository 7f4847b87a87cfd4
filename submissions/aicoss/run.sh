#!/usr/bin/env bash
# Seed solution "2023 AICOSS Hackathon, Satellite Image Multilabel Classification" (60 classes, some
# labels missing), as a chain of comptool commands.
#
#   bash submissions/aicoss/run.sh                   a practice competition, sized for 2 CPU cores
#   DATA=~/aicoss bash submissions/aicoss/run.sh     the organisers' files, at the source's settings
#   MEMBERS=7 ...                                    all seven members of the ensemble, not three
#
# Everything it writes stays in submissions/aicoss/practice or submissions/aicoss/real. CvT, one of
# the seven, needs an extra: pip install 'comptool[cvt]'.
set -euo pipefail
cd "$(dirname "$0")"
MEMBERS=${MEMBERS:-3}
case $MEMBERS in 3|7) ;; *) echo "MEMBERS is 3 or 7, not $MEMBERS" >&2; exit 2 ;; esac

if [ -n "${DATA:-}" ]; then
  data=$(cd "$DATA" && pwd)
  mkdir real || { echo "submissions/aicoss/real exists: move it away to start anew" >&2; exit 3; }
  cd real
  comptool init "$data" --name aicoss
  xl=tresnet_xl l=tresnet_v2_l swin=swinv2_large_window12to24_192to384 cvt=cvt-21
  small=(--img-size 224 --batch-size 128 --lr 3e-4 --epochs 10)
  # The source's batches of 400 and 456, in parts that a card can hold.
  parts=(--img-size 224 --batch-size 100 --grad-accum 4 --lr 3e-4 --epochs 10)
  large=(--img-size 384 --batch-size 38 --grad-accum 12 --epochs 10)
  first=(--lr 1.2e-4)
  second=(--lr 1e-4)
  precision=(--fp16)
else
  rm -rf practice
  mkdir practice
  cd practice
  comptool simulate aicoss -o data --scale "${SCALE:-0.015}" --seed "${SEED:-0}"
  comptool init data --name aicoss
  # The same heads, losses and policies on a small network that starts from random weights.
  xl=resnet10t l=resnet10t swin=resnet10t cvt=resnet10t
  small=(--img-size 48 --batch-size 32 --lr 1e-3 --epochs "${EPOCHS:-6}" --pretrained no)
  parts=("${small[@]}")
  large=(--img-size 72 --batch-size 32 --epochs "${EPOCHS:-4}" --pretrained no)
  first=(--lr 3e-4)
  second=(--lr 5e-4)
  precision=(--fp32)
fi
adamw=(--optimizer adamw --weight-decay 1e-5 --schedule cosine --warmup-epochs 0)
weak=(--augment weak --cutout 0.5 --magnitude 9 --min-lr 1e-6)
strong=(--augment strong --cutout 0.5)
again=(--augment weak --cutout 0.5 --magnitude 9 --min-lr 0)

# The best of 100 seeds, by the source's criterion.
comptool split --val 0.1 --seeds 100

# The partial loss, and what a network that was trained with it says of how often a class is there.
comptool train --run-name xl-pasl --model "$xl+ml-decoder" "${small[@]}" "${adamw[@]}" \
  "${weak[@]}" --loss partial-asl --loss-option mode=ignore
comptool prior xl-pasl
partial=(--loss partial-asl --prior prior.csv)

comptool train --run-name l-zlpr --model "$l+ml-decoder" "${small[@]}" "${adamw[@]}" \
  "${weak[@]}" --loss zlpr
comptool train --run-name swin-asl --model "$swin+ml-decoder" "${large[@]}" "${adamw[@]}" \
  "${again[@]}" "${first[@]}" --loss asl
comptool train --run-name swin-pasl --model "$swin+ml-decoder" "${large[@]}" "${adamw[@]}" \
  "${again[@]}" "${second[@]}" "${partial[@]}" --init-from swin-asl
runs=(xl-pasl l-zlpr swin-pasl)

if [ "$MEMBERS" = 7 ]; then
  comptool train --run-name xl-two-way --model "$xl+ml-decoder" "${small[@]}" "${adamw[@]}" \
    "${weak[@]}" --loss two-way
  comptool train --run-name cvt-pasl --model "$cvt+q2l" "${parts[@]}" "${adamw[@]}" \
    "${weak[@]}" --loss partial-asl --loss-option mode=ignore
  learnable=(--model "$xl+ml-decoder-learnable" --model-option dropout=0.5)
  comptool train --run-name xl-prior-6 "${learnable[@]}" "${small[@]}" \
    "${adamw[@]}" "${strong[@]}" --min-lr 1e-6 "${partial[@]}"
  comptool train --run-name xl-prior-5 "${learnable[@]}" "${small[@]}" \
    "${adamw[@]}" "${strong[@]}" --min-lr 1e-5 "${partial[@]}"
  runs+=(xl-two-way cvt-pasl xl-prior-6 xl-prior-5)
fi

# All members in one pass over the test images, whatever size they take.
comptool infer "${runs[@]}" "${precision[@]}" -o submissions/ensemble.csv
submission=$(comptool submit submissions/ensemble.csv)
comptool submit --check-only "$submission"

# Labels that the network doubts: tick the wrong ones on review.html, then split --corrections.
if [ -f data/complete_labels.csv ]; then
  comptool review xl-pasl --truth data/complete_labels.csv
else
  comptool review xl-pasl
fi

if [ -f data/answers.csv ]; then
  echo
  echo "the hardest classes of the ensemble"
  comptool score "$submission" --answers data/answers.csv --per-class submissions/classes.csv \
    --thresholds 0.3,0.5 --quiet >/dev/null
  head -6 submissions/classes.csv
  echo
  echo "score on the hidden answers"
  for run in "${runs[@]}"; do
    comptool infer "$run" "${precision[@]}" -o "submissions/$run.csv" --quiet >/dev/null
    printf '%-10s %s\n' "$run" "$(comptool score "submissions/$run.csv" --answers data/answers.csv --quiet)"
  done
  printf '%-10s %s\n' ensemble "$(comptool score "$submission" --answers data/answers.csv --quiet)"
fi
echo
echo "checked submission: $PWD/$submission"
