#!/usr/bin/env bash
# The suite over a compiled core that was built with the address and undefined-behaviour sanitizers.
#
#   tests/sanitize.sh                          the folders below
#   tests/sanitize.sh tests/wire -k chunked    what pytest is told
#
# It works in a copy of the tree (SANITIZED, kept when it is given), with the packages of PYTHON (.venv/bin/python, else
# python3), which needs the extra `test` and Cython. gcc alone: the libraries of clang's sanitizers are linked otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
if [ -z "${PYTHON:-}" ]; then
    [ -x .venv/bin/python ] && PYTHON=$root/.venv/bin/python || PYTHON=$(command -v python3)
fi
copy=${SANITIZED:-$(mktemp -d)}
[ -n "${SANITIZED:-}" ] || trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy"
git ls-files -z | tar cf - --null -T - | tar xf - -C "$copy" # keeps the times of the files: what did not change stays built
cd "$copy"
CC=gcc HYPERCORN_SANITIZE=1 HYPERCORN_REQUIRE_EXTENSIONS=1 "$PYTHON" setup.py -q build_ext --inplace

[ $# -gt 0 ] || set -- tests/wire tests/protocol tests/asgi tests/fuzz tests/compliance tests/runtime
# Processes that the tests start inherit all of this. PYTHONMALLOC shows every object to the sanitizer; what the
# interpreter itself leaks at its end is of no interest.
export PYTHONPATH=$copy/src PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1
export HYPERCORN_SANITIZED=1 # tests of time allow for it
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export HYPERCORN_FUZZ_SECONDS=${HYPERCORN_FUZZ_SECONDS:-6}
preloaded="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
# What measures resident memory would measure the sanitizer's; so does libFuzzer, whose targets have sanitizers of their own.
without=(--ignore tests/fuzz/test_libfuzzer.py)
for test in flow.py::test_large_{down,up}load_in_bounded_memory idle.py::test_memory_of_an_idle_{connection,websocket}; do
    without+=(--deselect "tests/runtime/test_$test")
done
# --capture=sys leaves the standard error to the sanitizers: a report would be lost with the process otherwise.
LD_PRELOAD=$preloaded "$PYTHON" -m pytest -p no:cacheprovider --capture=sys "${without[@]}" "$@"
