# What `./efm bench latency` does: success and smoothness over the latency of the policy, a point after the other. Sourced by `efm`.

efm_latency_usage() {
    cat <<'TEXT'
usage: ./efm bench latency [--policy DIR] [--episodes N] [--latencies "MS ..."] [--modes "MODE ..."] [--split NAME] [--jobs N] [--out DIR]

  --policy DIR      policy package (default panda_tabletop_flow)
  --episodes N      paired seeds of every point (default 1000: some ten minutes a point on two cores)
  --latencies "..." milliseconds (default "0 100 200 280 310 350 420")
  --modes "..."     default "fifo temporal_ensemble rtc"; blend is there, too
  --split NAME      default heldout
  --jobs N          threads (default: all)
  --out DIR         a file a point (<mode>-<ms>.json), and latency.svg (default .efm/latency)

An interrupted run goes on: points that are there are kept. fifo and temporal_ensemble leap at seams; so that the filter's answer to that does not
decide the comparison they run without it, as they do where people use them today, and their lines say so.
TEXT
}

efm_latency() {
    local policy=panda_tabletop_flow episodes=1000 latencies="0 100 200 280 310 350 420" modes="fifo temporal_ensemble rtc" split=heldout
    local jobs="" out=$EFM_HOME/latency latency mode file begun unfiltered files=()
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) efm_latency_usage && return 0 ;;
            --policy | --episodes | --latencies | --modes | --split | --jobs | --out)
                [ $# -gt 1 ] || { echo "efm bench latency: $1 wants a value" >&2; return 2; } ;;
            *) echo "efm bench latency: unknown option '$1'" >&2; efm_latency_usage >&2; return 2 ;;
        esac
        case $1 in
            --policy) policy=$2 ;;
            --episodes) episodes=$2 ;;
            --latencies) latencies=$2 ;;
            --modes) modes=$2 ;;
            --split) split=$2 ;;
            --jobs) jobs=$2 ;;
            --out) out=$(realpath -m "$2") ;;
        esac
        shift 2
    done
    efm_setup eval
    efm_isolate
    mkdir -p "$out"
    for latency in $latencies; do
        for mode in $modes; do
            file=$out/$mode-$latency.json
            files+=(--from "$file")
            if [ -s "$file" ]; then
                echo "== $mode at $latency ms: there already"
                continue
            fi
            unfiltered=""
            case $mode in fifo | temporal_ensemble) unfiltered=--unfiltered ;; esac
            begun=$SECONDS
            # Not under its own name until it is whole.
            "$EFM_ROOT/target/debug/efm-eval" --root "$EFM_ROOT" --policy "$policy" --split "$split" --episodes "$episodes" --mode "$mode" \
                --latency-ms "$latency" --strips 0 ${jobs:+--jobs "$jobs"} $unfiltered --json "$file.part"
            mv "$file.part" "$file"
            echo "== $mode at $latency ms: $((SECONDS - begun)) s"
        done
    done
    "$EFM_ROOT/target/debug/efm-eval" --root "$EFM_ROOT" "${files[@]}" --curves "$out/latency.svg"
}
