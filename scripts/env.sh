# The environment that building and running need; sourced by `efm`, by nothing else twice. Works with a ROS 2 that the user has
# sourced (then that one is used, untouched) and without (then the ROS 2 Jazzy that `./efm setup` put into .efm/ros is).
#
# EFM_ROS says which: "sourced" or "wheels".

EFM_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
EFM_HOME=$EFM_ROOT/.efm
export EFM_ROOT EFM_HOME

# A shell started by `./efm shell` has our own prefix in AMENT_PREFIX_PATH: that is not a sourced ROS.
if [ -n "${AMENT_PREFIX_PATH:-}" ] && [ "$AMENT_PREFIX_PATH" != "$EFM_HOME/ros" ]; then
    EFM_ROS=sourced
else
    EFM_ROS=wheels
fi
export EFM_ROS

efm_prepend() { # VARIABLE ENTRY: puts ENTRY at the front of a colon-separated list, once
    case ":${!1:-}:" in
        *":$2:"*) ;;
        *) export "$1=$2${!1:+:${!1}}" ;;
    esac
}

if [ "$EFM_ROS" = wheels ]; then
    export AMENT_PREFIX_PATH=$EFM_HOME/ros
    export CMAKE_PREFIX_PATH=$EFM_HOME/ros
    export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3
    for efm_dir in "$EFM_HOME"/ros/lib/python3*/site-packages/ros_*.libs; do
        [ -d "$efm_dir" ] && efm_prepend LD_LIBRARY_PATH "$efm_dir"
    done
    efm_prepend LD_LIBRARY_PATH "$EFM_HOME/ros/lib"
    unset efm_dir
    export EFM_PYTHON=$EFM_HOME/ros/bin/python3 # has rclpy and pytest
else
    export EFM_PYTHON=python3
fi

# r2r turns every message package it finds into Rust; these are what the nodes use, and what those and r2r itself lean on.
export IDL_PACKAGE_FILTER="action_msgs;builtin_interfaces;composition_interfaces;diagnostic_msgs;geometry_msgs;rcl_interfaces;\
rosgraph_msgs;sensor_msgs;service_msgs;std_msgs;std_srvs;trajectory_msgs;type_description_interfaces;unique_identifier_msgs"

# Shared libraries that come from Python wheels but are used without Python.
efm_prepend LD_LIBRARY_PATH "$EFM_HOME/lib"
export ORT_DYLIB_PATH=${ORT_DYLIB_PATH:-$EFM_HOME/lib/libonnxruntime.so}
export MUJOCO_DYNAMIC_LINK_DIR=${MUJOCO_DYNAMIC_LINK_DIR:-$EFM_HOME/lib}
export MUJOCO_GL=${MUJOCO_GL:-egl}

# Our own Rust, where `./efm setup` had to install one.
if [ -x "$EFM_HOME/rust/cargo/bin/cargo" ]; then
    export RUSTUP_HOME=$EFM_HOME/rust/rustup CARGO_HOME=$EFM_HOME/rust/cargo
    efm_prepend PATH "$EFM_HOME/rust/cargo/bin"
fi

# Demo and tests talk on this machine only, in a domain of their own: they can never reach a lab's robot. The same clone always
# gets the same domain, so that `./efm shell` can look into a running demo; EFM_DOMAIN_ID chooses another.
efm_isolate() {
    local hash
    hash=$(printf '%s' "$EFM_ROOT${1:-}" | cksum)
    export ROS_DOMAIN_ID=${EFM_DOMAIN_ID:-$((20 + ${hash%% *} % 80))}
    export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
    unset ROS_LOCALHOST_ONLY ROS_STATIC_PEERS ROS_DISCOVERY_SERVER
    # Room for camera images in shared memory, and no network card; see the file.
    export FASTRTPS_DEFAULT_PROFILES_FILE=$EFM_ROOT/config/fastdds_local.xml
}
