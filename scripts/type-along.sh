#!/usr/bin/env bash
# Makes room for you to type a chapter's code yourself.
#
#   scripts/type-along.sh STAGE     STAGE is 1 to 9
#
# It removes the code of this stage and of all later stages from src/stages/. The stage's own file keeps its module
# documentation and its unit tests: the code that the chapter prints goes between them. The earlier stages stay, as
# do the files that all stages use. `git restore src` brings everything back.
# shellcheck disable=SC2016 # the single quotes hold awk programs
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Only git can bring the removed code back. Without git, nothing is changed.
git ls-files --error-unmatch -- src/stages/mod.rs >/dev/null ||
    fail "this needs git and a clone (git clone, not an archive): only git can bring the removed code back"
changes=$(git status --porcelain -- src) || fail "git status failed"
[ -z "$changes" ] ||
    fail "src/ has changes. To drop them, after a copy of what you want to keep: git restore src"
sources=(src/stages/stage[0-9][0-9]_*.rs)
stage=${1:-}
if ! [[ $stage =~ ^[1-9][0-9]?$ ]] || [ "$stage" -gt "${#sources[@]}" ]; then
    fail "usage: scripts/type-along.sh STAGE, with a stage from 1 to ${#sources[@]}"
fi

# edit FILE AWK-PROGRAM: replaces the file by what the program makes of it
new=$(mktemp)
trap 'rm -f "$new"' EXIT
edit() {
    awk -v stage="$stage" "$2" "$1" >"$new"
    cat "$new" >"$1"
}

own=${sources[stage - 1]}
edit "$own" '
    /^\/\/!/ { print; next }
    /^#\[cfg\(test\)\]/ { in_tests = 1; print "\n\n" $0; next }
    in_tests { print }'
[ "$stage" -eq "${#sources[@]}" ] || rm -- "${sources[@]:stage}"

# The table keeps the earlier stages. An empty table would not compile, so stage 1 stays in it and hangs up.
edit src/stages/mod.rs '
    /^pub mod stage/ && substr($3, 6, 2) + 0 > stage { next }
    /^    Stage \{/ { entry = $0; next }
    entry != "" {
        entry = entry "\n" $0
        if ($1 == "number:") number = $2 + 0
        if ($0 == "    },") {
            if (number == 1 && stage == 1) sub(/stage01_echo::converse/, "|_| Ok(())", entry)
            if (number < stage || number == 1) print entry
            entry = ""
        }
        next
    }
    { print }'

printf 'type here:   %s\nthen look:   cargo run -- --stage %s\n' "$own" "$stage"
printf 'then test:   cargo test --lib %s\n' "$(basename "$own" .rs)"
printf '             cargo test --test %s (cargo test alone needs all stages)\n' "$(basename "$own" .rs)"
printf 'as we have it:        git show HEAD:%s\n' "$own"
printf 'all as it was:        git restore src (copy what you typed first, to keep it)\n'
