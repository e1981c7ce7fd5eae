# What tools/setup.sh and tools/compose-setup.sh have in common; both source it, in the root of the repository.
# shellcheck shell=bash disable=SC2034
python=${PYTHON:-python3}
# What no package manager of the system manages goes here, nothing into the user's Python.
tools=target/tools
ZIGLANG=ziglang==0.17.1

missing=0
miss() { # miss WHAT AND WHAT TO DO
    echo "$(basename "$0" .sh): $1" >&2
    missing=1
}
has() {
    command -v "$1" >/dev/null
}
need() { # need COMMAND HINT
    has "$1" || miss "$1 is missing: $2"
}

pip_install() { # pip_install FOLDER REQUIREMENT…
    local folder=$tools/$1
    shift
    echo "==> $(basename "$0" .sh): installing $1 by pip, to $folder"
    rm -rf "$folder"
    PIP_ROOT_USER_ACTION=ignore "$python" -m pip --disable-pip-version-check install --quiet --target "$folder" "$@"
}
apt_install() { # apt_install PACKAGE…, where this is root and has apt-get; a step that fails shows in what is still missing
    if [ "$(id -u)" = 0 ] && has apt-get && [ $# != 0 ]; then
        echo "==> $(basename "$0" .sh): installing $* by apt-get"
        DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$@" >/dev/null || true
    fi
}
