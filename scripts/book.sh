#!/usr/bin/env bash
# Builds the site of the book from docs/ with mdBook, without a network.
#
#   scripts/book.sh
#
# The site is written to target/book, as plain files that any browser opens. The chapters in docs/ stay as they are.
# mdBook reads a copy, target/book-src, in which
#   - a link to a file of the project, `../src/wire.rs#read_line`, leads to a page with its text;
#   - a file name after the language of a fence, ```rust src/wire.rs, is printed above the excerpt.
# The exit code is 1 if a link of this kind leads nowhere. The site is built all the same.
set -euo pipefail
cd "$(dirname "$0")/.."

copy=target/book-src

if ! command -v mdbook >/dev/null; then
    printf 'mdbook is missing. To install it, which takes some minutes: cargo install mdbook --locked\n' >&2
    exit 1
fi

# page PATH: makes a page for a file of the project, or for a folder and everything in it. mdBook turns any `.md` in
# a link into `.html`, so the page's name is without `.md`.
page() {
    local path=$1 html=$copy/code/${1%.md}.html slashes=${1//[!\/]/} entry
    [ ! -e "$html" ] || return 0
    mkdir -p "${html%/*}"
    printf '%s\n' >"$html" \
        '<!DOCTYPE html>' \
        '<html lang="en">' \
        '<meta charset="utf-8">' \
        '<meta name="viewport" content="width=device-width, initial-scale=1">' \
        "<title>$path - smtp-from-scratch</title>" \
        '<style>' \
        ':root { color-scheme: light dark; }' \
        'p { position: sticky; top: 0; margin: 0; padding: 0.5em 0; background: Canvas; }' \
        'body { margin: 0.5em 1em; line-height: 1.4; font-family: sans-serif; }' \
        'pre { overflow-x: auto; counter-reset: line; tab-size: 4; }' \
        'code { display: block; width: max-content; min-width: 100%; }' \
        'span { display: block; counter-increment: line; scroll-margin-top: 30vh; }' \
        'span::before { display: inline-block; width: 4ch; margin-right: 2ch; text-align: right; }' \
        'span::before { content: counter(line); opacity: 0.5; }' \
        'span:target { background: #8886; }' \
        '</style>' \
        "<p><a href=\"../${slashes//\//../}index.html\">smtp-from-scratch</a>: $path</p>"
    if [ -d "$path" ]; then
        printf '<ul>\n' >>"$html"
        for entry in "$path"/*; do
            page "$entry"
            entry=${entry#"$path"/}
            printf '<li><a href="%s.html">%s</a></li>\n' "${path##*/}/${entry%.md}" "$entry" >>"$html"
        done
        printf '</ul>\n' >>"$html"
        return
    fi
    # The first item of each name gets an `id`, and so do the headings of Markdown.
    awk -v markdown="${path##*.}" '
        BEGIN {
            item = "^ *(pub[^ ]* )?(const )?(fn|struct|enum|trait|const|static|type|mod) [A-Za-z0-9_]+"
            printf "<pre><code>"
        }
        {
            id = ""
            if (markdown == "md" && /^#+ /) {
                id = tolower($0)
                sub(/^#+ +/, "", id)
                gsub(/[^a-z0-9 _-]/, "", id)
                gsub(/ /, "-", id)
            } else if (match($0, item)) {
                id = substr($0, RSTART, RLENGTH)
                sub(/.* /, "", id)
            }
            gsub(/&/, "\\&amp;")
            gsub(/</, "\\&lt;")
            print "<span" (id == "" || seen[id]++ ? "" : " id=\"" id "\"") ">" $0
            printf "</span>"
        }
        END { print "</code></pre>" }
    ' "$path" >>"$html"
}

# chapters: writes the chapters into the copy, and prints their links to files of the project
chapters() {
    awk -v copy="$copy" '
        function linked(text, done, path) {
            while (match(text, /\]\(\.\.\/[^)#]+/)) {
                done = done substr(text, 1, RSTART + 1)
                path = substr(text, RSTART + 5, RLENGTH - 5)
                text = substr(text, RSTART + RLENGTH)
                sub(/\/$/, "", path)
                print path (match(text, /^#[^)]+/) ? substr(text, 1, RLENGTH) : "")
                sub(/\.md$/, "", path)
                done = done "code/" path ".html"
            }
            return done text
        }
        FNR == 1 {
            if (out != "") close(out)
            out = FILENAME
            sub(/^docs/, copy, out)
        }
        /^```/ { in_fence = !in_fence }
        /^```(rust|diff) / {
            print $2
            print "<p class=\"file\"><a href=\"code/" $2 ".html\">" $2 "</a></p>\n\n" $1 >out
            next
        }
        { print in_fence ? $0 : linked($0) >out }
    ' docs/*.md
}

rm -rf target/book "$copy"
mkdir -p target
cp -R docs "$copy"
links=$(chapters | sort -u)

broken=0
while IFS='#' read -r path fragment; do
    if [ ! -e "$path" ]; then
        printf 'docs/ has a link to %s, which does not exist\n' "$path" >&2
        broken=1
        continue
    fi
    page "$path"
    if [ -n "$fragment" ] && ! grep -qF "id=\"$fragment\"" "$copy/code/${path%.md}.html"; then
        printf 'docs/ has a link to %s, but %s has no item of that name\n' "$path#$fragment" "$path" >&2
        broken=1
    fi
done <<<"$links"

MDBOOK_LOG=warn mdbook build --dest-dir "$PWD/target/book" "$copy"
rm -f target/book/book.toml

open=xdg-open
[ "$(uname)" != Darwin ] || open=open
printf 'The book is in %s\n' "$PWD/target/book/index.html"
printf 'To open it: %s %s\n' "$open" "'$PWD/target/book/index.html'"
exit "$broken"
