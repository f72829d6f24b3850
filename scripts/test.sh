# What `./efm test` does. Sourced by `efm`.

efm_test() {
    # Its own domain, so that a demo that runs at the same time is not heard.
    efm_isolate "test $$"
    cd "$EFM_ROOT"
    local start=$SECONDS
    efm_part() {
        local since=$SECONDS
        echo "== $*"
        "$@"
        echo "== done in $((SECONDS - since)) s"
    }
    efm_r2r_forgets
    efm_part cargo fmt --all --check
    efm_part cargo clippy --locked --workspace --all-targets -- -D warnings
    efm_part cargo test --locked --workspace
    # Of the program that the tests were built with.
    efm_part "${CARGO_TARGET_DIR:-$EFM_ROOT/target}/debug/efm-bench" --root "$EFM_ROOT" instructions --check
    if compgen -G "$EFM_ROOT/test/test_*.py" >/dev/null; then
        efm_part "$EFM_PYTHON" -m pytest -p no:cacheprovider -ra test "$@"
    fi
    echo "== all of it took $((SECONDS - start)) s"
}
