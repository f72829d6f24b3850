# `./efm record`: the recorder with its parameters as options. Sourced by `efm`. In the user's own ROS domain.

efm_record_usage() {
    cat <<'TEXT'
usage: ./efm record [TOPIC...] [OPTIONS]

Records topics into a rosbag2 folder (MCAP) until Ctrl-C. TOPIC is a name, or a regular expression for whole names ('/camera/.*'). Without any: the
topics that config/graph.yaml lists under 'record', and all that the graph's nodes publish and subscribe to, but the cameras' own pictures.

  --all             every topic that is not hidden
  --node NAME       all that this node publishes and subscribes to, but pictures that it is sent; may be given several times
  --exclude TOPIC   not this one (name or expression); may be given several times
  --out DIR         new folder [default: recording_ and the time (UTC), in the working directory]
  --compressed      pictures as JPEG, on TOPIC/compressed
  --quality N       of the JPEGs, 1 to 100 [85]
  --zstd LEVEL      compression of the bag, 0 (none) to 22 [1]
  --split-mb N      begin the next file after so many MB; 0: never [4096]
  --split-s N       begin the next file after so many seconds; 0: never [3600]
  --queue-mb N      MB that may wait to be written [128]
  --min-free-mb N   end before the disk has less left [500]
  --sim-time        date messages by /clock
TEXT
}

# A text as a YAML string.
efm_quoted() { printf "'%s'" "${1//\'/\'\'}"; }

# efm_list NAME ITEM...: a list parameter, nothing where there are no items.
efm_list() {
    local name=$1 items="" item
    shift
    [ $# -gt 0 ] || return 0
    for item in "$@"; do items="$items,$(efm_quoted "$item")"; done
    parameters+=(-p "$name:=[${items#,}]")
}

efm_record() {
    local parameters=() topics=() nodes=() exclude=()
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help)
                efm_record_usage
                return
                ;;
            --all) topics+=(all) ;;
            --compressed) parameters+=(-p images:=compressed) ;;
            --sim-time) parameters+=(-p use_sim_time:=true) ;;
            --node | --exclude | --out | --quality | --zstd | --split-mb | --split-s | --queue-mb | --min-free-mb)
                [ $# -gt 1 ] || { echo "efm record: $1 wants a value" >&2; return 2; }
                case $1 in
                    --node) nodes+=("$2") ;;
                    --exclude) exclude+=("$2") ;;
                    --out) parameters+=(-p "folder:=$(efm_quoted "$2")") ;;
                    --quality) parameters+=(-p "jpeg_quality:=$2") ;;
                    --zstd) parameters+=(-p "zstd_level:=$2") ;;
                    --split-mb) parameters+=(-p "max_file_mb:=$2") ;;
                    --split-s) parameters+=(-p "max_file_s:=$2") ;;
                    --queue-mb) parameters+=(-p "queue_mb:=$2") ;;
                    --min-free-mb) parameters+=(-p "min_free_mb:=$2") ;;
                esac
                shift
                ;;
            -*)
                echo "efm record: unknown option '$1'" >&2
                efm_record_usage >&2
                return 2
                ;;
            *) topics+=("$1") ;;
        esac
        shift
    done
    efm_list topics "${topics[@]}"
    efm_list nodes "${nodes[@]}"
    efm_list exclude "${exclude[@]}"
    efm_setup record
    exec "$EFM_ROOT/target/debug/recorder" --ros-args -p end_on_error:=true "${parameters[@]}"
}
