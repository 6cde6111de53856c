#!/usr/bin/env bash
# Measures the server beside others, and prints tables in Markdown. It takes less than three minutes.
#
#   scripts/bench.sh
#
# The tables are written to target/numbers.md, too. docs/appendix-f-the-numbers.md says how everything is measured and
# what it means.
#
# smtp-source and smtp-sink, which are parts of Postfix, must be there. The other servers are measured if they're
# installed, Postfix itself if root runs this. Mail goes to a temporary folder in TMPDIR or /var/tmp.
set -uo pipefail
unset CDPATH
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
cd "$(dirname "$0")/.." || exit 1

for needed in "smtp-source:apt install postfix" "python3:apt install python3" "cargo:https://rustup.rs"; do
    command -v "${needed%%:*}" >/dev/null && continue
    printf 'skipped: %s is missing; to install it: %s\n' "${needed%%:*}" "${needed#*:}"
    exit 0
done
if [ ! -r /proc/self/stat ]; then
    echo 'skipped: this needs Linux, because memory and processor time are read from /proc'
    exit 0
fi

folder=${CARGO_TARGET_DIR:-target}/bench
mkdir -p "$folder"
rustc --edition 2024 -O -o "$folder/load" scripts/bench/load.rs || exit 1
if command -v cc >/dev/null; then
    cc -O2 -pthread -o "$folder/peer" scripts/bench/peer.c || exit 1
fi
exec python3 scripts/bench/bench.py "$folder" "${CARGO_TARGET_DIR:-target}/numbers.md"
