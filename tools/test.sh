#!/bin/sh
# All tests, in two parts: most share the processors, those marked "alone" measure time or memory and have the machine
# to themselves. Usage: tools/test.sh PYTHON [arguments of pytest]
#
# With PENSTOCK_TESTS_AGAIN=N in the environment, up to N tests of a part that failed are run once more by themselves,
# as CPython's own suite does with --rerun: on a busy machine one of thousands may have waited too long. The first
# failure stays in what is printed, for a test that needs a second try is a mistake of the test or of the product.
set -u
python=$1
shift

failed=1
none_selected=5

count_failed() {
    "$python" -c 'import json; print(len(json.load(open(".pytest_cache/v/cache/lastfailed"))))'
}

part() {
    "$python" -m pytest "$@"
    result=$?
    [ $result -eq $failed ] && [ "${PENSTOCK_TESTS_AGAIN:-0}" -gt 0 ] || return $result
    count=$(count_failed) && [ "$count" -gt 0 ] && [ "$count" -le "$PENSTOCK_TESTS_AGAIN" ] || return $result
    echo "== $count failed, and will be run once more, one after another"
    "$python" -m pytest "$@" -n 0 --last-failed --last-failed-no-failures none || return $result
    echo "== passed at the second try; the failure above is still worth an issue"
}

rm -f .pytest_cache/v/cache/lastfailed
part -n auto --dist worksteal -m 'not alone' "$@"
first=$?
case $first in 0 | $none_selected) ;; *) exit $first ;; esac
part -n 0 -m alone "$@"
second=$?
case $second in 0) exit 0 ;; $none_selected) exit $first ;; *) exit $second ;; esac
