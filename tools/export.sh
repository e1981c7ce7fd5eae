#!/usr/bin/env bash
# Builds the components that export the library to other languages: target/components/wasi-streams.wasm, and wasi-streams-plain.wasm
# without TLS; and wasi-streams-driver.wasm, which accepts for applications that are handed their connections. They are made for size:
# whoever composes carries them along.
set -euo pipefail
cd "$(dirname "$0")/.."
components=target/components
mkdir -p "$components"

build() { # build NAME PACKAGE FILE [FEATURE-OPTIONS]
    local name=$1 package=$2 built=target/export/wasm32-wasip2/component/$3.wasm
    shift 3
    CARGO_PROFILE_COMPONENT_OPT_LEVEL=s CARGO_TARGET_DIR=target/export \
        cargo build --locked -p "$package" --target wasm32-wasip2 --profile component "$@"
    # An unchanged component is left alone, so that what is cached by its time stays valid.
    cmp -s "$built" "$components/$name.wasm" || cp "$built" "$components/$name.wasm"
}

echo '==> components: wasi-streams.wasm, the library for other languages'
build wasi-streams wasi-streams-component wasi_streams_component
echo '==> components: wasi-streams-plain.wasm, without TLS'
build wasi-streams-plain wasi-streams-component wasi_streams_component --no-default-features
echo '==> components: wasi-streams-driver.wasm, which accepts for others'
build wasi-streams-driver wasi-streams-driver wasi-streams-driver
