#!/usr/bin/env bash
# The compiled build on another processor, emulated. By root on Linux, with mmdebstrap, qemu-user-static and binfmt-support,
# and the compiler gcc-aarch64-linux-gnu or gcc-s390x-linux-gnu.
#
#   tests/platforms/cross.sh arm64            wire tests and a smoke of serving
#   tests/platforms/cross.sh s390x            ... with the bytes of a word in the other order
#   tests/platforms/cross.sh s390x tests/wire -x    what pytest is told
#
# The tests alone are emulated. Debian's packages are unpacked and not installed, so that no script of theirs runs; the core
# is compiled here, by the headers and the settings of the other processor's Python.
#
# CHROOTS names a folder where the systems are kept for the next time, PYTHON an interpreter with Cython and setuptools.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
what=${1:?which: arm64 or s390x}
shift
case "$what" in
    arm64) machine=aarch64 ;;
    s390x) machine=s390x ;;
    *) echo "neither arm64 nor s390x: $what" >&2; exit 2 ;;
esac
python=$(command -v "${PYTHON:-python3}")
chroots=${CHROOTS:-$(mktemp -d)}
copy=
clean() {
    [ -z "$copy" ] || rm -rf "$copy"
    [ -n "${CHROOTS:-}" ] || rm -rf "$chroots"
}
trap clean EXIT
# Not the name that chroot.sh gives to systems whose packages are installed.
system=$chroots/$what-unpacked
if [ ! -e "$system/made" ]; then
    packages=base-files,base-passwd,bash,dash,coreutils,procps,openssl,netbase,python3-full,libpython3-dev
    for name in aioquic brotli cryptography h11 h2 hpack httptools httpx hypothesis pytest pytest-benchmark setproctitle \
        setuptools trio trustme uvloop websockets wsproto; do packages=$packages,python3-$name; done
    # The archive's list of today may be as old as the mirror.
    mmdebstrap --variant=extract --arch="$what" --aptopt='Acquire::Check-Valid-Until "false"' --include="$packages" \
        sid "$system"
    touch "$system/made"
fi
copy=$(mktemp -d "$chroots/tree.XXXXXX")
git ls-files -z | tar cf - --null -T - | tar xf - -C "$copy"
cd "$copy"
settings=("$system"/usr/lib/python3.*/_sysconfigdata__"$machine"-linux-gnu.py)
headers=("$system"/usr/include/python3.*)
mkdir settings
cp "${settings[0]}" settings/
PYTHONPATH=$copy/settings _PYTHON_SYSCONFIGDATA_NAME=_sysconfigdata__$machine-linux-gnu \
    _PYTHON_HOST_PLATFORM=linux-$machine HYPERCORN_REQUIRE_EXTENSIONS=1 \
    CFLAGS="${CFLAGS:--O1} -I${headers[0]} -idirafter $system/usr/include" \
    "$python" setup.py -q build_ext --inplace egg_info # the latter for the entry points
[ $# -gt 0 ] || set -- tests/wire tests/runtime/test_serve.py tests/runtime/test_reactor.py -k "not pure"
export PYTHONPATH=$copy/src
# A processor that signs no return addresses: to emulate that takes five times as long as all the rest.
[ "$what" = s390x ] || export QEMU_CPU=cortex-a72
"$root/.ci/chroot" run "$system" bash -euo pipefail -c '
    python3 -c "
import hypercorn, platform, sys, sysconfig
# The kernel names its own processor: what the interpreter was compiled for tells more.
print(platform.python_version(), sysconfig.get_config_var(\"MULTIARCH\"), f\"{sys.byteorder}-endian:\", hypercorn.build())"
    python3 tests/packaging/smoke.py compiled
    python3 -m pytest -p no:cacheprovider "$@"' bash "$@"
