#!/usr/bin/env bash
# Makes a folder for you to type the book's server in.
#
#   scripts/new.sh DIR
#
# DIR is a new folder (or an empty one) outside of this clone. It gets the few files that the book doesn't print, and its own
# git. Nothing that is there is ever changed.
set -euo pipefail
unset CDPATH

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

clone=$(cd "$(dirname "$0")/.." && pwd -P)
given=$clone/scripts/new
if [ "$#" -ne 1 ] || [ -z "$1" ]; then
    fail "usage: scripts/new.sh DIR, with a new folder outside of this clone, such as ../my-server"
fi
case $1 in
    /*) dir=$1 ;;
    *) dir=$PWD/$1 ;;
esac

# The nearest folder that exists says where DIR will be, whatever links are on the way.
there=$dir
while [ ! -d "$there" ]; do
    if [ -e "$there" ] || [ -L "$there" ]; then
        fail "$there is not a folder; nothing was changed"
    fi
    there=$(dirname "$there")
done
case ${dir#"$there"}/ in
    */../*) fail "$1 goes through a folder that doesn't exist; nothing was changed" ;;
esac
case $(cd "$there" && pwd -P)/ in
    "$clone"/*) fail "$1 is within the clone; choose a folder beside it, such as $(dirname "$clone")/my-server" ;;
esac
if [ -d "$dir" ] && [ -n "$(ls -A "$dir")" ]; then
    fail "$1 is not empty; nothing was changed (choose another name, or go on in the folder that you have)"
fi

mkdir -p "$dir"
dir=$(cd "$dir" && pwd -P)
cp -R "$given/." "$dir"
for file in main machine terminal; do # no chapter changes these
    cp "$clone/src/$file.rs" "$dir/src"
done

if command -v git >/dev/null; then
    (
        cd "$dir"
        # In a hook of git, these would lead to the repository of the hook.
        # shellcheck disable=SC2046 # a name for each word
        unset $(git rev-parse --local-env-vars)
        git init --quiet
        git add .
        git -c user.name=reader -c user.email=reader@example.org -c commit.gpgsign=false \
            commit --quiet --no-verify --message 'The given files'
    )
else
    printf 'git is not installed, so there is no history to go back to\n'
fi

printf 'made:                          %s\n' "$dir"
printf 'go there:                      cd %q\n' "$dir"
printf 'open, and type as it says:     %s\n' "$clone/docs/01-echo.md"
printf 'once chapter 1 is typed:       cargo run\n'
printf 'how far are you? while it runs, in another terminal:\n'
printf '                               %q 127.0.0.1:2525\n' "$clone/scripts/check.sh"
if command -v git >/dev/null; then
    printf "after each chapter:            git add -A && git commit -m 'Chapter 1'\n"
fi
