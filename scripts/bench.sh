# What `./efm bench` without a further word does: every measurement, side by side with what people use, and one page. Sourced by `efm`.

efm_bench_usage() {
    cat <<'TEXT'
usage: ./efm bench [--quick] [--only "PART ..."] [--out FILE] [--json FILE] [--no-rivals]
       ./efm bench PART [OPTIONS]     (each has --help)

  --quick        at most five minutes, without LeRobot's loop; else it takes about half an hour
  --only "..."   of: overhead stream transport image growth evaluation instructions lerobot
  --out FILE     the page; its plots lie beside it (default .efm/benchmarks/benchmarks.md)
  --json FILE    every figure
  --no-rivals    without the same nodes in rclpy, OpenCV and Pillow (they need the network once), and without LeRobot

LeRobot's loop is compared where the environment of `./efm import` is there; it is not made for this, as it is some GB.

The page in docs/ is written by: ./efm bench --out docs/benchmarks.md

  overhead, stream, transport, image, growth, evaluation, instructions,
  lerobot                                                     the parts of the page
  safety, kill, cell, tick, transparent, policy               the safety filter and the policy runtime, in depth
  latency                                                     success and smoothness over the latency of the policy
TEXT
}

# What the rivals need, beside the Python that has rclpy.
efm_bench_rivals() {
    local packages=$EFM_HOME/bench key
    key=$(cksum <"$EFM_ROOT/scripts/bench-requirements.txt")
    [ "$(cat "$packages/.key" 2>/dev/null)" = "$key" ] && return 0
    echo "== OpenCV, Pillow and onnxruntime for the comparison, into .efm/bench"
    rm -rf "$packages"
    local pip=$EFM_HOME/ros/bin/pip
    [ "$EFM_ROS" = wheels ] || pip=$EFM_HOME/tools/bin/pip
    "$pip" install --disable-pip-version-check --quiet --no-deps --only-binary=:all: --target "$packages" \
        -r "$EFM_ROOT/scripts/bench-requirements.txt" && printf '%s' "$key" >"$packages/.key"
}

# Whether LeRobot is there to be compared with. Its metadata is enough: to import it takes half a minute.
efm_bench_has_lerobot() {
    "$EFM_HOME/import/bin/python" -c 'import importlib.util, sys; sys.exit(not all(map(importlib.util.find_spec, ("lerobot", "torch"))))' 2>/dev/null
}

efm_bench_all() {
    local quick="" only="" out=$EFM_HOME/benchmarks/benchmarks.md json="" rivals=yes
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) efm_bench_usage && return 0 ;;
            --quick) quick=--quick ;;
            --no-rivals) rivals=no ;;
            --only | --out | --json)
                [ $# -gt 1 ] || { echo "efm bench: $1 wants a value" >&2; return 2; }
                case $1 in --only) only=$2 ;; --out) out=$(realpath -m "$2") ;; --json) json=$(realpath -m "$2") ;; esac
                shift ;;
            *) echo "efm bench: unknown option '$1'" >&2; efm_bench_usage >&2; return 2 ;;
        esac
        shift
    done
    if [ -z "$only" ]; then
        only="overhead stream transport image growth evaluation instructions"
        [ -n "$quick" ] || only+=" lerobot"
    fi
    efm_setup
    efm_isolate
    local bin=$EFM_ROOT/target/debug parts=$EFM_HOME/benchmarks python=() files=() part command code shorter path start=$SECONDS
    mkdir -p "$parts" "$(dirname "$out")"
    if [ $rivals = yes ]; then
        efm_bench_rivals
        python=(--python "$EFM_PYTHON")
    fi
    for part in $only; do
        if [ "$part" = lerobot ] && { [ $rivals = no ] || ! efm_bench_has_lerobot; }; then
            [ $rivals = no ] || echo "== lerobot: left out, as LeRobot is not in .efm/import ('./efm import lerobot --help' puts it there, some GB)"
            continue
        fi
        shorter=$quick
        path=$EFM_HOME/bench${PYTHONPATH:+:$PYTHONPATH}
        case $part in
            overhead | stream) command=("$bin/efm-bench-graph" "$part" --root "$EFM_ROOT" "${python[@]}" --logs "$parts/logs") ;;
            transport) command=("$bin/efm-bench-graph" transport --root "$EFM_ROOT" --logs "$parts/logs") ;;
            image) command=("$bin/efm-bench" --root "$EFM_ROOT" image "${python[@]}") ;;
            growth | evaluation) command=("$bin/efm-bench" --root "$EFM_ROOT" "$part") ;;
            # It has libraries of its own.
            lerobot) command=("$bin/efm-bench" --root "$EFM_ROOT" lerobot --python "$EFM_HOME/import/bin/python") path="" ;;
            instructions) command=("$bin/efm-bench" --root "$EFM_ROOT" instructions) shorter="" ;;
            *) echo "efm bench: --only: '$part' is no part" >&2; return 2 ;;
        esac
        echo "== $part"
        code=0
        PYTHONPATH=$path "${command[@]}" $shorter --section "$parts/$part.json" || code=$?
        # 1: something was not reached, which the page shows.
        [ $code -le 1 ] || { echo "efm bench: $part did not end well" >&2; return $code; }
        files+=("$parts/$part.json")
    done
    [ ${#files[@]} -gt 0 ] || { echo "efm bench: nothing was measured" >&2; return 2; }
    local about=(
        --about "date=$(date -u +%F)"
        --about "commit=$(git -C "$EFM_ROOT" describe --always --dirty 2>/dev/null || echo unknown)"
        --about "processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) cores"
        --about "memory=$(awk '/MemTotal/ {printf "%.0f GB", $2 / 1e6}' /proc/meminfo)"
        --about "system=$(uname -sr)"
        --about "Rust=$(rustc --version), profile \`dev\` of this workspace (optimised)"
        --about "ROS 2=$ROS_DISTRO, ${RMW_IMPLEMENTATION:-rmw_fastrtps_cpp}"
        --about "ONNX Runtime=$(sed -n 's/^onnxruntime==\([0-9.]*\).*/\1/p' "$EFM_ROOT/scripts/lib-requirements.txt")"
        --about "other work meanwhile=load average of the last 5 minutes $(cut -d' ' -f2 /proc/loadavg), which the measurement itself is part of"
        --about "it took=$((SECONDS - start)) s"
    )
    code=0
    "$bin/efm-bench" --root "$EFM_ROOT" page "${files[@]}" --out "$out" ${json:+--json "$json"} "${about[@]}" || code=$?
    echo "== the page is $out"
    return $code
}
