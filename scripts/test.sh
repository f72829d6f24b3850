# What `./efm test` does. Sourced by `efm`. With `--full` also what is slow and rarely breaks.

efm_test_usage() {
    cat <<'TEXT'
usage: ./efm test [--full] [PYTEST OPTIONS]

What CI runs: formatting, lints, unit and property tests, instruction counts, tests against the running graph (some 25 minutes on two cores).

  --full   then what takes longer: twenty plays of each lie about the robot through the graph, with as many controls (an hour),
           hundreds of packages, pictures and messages that mean harm (through the running graph, too), ten million ticks of
           `./efm bench safety`, and the graph for a quarter of an hour idle and moving, each node restarted 30 times and killed
           30 times in motion (another half hour)

Other options go to pytest, e.g. ./efm test -k motion -x
TEXT
}

efm_test() {
    # Its own domain, so that a demo that runs at the same time is not heard.
    efm_isolate "test $$"
    cd "$EFM_ROOT"
    local start=$SECONDS full=
    local -a options=()
    for option in "$@"; do
        if [ "$option" = --full ]; then full=1; else options+=("$option"); fi
    done
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
        efm_part "$EFM_PYTHON" -m pytest -p no:cacheprovider -ra test ${options[@]+"${options[@]}"}
    fi
    if [ -n "$full" ]; then
        # One after the other: who starts a process lends it its own peak of memory, and one of the two holds a large model.
        efm_part cargo test --locked -p efm_harness --test untrusted -- --ignored --nocapture two_hundred
        efm_part cargo test --locked -p efm_harness --test untrusted -- --ignored --nocapture real_size
        efm_part cargo test --locked -p efm_app --test hostile -- --ignored --nocapture
        EFM_FULL=1 efm_part "$EFM_PYTHON" -m pytest -p no:cacheprovider -s test/test_hostile.py
        efm_part "$EFM_PYTHON" test/test_leaps.py --plays 20 --controls 20
        efm_part "${CARGO_TARGET_DIR:-$EFM_ROOT/target}/debug/efm-bench" --root "$EFM_ROOT" safety --ticks 10000000
        efm_part "$EFM_PYTHON" test/endurance.py
    fi
    echo "== all of it took $((SECONDS - start)) s"
}
