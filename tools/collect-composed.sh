#!/usr/bin/env bash
# Composes the consumers in examples/compose/rust with wasi-streams.wasm, for the host tests and `make bench`:
# target/components/composed/NAME.wasm. An unchanged one is left alone, so that what is cached by its time stays valid.
set -euo pipefail
cd "$(dirname "$0")/.."
built=${CARGO_TARGET_DIR:-target}/wasm32-wasip2/component
tool=${CARGO_TARGET_DIR:-target}/debug/wasi-streams-compose
components=target/components
composed=$components/composed

put_together() { # put_together NAME FLOOR…
    "$tool" compose "${@:2}" -o "$composed/$1.new"
    cmp -s "$composed/$1.new" "$composed/$1.wasm" || cp "$composed/$1.new" "$composed/$1.wasm"
    rm "$composed/$1.new"
}

mkdir -p "$composed"
put_together rust-echo-server "$components/wasi-streams.wasm" "$built/rust-echo-server.wasm"
put_together rust-echo-one-by-one "$components/wasi-streams.wasm" "$built/rust-echo-one-by-one.wasm"
put_together rust-push "$components/wasi-streams.wasm" "$built/rust_push.wasm" "$components/wasi-streams-driver.wasm"
echo "==> components: composed ones in $composed"
