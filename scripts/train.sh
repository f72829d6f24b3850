# What `./efm train` does: demonstrations, leak check, data set, training, export, evaluation. Sourced by `efm`.

efm_train_usage() {
    cat <<'TEXT'
usage: ./efm train [--family F] [--episodes N] [--steps N] [--minutes M] [--eval-episodes N] [--seed S] [--work DIR] [--out DIR]
       ./efm train --self-test

  --family F         flow (default): encoder and flow head together, from nothing; chunk_regression, diffusion, action_tokens: a small
                     head on the frozen encoder of models/panda_tabletop_flow, in minutes
  --episodes N       demonstrations of the scripted expert in the simulator (default 3643; heads: 650)
  --steps N          steps of the training: with the seed and the demonstrations they decide the weights (default 7000; heads: their own)
  --minutes M        stop the training after so long; the same command goes on (default 240)
  --eval-episodes N  episodes of each split and control in the evaluation at the end (default 500)
  --seed S           of the training (default 0)
  --work DIR         demonstrations (rosbag2 MCAP), data set and checkpoints (default .efm/training; heads share .efm/training_heads)
  --out DIR          the policy package (default models/panda_tabletop_flow, _chunk, _diffusion, _tokens)
  --self-test        test the training scripts themselves, in a few minutes; nothing else is done

Needs an environment with torch, which is made in .efm/train (some GB); nothing else here needs it. An interrupted run goes on:
demonstrations that are there are kept, and training goes on from its checkpoint, to the same weights. Remove DIR to begin anew.
Heads learn from demonstrations that the encoder has not seen (seeds from 10000), and share them and the encoder's contexts.
TEXT
}

efm_train() {
    local family=flow episodes='' steps='' minutes=240 evaluated=500 seed=0 work='' out=''
    local self_test=no
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) efm_train_usage; return 0 ;;
            --self-test) self_test=yes; shift; continue ;;
            --family | --episodes | --steps | --minutes | --eval-episodes | --seed | --work | --out)
                [ $# -gt 1 ] || { echo "efm train: $1 wants a value" >&2; return 2; } ;;
            *) echo "efm train: unknown option '$1'" >&2; efm_train_usage >&2; return 2 ;;
        esac
        case $1 in
            --family) family=$2 ;;
            --episodes) episodes=$2 ;;
            --steps) steps=$2 ;;
            --minutes) minutes=$2 ;;
            --eval-episodes) evaluated=$2 ;;
            --seed) seed=$2 ;;
            --work) work=$(realpath -m "$2") ;;
            --out) out=$(realpath -m "$2") ;;
        esac
        shift 2
    done
    # Heads: demonstrations that the encoder has not seen.
    local first=10000 folder=$EFM_HOME/training_heads count=650 model
    case $family in
        flow) first=0 folder=$EFM_HOME/training count=3643 model=flow steps=${steps:-7000} ;;
        chunk_regression) model=chunk ;;
        diffusion) model=diffusion ;;
        action_tokens) model=tokens ;;
        *) echo "efm train: unknown family '$family'" >&2; efm_train_usage >&2; return 2 ;;
    esac
    episodes=${episodes:-$count} work=${work:-$folder} out=${out:-$EFM_ROOT/models/panda_tabletop_$model}
    efm_environment "training environment" train training/requirements.txt train "torch, which trains policies"
    local bin=$EFM_ROOT/target/debug python=$EFM_HOME/train/bin/python
    cd "$EFM_ROOT"
    if [ $self_test = yes ]; then
        "$python" -m pytest -p no:cacheprovider -ra training/tests
        return
    fi
    mkdir -p "$work"
    echo "== demonstrations: $episodes episodes"
    "$bin/efm-demonstrations" --root "$EFM_ROOT" --out "$work/episodes" --seed "$first" --episodes "$episodes" --jobs 2
    echo "== leak check: nothing that judges the policy may be in what it learns from"
    "$bin/efm-benchmark" sentences --split train --out "$work/sentences.json"
    "$bin/efm-benchmark" leaks --episodes "$work/episodes" --sentences "$work/sentences.json" --write-list "$work/demonstrations.jsonl"
    echo "== data set"
    "$python" -m training.dataset --episodes "$work/episodes" --sentences "$work/sentences.json" --cache "$work/cache"
    # Heads share demonstrations and contexts, but each has its own run.
    local run=$work/run results=$work/eval.json trainer=(training.train) exporter=(training.export)
    if [ "$family" != flow ]; then
        run=$work/run_$model results=$work/eval_$model.json trainer=(training.train_head --family "$family") exporter=(training.export_head)
    fi
    echo "== training: ${steps:-the steps} of $family"
    local status=0
    "$python" -m "${trainer[@]}" --cache "$work/cache" --run "$run" ${steps:+--steps "$steps"} --minutes "$minutes" --seed "$seed" --resume ||
        status=$?
    if [ $status = 3 ]; then
        echo "efm train: the time is spent; the same command goes on with the training" >&2
        return 3
    fi
    [ $status = 0 ] || return $status
    echo "== export"
    "$python" -m "${exporter[@]}" --run "$run" --out "$out"
    cp "$work/demonstrations.jsonl" "$out/demonstrations.jsonl"
    echo "== evaluation: $evaluated episodes of each split and control, on scenes that were never trained on"
    "$bin/efm-eval" --root "$EFM_ROOT" --policy "$out" --split all --controls --episodes "$evaluated" --json "$results"
    # The model card says how well it did. The graphs come out the same.
    "$python" -m "${exporter[@]}" --run "$run" --out "$out" --eval "$results"
}
