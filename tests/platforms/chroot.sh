#!/usr/bin/env bash
# The tests on another processor or interpreter, in a chroot of Debian sid. By root, with debootstrap; arm64 and s390x are
# emulated, for which cross.sh names what it needs.
#
#   tests/platforms/chroot.sh i386            the whole suite on the compiled build, in 32 bits
#   tests/platforms/chroot.sh arm64           wire tests and a smoke of serving on the compiled build: cross.sh arm64
#   tests/platforms/chroot.sh s390x           ... with the bytes of a word in the other order: cross.sh s390x
#   tests/platforms/chroot.sh pypy            the quick loop on the pure build
#   tests/platforms/chroot.sh i386 tests/wire -x    what pytest is told
#
# CHROOTS names a folder where the systems are kept for the next time. The libraries that the tests want are taken from
# Debian and as wheels; a test that misses one says so. The C files' fuzz corpora run in tests/platforms/test_replay.py.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
what=${1:?which: i386, arm64, s390x or pypy}
case "$what" in arm64 | s390x) exec tests/platforms/cross.sh "$@" ;; esac
shift
chroots=${CHROOTS:-$(mktemp -d)}
copy=
clean() {
    [ -z "$copy" ] || rm -rf "$copy"
    [ -n "${CHROOTS:-}" ] || rm -rf "$chroots"
}
trap clean EXIT
system=$chroots/$what
python=python3
architecture=$what
packages="gcc libc6-dev git openssl procps curl wrk nghttp2-client nginx-light haproxy"
compiled="cryptography uvloop httptools brotli zstandard pydantic-core msgspec greenlet aiohttp grpcio websockets watchfiles
markupsafe yaml cffi sqlalchemy wrapt pylsqpack aioquic rpds-py orjson"
if [ "$what" = pypy ]; then
    architecture=$(dpkg --print-architecture)
    python=pypy3
    packages="$packages pypy3 pypy3-dev pypy3-venv"
    export HYPERCORN_NO_EXTENSIONS=1
    [ $# -gt 0 ] || set -- -m "not live and not slow"
else
    packages="$packages python3-dev python3-venv"
    for name in $compiled; do packages="$packages python3-$name"; done
    export HYPERCORN_REQUIRE_EXTENSIONS=1
fi
if [ ! -e "$system/made" ]; then
    # shellcheck disable=SC2086
    .ci/chroot make "$system" sid "$architecture" $packages
    touch "$system/made"
fi
copy=$(mktemp -d "$chroots/tree.XXXXXX")
git ls-files -z | tar cf - --null -T - | tar xf - -C "$copy"
cd "$copy"
export CFLAGS=${CFLAGS:--O0}
"$root/.ci/chroot" run "$system" bash -euo pipefail -c '
    python=$1
    shift
    "$python" -m venv --system-site-packages .venv
    .venv/bin/python -m pip install -q --only-binary=:all: "Cython>=3.1" "setuptools>=77" pytest pytest-xdist hypothesis
    .venv/bin/python -m pip install -q --no-build-isolation .
    "$python" -c "
import tomllib
extras = tomllib.load(open(\"pyproject.toml\", \"rb\"))[\"project\"][\"optional-dependencies\"]
print(*(one for name in (\"testing\", \"test\") for one in extras[name] if not one.startswith(\"hypercorn[\")), sep=\"\n\")
" | while read -r wanted; do # a wheel, or not at all: some would take hours to compile
        .venv/bin/python -m pip install -q --only-binary=:all: "$wanted" >>pip.log 2>&1 || echo "not to be had: $wanted"
    done
    .venv/bin/python -c "
import hypercorn, platform as p, sys, sysconfig
# The kernel names its own processor: what the interpreter was compiled for tells more.
print(p.python_implementation(), p.python_version(), sysconfig.get_config_var(\"MULTIARCH\") or p.machine(),
      f\"{sys.maxsize.bit_length() + 1} bits, {sys.byteorder}-endian:\", hypercorn.build())"
    .venv/bin/python -m pytest -n 2 --dist loadfile --continue-on-collection-errors "$@"
' bash "$python" "$@"
