#!/bin/sh
# What is compiled, the relay's twin above all, under AddressSanitizer and UndefinedBehaviorSanitizer: its tests, with much random traffic.
# Usage: tools/sanitize.sh PYTHON   (gcc and Python's headers are needed)
set -eu
cd "$(dirname "$0")/.."
python=$1
made=build/sanitized
include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')

rm -rf "$made"
mkdir -p "$made"
cp -R src/penstock "$made/penstock"
find "$made" -name '_*.so' -delete
for each in net/relay/_twin net/_calls http/_tokens shared/_alike; do
    gcc -shared -fPIC -O1 -g -fno-omit-frame-pointer -Wall -Wextra -Wno-unused-parameter \
        -fsanitize=address,undefined -fno-sanitize-recover=undefined -I"$include" \
        "src/penstock/$each.c" -o "$made/penstock/$each.abi3.so"
done

# Leaks are not looked for: the interpreter leaves much behind on purpose.
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 LD_PRELOAD="$(gcc -print-file-name=libasan.so)"
export PYTHONPATH="$PWD/$made" PYTHONMALLOC=malloc PENSTOCK_RELAY=c TWIN_ROUNDS="${TWIN_ROUNDS:-4000}"
"$python" -c 'from penstock.net.relay import _twin; print(_twin.__file__)'
"$python" -m pytest -q -p no:cacheprovider tests/unit/net/relay/test_compiled.py tests/unit/net/test_twin_random.py tests/unit/server/websocket/test_watching.py \
    tests/unit/http/test_fields.py tests/unit/http/test_tokens.py tests/unit/http/test_head.py tests/unit/http/test_response.py tests/unit/net/test_calls.py tests/unit/shared/test_alike.py tests/unit/net/test_stream.py tests/unit/net/relay/test_relay.py tests/unit/net/relay/test_side.py -k 'not program_says'
