#!/usr/bin/env bash
# Builds the site of the book from docs/ with mdBook, without a network.
#
#   scripts/book.sh
#
# The site is written to target/book, as plain files that any browser opens. The chapters in docs/ stay as they are.
# mdBook reads a copy, target/book-src, in which
#   - a link to a file of the project, `../src/wire.rs#read_line`, leads to a page with its text;
#   - a piece of code and its caption, "In `src/wire.rs`, ...:", are in one box, and the caption links to the file;
#   - each line of a conversation, of a terminal and of a command is in a <span> that says who speaks.
# The exit code is 1 if a link of this kind leads nowhere. The site is built all the same.
set -euo pipefail
unset CDPATH
cd "$(dirname "$0")/.."

copy=target/book-src

if ! command -v mdbook >/dev/null; then
    printf 'mdbook is missing. To install it, which takes some minutes: cargo install mdbook --locked\n' >&2
    exit 1
fi

# page PATH: makes a page for a file of the project, or for a folder and everything in it. mdBook turns any `.md` in
# a link into `.html`, so the page's name is without `.md`.
page() {
    local path=$1 html=$copy/code/${1%.md}.html root=${1//[!\/]/} entry chapter back=index.html chapters=
    [ ! -e "$html" ] || return 0
    mkdir -p "${html%/*}"
    root=../${root//\//../}
    # The way back is the browser's; on a page that was opened by itself it is the first chapter with a link to it.
    for chapter in $(linking "$path"); do
        [ -n "$chapters" ] || back=${chapter%.md}.html
        chapters+="${chapters:+, }<a href=\"$root${chapter%.md}.html\">$(sed -n 's/^# //p; 1q' "docs/$chapter")</a>"
    done
    printf '%s\n' >"$html" \
        '<!DOCTYPE html>' \
        '<html lang="en" class="light">' \
        '<meta charset="utf-8">' \
        '<meta name="viewport" content="width=device-width, initial-scale=1">' \
        "<title>$path - smtp-from-scratch</title>" \
        "<link rel=\"stylesheet\" href=\"${root}css/variables.css\">" \
        "<link rel=\"stylesheet\" href=\"${root}theme/book.css\">" \
        "<link rel=\"stylesheet\" href=\"${root}theme/code.css\">" \
        "<script src=\"${root}highlight.js\"></script>" \
        "<script src=\"${root}theme/code.js\"></script>" \
        "<header><a id=\"back\" href=\"$root$back\">&larr; back</a> <strong>$path</strong></header>" \
        "<nav>In <a href=\"${root}index.html\">smtp-from-scratch</a>${chapters:+: }$chapters</nav>"
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
    awk -v extension="${path##*.}" '
        BEGIN {
            item = "^ *(pub[^ ]* )?(const )?(fn|struct|enum|trait|const|static|type|mod) [A-Za-z0-9_]+"
            language = extension ~ /^(rs|py|toml|md|sh)$/ ? "language-" extension : "nohighlight"
            printf "<pre><code class=\"%s\">", language
        }
        {
            id = ""
            if (extension == "md" && /^#+ /) {
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
            print "<span class=\"line\"" (id == "" || seen[id]++ ? "" : " id=\"" id "\"") ">" $0
            printf "</span>"
        }
        END { print "</code></pre>" }
    ' "$path" >>"$html"
}

# linking PATH: prints the chapters that have a link to a file of the project, in order
linking() {
    awk -v path="$1" '{ file = $1; sub(/#.*/, "", file) } file == path { print $2 }' <<<"$links" | sort -u
}

# chapters: writes the chapters into the copy, and prints their links to files of the project, each with its chapter
chapters() {
    awk -v copy="$copy" '
        # Turns links to files of the project into links to their pages, and prints them.
        function linked(text, done, path) {
            while (match(text, /\]\(\.\.\/[^)#]+/)) {
                done = done substr(text, 1, RSTART + 1)
                path = substr(text, RSTART + 5, RLENGTH - 5)
                text = substr(text, RSTART + RLENGTH)
                sub(/\/$/, "", path)
                print path (match(text, /^#[^)]+/) ? substr(text, 1, RLENGTH) : ""), chapter
                sub(/\.md$/, "", path)
                done = done "code/" path ".html"
            }
            return done text
        }
        # Makes links of the paths in a caption that are none. The new file of an exercise is not ours.
        function with_links(text, done, path, file, first) {
            while (match(text, /`(src|tests)\/[^`]+`/)) {
                path = substr(text, RSTART, RLENGTH)
                done = done substr(text, 1, RSTART - 1)
                file = substr(path, 2, RLENGTH - 2)
                if (done !~ /\[$/ && (getline first <file) > 0) path = "[" path "](../" file ")"
                close(file)
                done = done path
                text = substr(text, RSTART + RLENGTH)
            }
            return done text
        }
        # Says whether the line is the caption of a piece: a paragraph of its own, before a fence of code.
        function is_caption(at) {
            return line[at] ~ /^(In|At the|A new file,|Unit tests,|Given,|Break it,) .*`.*:$/ &&
                line[at - 1] == "" && line[at + 1] == "" && line[at + 2] ~ /^```(rust|diff)$/
        }
        function begin_piece(caption, class) {
            class = "piece"
            if (caption ~ /^Given,/) class = class " given"
            if (caption ~ /^Break it,/) class = class " break"
            print "<div class=\"" class "\">\n\n" linked(with_links(caption)) "\n" >out
            in_piece = 1
        }
        # Copies a fence of code, and returns the number of its last line.
        function code(at) {
            if (split(line[at], word) == 2) begin_piece("`" word[2] "`")
            print word[1] >out
            do print line[++at] >out
            while (line[at] != "```" && at < count)
            if (in_piece) print "\n</div>" >out
            in_piece = 0
            return at
        }
        # Says who speaks in a line of a fence: a class.
        function speaker(kind, text) {
            if (kind == "sh") return text ~ /^#/ ? "note" : "line"
            if (kind == "text") return "line"
            sub(/^\[[0-9]+\] /, "", text)
            if (text ~ /^S:/) return "server"
            if (text ~ /^C:/) return "client"
            return text ~ /^[{]/ ? "note" : "line"
        }
        # Writes any other fence as HTML, line by line, and returns the number of its last line.
        function talk(at, kind, label, text) {
            split(substr(line[at], 4), word)
            kind = word[1]
            if (kind == "wrong") {
                kind = "smtp"
                label = word[2] == "so-far" ? "your server so far" : "a server with this mistake"
                print "<div class=\"wrong " (word[2] == "so-far" ? "so-far" : "zoo") "\">" >out
                print "<p class=\"label\">" label "</p>\n" >out
            }
            printf "<pre class=\"talk %s\"><code class=\"nohighlight\">", kind >out
            while (line[++at] != "```" && at <= count) {
                text = line[at]
                gsub(/&/, "\\&amp;", text)
                gsub(/</, "\\&lt;", text)
                gsub(/>/, "\\&gt;", text)
                print "<span class=\"" speaker(kind, text) "\">" text "</span>" >out
            }
            print "</code></pre>" >out
            if (label != "") print "\n</div>" >out
            return at
        }
        function write(at) {
            out = copy "/" chapter
            printf "" >out
            for (at = 1; at <= count; at++) {
                if (line[at] ~ /^```(rust|diff)/) at = code(at)
                else if (line[at] ~ /^```/) at = talk(at)
                else if (is_caption(at)) begin_piece(line[at++])
                else print linked(line[at]) >out
            }
            close(out)
        }
        FNR == 1 {
            if (chapter != "") write()
            chapter = FILENAME
            sub(/.*\//, "", chapter)
            count = 0
            split("", line)
        }
        { line[++count] = $0 }
        END { write() }
    ' docs/*.md
}

rm -rf target/book "$copy"
mkdir -p target
cp -R docs "$copy"
links=$(chapters | sort -u)

broken=0
while read -r link chapter; do
    path=${link%%#*}
    if [ ! -e "$path" ]; then
        printf 'docs/%s has a link to %s, which does not exist\n' "$chapter" "$path" >&2
        broken=1
        continue
    fi
    page "$path"
    if [ "$link" != "$path" ] && ! grep -qF "id=\"${link#*#}\"" "$copy/code/${path%.md}.html"; then
        printf 'docs/%s has a link to %s, but %s has no item of that name\n' "$chapter" "$link" "$path" >&2
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
