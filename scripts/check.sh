#!/usr/bin/env bash
# Says how far a server is: plays the tests of the stages, in order, up to the first stage that fails.
#
#   scripts/check.sh HOST:PORT     a server that runs, in any language; such as 127.0.0.1:2525
#   scripts/check.sh PROGRAM       a program with our command line; it is started for each test
#
#   --through N    checks no later stage than N, so that a server of stage N passes
#   --tap          plays all stages, and prints a line for each test in the format TAP
#   --watch        checks again whenever the server comes back, or the program's file changes
#   --list N       prints what stage N asks for, and plays nothing; with --long the conversations as well
#   --help         prints this
#
# The exit code is 0 if all passes that was played, 1 if not, 2 if the arguments make no sense.
#
# A running server is given one conversation at a time, so it may serve one client at a time. Only its reply codes
# count. The tests that need our own server are left out. A test after which the server is gone, or answers nobody,
# is the last one.
set -euo pipefail
unset CDPATH

usage() {
    [ $# -eq 0 ] || printf '%s\n' "$*" >&2
    printf 'usage: scripts/check.sh HOST:PORT|PROGRAM [--through N] [--tap] [--watch]\n       scripts/check.sh --list N [--long]\n       scripts/check.sh --help\n' >&2
    exit 2
}

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

here=$PWD
cd "$(dirname "$0")/.."
sources=(tests/stage[0-9][0-9]_*.rs)
last=${#sources[@]}

subject='' through='' list='' long='' tap='' watch=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        sed -n '2,/^[^#]/s/^# \{0,1\}//p' scripts/check.sh # the explanation at the head
        exit
        ;;
    --through | --list)
        if ! [[ ${2:-} =~ ^[1-9][0-9]?$ ]] || [ "$2" -gt "$last" ]; then
            usage "$1 takes a stage from 1 to $last"
        fi
        if [ "$1" = --list ]; then list=$2; else through=$2; fi
        shift
        ;;
    --long) long=yes ;;
    --tap) tap=yes ;;
    --watch) watch=yes ;;
    -*) usage "there is no $1" ;;
    *)
        [ -z "$subject" ] || usage "one server at a time, please"
        subject=$1
        ;;
    esac
    shift
done

[ -z "$long" ] || [ -n "$list" ] || usage "--long goes with --list"
[ -z "$list" ] || [ -z "$subject$through$tap$watch" ] || usage "--list plays nothing: it takes no server, and only --long"

host='' port='' program=''
if [[ $subject =~ ^(.+):([0-9]+)$ ]]; then
    host=${BASH_REMATCH[1]} port=${BASH_REMATCH[2]}
    if [ "${#port}" -gt 5 ] || [ "$((10#$port))" -lt 1 ] || [ "$((10#$port))" -gt 65535 ]; then
        usage "a port is a number from 1 to 65535, and not $port"
    fi
elif [ -n "$subject" ]; then
    case $subject in
    /*) program=$subject ;;
    *) program=$here/$subject ;;
    esac
    if [ -f "$program" ] && ! [ -x "$program" ]; then
        usage "$subject can't be started from here: start it yourself, leave it running, and give HOST:PORT, such as 127.0.0.1:2525"
    elif ! [ -f "$program" ]; then
        usage "$subject is neither HOST:PORT, such as 127.0.0.1:2525, nor a program"
    fi
elif [ -z "$list" ]; then
    usage
fi

command -v cargo >/dev/null ||
    fail "this needs cargo, which builds the tests. It comes with Rust: https://rustup.rs"

# Only what is set for a test counts.
unset SMTP_SERVER SMTP_PROGRAM SMTP_STAGE SMTP_ONE_BY_ONE SMTP_SHOW
export RUST_BACKTRACE=0

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM

# Builds the tests. The file `built` has a line for each stage: its name and its executable.
build() {
    [ ! -t 2 ] || printf 'building the tests ...' >&2
    local fine=yes
    cargo test --no-run --test 'stage[0-9][0-9]_*' --message-format=json-render-diagnostics \
        >"$folder/messages" 2>"$folder/cargo" || fine=
    [ ! -t 2 ] || printf '\r                      \r' >&2
    if [ -z "$fine" ]; then
        cat "$folder/cargo" >&2
        fail "the tests can't be built"
    fi
    sed -n 's/.*"name":"\(stage[0-9][0-9]_[a-z]*\)".*"executable":"\([^"]*\)".*/\1 \2/p' "$folder/messages" >"$folder/built"
}

# against SERVER STAGE ARGUMENT...: runs a stage's tests against HOST:PORT, or a program. With `together` set, a
# running server may be given several connections at once.
together=''
against() {
    local server=$1 tests
    tests=$(sed -n "s/^stage$(printf %02d "$2")_[a-z]* //p" "$folder/built")
    shift 2
    if [ -n "$program" ]; then
        SMTP_PROGRAM=$server SMTP_STAGE=$end "$tests" "$@"
    elif [ -n "$together" ]; then
        SMTP_SERVER=$server "$tests" "$@"
    else
        SMTP_SERVER=$server SMTP_ONE_BY_ONE=1 "$tests" "$@"
    fi
}

# learn STAGE: lists its tests in the order of the file, in the file `tests.STAGE`. A line has the name, and the reason
# why the test is left out, if it is. A test counts if it fails where nobody listens: all others never meet the server.
learn() {
    [ ! -f "$folder/tests.$1" ] || return 0
    local nobody=127.0.0.1:1
    [ -z "$program" ] || nobody=$folder/nobody
    progress 'reading the tests ...'
    against "$nobody" "$1" >"$folder/results" 2>"$folder/skipped" || true
    awk '
        NR == FNR {
            if ($1 == "#[test]") next_is_test = 1
            if (next_is_test && sub(/^fn /, "")) {
                sub(/\(.*/, "")
                names[++count] = $0
                next_is_test = 0
            }
            next
        }
        /^skipped: / { name = $2; sub(/:$/, "", name); sub(/^skipped: [^ ]* /, ""); why[name] = $0 }
        /^test .* \.\.\. (ok|FAILED)$/ { result[$2] = $NF }
        END {
            for (i = 1; i <= count; i++) {
                name = names[i]
                # Those about servers with a mistake test our own tests.
                if (name ~ /_(is|are)_caught$/ || !(name in result)) continue
                if (result[name] == "FAILED") print name
                else print name, (name in why) ? why[name] : "it needs our own server"
            }
        }' "${sources[$1 - 1]}" "$folder/skipped" "$folder/results" >"$folder/tests.$1"
    progress
}

# counted STAGE, left_out STAGE: the names of its tests that are played; the others, with the reason
counted() {
    awk 'NF == 1' "$folder/tests.$1" # the names alone
}
left_out() {
    awk 'NF > 1' "$folder/tests.$1"
}

# fact NAME: the name of a test in words
fact() {
    printf '%s\n' "$1" | sed "s/_/ /g; s/ s /'s /g"
}

# sentence NAME: the same, with a capital letter
sentence() {
    fact "$1" | awk '{ print toupper(substr($0, 1, 1)) substr($0, 2) }'
}

# play STAGE NAME: plays one test, and says whether it has passed. What it prints is in the file `output`. Afterwards
# `health` is empty if the server can go on.
play() {
    against "${program:-$host:$port}" "$1" --exact "$2" >"$folder/output" 2>"$folder/errors" </dev/null || true
    health=''
    if [ -z "$program" ]; then
        # A server that was silent once may be silent in every test.
        [ -n "$patience" ] || ! grep -q 'says nothing for seconds' "$folder/output" || export SMTP_PATIENCE=1
        if answers "$1"; then
            spoke=$1
        elif ! listens; then
            health=gone
        elif [ -z "$spoke" ] || { [ "$spoke" -eq 1 ] && [ "$1" -gt 1 ]; }; then
            health=mute # an echo server doesn't greet
        else
            health=busy
        fi
    fi
    [ "$health" != gone ] && grep -q "^test $2 \.\.\. ok$" "$folder/output"
}

# answers STAGE: says whether the server has a word for the next client
answers() {
    (
        exec 3<>"/dev/tcp/$bare/$port" || exit 1
        [ "$1" -gt 1 ] || printf '\n' >&3
        read -r -t "${SMTP_PATIENCE:-5}" -n 1 -u 3 || exit 1
        read -r -t 1 -u 3 || true
    ) 2>/dev/null
}

# diagnosis: what `health` means
diagnosis() {
    case $health in
    gone)
        printf '\nYour server died in this conversation: look for an exception in its terminal. It must survive a client\n'
        printf 'that leaves in the middle. Start it again before the next check.\n'
        ;;
    busy)
        printf '\nYour server is still busy with this conversation, and answers no other client. The client has left: your\n'
        printf 'server must notice, and serve the next one. Start it again before the next check.\n'
        ;;
    mute)
        [ -n "$spoke" ] ||
            printf '\nYour server accepts a client, and then says nothing. If it may be busy with an earlier client, start it again.\n'
        ;;
    esac
}

# conversations STAGE NAME: the test's conversations in our notation
conversations() {
    SMTP_SHOW=1 against 127.0.0.1:1 "$1" --nocapture --exact "$2" 2>/dev/null | sed -n 's/^|//p' || true
}

# progress TEXT...: shows on a terminal what is being done, until the next line
progress() {
    if [ -t 1 ] && [ -z "$tap" ]; then printf '\r\033[K%s' "$*"; fi
}

# story STAGE NAME: what the failed test has to say
story() {
    if grep -q "^test $2 \.\.\. ok$" "$folder/output"; then
        printf 'the conversation went well, but the server did not survive it:\n\n'
        conversations "$1" "$2"
        return
    fi
    awk -v head="---- $2 stdout ----" '
        /^---- / { here = ($0 == head); told = 0 }
        /^note: run with/ || /^failures:$/ { told = 0 }
        told && NF { printf "%s%s\n", blank, $0; blank = "" }
        told && !NF { blank = blank "\n" }
        here && /^thread .* panicked at / { told = 1; blank = "" }' "$folder/output"
}

# meet: finds out which stage to begin with, and says so. Only an echo server passes stage 1, and only a server
# that greets the later ones. `spoke` is the last stage in which the server has said a word.
meet() {
    begin=1 spoke=''
    [ -z "$program" ] || return 0
    local said
    # All that the server says is read: an end with bytes unread is a reset, and a simple server dies of that.
    said=$(
        exec 2>"$folder/errors"
        LC_ALL=C
        exec 3<>"/dev/tcp/$bare/$port" || exit 0
        echo connected
        if [ "$end" -gt 1 ]; then
            if read -r -t 2 -n 1 -u 3; then
                echo greets
            else
                printf 'hello\n' >&3
                ! read -r -t 3 -n 1 -u 3 letter || case $letter in (2) echo greets ;; (*) echo echoes ;; esac # with "(" for an old bash
            fi
        fi
        read -r -t 1 -u 3 || true
    ) || true
    case $said in
    '')
        if grep -q 'not known\|name resolution' "$folder/errors"; then
            bail_out "no address is known for the host $host"
        else
            bail_out "nobody listens on $subject: start your server, leave it running, and check again"
        fi
        return 1
        ;;
    *greets)
        begin=2 spoke=2
        note "Stage 1 is the echo server. Yours greets, so the check begins with stage 2."
        ;;
    *echoes) spoke=1 ;;
    *)
        [ "$end" -gt 1 ] || return 0
        begin=2
        note "Your server neither greets nor echoes. The check begins with stage 2, the greeting; for the echo: --through 1"
        ;;
    esac
}

note() {
    printf '%s%s\n' "${tap:+# }" "$*"
}

bail_out() {
    printf '%s%s\n' "${tap:+Bail out! }" "$*"
}

# check: checks the subject once
check() {
    end=${through:-$last} unfinished=''
    [ -n "$patience" ] || unset SMTP_PATIENCE
    if [ -n "$program" ]; then
        if ! help_of_the_program; then
            bail_out "$subject doesn't end with --help, so it hasn't our command line: start it yourself, leave it running, and give HOST:PORT"
            return 1
        fi
        # A program that isn't finished lists the stages that it has.
        local has
        has=$(sed -n 's/^  \([0-9][0-9]*\) .*/\1/p' "$folder/help" | tail -n 1)
        if [ -z "$through" ] && [ -n "$has" ] && [ "$has" -lt "$last" ]; then
            end=$has unfinished=yes
        fi
    fi
    [ -z "$tap" ] || printf 'TAP version 13\n'
    [ -z "$watch" ] || note "$(date +%H:%M:%S)"
    meet || return 1
    if [ -n "$tap" ]; then check_all; else check_up_to_the_first; fi
}

# help_of_the_program: puts what it prints with --help in the file `help`, if it ends soon
help_of_the_program() {
    "$program" --help >"$folder/help" 2>/dev/null </dev/null &
    local tenths
    for ((tenths = 0; tenths < 30; tenths++)); do
        if ! kill -0 $! 2>/dev/null; then return 0; fi
        sleep 0.1
    done
    kill -9 $! 2>/dev/null || return 0
    wait $! 2>/dev/null || true
    return 1
}

check_all() {
    local stage name why test code=0 number=0 plan=0 stopped=''
    for ((stage = begin; stage <= end; stage++)); do
        learn "$stage"
        plan=$((plan + $(wc -l <"$folder/tests.$stage")))
    done
    printf '1..%d\n' "$plan"
    for ((stage = begin; stage <= end; stage++)); do
        while read -r name why; do
            number=$((number + 1))
            test="$number - stage $stage: $(fact "$name")"
            if [ -n "$why" ]; then
                printf 'ok %s # SKIP %s\n' "$test" "$why"
            elif [ -n "$stopped" ]; then
                # The plan stays, so that the lines can be counted.
                printf 'not ok %s # not played: %s\n' "$test" "$stopped"
            elif play "$stage" "$name" && [ -z "$health" ]; then
                printf 'ok %s\n' "$test"
            else
                code=1
                printf 'not ok %s\n' "$test"
                { story "$stage" "$name" && diagnosis; } | sed 's/^/# /'
                case $health in gone) stopped='the server is gone' ;; ?*) stopped='the server answers nobody' ;; esac
            fi
        done <"$folder/tests.$stage"
    done
    return "$code"
}

check_up_to_the_first() {
    local stage name total count first unseen='' passed='' failed='' own=0
    for ((stage = begin; stage <= end; stage++)); do
        learn "$stage"
        own=$((own + $(left_out "$stage" | grep -vc 'several clients' || true)))
        total=$(($(counted "$stage" | wc -l))) count=0 first='' health=''
        if [ "$total" -eq 0 ]; then
            unseen="$unseen${unseen:+, }$stage"
            continue
        fi
        for name in $(counted "$stage"); do
            progress "stage $stage: $count of $total ..."
            if play "$stage" "$name" && [ -z "$health" ]; then
                count=$((count + 1))
            elif [ -z "$first" ] || [ -n "$health" ]; then
                # The one that hurt the server is more than one that failed before it.
                first=$name
                { story "$stage" "$name" && diagnosis; } >"$folder/story"
            fi
            [ -z "$health" ] || break
        done
        progress
        printf 'stage %d: %d of %d\n' "$stage" "$count" "$total"
        if [ -n "$first" ]; then
            failed="stage $stage: $count of $total"
            break
        fi
        passed=$stage
    done
    if [ -n "$failed" ]; then
        printf '\n%s\n%s, chapter %s\n\n' "$(sentence "$first")" "${failed%%:*}" "$(printf '%s\n' docs/"$(printf %02d "$stage")"-*.md)"
        cat "$folder/story"
        if [ -n "$program" ] && grep -q "a server's first line is" "$folder/story"; then
            printf '\nA program without our command line is checked while it runs: start it, and give HOST:PORT.\n'
        fi
    elif [ -z "$program" ]; then
        play_together
        [ "$passed" -lt 6 ] ||
            printf 'The mail that your server has received can'\''t be seen from here. Have a look at it yourself.\n'
    fi
    local need='tests that need' what='our own server'
    [ "$own" -ne 1 ] || need='test that needs'
    [ -z "$program" ] || what='the stages of the book themselves'
    [ "$own" -eq 0 ] || printf '\nleft out: %d %s %s\n' "$own" "$need" "$what"
    printf '\n%s\n' "$(summary)"
    [ -z "$failed" ]
}

# play_together: plays the tests that were left out since they connect several clients at once
play_together() {
    local stage name names='' answer='several clients at once'
    progress 'several clients at once ...'
    for ((stage = begin; stage <= end; stage++)); do
        for name in $(left_out "$stage" | sed -n 's/ .*several clients.*//p'); do
            names=yes
            serves_two || answer=''
            together=yes
            [ -z "$answer" ] || play "$stage" "$name" || answer=''
            together=''
        done
    done
    progress
    [ -n "$names" ] || return 0
    if [ -n "$answer" ]; then
        printf 'Your server serves several clients at once.\n'
    else
        printf 'Your server serves one client at a time; chapter 1 shows how to serve many.\n'
    fi
}

# serves_two: says whether a client is greeted beside another one. Both are served in the end: the tests themselves
# leave unserved clients behind, which a simple server may not survive.
serves_two() {
    (
        exec 2>/dev/null
        exec 3<>"/dev/tcp/$bare/$port" 4<>"/dev/tcp/$bare/$port" || exit 1
        read -r -t 5 -u 3 || true
        greeted=yes
        read -r -t 2 -n 1 -u 4 || greeted=''
        exec 3>&-
        read -r -t 5 -u 4 || true
        [ -n "$greeted" ]
    )
}

# summary: the last line
summary() {
    local text=''
    if [ -n "$passed" ]; then
        text="stages $begin to $passed pass"
        [ "$begin" -ne "$passed" ] || text="stage $passed passes"
    fi
    [ -z "$failed" ] || text="${text:+$text; }$failed"
    if [ -z "$failed" ] && [ -n "$unfinished" ]; then
        text="$text; the program has no stage $((end + 1)) yet"
    fi
    if [ -n "$unseen" ]; then
        case $unseen in
        *,*) text="$text; stages ${unseen%, *} and ${unseen##*, } need our own server and are left out" ;;
        *) text="$text; stage $unseen needs our own server and is left out" ;;
        esac
    fi
    printf '%s' "$text"
}

# listens: says whether a server accepts clients
listens() {
    (
        exec 3<>"/dev/tcp/$bare/$port" || exit 1
        read -r -t 1 -u 3 || true
    ) 2>/dev/null
}

# identity: tells the server that listens apart from one that is started later. It is empty if that can't be seen.
identity() {
    if [ -r /proc/net/tcp ]; then
        # The columns: the local address, the state (0A listens), and the inode of the socket.
        awk -v port="$(printf ':%04X' "$((10#$port))")" \
            'substr($2, length($2) - 4) == port && $4 == "0A" { print $10 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null
    elif command -v lsof >/dev/null; then
        lsof -nP -iTCP:"$port" -sTCP:LISTEN -t 2>/dev/null
    fi || true
}

# pause: waits a moment. The key Enter ends the wait for the server as well.
pause() {
    if ! [ -t 0 ]; then
        sleep 0.2
    elif read -r -t "$moment"; then
        return 1
    fi
}
moment=0.2
[ "${BASH_VERSINFO[0]}" -ge 4 ] || moment=1 # an old bash waits whole seconds

wait_for_the_next() {
    local now
    if [ -n "$program" ]; then
        while ! [ "$program" -nt "$folder/checked" ]; do pause || return 0; done
        sleep 1
    elif [ -z "$checked" ] && listens; then
        # It can't be seen from here: it is on another machine, or in a container.
        while listens; do pause || return 0; done
        until listens; do pause || return 0; done
    else
        until now=$(identity) && [ -n "$now" ] && [ "$now" != "$checked" ]; do
            pause || return 0
            [ -n "$now" ] || [ -n "$checked" ] || ! listens || return 0
        done
    fi
}

# The address without the brackets of IPv6.
bare=${host#\[} bare=${bare%\]}
if [ "$host" = localhost ]; then
    # It may have two addresses, and the server only one of them.
    host=127.0.0.1 bare=127.0.0.1
    if ! listens; then
        bare=::1
        if listens; then host='[::1]'; else bare=127.0.0.1; fi
    fi
fi

patience=${SMTP_PATIENCE:-}
build
if [ -n "$list" ]; then
    end=$list
    learn "$list"
    for name in $(counted "$list"); do
        sentence "$name"
        [ -n "$long" ] || continue
        conversations "$list" "$name" >"$folder/output"
        if [ -s "$folder/output" ]; then
            cat "$folder/output"
        else
            printf '    (it is no single conversation: see %s)\n\n' "${sources[list - 1]}"
        fi
    done
    [ "$list" -ne 1 ] || printf 'The words in front are "Server says: ", with the space at their end.\n'
    [ -n "$(counted "$list")" ] ||
        printf 'The tests of stage %d need our own server, or a program with its command line.\n' "$list"
    exit
fi
while :; do
    touch "$folder/checked"
    checked=''
    [ -n "$program" ] || checked=$(identity)
    result=0
    check || result=$?
    [ -n "$watch" ] || exit "$result"
    printf '\nwaiting for %s to change; Enter checks now, Ctrl-C ends\n\n' "$subject"
    wait_for_the_next
done
