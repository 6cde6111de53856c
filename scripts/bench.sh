#!/usr/bin/env bash
# Measures the server side by side with Postfix and with its own stage 7, and prints a table.
#
#   scripts/bench.sh
#
#   MAILS=4000 ROUNDS=5    how many mails in a round, and how many rounds of each server, for durable mail
#   FAST=20000 TURNS=7     the same for servers that store nothing
#
# Other programs use the machine too. So two servers are measured in turns, and only the ratio of their medians
# counts: absolute numbers are valid for this minute. smtp-source sends all mails, with 20 clients, 1 KB each, and a
# connection for each mail.
#
# Postfix runs as a private instance in the temporary folder, with its own configuration, queue and log. It holds
# every mail, which is the least that it can do with one: smtpd, cleanup and a synced queue file. Nothing is
# delivered, the queue manager never sees a mail, and nothing slows Postfix down on purpose (in_flow_delay). Its
# CPU time is the time of all its processes, including those that have ended. It needs root.
set -uo pipefail
unset CDPATH
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
cd "$(dirname "$0")/.." || exit 1

mails=${MAILS:-4000}
rounds=${ROUNDS:-5}
fast=${FAST:-20000}
turns=${TURNS:-7}

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

for needed in "smtp-source:apt install postfix" "pgrep:apt install procps" "cargo:https://rustup.rs"; do
    command -v "${needed%%:*}" >/dev/null || fail "${needed%%:*} is missing; to install it: ${needed#*:}"
done
[ -r /proc/self/stat ] || fail "this needs Linux: memory and CPU time are read from /proc"

# /tmp may be in memory, and mail in memory is not durable.
directory=$(mktemp -d -p "${TMPDIR:-/var/tmp}")
servers=()
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    [ ! -d "$directory/config" ] || postfix -c "$directory/config" stop 2>/dev/null
    [ ${#servers[@]} -eq 0 ] || kill "${servers[@]}" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$directory" # Postfix has a user of its own
disk=$(df --output=fstype "$directory" | tail -n 1)
[ "$disk" != tmpfs ] || fail "$directory is in memory; to choose another: TMPDIR=DIR scripts/bench.sh"

cargo build --release --quiet || exit 1
program=${CARGO_TARGET_DIR:-target}/release/smtp-from-scratch

# start FLAG...: starts our server, and sets `pid` and `port`
start() {
    : >"$directory/server"
    "$program" --listen 127.0.0.1:0 --quiet "$@" >"$directory/server" 2>"$directory/warnings" &
    pid=$!
    servers+=("$pid")
    until grep -q listening "$directory/server"; do
        kill -0 "$pid" 2>/dev/null || fail "the server didn't start: $(cat "$directory/warnings")"
        sleep 0.05
    done
    port=$(sed -n 's/^listening on .*://p' "$directory/server")
}

# stop: stops the server that was started last
stop() {
    kill "$pid"
    wait "$pid" 2>/dev/null
}

# cpu PID: prints the CPU seconds of a process, of its children, and of children that have ended
cpu() {
    local process
    for process in "$1" $(pgrep -P "$1"); do
        cat "/proc/$process/stat" 2>/dev/null
    done | sed 's/.*) //' | awk -v hz="$(getconf CLK_TCK)" '{ ticks += $12 + $13 + $14 + $15 } END { print ticks / hz }'
}

# load NAME PID PORT COUNT: sends mails, and adds a line to NAME.rate and to NAME.cpu
load() {
    local cpu_before start end
    sync # so that earlier mails don't slow this measurement down
    cpu_before=$(cpu "$2")
    start=$EPOCHREALTIME
    timeout --foreground 300 smtp-source -s 20 -m "$4" -l 1024 -f ada@example.org -t bob@example.com "127.0.0.1:$3" || fail "$1 didn't accept the mails"
    end=$EPOCHREALTIME
    awk -v n="$4" "BEGIN { printf \"%.0f\n\", n / ($end - $start) }" | tee -a "$directory/$1.rate" >"$directory/last"
    awk -v n="$4" "BEGIN { printf \"%.3f\n\", ($(cpu "$2") - $cpu_before) / n * 1000 }" | tee -a "$directory/$1.cpu" >>"$directory/last"
    paste -sd ' ' "$directory/last" | sed "s|^|  $1: |; s| \([^ ]*\)$| mails/s, \1 s of CPU per 1,000|" >&2
}

# expect FOLDER COUNT: checks that the mails are there. They stay, because on ext4 without a journal, creating files is
# slow for a minute or more after many were deleted. (So a run shortly after another is slower.)
expect() {
    local there
    there=$(find "$1" -type f | wc -l)
    [ "$there" -eq "$2" ] || fail "there are $there mails in $1, not $2"
}

# median NAME: prints the median of the lines of a file
median() {
    sort -n "$directory/$1" | awk '{ value[NR] = $1 } END { print (value[int((NR + 1) / 2)] + value[int(NR / 2) + 1]) / 2 }'
}

# row WHAT A B TARGET: prints a line of the table, with the ratio A / B
row() {
    printf '%-44s %10s %10s %7s   %s\n' "$1" "$2" "$3" "$(awk "BEGIN { printf \"%.2f\", $2 / $3 }")" "$4"
}

start_postfix() {
    mkdir -p "$directory"/{config,queue,data}
    chown postfix "$directory/data"
    for postfix_port in {10025..10125}; do
        (exec 3<>"/dev/tcp/127.0.0.1/$postfix_port") 2>/dev/null || break
    done
    printf '%s\n' "compatibility_level = 3.6" "queue_directory = $directory/queue" "data_directory = $directory/data" \
        "maillog_file = $directory/log" "maillog_file_prefixes = $directory" "myhostname = mail.example" \
        "mynetworks = 127.0.0.0/8" "mydestination =" "local_recipient_maps =" "alias_maps =" "inet_protocols = ipv4" "in_flow_delay = 0" \
        "smtpd_peername_lookup = no" "smtpd_client_restrictions = check_client_access static:HOLD" \
        >"$directory/config/main.cf"
    printf '%s\n' "127.0.0.1:$postfix_port inet n - n - - smtpd" "cleanup unix n - n - 0 cleanup" \
        "qmgr unix n - n 300 1 qmgr" "rewrite unix - - n - - trivial-rewrite" "anvil unix - - n - 1 anvil" \
        "bounce unix - - n - 0 bounce" "defer unix - - n - 0 bounce" "trace unix - - n - 0 bounce" \
        "retry unix - - n - - error" "postlog unix-dgram n - n - 1 postlogd" >"$directory/config/master.cf"
    postfix -c "$directory/config" start 2>/dev/null || fail "Postfix didn't start: $(tail -n 3 "$directory/log")"
    master=$(tr -d ' ' <"$directory/queue/pid/master.pid")
}

heading() {
    printf '\n%-44s %10s %10s %7s   %s\n' "$1" "$2" "$3" ratio target
}

printf '%s cores (%s), Linux %s, %s on %s\n' "$(nproc)" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
    "$(uname -r)" "$disk" "$(df --output=source "$directory" | tail -n 1)"
printf '%s, %s, %s\n' "$("$program" --version)" "$(rustc --version | cut -d ' ' -f 1,2)" "Postfix $(postconf -h mail_version)"

if ! command -v postfix >/dev/null; then
    printf '\nskipped: durable mail, because Postfix is missing; to install it: apt install postfix\n'
elif [ "$(id -u)" -ne 0 ]; then
    printf '\nskipped: durable mail, because only root can start a Postfix of our own\n'
else
    start_postfix
    start --maildir "$directory/mail"
    load warm-up "$master" "$postfix_port" 200
    load warm-up "$pid" "$port" 200
    for ((round = 1; round <= rounds; round++)); do
        load ours "$pid" "$port" "$mails"
        load Postfix "$master" "$postfix_port" "$mails"
    done
    expect "$directory/mail/new" $((200 + rounds * mails))
    expect "$directory/queue/hold" $((200 + rounds * mails))
    stop
    postfix -c "$directory/config" stop 2>/dev/null
    heading "durable, medians of $rounds x $mails mails" ours Postfix
    row "mails per second" "$(median ours.rate)" "$(median Postfix.rate)" "at least 2.5"
    row "CPU seconds per 1,000 mails" "$(median ours.cpu)" "$(median Postfix.cpu)" "at most 0.33"
fi

start --discard
discard=$pid
discard_port=$port
start --stage 7
for ((turn = 1; turn <= turns; turn++)); do
    load discard "$discard" "$discard_port" "$fast"
    load stage-7 "$pid" "$port" "$fast"
done
stop
kill "$discard"
heading "nothing stored, medians of $turns x $fast mails" --discard "--stage 7"
row "mails per second" "$(median discard.rate)" "$(median stage-7.rate)" "no slower"
row "CPU seconds per 1,000 mails" "$(median discard.cpu)" "$(median stage-7.cpu)" ""

# memory FIELD: prints the memory of the server that was started last, in KiB
memory() {
    sed -n "s/^$1:[^0-9]*\([0-9]*\).*/\1/p" "/proc/$pid/status"
}

printf '\nmemory\n'
start --maildir "$directory/large"
timeout --foreground 300 smtp-source -s 20 -m 20 -l 25000000 -f ada@example.org -t bob@example.com "127.0.0.1:$port" || fail "the large mails weren't accepted"
expect "$directory/large/new" 20
printf '%-44s %10s   %s\n' "peak with twenty 25 MB mails at once, MiB" "$(awk "BEGIN { printf \"%.1f\", $(memory VmHWM) / 1024 }")" "at most 5"
stop

start --discard
before=$(memory VmRSS)
ulimit -n 4096 2>/dev/null
clients=1000
for ((client = 0; client < clients; client++)); do
    exec {descriptor}<>"/dev/tcp/127.0.0.1/$port" || fail "only $client clients (ulimit -n is $(ulimit -n))"
    read -r greeting <&"$descriptor"
    [ "${greeting%% *}" = 220 ] || fail "client $client was greeted with: $greeting"
done
printf '%-44s %10s\n' "an idle client, one of 1,000, KiB" "$(awk "BEGIN { printf \"%.1f\", ($(memory VmRSS) - $before) / $clients }")"
