# What `./efm train` does: demonstrations, data set, training, export, evaluation. Sourced by `efm`.

efm_train_usage() {
    cat <<'TEXT'
usage: ./efm train [--episodes N] [--minutes M] [--eval-episodes N] [--seed S] [--work DIR] [--out DIR]

  --episodes N       demonstrations of the scripted expert in the simulator (default 1300)
  --minutes M        time for the training itself (default 75)
  --eval-episodes N  episodes of the evaluation at the end (default 500)
  --seed S           of the training (default 0)
  --work DIR         demonstrations (rosbag2 MCAP), data set and checkpoints (default .efm/training)
  --out DIR          the policy package (default models/panda_tabletop_flow)

Needs an environment with torch, which is made in .efm/train (some GB); nothing else here needs it. An interrupted run goes on:
demonstrations that are there are kept, and training goes on from its checkpoint. Remove DIR to begin anew.
TEXT
}

efm_train_environment() {
    local python
    python=$(efm_find_python)
    [ -x "$EFM_HOME/train/bin/pip" ] || "$python" -m venv "$EFM_HOME/train"
    "$EFM_HOME/train/bin/pip" install --disable-pip-version-check -r "$EFM_ROOT/training/requirements.txt"
}

efm_train() {
    local episodes=1300 minutes=75 evaluated=500 seed=0 work=$EFM_HOME/training out=$EFM_ROOT/models/panda_tabletop_flow
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) efm_train_usage; return 0 ;;
            --episodes | --minutes | --eval-episodes | --seed | --work | --out)
                [ $# -gt 1 ] || { echo "efm train: $1 wants a value" >&2; return 2; } ;;
            *) echo "efm train: unknown option '$1'" >&2; efm_train_usage >&2; return 2 ;;
        esac
        case $1 in
            --episodes) episodes=$2 ;;
            --minutes) minutes=$2 ;;
            --eval-episodes) evaluated=$2 ;;
            --seed) seed=$2 ;;
            --work) work=$(realpath -m "$2") ;;
            --out) out=$(realpath -m "$2") ;;
        esac
        shift 2
    done
    efm_setup
    efm_step 1/1 "training environment" train "$(efm_key "$(cat "$EFM_ROOT/training/requirements.txt")")" efm_train_environment
    efm_unlock
    local bin=$EFM_ROOT/target/debug python=$EFM_HOME/train/bin/python
    mkdir -p "$work"
    cd "$EFM_ROOT"
    echo "== demonstrations: $episodes episodes"
    "$bin/efm-demonstrations" --root "$EFM_ROOT" --out "$work/episodes" --episodes "$episodes"
    echo "== data set"
    "$python" -m training.dataset --episodes "$work/episodes" --cache "$work/cache"
    echo "== training: $minutes minutes"
    "$python" -m training.train --cache "$work/cache" --run "$work/run" --minutes "$minutes" --seed "$seed" --resume
    echo "== export"
    "$python" -m training.export --run "$work/run" --out "$out"
    echo "== evaluation: $evaluated episodes on scenes that were never trained on"
    "$bin/efm-eval" --root "$EFM_ROOT" --policy "$out" --episodes "$evaluated" --json "$work/eval.json"
    # The model card says how well it did.
    "$python" -m training.export --run "$work/run" --out "$out" --eval "$work/eval.json"
}
