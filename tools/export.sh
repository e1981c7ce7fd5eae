#!/usr/bin/env bash
# Usage: export.sh [NAME…]
# Builds the components that export the library to other languages, all or these: target/components/wasi-streams.wasm, and
# wasi-streams-plain.wasm without TLS; and wasi-streams-driver.wasm, which accepts for applications that are handed their connections.
# They are made for size: whoever composes carries them along. After `make compose-setup` wasm-opt makes them a sixth smaller still, and
# they must keep within their budget.
set -euo pipefail
wanted_names=" $* "
cd "$(dirname "$0")/.."
components=target/components
export=target/export
tools=target/tools
mkdir -p "$components" "$export"
# Panic messages name files: not where they are on this machine.
export RUSTFLAGS="${RUSTFLAGS-} --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=crates --remap-path-prefix=$PWD="

# Whether wasm-opt is there, which jco brings.
can_shrink() {
    [ -x "$tools/bin/jco" ] && [ -x "$tools/bin/wasi-streams-compose" ] && [ -d "$tools/npm/node_modules/binaryen" ]
}

shrink() { # shrink FROM TO OPTIMISATIONS
    local passes
    read -ra passes <<<"$3"
    PATH="$PWD/$tools/bin:$PATH" jco opt -q "$1" -o "$2.opt" -- "${passes[@]}" --reorder-functions --low-memory-unused --strip-debug \
        --enable-bulk-memory --enable-nontrapping-float-to-int --enable-sign-ext --enable-mutable-globals \
        --enable-multivalue --enable-reference-types
    "$tools/bin/wasi-streams-compose" strip "$2.opt" -o "$2"
    rm "$2.opt"
}

# Flat code first makes the small ones smaller by one in a hundred and fifty. Not the one with TLS, where speed counts too.
fast='-Oz --converge'
small='-Oz --flatten --rereloop -Oz -Oz'

build() { # build NAME PACKAGE FILE OPT-LEVEL OPTIMISATIONS BUDGET-IN-BYTES [FEATURE-OPTIONS]
    local name=$1 package=$2 built=$export/wasm32-wasip2/component/$3.wasm level=$4 passes=$5 budget=$6
    local component=$components/$name.wasm kept=$export/$name.wasm
    shift 6
    [[ $wanted_names =~ ^\ +$ || $wanted_names == *" $name "* ]] || return 0
    CARGO_PROFILE_COMPONENT_OPT_LEVEL=$level CARGO_TARGET_DIR=$export \
        cargo build --locked -p "$package" --target wasm32-wasip2 --profile component "$@"
    local wanted=as-built
    ! can_shrink || wanted="shrunk $passes"
    # An unchanged component is left alone: wasm-opt takes a while, and what is cached by its time stays valid.
    if ! cmp -s "$built" "$kept" || [ "$(cat "$kept.made" 2>/dev/null)" != "$wanted" ] || [ ! -e "$component" ]; then
        if [ "$wanted" != as-built ]; then
            echo "==> components: shrinking $name.wasm (ten seconds)"
            shrink "$built" "$component" "$passes"
        else
            cp "$built" "$component"
        fi
        cp "$built" "$kept"
        echo "$wanted" >"$kept.made"
    fi
    local size
    size=$(wc -c <"$component")
    if [ "$wanted" = as-built ]; then
        echo "==> components: $name.wasm has $size bytes; \`make compose-setup\` installs what makes it smaller"
    elif [ "$size" -gt "$budget" ]; then
        echo "export: $name.wasm has $size bytes, more than its budget of $budget: what was added, and does it have to be there?" >&2
        exit 1
    else
        echo "==> components: $name.wasm has $size bytes (budget: $budget)"
    fi
}

echo '==> components: those that others are composed with'
build wasi-streams wasi-streams-component wasi_streams_component s "$fast" 1200000
build wasi-streams-plain wasi-streams-component wasi_streams_component z "$small" 250000 --no-default-features
build wasi-streams-driver wasi-streams-driver wasi-streams-driver z "$small" 160000
