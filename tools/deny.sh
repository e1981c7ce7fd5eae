#!/usr/bin/env bash
# Checks the dependencies against deny.toml where cargo-deny is installed. Advisories are left out: their database needs a network,
# and a new one must not fail an old commit. `cargo deny check advisories` asks for them.
set -euo pipefail
cd "$(dirname "$0")/.."

if command -v cargo-deny >/dev/null; then
    cargo deny --locked check bans licenses sources
else
    echo '==> lint: skipped, cargo-deny is not installed (cargo install --locked cargo-deny)'
fi
