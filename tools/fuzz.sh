#!/usr/bin/env bash
# Fuzzes each target of fuzz/ for FUZZ_SECONDS (60 unless set). With the argument `merge` it fuzzes nothing and keeps in fuzz/corpus
# as few of all inputs found so far as reach everything that all of them reach.
#
# There is no cargo-fuzz: it would pass the flags of fuzz/.cargo/config.toml, and want a nightly toolchain for what is not used here.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-60}
host=$(rustc --print host-tuple)
state=target/fuzz # the build, everything found, the findings
programs=$state/$host/release
# A finding is also what takes 10 seconds or a gigabyte.
limits=(-max_len=512 -timeout=10 -rss_limit_mb=1024)

build() {
    if ! command -v "${CXX:-c++}" >/dev/null; then
        echo 'fuzz: a C++ compiler is missing, which builds libFuzzer (Debian and Ubuntu: apt install g++)' >&2
        exit 1
    fi
    echo '==> fuzz: building (the first time some minutes)'
    # These would take the place of the flags in the configuration.
    unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS
    (cd fuzz && CARGO_TARGET_DIR=../$state cargo build --quiet --locked --release --target "$host")
}

fuzz() { # fuzz TARGET
    local program=$programs/$1 log=$state/$1.log found
    echo "==> fuzz: $1, $seconds seconds"
    mkdir -p "$state/corpus/$1" "$state/findings"
    # New inputs go to the first folder, the committed ones are only read.
    if "$program" "$state/corpus/$1" "fuzz/corpus/$1" "${limits[@]}" -max_total_time="$seconds" \
        -artifact_prefix="$state/findings/$1-" >"$log" 2>&1; then
        sed -n 's|.*DONE *|==> fuzz: nothing found; |p' "$log"
        return
    fi
    grep -A 3 -m 1 -E 'panicked at|ERROR: libFuzzer' "$log" >&2 || tail -n 5 "$log" >&2
    found=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    if [ -z "$found" ]; then
        echo "fuzz: $1 ended early, without a finding; all it said is in $log" >&2
        exit 1
    fi
    {
        echo "fuzz: $1: a finding: $found; all it said is in $log"
        echo "fuzz: again:     $program $found"
        echo "fuzz: as a test: cp $found fuzz/corpus/$1/ && make test-native"
    } >&2
    exit 1
}

merge() { # merge TARGET [OPTION…]
    local corpus=fuzz/corpus/$1 merged=$state/merged
    rm -rf "$merged"
    mkdir -p "$merged" "$state/corpus/$1"
    "$programs/$1" -set_cover_merge=1 "${@:2}" "${limits[@]}" "$merged" "$corpus" "$state/corpus/$1" \
        >"$state/$1.log" 2>&1
    rm -rf "$corpus"
    mv "$merged" "$corpus"
    echo "==> fuzz: $corpus has $(find "$corpus" -type f | wc -l) inputs"
}

build
case ${1:-} in
    merge)
        merge reader
        # What is reached counts, not how often, or there would be very many; each is a handshake.
        merge tls -use_counters=0
        ;;
    *)
        fuzz reader
        fuzz tls
        ;;
esac
