#!/usr/bin/env bash
# Usage: collect-components.sh [--all] PACKAGE…
# Copies the components that cargo built of these packages to target/components/NAME.wasm. If that is --all of them, those of programs
# that no longer exist are taken away. An unchanged component is left alone, so that what is cached by its time stays valid.
set -euo pipefail
cd "$(dirname "$0")/.."
built=${CARGO_TARGET_DIR:-target}/wasm32-wasip2/component
components=target/components

all=
[ "$1" != --all ] || { all=1 && shift; }
mkdir -p "$components"
names=$("${PYTHON:-python3}" tools/bins.py "$@")
for name in $names; do
    cmp -s "$built/$name.wasm" "$components/$name.wasm" || cp "$built/$name.wasm" "$components/$name.wasm"
done
for file in ${all:+"$components"/*.wasm}; do
    name=$(basename "$file" .wasm)
    case $name in wasi-streams | wasi-streams-plain | wasi-streams-driver) continue ;; esac # tools/export.sh makes them
    grep -qxF "$name" <<<"$names" || rm -f "$file"
done
echo "==> components: $(wc -w <<<"$names") in $components"
