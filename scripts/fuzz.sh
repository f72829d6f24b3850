# What `./efm fuzz` does: libFuzzer on what reads bytes from outside. Sourced by `efm`.

efm_fuzz_usage() {
    cat <<'TEXT'
usage: ./efm fuzz [TARGET ...] [--seconds N]
       ./efm fuzz ruckig

  TARGET         urdf, srdf, limits, obstacles, manifest, messages, chunks, clock, bags (default: all, one after the other)
  --seconds N    for each target (default 300)
  ruckig         not a fuzzer: the trajectory generation against the C++ original, on 180,000 problems (needs a C++20 compiler)

Fuzzing needs a nightly Rust (rustup toolchain install nightly --profile minimal) and builds cargo-fuzz into .efm/fuzz. It begins with the corpus in
fuzz/corpus, which `./efm test` plays again; what it adds stays in .efm/fuzz/corpus, and what it finds wrong lies in .efm/fuzz/artifacts.
TEXT
}

efm_fuzz() {
    local seconds=300 targets="" target dict code=0 home=$EFM_HOME/fuzz
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) efm_fuzz_usage && return 0 ;;
            --seconds) seconds=${2:?--seconds wants a number} && shift ;;
            ruckig)
                cargo test --manifest-path "$EFM_ROOT/fuzz/ruckig/Cargo.toml" --locked --target-dir "$EFM_HOME/ruckig" \
                    --test ruckig -- --nocapture
                return
                ;;
            *)
                if [ ! -f "$EFM_ROOT/fuzz/fuzz_targets/$1.rs" ]; then
                    echo "efm fuzz: there is no target '$1'" >&2
                    efm_fuzz_usage >&2
                    return 2
                fi
                targets="$targets $1"
                ;;
        esac
        shift
    done
    if ! cargo +nightly --version >/dev/null 2>&1; then
        echo "efm fuzz: there is no nightly Rust; run: rustup toolchain install nightly --profile minimal" >&2
        return 1
    fi
    [ -x "$home/bin/cargo-fuzz" ] || cargo +nightly install --locked cargo-fuzz --version 0.13.2 --root "$home"
    export PATH="$home/bin:$PATH"
    cd "$EFM_ROOT"
    for target in ${targets:-urdf srdf limits obstacles manifest messages chunks clock bags}; do
        case $target in
            urdf | srdf) dict=-dict=$EFM_ROOT/fuzz/dict/xml.dict ;;
            limits | obstacles | manifest) dict=-dict=$EFM_ROOT/fuzz/dict/yaml.dict ;;
            *) dict=-use_value_profile=0 ;;
        esac
        mkdir -p "$home/corpus/$target" "$home/artifacts/$target"
        # All of it is safe Rust: a sanitizer would only make it slow.
        cargo +nightly fuzz run --sanitizer none --target-dir "$home/target" "$target" \
            "$home/corpus/$target" "$EFM_ROOT/fuzz/corpus/$target" -- \
            "-max_total_time=$seconds" -timeout=20 -rss_limit_mb=3000 -max_len=4000 "-artifact_prefix=$home/artifacts/$target/" "$dict" || code=1
    done
    return $code
}
