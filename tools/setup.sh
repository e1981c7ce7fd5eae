#!/usr/bin/env bash
# Checks what building and testing needs, installs what rustup can, and says what is left to do by hand.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
CARGO_DENY=0.20.2 # the version that deny.toml was written for

missing=0
need() { # need COMMAND HINT
    if command -v "$1" >/dev/null; then
        echo "==> setup: $1 is there"
    else
        echo "setup: $1 is missing: $2" >&2
        missing=1
    fi
}

need cargo 'install Rust with rustup, https://rustup.rs'
need rustup 'install Rust with rustup, https://rustup.rs; or make sure that your toolchain has the target wasm32-wasip2'
need cc 'install a C compiler, for linking (Debian and Ubuntu: apt install gcc)'
need "$python" 'install Python 3.11 or newer'
[ "$missing" = 0 ] || exit 1

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "setup: $python is older than Python 3.11, which the tools and the tests against asyncio need; set PYTHON=… to a newer one" >&2
    exit 1
fi

# rust-toolchain.toml names the toolchain and its components; naming the target installs all of it.
echo '==> setup: the toolchain of rust-toolchain.toml with target wasm32-wasip2'
rustup target add wasm32-wasip2
rustup component add rustfmt clippy

echo '==> setup: dependencies'
cargo fetch --locked

if command -v cargo-deny >/dev/null; then
    echo '==> setup: cargo-deny is there'
else
    echo '==> setup: installing cargo-deny, once (some minutes)'
    # In a folder of its own: its dependencies are not ours.
    build=$(mktemp -d)
    if ! CARGO_TARGET_DIR="$build" cargo install --quiet --locked --version "$CARGO_DENY" cargo-deny; then
        echo 'setup: cargo-deny did not install; `make lint` goes on without its check' >&2
    fi
    rm -rf "$build"
fi
echo '==> setup: done'
