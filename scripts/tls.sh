#!/usr/bin/env bash
# Puts stunnel and HAProxy in front of the server, sends mail through them with TLS, and checks what arrives.
#
#   scripts/tls.sh
#
# The configurations are those of docs/appendix-d-tls-in-front.md, word for word. Only the ports, the certificate and
# the path of our program are others, and no user is changed. The certificate is made here, and all ports are free
# ones of 127.0.0.1. The clients come from 127.0.0.2, which shows that `Received:` doesn't have the address of the
# program in front.
#
# Nothing of the machine's own stunnel, HAProxy or systemd is touched. The exit code is 0 if nothing has failed. A
# program that is missing is listed with the command that installs it.
set -uo pipefail
unset CDPATH
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
cd "$(dirname "$0")/.." || exit 1
project=$PWD
page=$project/docs/appendix-d-tls-in-front.md
tools=$project/scripts/tls

failed=0
# say NAME RESULT: prints a line of the table
say() {
    printf '%-24s %s\n' "$1" "$2"
}

# is_here PROGRAM INSTALL: says whether a program is on this machine
is_here() {
    command -v "$1" >/dev/null && return
    say "$1" "not here; to install it: $2"
    return 1
}

for needed in "cargo:https://rustup.rs" "python3:apt install python3" "openssl:apt install openssl"; do
    is_here "${needed%%:*}" "${needed#*:}" || exit 0
done
cargo build --release --quiet || exit 1
program=${CARGO_TARGET_DIR:-target}/release/smtp-from-scratch
program=$(cd "$(dirname "$program")" && pwd)/smtp-from-scratch

directory=$(mktemp -d) || exit 1
server=
front=
# stop NAME: ends the program that was started here, `server` or `front`
stop() {
    [ -n "${!1}" ] || return 0
    kill "${!1}" 2>/dev/null
    wait "${!1}" 2>/dev/null
    printf -v "$1" ''
}
# shellcheck disable=SC2317,SC2329 # called by the trap
clean_up() {
    stop front
    stop server
    rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$directory" || exit 1

# failure NAME REASON: counts a failure, and shows the end of what the command has printed
failure() {
    failed=$((failed + 1))
    say "$1" "FAILED: $2 $(tail -n 3 output | tr '\n' ' ')"
}

# check NAME RESULT COMMAND...: runs a command that must succeed
check() {
    local name=$1 result=$2
    shift 2
    if "$@" >output 2>&1 </dev/null; then say "$name" "$result"; else failure "$name" "not seen: \"$result\";"; fi
}

# fence NAME: prints the piece of the page whose first line is the comment `# NAME`
fence() {
    awk -v first="# $1" '
        /^```/ { inside = 0; opened = NR }
        NR == opened + 1 && index($0, first) == 1 { inside = 1; found = 1 }
        inside
        END { exit !found }
    ' "$page" || { printf 'there is no %s in %s\n' "$1" "$page" >&2; exit 1; }
}

# open_port PORT PID: waits until a program listens
open_port() {
    local try
    for ((try = 0; try < 200; try++)); do
        kill -0 "$2" 2>/dev/null || return
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.05
    done
    return 1
}

# start_server FLAG...: starts our server anew. `server.log` has what it prints
start_server() {
    stop server
    maildir=$(mktemp -d "$directory/mail.XXXXXX")
    "$program" --listen "127.0.0.1:$server_port" --maildir "$maildir" --proxy "$@" >server.log 2>&1 &
    server=$!
    until grep -q '^listening on' server.log; do
        kill -0 "$server" 2>/dev/null || { cat server.log >&2; exit 1; }
        sleep 0.05
    done
}

# start_front COMMAND...: starts the program that speaks TLS
start_front() {
    "$@" >front.log 2>&1 </dev/null &
    front=$!
    open_port "$front_port" "$front" && return
    failed=$((failed + 1))
    say "$1" "FAILED: it didn't start: $(tail -n 3 front.log | tr '\n' ' ')"
    return 1
}

# deliver NAME ADDRESS COMMAND...: sends the file `mail`, and looks for the client's address in what is stored
deliver() {
    local name=$1 address=$2 stored
    shift 2
    printf 'Subject: sent by %s\r\n\r\nIt works.\r\n' "$name" >mail
    "$@" >output 2>&1 <mail || { failure "$name" "not delivered:"; return; }
    stored=$(grep -l "^Subject: sent by $name" "$maildir"/new/* 2>/dev/null) || { failure "$name" "not stored:"; return; }
    if sed -n '/^Received: /p' "$stored" | grep -qF "([$address])"; then
        say "$name" "delivered, Received: from [$address]"
    else
        failure "$name" "not from $address: $(sed -n '/^Received: /p' "$stored")"
    fi
}

# send [NAME PASSWORD]: delivers with each client, with a login if there is one
send() {
    local flags
    deliver "Python SMTP_SSL" "$source" python3 "$tools/talk.py" send "$front_port" "$@"
    if is_here curl 'apt install curl'; then
        flags=()
        [ $# -eq 0 ] || flags=(--user "$1:$2")
        deliver "curl smtps://" "$source" curl ${flags[@]+"${flags[@]}"} --silent --show-error --max-time 30 \
            --cacert cert.pem --interface "$source" "smtps://127.0.0.1:$front_port/client.example" \
            --mail-from ada@example.org --mail-rcpt bob@example.com --upload-file mail
    fi
    if is_here swaks 'apt install swaks'; then
        if perl -MNet::SSLeay -e 1 2>/dev/null; then
            flags=()
            [ $# -eq 0 ] || flags=(--auth PLAIN --auth-user "$1" --auth-password "$2")
            deliver "swaks --tls-on-connect" "$source" swaks ${flags[@]+"${flags[@]}"} --timeout 30 --tls-on-connect \
                --server 127.0.0.1 --port "$front_port" --local-interface "$source" \
                --from ada@example.org --to bob@example.com --data @mail
        else
            say swaks "can't speak TLS; to install what it needs: apt install libnet-ssleay-perl"
        fi
    fi
}

# offers KEYWORD: says whether EHLO through TLS offers an extension
offers() {
    python3 "$tools/talk.py" ehlo "$front_port" >keywords && grep -qx "$1" keywords
}

# hides KEYWORD: says whether EHLO through TLS answers without this extension
hides() {
    python3 "$tools/talk.py" ehlo "$front_port" >keywords && ! grep -qx "$1" keywords
}

# through FRONT: everything that is checked with one program in front
through() {
    start_server
    send
    check "EHLO" "no STARTTLS" hides STARTTLS
    check "EHLO" "no AUTH" hides AUTH
    check "LF ends a command" "refused with 500" python3 "$tools/talk.py" lf-command "$front_port"
    check "LF . LF in a message" "doesn't end it" python3 "$tools/talk.py" lf-dot-lf "$front_port"

    printf '\nthrough %s, to a server with --users and --tls-in-front\n' "$1"
    start_server --users "$directory/users" --tls-in-front
    check "EHLO" "AUTH" offers AUTH
    send ada hunter2-battery
    check "a wrong password" "refused with 535" python3 "$tools/talk.py" wrong-password "$front_port"
    check "without a login" "refused with 530" python3 "$tools/talk.py" no-login "$front_port"

    printf '\nthrough %s, to a server with --users alone\n' "$1"
    start_server --users "$directory/users"
    check "EHLO" "no AUTH" hides AUTH
    check "the server" "warns, and names --tls-in-front" grep -q 'warning: .*say --tls-in-front' server.log
}

# verify_units: lets systemd read the units. It must say nothing
verify_units() {
    systemd-analyze verify --man=no ./smtp-from-scratch.socket ./smtp-from-scratch.service 2>&1 | tee faults
    [ "${PIPESTATUS[0]}" -eq 0 ] && [ ! -s faults ]
}

# The certificate and its key in one file, which is what both programs want.
(umask 077 && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key.pem -out cert.pem 2>output &&
    cat cert.pem key.pem >mail.pem) || { cat output >&2; exit 1; }
(umask 077 && printf 'ada:hunter2-battery\n' >users)
read -r server_port front_port < <(python3 "$tools/talk.py" ports)
source=127.0.0.2
if ! python3 "$tools/talk.py" try "$source"; then
    source=127.0.0.1
    say "127.0.0.2" "not here: that the address is the client's isn't seen"
fi
export SOURCE=$source
# local_paths: changes the configuration of the page so that it can be tried in this folder
local_paths() {
    sed -e "s|127\.0\.0\.1:2525|127.0.0.1:$server_port|" -e "s|/etc/ssl/private/mail.pem|$directory/mail.pem|" \
        -e "s|accept = 465|accept = 127.0.0.1:$front_port|" -e "s|bind :465|bind 127.0.0.1:$front_port|" \
        -e '/^set[ug]id = /d'
}

printf 'through stunnel\n'
if is_here stunnel 'apt install stunnel4'; then
    fence /etc/stunnel/smtp.conf | local_paths >stunnel.conf || exit 1
    start_front stunnel stunnel.conf && through stunnel
    stop front
    printf '\nthrough stunnel with protocol = smtp, without a PROXY header\n'
    sed 's/^protocol = proxy/protocol = smtp/' stunnel.conf >starttls.conf
    stop server
    maildir=$directory/starttls
    "$program" --listen "127.0.0.1:$server_port" --maildir "$maildir" >server.log 2>&1 &
    server=$!
    if open_port "$server_port" "$server" && start_front stunnel starttls.conf; then
        deliver "Python starttls()" 127.0.0.1 python3 "$tools/talk.py" starttls "$front_port"
        check "commands before TLS" "aren't believed after it" python3 "$tools/talk.py" injection "$front_port"
    fi
    stop front
fi

printf '\nthrough HAProxy\n'
if is_here haproxy 'apt install haproxy'; then
    fence /etc/haproxy/haproxy.cfg | local_paths >haproxy.cfg || exit 1
    start_front haproxy -f haproxy.cfg && through HAProxy
    stop front
fi
stop server

printf '\na socket from systemd\n'
check "restart" "300 clients wait meanwhile, nobody is refused" python3 "$tools/restart.py" "$program" "$directory/restart"
if is_here systemd-analyze 'it comes with systemd'; then
    for unit in smtp-from-scratch.socket smtp-from-scratch.service; do
        fence "/etc/systemd/system/$unit" | sed "s|/usr/local/bin/smtp-from-scratch|$program|" >"$unit" || exit 1
    done
    check "systemd-analyze verify" "finds no fault" verify_units
    if systemd-analyze security --offline=true --no-pager ./smtp-from-scratch.service >output 2>/dev/null; then
        say "systemd-analyze security" "$(sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]* [A-Z]*\).*/\1/p' output)"
    else
        say "systemd-analyze security" "not tried: this version needs a running systemd"
    fi
fi
if is_here systemd-socket-activate 'it comes with systemd'; then
    # --inetd makes the socket standard output as well, so the shell leads that elsewhere.
    : >server.log
    # shellcheck disable=SC2016 # $0 and $1 are the inner shell's
    systemd-socket-activate --inetd -l "127.0.0.1:$front_port" \
        sh -c 'exec "$0" --listen stdin --maildir "$1" >&2' "$program" "$directory/activated" 2>server.log &
    server=$!
    maildir=$directory/activated
    until grep -q '^Listening on' server.log; do
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    deliver "systemd-socket-activate" "$source" python3 "$tools/talk.py" plain "$front_port"
fi

printf '\n%d failed\n' "$failed"
[ "$failed" -eq 0 ]
