#!/usr/bin/env bash
# The kqueue half of the reactor, on Linux: over the kqueue of tests/platforms/kqueue, which is made of epoll.
#
#   tests/platforms/kqueue.sh                    the tests of the runtime
#   tests/platforms/kqueue.sh tests/runtime -x   what pytest is told
#
# It works in a copy of the tree, with the packages of PYTHON (.venv/bin/python, else python3), which needs the extra `test`
# and Cython.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z | tar cf - --null -T - | tar xf - -C "$copy"
cd "$copy"
if [ -z "${PYTHON:-}" ] && [ -x "$root/.venv/bin/python" ]; then
    ln -s "$root/.venv" .venv
    PYTHON=$copy/.venv/bin/python
fi
PYTHON=${PYTHON:-$(command -v python3)}
CFLAGS="${CFLAGS:--O0}" HYPERCORN_KQUEUE=1 HYPERCORN_REQUIRE_EXTENSIONS=1 "$PYTHON" setup.py -q build_ext --inplace
[ $# -gt 0 ] || set -- -n 4 --dist loadfile tests/runtime
export PYTHONPATH=$copy/src
"$PYTHON" -c 'from hypercorn.runtime.reactor import POLLER; assert POLLER == "kqueue", POLLER'
"$PYTHON" -m pytest -p no:cacheprovider "$@"
