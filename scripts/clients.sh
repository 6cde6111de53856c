#!/usr/bin/env bash
# Sends a mail to the server with every SMTP client on this machine, and says which worked.
#
#   scripts/clients.sh                         starts a server of its own, with a Maildir of its own
#   scripts/clients.sh HOST:PORT [MAILDIR]     sends to one that runs; MAILDIR is where that one keeps mail
#
# Where it knows the Maildir, it also looks for each mail there, and says how it compares with what the
# client was given:
#
#   bytes equal                  the whole mail, octet for octet, below our trace header
#   body bytes equal             the client writes a header of its own
#   body equal when decoded      the client encodes the body too (the encoding is named)
#
# The body has a line that begins with a dot, one that is nothing but a dot, a tab and letters beyond
# ASCII. Of our own it checks the trace header, that no CR is left, and that Python's mailbox and mutt read
# the Maildir. It ends with code 0 if every client that is here has delivered. One that isn't is named, with
# what to install. Postfix runs as a private instance in a temporary folder, as a relay that has the
# server as its next hop; the machine's own Postfix is not touched.
set -uo pipefail

usage() {
    printf 'usage: scripts/clients.sh [HOST:PORT [MAILDIR]], such as 127.0.0.1:2525 mail\n' >&2
    exit 2
}
[ $# -le 2 ] || usage
server=${1:-}
maildir=${2:-}
[ -z "$server" ] || [[ $server =~ ^[^:]+:[0-9]+$ ]] || usage
if [ -n "$maildir" ]; then
    [ -d "$maildir/new" ] || { printf '%s is no Maildir: it has no folder new\n' "$maildir" >&2; exit 2; }
    maildir=$(cd "$maildir" && pwd)
fi
from=sender@example.com
to=(ujang@example.com agus@example.com)

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

# message NAME: a mail with an HTML body, in the file `mail`, its lines ended by LF; the body alone in `body`
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

# verdict NAME WHAT OUTCOME: one line, counted
verdict() {
    printf '%-12s %s\n' "$1" "$3"
    case $2 in
        worked) worked=$((worked + 1)) ;;
        failed) failed=$((failed + 1)) ;;
        skipped) skipped=$((skipped + 1)) ;;
    esac
}

# attempt NAME PROGRAM INSTALL COMMAND...: runs the command with a mail in the file `mail`
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
    elif compared=$(python3 compare.py "$maildir" "$name" "$from" "${rcpt[@]}" 2>&1); then
        verdict "$name" worked "delivered, $compared"
    else
        verdict "$name" failed "DELIVERED, BUT: $(tail -n 1 <<<"$compared")"
    fi
}

cat >compare.py <<'PYTHON'
import email, mailbox, os, re, sys
maildir, name, sender, *recipients = sys.argv[1:]
before = set(open("before").read().split())
arrived = [file for file in os.listdir(maildir + "/new") if file not in before]
if len(arrived) != 1:
    sys.exit(f"{len(arrived)} files in new, not 1")
kept = open(f"{maildir}/new/{arrived[0]}", "rb").read()
if b"\r" in kept:
    sys.exit("there is a CR in the file")
only = rf"\n for <{re.escape(recipients[0])}>" if len(recipients) == 1 else ""
trace = (rf"Return-Path: <{re.escape(sender)}>\n((?:Delivered-To: .+\n)+)Received: from \S+ \(\[\S+\]\)\n"
         rf" by \S+ with E?SMTP id \w+{only}; \w{{3}}, \d.* \+0000\n")
on_top = re.match(trace.encode(), kept)
# Postfix sorts its recipients.
if not on_top or sorted(on_top[1].decode().split()[1::2]) != sorted(recipients):
    sys.exit(f"the trace header is wrong: {kept[:300]!r}")
read = mailbox.Maildir(maildir, create=False)[arrived[0]]
if read["Subject"] != "sent by " + name or read.get_subdir() != "new":
    sys.exit("Python's mailbox reads something else: " + repr(read["Subject"]))
mail, body = open("mail", "rb").read(), open("body", "rb").read()
sent = kept[on_top.end():]
message = email.message_from_bytes(sent)
encoding = message["Content-Transfer-Encoding"]
if sent == mail:
    print("bytes equal")
elif sent == mail + b"\n":
    print("bytes equal, and an empty line at the end that the client adds")
elif sent.partition(b"\n\n")[2] == body:
    print("body bytes equal, header its own")
elif encoding and message.get_payload(decode=True).replace(b"\r\n", b"\n") == body:
    print(f"body equal when decoded ({encoding})")
else:
    sys.exit(f"the body differs: {sent!r}")
PYTHON

cat >send.py <<'PYTHON'
import smtplib, sys
host, port, sender, *recipients = sys.argv[1:]
mail = open("mail", "rb").read().replace(b"\n", b"\r\n")
with smtplib.SMTP(host, int(port), timeout=30) as client:
    refused = client.sendmail(sender, recipients, mail)
sys.exit(1 if refused else 0)
PYTHON

cat >send.js <<'JAVASCRIPT'
const [host, port, from, ...to] = process.argv.slice(2);
const html = require("fs").readFileSync("body", "utf8");
require("nodemailer")
    .createTransport({ host, port: Number(port), ignoreTLS: true })
    .sendMail({ from, to, subject: "sent by nodemailer", html })
    .catch((error) => {
        console.log(error.message);
        process.exit(1);
    });
JAVASCRIPT

cat >send.go <<'GO'
package main

import (
	"bytes"
	"fmt"
	"net/smtp"
	"os"
)

func main() {
	mail, err := os.ReadFile("mail")
	if err == nil {
		mail = bytes.ReplaceAll(mail, []byte("\n"), []byte("\r\n"))
		err = smtp.SendMail(os.Args[1], nil, os.Args[2], os.Args[3:], mail)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
GO

# A whole Postfix, with configuration, queue and log in a folder of its own. It is given the mail by its
# own sendmail, which doesn't wait, so the log says when the next hop has it.
cat >relay.sh <<'BASH'
host=$1 port=$2 from=$3 place=$PWD/postfix
shift 3
mkdir -p "$place"/{config,queue,data} && chmod 755 . "$place" && chown postfix "$place/data"
cat >"$place/config/main.cf" <<MAIN
compatibility_level = 3.6
queue_directory = $place/queue
data_directory = $place/data
maillog_file = $place/log
maillog_file_prefixes = $place
myhostname = relay.example
mydestination =
alias_maps =
inet_protocols = ipv4
relayhost = [$host]:$port
smtp_tls_security_level = none
smtp_dns_support_level = disabled
smtp_host_lookup = native
MAIN
cat >"$place/config/master.cf" <<MASTER
pickup  unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr    unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce  unix - - n - 0 bounce
defer   unix - - n - 0 bounce
trace   unix - - n - 0 bounce
smtp    unix - - n - - smtp
relay   unix - - n - - smtp
retry   unix - - n - - error
showq   unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
MASTER
trap 'postfix -c "$place/config" stop' EXIT
postfix -c "$place/config" start || exit 1
sendmail -C "$place/config" -i -f "$from" "$@" <mail || exit 1
for _ in {1..300}; do
    [ "$(grep -c 'status=sent' "$place/log")" -lt $# ] || exit 0
    sleep 0.1
done
grep 'status=' "$place/log" || tail -n 3 "$place/log"
exit 1
BASH

touch no-settings
chmod 600 no-settings
printf '%s\n' "set smtp_url=smtp://$server from=$from use_envelope_from envelope_from_address=$from" \
    "set ssl_force_tls=no ssl_starttls=no copy=no content_type=text/html" \
    "set folder=. tmpdir=. hostname=client.example charset=utf-8 send_charset=us-ascii:utf-8" >muttrc
# Daemons live here, and not everybody's PATH has it.
PATH=$PATH:/usr/sbin:/sbin
NODE_PATH=${NODE_PATH:+$NODE_PATH:}$(npm root -g 2>/dev/null)
export NODE_PATH
export HOME=$directory MAILRC=/dev/null GOCACHE=$directory/go-cache GOTOOLCHAIN=local
if [ -n "$maildir" ] && ! command -v python3 >/dev/null; then
    printf 'to compare the mails, python3 is needed; to install it: apt install python3\n' >&2
    maildir=
fi

rcpt=("${to[@]}")
attempt python3 python3 'apt install python3' \
    python3 send.py "$host" "$port" "$from" "${to[@]}"
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
    go run send.go "$server" "$from" "${to[@]}"
# The program that isn't found is the one to install: nodemailer is a module of node's.
nodemailer=node
node -e 'require("nodemailer")' 2>/dev/null || nodemailer=nodemailer
attempt nodemailer "$nodemailer" 'apt install nodejs npm, then npm install -g nodemailer' \
    node send.js "$host" "$port" "$from" "${to[@]}"
if [ "$(id -u)" -ne 0 ] && command -v postfix >/dev/null; then
    verdict postfix skipped 'not tried: a Postfix of our own can only be started by root'
else
    attempt postfix postfix 'apt install postfix' \
        bash relay.sh "$host" "$port" "$from" "${to[@]}"
fi
# Two recipients of smtp-source would have numbers before their names.
rcpt=("${to[0]}")
attempt smtp-source smtp-source 'apt install postfix' \
    smtp-source -F mail -f "$from" -t "${to[0]}" "$server"

# mutt as a reader, which says how many mails it sees. It wants a terminal, and gets one of script's.
if [ -n "$maildir" ] && command -v mutt >/dev/null && command -v script >/dev/null; then
    TERM=xterm timeout --foreground 60 script -qec \
        "mutt -n -R -F muttrc -e 'set status_format=\"reads %m\"' -e 'push <refresh><exit>' -f '$maildir'" \
        /dev/null >output 2>&1 </dev/null
    seen=$(grep -ao 'reads [0-9]*' output | tail -n 1)
    there=$(find "$maildir"/{new,cur} -type f | wc -l)
    if [ "$seen" = "reads $there" ]; then
        printf '%-12s %s of %d mails in the Maildir\n' mutt "$seen" "$there"
    else
        verdict mutt failed "FAILED: it sees not all of the $there mails in the Maildir: $seen"
    fi
fi

printf '%d delivered, %d failed, %d not tried\n' "$worked" "$failed" "$skipped"
[ "$failed" -eq 0 ] && [ "$worked" -gt 0 ]
