#!/usr/bin/env bash
# Proves that a program without TLS builds where there is no C compiler: no clang, no zig, no gcc, only a `cc` that links, which Rust
# needs for build scripts. A program with TLS must fail in the same place, or the proof would be worth nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$PWD/target/plain
refusal='plain: a C compiler was asked for'

fail() {
    echo "plain: $1" >&2
    exit 1
}

# 1. The dependency graph, where a tool for C code that its build script does not use yet shows as well.
c_tools() { # c_tools [FEATURE-OPTIONS]: the crates that compile or bind C code; none is no error
    cargo tree --locked -p wasi-streams --edges normal,build --target wasm32-wasip2 --prefix none --format '{p}' "$@" |
        sed 's/ .*//' | { grep -xE 'cc|ring|cmake|bindgen|pkg-config|.*-sys' || true; } | sort -u
}
found=$(c_tools)
[ -z "$found" ] || fail "without features the library depends on $(tr '\n' ' ' <<<"$found")"
[ "$(c_tools --features tls-ring | tr '\n' ' ')" = 'cc ring ' ] || fail 'the look at the dependency graph sees no cc and ring in TLS'

# 2. A user's program, in a place without a C compiler, from nothing.
rm -rf "$folder"
mkdir -p "$folder/bin" "$folder/program/src"
cat >"$folder/bin/cc" <<END
#!$BASH
for argument in "\$@"; do
    case \$argument in
    -c | -E | -S | -x* | *.c | *.cc | *.cpp | *.s | *.S)
        echo '$refusal:' cc "\$@" >&2
        exit 1
        ;;
    esac
done
PATH=$(printf %q "$PATH") exec $(printf %q "$(command -v cc)") "\$@"
END
cat >"$folder/bin/no-compiler" <<END
#!$BASH
echo '$refusal:' "\$@" >&2
exit 1
END
chmod +x "$folder"/bin/*
[[ $("$folder/bin/cc" -c a.c 2>&1) == "$refusal"* ]] || fail 'its cc compiles'

cat >"$folder/program/Cargo.toml" <<'END'
[package]
name = "plain"
edition = "2024"

[features]
tls = ["wasi-streams/tls-ring"]

[dependencies]
wasi-streams = { path = "../../../guest" }

[workspace]
END
cat >"$folder/program/src/main.rs" <<'END'
use wasi_streams::{Result, open_connection, run};

fn main() -> Result<()> {
    run(async {
        let (mut reader, writer) = open_connection("localhost", 80).await?;
        writer.write(reader.readline().await?)?;
        writer.drain().await
    })
}
END
cp Cargo.lock "$folder/program/" # the same versions
cargo fetch --quiet --locked

toolchain=$(rustc --print sysroot)/bin
build() { # build [FEATURE-OPTIONS]
    (cd "$folder/program" && env -i PATH="$folder/bin:$toolchain" CC_wasm32_wasip2="$folder/bin/no-compiler" HOME="$HOME" \
        CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" CARGO_TARGET_DIR="$folder/build" cargo build --offline --target wasm32-wasip2 "$@")
}

for compiler in clang gcc zig; do
    [ ! -e "$toolchain/$compiler" ] || fail "there is a $compiler in $toolchain, so that a build there proves nothing"
done
build --quiet
[ -s "$folder/build/wasm32-wasip2/debug/plain.wasm" ] || fail 'the build succeeded and there is no program'

# 3. The same place must stop what does need one.
if build --features tls >"$folder/tls.log" 2>&1; then
    fail 'a program with TLS by ring was built as well: this place does have a C compiler'
fi
grep -qF "$refusal" "$folder/tls.log" || fail "a program with TLS by ring failed for another reason: $(tail -20 "$folder/tls.log")"
echo '==> plain: built without a C compiler; with TLS it asks for one'
