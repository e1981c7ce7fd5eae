#!/usr/bin/env bash
# Builds the components that export the library to other languages: target/components/wasi-streams.wasm, and wasi-streams-plain.wasm
# without TLS. They are made for size: whoever composes carries them along.
set -euo pipefail
cd "$(dirname "$0")/.."
components=target/components
mkdir -p "$components"

build() { # build NAME [FEATURE-OPTIONS]
    local name=$1
    shift
    CARGO_PROFILE_COMPONENT_OPT_LEVEL=s CARGO_TARGET_DIR=target/export \
        cargo build --locked -p wasi-streams-component --target wasm32-wasip2 --profile component "$@"
    local built=target/export/wasm32-wasip2/component/wasi_streams_component.wasm
    # An unchanged component is left alone, so that what is cached by its time stays valid.
    cmp -s "$built" "$components/$name.wasm" || cp "$built" "$components/$name.wasm"
}

echo '==> components: wasi-streams.wasm, the library for other languages'
build wasi-streams
echo '==> components: wasi-streams-plain.wasm, without TLS'
build wasi-streams-plain --no-default-features
