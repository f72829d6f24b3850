# What `./efm import` does: other people's checkpoints to policy packages. Sourced by `efm`.

efm_import_usage() {
    cat <<'TEXT'
usage: ./efm import lerobot DIR --out PKG --robot-joints A,B,... --units rad,... --base-link L --tip-link L --fps N [OPTIONS]
       ./efm import lerobot --help
       ./efm import --self-test

  lerobot DIR    a checkpoint folder of LeRobot 0.4.4 (config.json, model.safetensors, policy_preprocessor.json, ...) of type act,
                 diffusion or smolvla; see docs/lerobot.md
  --self-test    test the importer itself beside LeRobot, in about ten minutes; nothing else is done

Needs an environment with LeRobot and torch, which is made in .efm/import (8.6 GB with the builds for NVIDIA GPUs; how
much is downloaded is told before); what it writes needs nothing but this suite.
TEXT
}

# Sets up, with the environment of the importers.
efm_import_setup() {
    efm_environment "import environment" import importers/lerobot/requirements.txt "${1:-policy}" "LeRobot with torch, which reads its checkpoints"
}

efm_import() {
    local from=${1:-}
    [ $# -eq 0 ] || shift
    case $from in
        '' | -h | --help) efm_import_usage; return 0 ;;
        --self-test)
            efm_import_setup
            (cd "$EFM_ROOT" && cargo build --locked --workspace --example run_package)
            export EFM_RUN_PACKAGE=${CARGO_TARGET_DIR:-$EFM_ROOT/target}/debug/examples/run_package
            (cd "$EFM_ROOT" && HF_HUB_OFFLINE=1 PYTHONPATH= "$EFM_HOME/import/bin/python" -m pytest -p no:cacheprovider -ra importers/lerobot/tests)
            ;;
        lerobot)
            efm_import_setup
            # Paths are the caller's, so the folder is not changed. Models are never fetched.
            HF_HUB_OFFLINE=1 PYTHONPATH=$EFM_ROOT "$EFM_HOME/import/bin/python" -m importers.lerobot "$@"
            ;;
        *) echo "efm import: unknown kind '$from'; known is lerobot" >&2; efm_import_usage >&2; return 2 ;;
    esac
}
