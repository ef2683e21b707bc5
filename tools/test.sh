#!/bin/sh
# All tests, in two parts: most share the processors, those marked "alone" measure time or memory and have the machine
# to themselves. Usage: tools/test.sh PYTHON [arguments of pytest]
set -u
python=$1
shift

none_selected=5
"$python" -m pytest -n auto --dist worksteal -m 'not alone' "$@"
first=$?
case $first in 0 | $none_selected) ;; *) exit $first ;; esac
"$python" -m pytest -m alone "$@"
second=$?
case $second in 0) exit 0 ;; $none_selected) exit $first ;; *) exit $second ;; esac
