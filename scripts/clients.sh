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
from=sender@example.com
to=(ujang@example.com agus@example.com)
clients=$(cd "$(dirname "$0")/clients" && pwd) || exit 1

directory=$(mktemp -d)
child=
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    [ -z "$child" ] || kill "$child" 2>/dev/null
    wait
    rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -z "$server" ]; then
    cd "$(dirname "$0")/.." || exit 1
    cargo build --quiet || exit 2
    maildir=$directory/Maildir
    cargo run --quiet -- --listen 127.0.0.1:0 --maildir "$maildir" --quiet >"$directory/server" &
    child=$!
    until grep -q listening "$directory/server"; do
        kill -0 "$child" 2>/dev/null || { printf "the server didn't start\n" >&2; exit 2; }
        sleep 0.05
    done
    server=$(sed -n 's/^listening on //p' "$directory/server")
fi
host=${server%:*}
port=${server##*:}
cd "$directory" || exit 1
if ! (exec 3<>"/dev/tcp/$host/$port") 2>/dev/null; then
    printf 'Nobody listens on %s. To start the server: cargo run\n' "$server" >&2
    exit 2
fi

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
        "" | cat - body >mail
}

# verdict NAME WHAT OUTCOME: prints a line, and counts it as worked, failed or skipped
verdict() {
    printf '%-12s %s\n' "$1" "$3"
    case $2 in
        worked) worked=$((worked + 1)) ;;
        failed) failed=$((failed + 1)) ;;
        skipped) skipped=$((skipped + 1)) ;;
    esac
}

# attempt NAME PROGRAM INSTALL COMMAND...: runs the command, which sends the file `mail`, and judges the result
attempt() {
    local name=$1 program=$2 install=$3 compared
    shift 3
    if ! command -v "$program" >/dev/null; then
        verdict "$name" skipped "not here; to install it: $install"
        return
    fi
    message "$name"
    [ -z "$maildir" ] || ls "$maildir/new" >before
    if ! timeout --foreground 60 "$@" <mail >output 2>&1; then
        verdict "$name" failed "FAILED: $(tail -n 3 output | tr '\n' ' ')"
    elif [ -z "$maildir" ]; then
        verdict "$name" worked "delivered"
    elif compared=$(python3 "$clients/compare.py" "$maildir" "$name" "$from" "${rcpt[@]}" 2>&1); then
        verdict "$name" worked "delivered, $compared"
    else
        verdict "$name" failed "DELIVERED, BUT: $(tail -n 1 <<<"$compared")"
    fi
}

touch no-settings
chmod 600 no-settings
printf '%s\n' "set smtp_url=smtp://$server from=$from use_envelope_from envelope_from_address=$from" \
    "set ssl_force_tls=no ssl_starttls=no copy=no content_type=text/html" \
    "set folder=. tmpdir=. hostname=client.example charset=utf-8 send_charset=us-ascii:utf-8" >muttrc
# Postfix is here, and not everybody's PATH has it.
PATH=$PATH:/usr/sbin:/sbin
NODE_PATH=${NODE_PATH:+$NODE_PATH:}$(npm root -g 2>/dev/null)
export NODE_PATH
export HOME=$directory MAILRC=/dev/null GOCACHE=$directory/go-cache GOTOOLCHAIN=local
if [ -n "$maildir" ] && ! command -v python3 >/dev/null; then
    printf 'python3 is needed to compare the mails; to install it: apt install python3\n' >&2
    maildir=
fi

rcpt=("${to[@]}")
attempt python3 python3 'apt install python3' \
    python3 "$clients/send.py" "$host" "$port" "$from" "${to[@]}"
attempt curl curl 'apt install curl' \
    curl --silent --show-error --crlf "smtp://$server" --mail-from "$from" \
    --mail-rcpt "${to[0]}" --mail-rcpt "${to[1]}" --upload-file mail
attempt swaks swaks 'apt install swaks' \
    swaks --server "$host" --port "$port" --from "$from" --to "${to[0]},${to[1]}" --data @mail
attempt msmtp msmtp 'apt install msmtp' \
    msmtp --file=no-settings --host="$host" --port="$port" --from="$from" "${to[@]}"
# s-nail and mutt write the header themselves and want the body only.
attempt s-nail s-nail 'apt install s-nail' \
    sh -c 's-nail "$@" <body' sh -:/ -S v15-compat -S mta="smtp://$server" -S smtp-auth=none -S nosave -S from="$from" \
    -s 'sent by s-nail' "${to[@]}"
attempt mutt mutt 'apt install mutt' \
    sh -c 'mutt "$@" <body' sh -n -F muttrc -s 'sent by mutt' -- "${to[@]}"
attempt go go 'apt install golang-go' \
    go run "$clients/send.go" "$server" "$from" "${to[@]}"
# nodemailer is a module of node. Where it is missing, its name stands for a program that is not found.
nodemailer=node
node -e 'require("nodemailer")' 2>/dev/null || nodemailer=nodemailer
attempt nodemailer "$nodemailer" 'apt install nodejs npm, then npm install -g nodemailer' \
    node "$clients/send.js" "$host" "$port" "$from" "${to[@]}"
if [ "$(id -u)" -ne 0 ] && command -v postfix >/dev/null; then
    verdict postfix skipped 'not tried: only root can start a Postfix of our own'
else
    attempt postfix postfix 'apt install postfix' \
        "$clients/relay.sh" "$host" "$port" "$from" "${to[@]}"
fi
# With two recipients, smtp-source would put numbers before their names.
rcpt=("${to[0]}")
attempt smtp-source smtp-source 'apt install postfix' \
    smtp-source -F mail -f "$from" -t "${to[0]}" "$server"

# mutt as a reader reports how many mails it sees. It needs a terminal, which `script` provides.
if [ -n "$maildir" ] && command -v mutt >/dev/null && command -v script >/dev/null; then
    TERM=xterm timeout --foreground 60 script -qec \
        "mutt -n -R -F muttrc -e 'set status_format=\"reads %m\"' -e 'push <refresh><exit>' -f '$maildir'" \
        /dev/null >output 2>&1 </dev/null
    seen=$(grep -ao 'reads [0-9]*' output | tail -n 1)
    there=$(find "$maildir"/{new,cur} -type f | wc -l)
    if [ "$seen" = "reads $there" ]; then
        printf '%-12s %s of %d mails in the Maildir\n' mutt "$seen" "$there"
    else
        verdict mutt failed "FAILED: it doesn't see all of the $there mails in the Maildir: $seen"
    fi
fi

printf '%d delivered, %d failed, %d not tried\n' "$worked" "$failed" "$skipped"
[ "$failed" -eq 0 ] && [ "$worked" -gt 0 ]
