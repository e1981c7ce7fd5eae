#!/usr/bin/env bash
# Checks what building and testing needs, installs what the ordinary clients can install, and says what is left to do by hand.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/setup-lib.sh
. tools/setup-lib.sh
CARGO_DENY=0.20.2 # the version that deny.toml was written for
AIOSMTPD=(aiosmtpd==1.4.6 atpublic==9.0.0 attrs==26.1.0)

# What the rest of this script runs.
need cargo 'install Rust with rustup, https://rustup.rs'
need rustup 'install Rust with rustup, https://rustup.rs; or make sure that your toolchain has the target wasm32-wasip2'
need cc 'install a C compiler, for linking (Debian and Ubuntu: apt install gcc)'
need "$python" 'install Python 3.11 or newer'
[ "$missing" = 0 ] || exit 1

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    miss "$python is older than Python 3.11, which the tools and the tests against asyncio need; set PYTHON=… to a newer one"
    exit 1
fi

# Each check runs the thing: being on PATH says little.
compiles_wasm() { # compiles_wasm COMPILER…: whether it makes C code for components
    "$@" --target=wasm32-wasip2 -x c -c /dev/null -o "$tools/empty.o" >/dev/null 2>&1
}
has_wasm_cc() {
    if [ -n "${CC_wasm32_wasip2:-}" ]; then
        # It may have arguments.
        # shellcheck disable=SC2086
        compiles_wasm $CC_wasm32_wasip2
    else
        compiles_wasm tools/wasm-cc
    fi
}
has_openssl() { # not LibreSSL, which macOS has by that name
    [[ $(openssl version 2>/dev/null) == 'OpenSSL '* ]]
}
has_nginx() { # at target/tools/bin/nginx, where the tests look for it
    local nginx
    for nginx in "$(command -v nginx)" /usr/sbin/nginx "$tools/nginx/usr/sbin/nginx"; do
        if "$nginx" -v 2>/dev/null; then
            ln -sf "$(realpath "$nginx")" "$tools/bin/nginx"
            return
        fi
    done
    return 1
}
has_aiosmtpd() { # for the Python that the tests run, see host-tests/src/peer/python.rs
    local peer check='import sys, aiosmtpd.controller; sys.exit(aiosmtpd.__version__ != sys.argv[1])'
    for peer in python3.13 python3.12 python3; do
        if "$peer" -c '' 2>/dev/null; then
            PYTHONPATH=$tools/python "$peer" -c "$check" "${AIOSMTPD[0]#*==}" 2>/dev/null
            return
        fi
    done
    return 1
}

install_missing() { # by apt-get where this is root, by pip otherwise; a step that fails is reported by report_missing
    local packages=()
    # A compiler that the user chose is the user's to repair.
    [ -n "${CC_wasm32_wasip2:-}" ] || has_wasm_cc || packages+=(clang)
    has_openssl || packages+=(openssl)
    has curl || packages+=(curl)
    has socat || packages+=(socat)
    has_aiosmtpd || "$python" -m pip --version >/dev/null 2>&1 || packages+=(python3-pip)

    if [ "$(id -u)" = 0 ] && has apt-get && { [ ${#packages[@]} != 0 ] || ! has_nginx; }; then
        echo '==> setup: updating the lists of packages'
        apt-get -qq update || true # one source of several may be down
        apt_install "${packages[@]}"
    fi

    # Installing it would start a web server, now and at every boot; its program is all that is wanted.
    if ! has_nginx && has apt-get && has dpkg-deb; then
        echo "==> setup: unpacking the package nginx to $tools/nginx"
        rm -rf "$tools/nginx"
        mkdir "$tools/nginx"
        if (cd "$tools/nginx" && apt-get -qq -o APT::Sandbox::User=root download nginx); then
            dpkg-deb -x "$tools"/nginx/nginx_*.deb "$tools/nginx" || true
        fi
    fi

    [ -n "${CC_wasm32_wasip2:-}" ] || has_wasm_cc || pip_install ziglang "$ZIGLANG" || true
    has_aiosmtpd || pip_install python "${AIOSMTPD[@]}" || true
}

report_missing() {
    if ! has_wasm_cc; then
        if [ -n "${CC_wasm32_wasip2:-}" ]; then
            miss "CC_wasm32_wasip2=$CC_wasm32_wasip2 does not compile for wasm32-wasip2: name a clang that does, or unset it"
        else
            miss "$(tools/wasm-cc --version 2>&1)"
        fi
    fi
    has_openssl || miss 'openssl is missing, or is LibreSSL: apt install openssl; or brew install openssl, and put it on PATH'
    has curl || miss 'curl is missing: apt install curl'
    has socat || miss 'socat is missing: apt install socat; or brew install socat'
    has_nginx || miss 'nginx is missing: apt install nginx (which also starts it); or brew install nginx'
    has_aiosmtpd || miss "aiosmtpd is missing: $python -m pip install --target $tools/python ${AIOSMTPD[*]}"
}

all_there() {
    has_wasm_cc && has_openssl && has curl && has socat && has_nginx && has_aiosmtpd
}

mkdir -p "$tools/bin"
if ! all_there; then
    install_missing
    report_missing
    [ "$missing" = 0 ] || exit 1
fi
echo '==> setup: a C compiler for components, openssl, curl, socat, nginx and aiosmtpd are there'

# rust-toolchain.toml names the toolchain and its components; naming the target installs all of it.
echo '==> setup: the toolchain of rust-toolchain.toml with target wasm32-wasip2'
rustup target add wasm32-wasip2
rustup component add rustfmt clippy

echo '==> setup: dependencies'
cargo fetch --locked

if has cargo-deny; then
    echo '==> setup: cargo-deny is there'
else
    echo '==> setup: installing cargo-deny, once (some minutes)'
    # In a folder of its own: its dependencies are not ours.
    build=$(mktemp -d)
    if ! CARGO_TARGET_DIR="$build" cargo install --quiet --locked --version "$CARGO_DENY" cargo-deny; then
        echo 'setup: cargo-deny did not install; "make lint" goes on without its check' >&2
    fi
    rm -rf "$build"
fi
echo '==> setup: done'
