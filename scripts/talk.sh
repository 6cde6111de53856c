#!/usr/bin/env bash
# Plays a chapter's conversation through netcat, at a pace that you can read.
#
#   scripts/talk.sh [STAGE]     STAGE is 1 to 12, or the last one if it isn't given
#
# It starts the stage's server on a free port, and stops it afterwards. The conversation is the one in the module
# documentation in src/stages/. The client's lines go through a plain `nc HOST PORT`, with whichever netcat is
# installed. The server's lines are shown as they arrive.
set -euo pipefail
unset CDPATH
cd "$(dirname "$0")/.."

pace=${PACE:-0.4} # seconds between two lines

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

sources=(src/stages/stage[0-9][0-9]_*.rs)
stage=${1:-${#sources[@]}}
if ! [[ $stage =~ ^[1-9][0-9]?$ ]] || [ "$stage" -gt "${#sources[@]}" ]; then
    fail "usage: scripts/talk.sh [STAGE], with a stage from 1 to ${#sources[@]}"
fi

netcat=
for candidate in nc ncat netcat; do
    if command -v "$candidate" >/dev/null; then
        netcat=$candidate
        break
    fi
done
[ -n "$netcat" ] || fail "netcat is missing. To install it: apt install netcat-openbsd, brew install netcat, or dnf install nmap-ncat"

printf 'building ...\n'
cargo build --quiet
directory=$(mktemp -d)
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    exec 3>&- || true
    jobs -p | xargs -r kill 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$directory"
}
trap clean_up EXIT

: >"$directory/server"
# The conversation may need flags, such as --domain. The server stores its mail in the temporary folder.
read -r -a flags <<<"$(sed -n 's/^\/\/! ```smtp//p' "${sources[stage - 1]}")"
manifest=$PWD/Cargo.toml
(cd "$directory" && exec cargo run --quiet --manifest-path "$manifest" -- \
    --stage "$stage" --listen 127.0.0.1:0 --quiet "${flags[@]}") >"$directory/server" &
until grep -q listening "$directory/server"; do
    kill -0 $! 2>/dev/null || fail "the server didn't start"
    sleep 0.05
done
port=$(sed -n 's/^listening on .*://p' "$directory/server")

title=$(sed -n '1s/^\/\/! //p' "${sources[stage - 1]}")
printf '%s\n$ cargo run -- --stage %s\n$ %s 127.0.0.1 %s\n\n' "$title" "$stage${flags[*]:+ ${flags[*]}}" "$netcat" "$port"

mkfifo "$directory/says"
"$netcat" 127.0.0.1 "$port" <"$directory/says" | sed -u 's/\r$//; s/^/S: /' &
exec 3>"$directory/says"
sleep "$pace" # the server speaks first

# shellcheck disable=SC2016 # the backquotes are a Markdown fence
sed -n '/^\/\/! ```smtp/,/^\/\/! ```$/s/^\/\/! C: \{0,1\}//p' "${sources[stage - 1]}" |
    while IFS= read -r line; do
        printf 'C: %s\n' "$line"
        printf '%s\n' "$line" >&3
        sleep "$pace"
    done
if grep -q '^//! C: QUIT' "${sources[stage - 1]}"; then
    printf '{the server closes the connection}\n'
else
    printf '{the client closes the connection}\n'
fi
