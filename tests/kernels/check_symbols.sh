#!/bin/sh
# check_symbols.sh NM "OBJECT;OBJECT...": fails where an object defines weak or unique symbols or a static initialiser.
set -eu
nm=$1
objects=$(printf '%s' "$2" | tr ';' ' ')
[ -n "$objects" ] || { echo "no object files given"; exit 1; }
# shellcheck disable=SC2086  # one word an object
found=$("$nm" $objects | grep -E ' [WVu] |_GLOBAL__sub_I' || true)
[ -z "$found" ] || { echo "shared or start-up code:"; echo "$found"; exit 1; }
