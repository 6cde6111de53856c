#!/usr/bin/env bash
# Sends a mail to the server with every SMTP client on this machine, and reports which of them worked.
#
#   scripts/clients.sh                         starts a server of its own, with a Maildir of its own
#   scripts/clients.sh HOST:PORT [MAILDIR]     sends to a running server, which stores its mail in MAILDIR
#
# If the Maildir is known, each stored mail is compared with the one that the client was given, by
# scripts/clients/compare.py:
#
#   bytes equal                  the whole mail is equal, octet for octet, below our trace header
#   body bytes equal             the client writes a header of its own
#   body equal when decoded      the client also encodes the body (the encoding is named)
#
# The body has a line that begins with a dot, a line that is only a dot, a tab, and letters beyond ASCII. The
# trace header is checked too. No CR may be left, and Python's mailbox and mutt must be able to read the Maildir.
#
# The clients send once more with addresses in UTF-8 if the server's EHLO offers SMTPUTF8, and once more with a
# login if it offers AUTH. So a running server must take mail with any login, and without one.
#
# A server of our own prints its conversation to a file. There the script checks that each client has used the
# extensions that it is known to use, such as SIZE and AUTH, and that no password was printed. At the end a server
# with --users must take the right password and refuse the wrong one.
#
# The exit code is 0 if every installed client has delivered. A missing client is listed with the command that
# installs it. Postfix runs as a private instance in a temporary folder and relays the mail to the server. The
# machine's own Postfix is not touched.
set -uo pipefail
unset CDPATH

usage() {
    printf 'usage: scripts/clients.sh [HOST:PORT [MAILDIR]], such as 127.0.0.1:2525 mail\n' >&2
    exit 2
}
[ $# -le 2 ] || usage
server=${1:-}
maildir=${2:-}
[ -z "$server" ] || [[ $server =~ ^[^:]+:[0-9]+$ ]] || usage
if [ -n "$maildir" ]; then
    [ -d "$maildir/new" ] || { printf '%s is not a Maildir: it has no folder new\n' "$maildir" >&2; exit 2; }
    maildir=$(cd "$maildir" && pwd)
fi
clients=$(cd "$(dirname "$0")/clients" && pwd) || exit 1
project=$(dirname "$(dirname "$clients")")

directory=$(mktemp -d)
child=
stop_server() {
    [ -z "$child" ] || kill "$child" 2>/dev/null
    wait
}
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    stop_server
    rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start_server NAME FLAG...: starts a server of our own. Its Maildir is NAME, and NAME.log has what it prints
start_server() {
    stop_server
    maildir=$directory/$1
    log=$directory/$1.log
    shift
    (cd "$project" && exec cargo run --quiet -- --listen 127.0.0.1:0 --maildir "$maildir" "$@") >"$log" 2>&1 &
    child=$!
    until grep -q '^listening on' "$log"; do
        kill -0 "$child" 2>/dev/null || { cat "$log" >&2; printf "the server didn't start\n" >&2; exit 2; }
        sleep 0.05
    done
    server=$(sed -n 's/^listening on //p' "$log")
    host=${server%:*}
    port=${server##*:}
}

# The log of our own server; empty if the server isn't ours.
log=
if [ -z "$server" ]; then
    (cd "$project" && cargo build --quiet) || exit 2
    start_server any --login any
fi
host=${server%:*}
port=${server##*:}
cd "$directory" || exit 1

# read_reply: prints a reply that comes from descriptor 3
read_reply() {
    local line
    while read -r -t 10 line <&3; do
        printf '%s\n' "${line%$'\r'}"
        [[ $line == ???-* ]] || break
    done
}

# ask: connects, and writes the server's reply to EHLO into the file `ehlo`
ask() {
    trap '' PIPE
    exec 3<>"/dev/tcp/$host/$port" || return
    read_reply >/dev/null
    printf 'EHLO client.example\r\n' >&3
    read_reply >ehlo
    printf 'QUIT\r\n' >&3
    read_reply >/dev/null
}
if ! (ask) 2>/dev/null; then
    printf 'Nobody listens on %s. To start the server: cargo run\n' "$server" >&2
    exit 2
fi

# offers KEYWORD: says whether the server offers an extension. Our own must offer them all
offers() {
    [ -n "$log" ] || grep -qiE "^250[- ]$1( |\$)" ehlo
}

worked=0
failed=0
skipped=0

# message NAME: writes a mail with an HTML body into the file `mail`, and the body alone into `body`. Lines end
# with LF.
message() {
    printf '%s\n' \
        "<h1>Hello World</h1>" \
        ".dot at the start" \
        "." \
        "	<p>Grüße</p>" >body
    printf '%s\n' \
        "From: $from" \
        "To: ${to[0]}, ${to[1]}" \
        "Subject: sent by $1" \
        "MIME-Version: 1.0" \
        "Content-Type: text/html; charset=utf-8" \
        "Content-Transfer-Encoding: 8bit" \
        "" | cat - body >mail
}

# begin TITLE: begins a part of the output. The first part has no title, and names the missing clients
title=
heading=
begin() {
    title=$1
    heading=$1
}

# verdict NAME WHAT OUTCOME: prints a line, and counts it as worked, failed or skipped; one that is told isn't counted
verdict() {
    [ -z "$heading" ] || printf '%s:\n' "$heading"
    heading=
    printf '%-12s %s\n' "$1" "$3"
    case $2 in
        worked) worked=$((worked + 1)) ;;
        failed) failed=$((failed + 1)) ;;
        skipped) skipped=$((skipped + 1)) ;;
    esac
}

# attempt NAME USES PROGRAM INSTALL COMMAND...: runs the command, which sends the file `mail`, and judges the result.
# The client is known to use the extensions USES if the server offers them
attempt() {
    local name=$1 wanted=$2 program=$3 install=$4 lines=0 code uses='' keyword
    shift 4
    if ! command -v "$program" >/dev/null; then
        [ -n "$title" ] || verdict "$name" skipped "not here; to install it: $install"
        return
    fi
    for keyword in AUTH SIZE 8BITMIME SMTPUTF8 PIPELINING; do
        [[ " $wanted " != *" $keyword "* ]] || ! offers "$keyword" || uses="$uses $keyword"
    done
    message "$name"
    [ -z "$maildir" ] || ls "$maildir/new" >before
    [ -z "$log" ] || lines=$(wc -l <"$log")
    timeout --foreground 120 "$@" <mail >output 2>&1
    code=$?
    [ -z "$log" ] || tail -n "+$((lines + 1))" "$log" >conversation
    if [ -n "$refusal" ]; then
        judge_refusal "$name" "$code"
    elif [ "$code" -ne 0 ]; then
        verdict "$name" failed "FAILED: $(tail -n 3 output | tr '\n' ' ')"
    else
        judge_delivery "$name" "${uses# }"
    fi
}

# judge_delivery NAME USES: compares the mail, and looks for the extensions in the conversation
judge_delivery() {
    local name=$1 uses=$2 with='' compared='' keyword
    if [ -n "$maildir" ] &&
        ! compared=$(python3 "$clients/compare.py" "$maildir" "$name" "$uses" "$from" "${rcpt[@]}" 2>&1); then
        verdict "$name" failed "DELIVERED, BUT: $(tail -n 1 <<<"$compared")"
        return
    fi
    if [ -n "$log" ]; then
        for keyword in $uses; do
            if ! has_used "$keyword"; then
                verdict "$name" failed "DELIVERED, BUT WITHOUT $keyword: $(grep -i 'C: MAIL' conversation)"
                return
            fi
        done
        with=${uses:+ with $uses}
    fi
    verdict "$name" worked "delivered$with${compared:+, $compared}"
}

# has_used KEYWORD: says whether the client has used an extension. The server's lines don't show which commands came
# together. So for PIPELINING, the client's own lines must show that it sent RCPT before it heard the reply to MAIL
has_used() {
    case $1 in
        AUTH) grep -q 'C: AUTH \.\.\.$' conversation && grep -q 'S: 235 ' conversation ;;
        SIZE) grep -qi 'C: MAIL FROM:.* SIZE=[0-9]' conversation ;;
        8BITMIME) grep -qi 'C: MAIL FROM:.* BODY=8BITMIME' conversation ;;
        SMTPUTF8) grep -qi 'C: MAIL FROM:.* SMTPUTF8' conversation ;;
        PIPELINING) grep -aA 1 '> MAIL FROM' output | grep -aq '> RCPT TO' ;;
    esac
}

# judge_refusal NAME CODE: checks that the server has refused and stored nothing, and that the client has failed
judge_refusal() {
    if ! grep -q "S: $refusal " conversation; then
        verdict "$1" failed "NOT REFUSED with $refusal: $(tail -n 3 output | tr '\n' ' ')"
    elif ls "$maildir/new" >after && ! cmp -s before after; then
        verdict "$1" failed "REFUSED with $refusal, BUT STORED"
    elif [ "$2" -eq 0 ]; then
        verdict "$1" failed "refused with $refusal, BUT THE CLIENT REPORTS NO ERROR"
    else
        verdict "$1" told "refused with $refusal, nothing stored"
    fi
}

# log_in NAME PASSWORD: sets up the clients, which log in if there is a name
log_in() {
    local auth=none url=smtp://${1:+$1:$2@}$server
    unset LOGIN_NAME LOGIN_PASSWORD
    curl_flags=(--silent --show-error --crlf)
    swaks_flags=(--server "$host" --port "$port" --data @mail)
    printf '%s\n' "account default" "host $host" "port $port" "tls off" >msmtprc
    chmod 600 msmtprc
    if [ -n "$1" ]; then
        auth=plain
        curl_flags+=(--user "$1:$2")
        swaks_flags+=(--auth-user "$1" --auth-password "$2" --auth PLAIN)
        # With `auth on`, msmtp sends no password without TLS.
        printf '%s\n' "auth plain" "user $1" "password $2" >>msmtprc
        # The programs in scripts/clients read these.
        export LOGIN_NAME=$1 LOGIN_PASSWORD=$2
    fi
    s_nail_flags=(-:/ -S v15-compat -S mta="$url" -S smtp-auth="$auth" -S nosave)
    printf '%s\n' "set smtp_url=$url use_envelope_from" \
        "set ssl_force_tls=no ssl_starttls=no copy=no content_type=text/html" \
        "set folder=. tmpdir=. hostname=client.example charset=utf-8 send_charset=us-ascii:utf-8" >muttrc
}

# library PROGRAM NAME COMMAND...: prints PROGRAM if the command finds its library. Where the library is missing, its
# name stands for a program that is not found
library() {
    local program=$1 name=$2
    shift 2
    if "$@" >/dev/null 2>&1; then printf '%s' "$program"; else printf '%s' "$name"; fi
}

# fetch_lettre: makes a crate in the folder `lettre`, and downloads what it needs. The project itself needs nothing
fetch_lettre() {
    mkdir -p lettre/src && cp "$clients/send.rs" lettre/src/main.rs &&
        printf '%s\n' '[package]' 'name = "send"' 'edition = "2024"' '[workspace]' '[dependencies]' \
            'lettre = { version = "0.11", default-features = false, features = ["smtp-transport"] }' \
            >lettre/Cargo.toml &&
        CARGO_NET_RETRY=0 cargo fetch --manifest-path lettre/Cargo.toml
}

# s-nail, mutt and Java need a locale with UTF-8.
[ "$(locale charmap 2>/dev/null)" = UTF-8 ] || export LC_ALL=C.UTF-8
# Postfix is here, and not everybody's PATH has it.
PATH=$PATH:/usr/sbin:/sbin
NODE_PATH=${NODE_PATH:+$NODE_PATH:}$(npm root -g 2>/dev/null)
export NODE_PATH
export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
export HOME=$directory MAILRC=/dev/null GOCACHE=$directory/go-cache GOTOOLCHAIN=local
if [ -n "$maildir" ] && ! command -v python3 >/dev/null; then
    printf 'python3 is needed to compare the mails; to install it: apt install python3\n' >&2
    maildir=
fi
nodemailer=$(library node nodemailer node -e 'require("nodemailer")')
phpmailer=$(library php PHPMailer php -r 'require "libphp-phpmailer/autoload.php";')
jars=/usr/share/java/jakarta-mail.jar:/usr/share/java/jakarta-activation.jar
jakarta=$(library javac jakarta test -e "${jars%:*}")
lettre=$(library cargo lettre fetch_lettre)

# send EXTENSION: sends with each client that can use the extension, AUTH or SMTPUTF8; all can do without
send() {
    rcpt=("${to[@]}")
    attempt python3 "$1 SIZE" python3 'apt install python3' \
        python3 "$clients/send.py" "$host" "$port" "$from" "${to[@]}"
    attempt curl "$1 SIZE" curl 'apt install curl' \
        curl "${curl_flags[@]}" "smtp://$server" --mail-from "$from" \
        --mail-rcpt "${to[0]}" --mail-rcpt "${to[1]}" --upload-file mail
    # s-nail and mutt write the header themselves and want the body only.
    if [ "$1" != SMTPUTF8 ]; then # which these don't have, or not in the versions that are around
        attempt swaks "$1" swaks 'apt install swaks' \
            swaks "${swaks_flags[@]}" --from "$from" --to "${to[0]},${to[1]}"
        attempt msmtp "$1" msmtp 'apt install msmtp' \
            msmtp --file=msmtprc --from="$from" "${to[@]}"
        attempt s-nail "$1" s-nail 'apt install s-nail' \
            sh -c 's-nail "$@" <body' sh "${s_nail_flags[@]}" -S from="$from" -s 'sent by s-nail' "${to[@]}"
        attempt PHPMailer "$1" "$phpmailer" 'apt install php-cli libphp-phpmailer' \
            php "$clients/send.php" "$host" "$port" "$from" "${to[@]}"
    fi
    attempt mutt "$1 8BITMIME" mutt 'apt install mutt' \
        sh -c 'mutt "$@" <body' sh -n -F muttrc -e "set from=$from envelope_from_address=$from" \
        -s 'sent by mutt' -- "${to[@]}"
    attempt go "$1 8BITMIME SMTPUTF8" go 'apt install golang-go' \
        go run "$clients/send.go" "$server" "$from" "${to[@]}"
    attempt nodemailer "$1" "$nodemailer" 'apt install nodejs npm, then npm install -g nodemailer' \
        node "$clients/send.js" "$host" "$port" "$from" "${to[@]}"
    attempt jakarta "$1 SMTPUTF8" "$jakarta" 'apt install default-jdk-headless libjakarta-mail-java' \
        java -cp "$jars" "$clients/send.java" "$host" "$port" "$from" "${to[@]}"
    if offers 8BITMIME; then
        attempt lettre "$1 8BITMIME" "$lettre" 'let cargo reach crates.io' \
            cargo run --quiet --offline --manifest-path lettre/Cargo.toml --target-dir lettre/target -- \
            "$host" "$port" "$from" "${to[@]}"
    elif [ -z "$title" ]; then
        verdict lettre skipped "not tried: without 8BITMIME it doesn't send letters beyond ASCII"
    fi
    if [ "$1" != AUTH ]; then
        if [ "$(id -u)" -ne 0 ] && command -v postfix >/dev/null; then
            [ -n "$title" ] || verdict postfix skipped 'not tried: only root can start a Postfix of our own'
        else
            attempt postfix "$1 SIZE 8BITMIME PIPELINING" postfix 'apt install postfix' \
                "$clients/relay.sh" "$host" "$port" "$from" "${to[@]}"
        fi
    fi
}

from=sender@example.com
to=(ujang@example.com agus@example.com)
# The code with which the server is to refuse; empty if it is to accept.
refusal=
log_in '' ''
send ''
# With two recipients, smtp-source would put numbers before their names.
rcpt=("${to[0]}")
attempt smtp-source '' smtp-source 'apt install postfix' \
    smtp-source -F mail -f "$from" -t "${to[0]}" "$server"

if offers PIPELINING; then
    begin 'many commands at a time'
    rcpt=("${to[@]}")
    attempt swaks PIPELINING swaks '' \
        swaks "${swaks_flags[@]}" --from "$from" --to "${to[0]},${to[1]}" --pipeline
fi
if offers SMTPUTF8; then
    begin 'addresses in UTF-8'
    from=zoë@example.com
    to=(jürgen@example.com agus@bücher.example)
    send SMTPUTF8
    from=sender@example.com
    to=(ujang@example.com agus@example.com)
fi
if offers AUTH; then
    begin 'with a login'
    log_in ujang hunter2-battery
    send AUTH
    begin 'with AUTH LOGIN'
    attempt swaks AUTH swaks '' \
        swaks "${swaks_flags[@]}" --from "$from" --to "${to[0]},${to[1]}" --auth LOGIN
fi

# mutt as a reader reports how many mails it sees. It needs a terminal, which `script` provides.
begin 'reading'
if [ -n "$maildir" ] && command -v mutt >/dev/null && command -v script >/dev/null; then
    TERM=xterm timeout --foreground 60 script -qec \
        "mutt -n -R -F muttrc -e 'set status_format=\"reads %m\"' -e 'push <refresh><exit>' -f '$maildir'" \
        /dev/null >output 2>&1 </dev/null
    seen=$(grep -ao 'reads [0-9]*' output | tail -n 1)
    there=$(find "$maildir"/{new,cur} -type f | wc -l)
    if [ "$seen" = "reads $there" ]; then
        verdict mutt told "$seen of $there mails in the Maildir"
    else
        verdict mutt failed "FAILED: it doesn't see all of the $there mails in the Maildir: $seen"
    fi
fi

if [ -n "$log" ] && [ -n "$maildir" ]; then
    printf 'ujang:hunter2-battery\n' >users
    chmod 600 users
    start_server known --users "$directory/users"
    begin 'to a server with --users'
    log_in ujang hunter2-battery
    send AUTH
    begin 'to a server with --users, with a wrong password'
    log_in ujang hunter2-staple
    refusal=535
    send AUTH
    begin 'what the servers have printed'
    if found=$(cat ./*.log | python3 "$clients/passwords.py" hunter2-battery hunter2-staple 2>&1); then
        verdict passwords told 'none, as they are or in base64'
    else
        verdict passwords failed "THERE IS ONE: $found"
    fi
fi

printf '%d delivered, %d failed, %d not tried\n' "$worked" "$failed" "$skipped"
[ "$failed" -eq 0 ] && [ "$worked" -gt 0 ]
