# What `./efm dataset --self-test` does. Sourced by `efm`.

efm_dataset_self_test() {
    . "$EFM_ROOT/scripts/import.sh"
    efm_import_setup
    (cd "$EFM_ROOT" && cargo build --locked --workspace --example sample_bags)
    local built=${CARGO_TARGET_DIR:-$EFM_ROOT/target}/debug
    export EFM_DATASET=$built/efm-dataset EFM_SAMPLE_BAGS=$built/examples/sample_bags
    (cd "$EFM_ROOT" && HF_HUB_OFFLINE=1 PYTHONPATH= "$EFM_HOME/import/bin/python" -m pytest -p no:cacheprovider -ra importers/dataset)
}
