#!/usr/bin/env bash
# Sends the message in the file `mail` through a Postfix that relays it to our server.
#
#   relay.sh HOST PORT SENDER RECIPIENT...
#
# This is a whole Postfix: its configuration, queue and log are in the current folder. Its own sendmail doesn't
# wait for the delivery, so the log is read to see when the next hop has accepted the message. What the two said to
# each other is in the log too, and is printed: `>` for Postfix, `<` for the server.
host=$1 port=$2 from=$3 place=$PWD/postfix
shift 3
rm -rf "$place"
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
smtputf8_enable = yes
debug_peer_list = $host
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
    if [ "$(grep -ac 'status=sent' "$place/log")" -ge $# ]; then
        sed -n 's/.*: \([<>]\) [^ ]*: /\1 /p' "$place/log"
        exit 0
    fi
    sleep 0.1
done
grep -a 'status=' "$place/log" || tail -n 3 "$place/log"
exit 1
