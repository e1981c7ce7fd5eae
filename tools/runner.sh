#!/usr/bin/env bash
# Usage: runner.sh COMPONENT [ARGS…]
# The cargo runner for wasm32-wasip2 (see .cargo/config.toml): builds wasi-streams-run when it is missing or older than its sources,
# then becomes it. Calling cargo every time would be simpler, and half a second slower on every start.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
runner=${CARGO_TARGET_DIR:-$root/target}/release/wasi-streams-run

newer=yes
if [ -x "$runner" ]; then
    newer=$(find "$root/host-tests/src" "$root/host-tests/Cargo.toml" "$root/Cargo.lock" -newer "$runner" -print -quit)
fi
if [ -n "$newer" ]; then
    echo 'runner: building wasi-streams-run (the first time takes minutes)' >&2
    (cd "$root" && cargo build --quiet --locked --release -p wasi-streams-host --bin wasi-streams-run)
    # Cargo leaves an up-to-date program alone, whose age would bring us here again.
    touch "$runner"
fi
# Options for the runner itself, such as --net.
# shellcheck disable=SC2086
exec "$runner" ${WASI_STREAMS_RUN_OPTIONS:-} "$@"
