#!/usr/bin/env bash
# Kills a busy server, again and again, and looks whether it has kept its promises.
#
#   scripts/kill.sh [ROUNDS]     10 if it isn't given
#
# Each round starts the server on the same Maildir, has 20 clients deliver mail, and ends it with kill -9 at
# a random moment. A mail whose 250 was read must then be in new/, once and whole, and nothing in new/ may
# be cut. It ends with code 0 if all of that is so. (What a power cut takes is another matter: after a kill
# the system still has what was written and not yet synced.)
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

fail() {
    printf '%s\n' "$*" >&2
    exit 2
}

rounds=${1:-10}
[[ $rounds =~ ^[1-9][0-9]*$ ]] || fail 'usage: scripts/kill.sh [ROUNDS], such as 10'
command -v python3 >/dev/null || fail 'python3 is missing. To install it: apt install python3'

printf 'building ...\n'
cargo build --release --quiet || exit 1
target=${CARGO_TARGET_DIR:-target}
# Beside the program, because /tmp may be in memory, where nothing takes any time.
directory=$(mktemp -d "$target/kill.XXXXXX")
trap 'rm -rf "$directory"' EXIT

cat >"$directory/kill.py" <<'PYTHON'
import hashlib, os, random, signal, socket, subprocess, sys, threading, time

program, directory, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
SENDERS = 20
maildir = os.path.join(directory, "mail")
lock = threading.Lock()
promised = set()  # ids whose 250 was read
pending = set()  # ids that were sent, and the 250 was not read
refused = []  # other answers

def start():
    command = [program, "--listen", "127.0.0.1:0", "--quiet", "--maildir", maildir]
    server = subprocess.Popen(command, stdout=subprocess.PIPE)
    first = server.stdout.readline().decode()
    if not first.startswith("listening on "):
        sys.exit("the server didn't start on its Maildir")
    return server, int(first.rsplit(":", 1)[1])

def body():
    size = int(10 ** random.uniform(2, 5.3))  # 100 octets to 200 KB, of each magnitude as many
    text = random.randbytes(size // 2).hex()
    # Lines of all lengths; some begin with a dot.
    lines, at = [], 0
    while at < len(text):
        length = random.randint(0, 150)
        lines.append(random.choice(["", "", "", "."]) + text[at : at + length])
        at += length
    return "\n".join(lines) + "\n"

def deliver(client, replies, number):
    def say(text, expected):
        client.sendall(text.encode())
        reply = replies.readline()
        if not reply.endswith(b"\n"):
            raise ConnectionError  # the server is gone
        if not reply.startswith(expected):
            with lock:
                refused.append(reply)
            raise ConnectionError
    content = body()
    checksum = hashlib.sha256(content.encode()).hexdigest()
    text = f"X-Id: {number}\nX-Sum: {checksum}\n\n{content}"
    stuffed = "".join("." * line.startswith(".") + line + "\r\n" for line in text.split("\n")[:-1])
    say("MAIL FROM:<ada@example.org>\r\n", b"250")
    say("RCPT TO:<bob@example.com>\r\n", b"250")
    say("DATA\r\n", b"354")
    with lock:
        pending.add(number)
    say(stuffed + ".\r\n", b"250")
    with lock:
        pending.remove(number)
        promised.add(number)

def send(port, name):
    count = 0
    try:
        while True:
            with socket.create_connection(("127.0.0.1", port), 20) as client:
                replies = client.makefile("rb")
                replies.readline()
                client.sendall(b"HELO client.example\r\n")
                replies.readline()
                for _ in range(random.choice([1, 1, 2, 10])):
                    deliver(client, replies, f"{name}-{count}")
                    count += 1
    except TimeoutError:
        with lock:
            refused.append(b"no answer in 20 seconds")
    except OSError:
        pass

def look():
    """Every mail in new/: how often each id is there, and which files are cut."""
    found, cut = {}, []
    for name in os.listdir(os.path.join(maildir, "new")):
        with open(os.path.join(maildir, "new", name), "rb") as file:
            header, _, content = file.read().partition(b"\n\n")
        fields = dict(line.split(b": ", 1) for line in header.split(b"\n") if b": " in line)
        trace = all(field in fields for field in (b"Return-Path", b"Delivered-To", b"Received"))
        if trace and fields.get(b"X-Sum", b"").decode() == hashlib.sha256(content).hexdigest():
            number = fields[b"X-Id"].decode()
            found[number] = found.get(number, 0) + 1
        else:
            cut.append(name)
    return found, cut

failed = False
for round in range(1, rounds + 1):
    server, port = start()
    before = len(promised)
    senders = [threading.Thread(target=send, args=(port, f"{round}-{n}")) for n in range(SENDERS)]
    for sender in senders:
        sender.start()
    life = random.uniform(0.2, 2)
    time.sleep(life)
    died = server.poll()
    server.send_signal(signal.SIGKILL)
    server.wait()
    for sender in senders:
        sender.join()
    found, cut = look()
    lost = [number for number in promised if number not in found]
    twice = [number for number, times in found.items() if times > 1]
    unpromised = [number for number in found if number not in promised]
    unknown = [number for number in unpromised if number not in pending]
    leftovers = len(os.listdir(os.path.join(maildir, "tmp")))
    figures = f"{len(promised)} promised, {len(found)} found, {len(lost)} lost, {len(cut)} cut, " \
        f"{len(unpromised)} unpromised but whole, {leftovers} leftovers"
    print(f"round {round}, {life:.1f} s, {len(promised) - before} new: {figures}", flush=True)
    for what, wrong in [("lost", lost), ("cut", cut), ("twice", twice), ("never sent whole", unknown),
                        ("refused", refused), ("server died by itself", [died] if died is not None else [])]:
        if wrong:
            failed = True
            print(f"    {what}: {len(wrong)}, such as {wrong[0]}")
    refused.clear()
    # What a round has left behind is no reason not to start: this is the next round's start, or the last.
server, port = start()
server.kill()
if not promised:
    sys.exit("FAILED: no mail was delivered at all")
print(f"{'FAILED' if failed else 'ok'}: {rounds} rounds, {figures}")
sys.exit(failed)
PYTHON

python3 "$directory/kill.py" "$target/release/smtp-from-scratch" "$directory" "$rounds"
