#!/usr/bin/env bash
# Sends a mail to a running server with every SMTP client on this machine, and says which worked.
#
#   scripts/clients.sh [HOST:PORT]     127.0.0.1:2525 if it isn't given
#
# It ends with code 0 if every client that is here has delivered. A client that isn't here is named,
# with what to install. What has arrived is on the server's terminal: each mail's subject names its
# client, and the body has a line that begins with a dot and a line that is nothing but one.
set -uo pipefail

server=${1:-127.0.0.1:2525}
if ! [[ $server =~ ^[^:]+:[0-9]+$ ]]; then
    printf 'usage: scripts/clients.sh [HOST:PORT], such as 127.0.0.1:2525\n' >&2
    exit 2
fi
host=${server%:*}
port=${server##*:}
from=sender@example.com
to=(ujang@example.com agus@example.com)

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory" || exit 1

if ! (exec 3<>"/dev/tcp/$host/$port") 2>/dev/null; then
    printf 'Nobody listens on %s. To start the server: cargo run\n' "$server" >&2
    exit 2
fi

worked=0
failed=0
missing=0

# message NAME: a mail with an HTML body, in the file `mail`, its lines ended by LF
message() {
    printf '%s\n' \
        "From: $from" \
        "To: ${to[0]}, ${to[1]}" \
        "Subject: sent by $1" \
        "MIME-Version: 1.0" \
        "Content-Type: text/html; charset=utf-8" \
        "" \
        "<h1>Hello World</h1>" \
        ".dot at the start" \
        "." \
        "	<p>Grüße</p>" >mail
}

# attempt NAME PROGRAM INSTALL COMMAND...: runs the command with a mail in the file `mail`
attempt() {
    local name=$1 program=$2 install=$3
    shift 3
    if ! command -v "$program" >/dev/null; then
        printf '%-10s not here; to install it: %s\n' "$name" "$install"
        missing=$((missing + 1))
        return
    fi
    message "$name"
    if timeout 60 "$@" <mail >output 2>&1; then
        printf '%-10s delivered\n' "$name"
        worked=$((worked + 1))
    else
        printf '%-10s FAILED: %s\n' "$name" "$(tail -n 3 output | tr '\n' ' ')"
        failed=$((failed + 1))
    fi
}

cat >send.py <<'PYTHON'
import smtplib, sys
host, port, sender, *recipients = sys.argv[1:]
mail = open("mail", "rb").read().replace(b"\n", b"\r\n")
with smtplib.SMTP(host, int(port), timeout=30) as client:
    refused = client.sendmail(sender, recipients, mail)
sys.exit(1 if refused else 0)
PYTHON

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

touch no-settings
chmod 600 no-settings
export HOME=$directory MAILRC=/dev/null GOCACHE=$directory/go-cache GOTOOLCHAIN=local

attempt python3 python3 'apt install python3' \
    python3 send.py "$host" "$port" "$from" "${to[@]}"
attempt curl curl 'apt install curl' \
    curl --silent --show-error --crlf "smtp://$server" --mail-from "$from" \
    --mail-rcpt "${to[0]}" --mail-rcpt "${to[1]}" --upload-file mail
attempt swaks swaks 'apt install swaks' \
    swaks --server "$host" --port "$port" --from "$from" --to "${to[0]},${to[1]}" --data @mail
attempt msmtp msmtp 'apt install msmtp' \
    msmtp --file=no-settings --host="$host" --port="$port" --from="$from" "${to[@]}"
# s-nail writes the header itself and wants the body only.
attempt s-nail s-nail 'apt install s-nail' \
    sh -c 'sed "1,/^$/d" | s-nail "$@"' sh -:/ -S v15-compat -S mta="smtp://$server" -S smtp-auth=none -S nosave -S from="$from" \
    -s 'sent by s-nail' "${to[@]}"
attempt go go 'apt install golang-go' \
    go run send.go "$server" "$from" "${to[@]}"

printf '%d delivered, %d failed, %d not here\n' "$worked" "$failed" "$missing"
[ "$failed" -eq 0 ] && [ "$worked" -gt 0 ]
