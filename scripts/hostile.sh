#!/usr/bin/env bash
# Puts the server into situations that nobody wishes for, and says how it bears them.
#
#   scripts/hostile.sh [NAME...]     all of them if none is named
#
# Each prints a line of figures with `ok` or `FAILED` in front. What this machine can't do is skipped, with a
# word of why. It ends with code 0 if nothing has failed. It takes a minute.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

names=(full-disk no-maildir read-only file-limit descriptors idle slow endless flood out-of-threads)

for name in "$@"; do
    if [[ " ${names[*]} " != *" $name "* ]]; then
        printf 'usage: scripts/hostile.sh [NAME...], of: %s\n' "${names[*]}" >&2
        exit 2
    fi
done
if ! command -v python3 >/dev/null || ! [ -r /proc/self/status ]; then
    printf 'This takes Linux, for its /proc, and python3. To install that: apt install python3\n' >&2
    exit 2
fi

printf 'building ...\n'
cargo build --release --quiet || exit 1
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
# Another user must be able to start it, for out-of-threads.
chmod 755 "$directory"
cp "${CARGO_TARGET_DIR:-target}/release/smtp-from-scratch" "$directory/server" || exit 1

cat >"$directory/hostile.py" <<'PYTHON'
import os, re, resource, select, shutil, socket, subprocess, sys, threading, time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

directory, name = sys.argv[1:]
place = os.path.join(directory, name)
maildir = os.path.join(place, "mail")
errors = os.path.join(directory, "errors")  # Not on the disk that is full.
problems = []
server = None

def check(holds, expected):
    if not holds:
        problems.append(expected)
def end(figures):
    check("panicked" not in open(errors).read(), "no panic")
    check(server.process.poll() is None, "the server lives")
    print(f"{'FAILED' if problems else 'ok':7} {name}: {figures}")
    for expected in problems:
        print(f"        expected: {expected}")
def skip(why):
    print(f"skipped {name}: {why}")
    sys.exit(0)

class Server:
    def __init__(self, *flags, limit=None, user=None):
        command = [f"{directory}/server", "--listen", "127.0.0.1:0", "--quiet", "--maildir", maildir, *flags]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=open(errors, "w"), user=user, group=user, extra_groups=user and [],
            preexec_fn=limit and (lambda: resource.setrlimit(limit[0], (limit[1], limit[1]))))
        first = self.process.stdout.readline().decode()
        if not first:
            sys.exit(f"FAILED  {name}: the server didn't start: {open(errors).read()}")
        self.port = int(first.rsplit(":", 1)[1])
    def read(self, file):
        return open(f"/proc/{self.process.pid}/{file}").read()
    def status(self, field):  # VmRSS and VmHWM are in KiB.
        return int(re.search(rf"^{field}:\s*(\d+)", self.read("status"), re.M)[1])
    def wait_until_alone(self):
        began = time.monotonic()
        while self.status("Threads") > 1 and time.monotonic() < began + 15:
            time.sleep(0.02)
        check(self.status("Threads") == 1, "no client leaves a thread behind")
        return time.monotonic() - began
    def processor_time(self, seconds):
        times = lambda: sum(map(int, self.read("stat").rsplit(")", 1)[1].split()[11:13]))
        before = times()
        time.sleep(seconds)
        return (times() - before) / os.sysconf("SC_CLK_TCK")

class Client:
    """It gets codes, and 0 when the connection is closed or broken."""
    def __init__(self, timeout=20):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.replies = self.socket.makefile("rb")
    def reply(self):
        with suppress(ConnectionError):
            while line := self.replies.readline():
                if line[3:4] != b"-":
                    return int(line[:3])
        return 0
    def say(self, what):
        with suppress(ConnectionError):
            self.socket.sendall(what.encode())
        return self.reply()
    def hello(self):
        return self.reply() == 220 and self.say("EHLO client.example\r\n") == 250
    def begin(self):
        self.say("MAIL FROM:<ada@example.org>\r\n")
        self.say("RCPT TO:<bob@example.com>\r\n")
        return self.say("DATA\r\n")
    def mail(self, size=100):
        code = self.begin()
        return self.say(message(size) + END) if code == 354 else code
    def lives(self, code):
        """The code, of a session that must go on."""
        check(self.say("NOOP\r\n") == 250, "the session lives")
        return code
    def close(self):
        self.replies.close()
        self.socket.close()
END = "\r\n.\r\n"
def message(size):
    return f"X-Size: {size}\r\n\r\n" + ("x" * 62 + "\r\n") * (size // 64) + "x" * (size % 64) + "end"
def files(folder):
    return [os.path.join(maildir, folder, file) for file in os.listdir(os.path.join(maildir, folder))]
def check_mails(delivered):
    """In new/ is what clients know to be delivered, all of it whole, and in tmp/ there is nothing."""
    for file in files("new"):
        text = open(file).read().rstrip("\n")
        size = re.search(r"^X-Size: (\d+)$", text, re.M)
        check(size and text.endswith(message(int(size[1])).replace("\r\n", "\n")), f"{file} is whole")
    check(len(files("new")) == delivered, f"{delivered} mails in new/, not {len(files('new'))}")
    check(not files("tmp"), "nothing left in tmp/")
def normal_service():  # in milliseconds
    began = time.monotonic()
    client = Client()
    check(client.hello() and client.mail() == 250, "normal service for one more client")
    client.close()
    return (time.monotonic() - began) * 1000
def start(*flags, **how):
    global server
    server = Server(*flags, **how)
def start_and_mail():
    start()
    client = Client()
    check(client.hello() and client.mail() == 250, "a mail at first")
    return client
def mount(option):  # All that it was mounted with, or mount asks the system, and gets what a namespace doesn't take.
    command = ["mount", "-t", "tmpfs", "-o", f"{option},size=2m", "none", place]
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
def small_disk():
    os.makedirs(place)
    if not mount("rw"):
        skip("no right to mount a file system")

def full_disk():
    small_disk()
    client = start_and_mail()
    delivered, codes = 1, []
    for size in (100_000, 1000, 100):  # Small mails go into what is left by large ones.
        while (code := client.lives(client.mail(size))) == 250:
            delivered += 1
        codes.append(code)
    check(codes == [452] * 3, "452 when nothing is left")
    check_mails(delivered)
    for file in files("new")[:20]:
        os.remove(file)
    check(client.mail(10_000) == 250, "250 in the same session when there is room again")
    check_mails(delivered - 19)
    end(f"{delivered} mails, then {codes}; after 20 were removed 250, in one session")

def no_maildir():
    client = start_and_mail()
    os.rename(maildir, maildir + ".away")
    codes = [client.lives(client.mail()) for _ in range(3)]
    os.rename(maildir + ".away", maildir)
    check(client.mail() == 250, "250 in the same session when it is back")
    check_mails(2)
    client.begin()
    client.socket.sendall(message(100_000).encode())
    os.rename(maildir, maildir + ".away")
    codes.append(client.lives(client.say(END)))
    os.rename(maildir + ".away", maildir)
    check(codes == [451] * 4, "451 without it")
    for file in files("tmp"):  # It couldn't be removed where it wasn't.
        os.remove(file)
    check(client.mail() == 250, "250 when it was away in the middle of a mail")
    check_mails(3)
    end(f"{codes} without it, the last in the middle of a mail; 250 when it is back, in one session")

def read_only():
    small_disk()
    client = start_and_mail()
    if not mount("remount,ro"):
        skip("no right to remount a file system")
    codes = [client.lives(client.mail()) for _ in range(3)]
    check(set(codes) <= {451, 452}, "451 or 452 while nothing can be written")
    mount("remount,rw")
    check(client.mail() == 250, "250 in the same session when it can be written to again")
    check_mails(2)
    end(f"{codes}, then 250, in one session")

def file_limit():
    start(limit=(resource.RLIMIT_FSIZE, 100 * 1024))
    client = Client()
    client.hello()
    sizes = (200_000, 1000, 103_000, 104_500, 5_000_000, 1000)  # A file has an octet less for each line.
    codes = [client.lives(client.mail(size)) for size in sizes]
    check(codes == [452, 250, 250, 452, 452, 250], "452 for what makes a file over 100 KiB, 250 for the others")
    check_mails(3)
    end(f"mails of {sizes} octets: {codes}")

def descriptors():
    start(limit=(resource.RLIMIT_NOFILE, 64))
    clients = [Client() for _ in range(200)]
    codes = [client.reply() for client in clients]
    check(set(codes) == {220, 421}, "220 or 421 for each")
    busy = server.processor_time(3)
    # There are not enough for all to have a file as well; then accept has none either.
    begun = [client for client in clients if client.say("HELO x\r\n") == 250 and client.begin() == 354]
    clients += [Client() for _ in range(10)]
    starved = server.processor_time(1)
    check(busy < 0.1 and starved < 0.1, "no busy loop")
    answers = Counter(client.say(message(100) + END) for client in begun)
    check(set(answers) <= {250, 451} and answers[250], "250 or 451 for mails")
    for client in clients:
        client.close()
    server.wait_until_alone()
    normal_service()
    check_mails(answers[250] + 1)
    end(f"of 200 clients {codes.count(220)} were let in, {codes.count(421)} got 421; {busy:.2f} s of processor in 3 s; "
        f"their mails at once: {dict(answers)}, {starved:.2f} s in 1 s")

def idle():
    count = 5000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 6100:
        skip(f"it takes 6,100 open files, and ulimit -Hn is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    start("--max-connections", "6000")
    normal_service()
    kernel = lambda: sum(int(line.split()[1]) for line in open("/proc/meminfo")
                         if line.startswith(("KernelStack:", "PageTables:", "SUnreclaim:")))
    state = lambda: (server.status("VmRSS"), kernel(), server.read("maps").count("\n"))
    before, began = state(), time.monotonic()
    clients = []
    for _ in range(count):
        clients.append(Client())
        check(clients[-1].hello(), "each is let in")
    arrival = time.monotonic() - began
    memory, in_kernel, maps = [(now - then) / count for now, then in zip(state(), before)]
    check(memory < 16, "less than 16 KiB for each")
    times = [normal_service() for _ in range(20)]
    check(max(times) < 1000, "one more is served within a second")
    for client in clients:
        client.close()
    leaving = server.wait_until_alone()
    end(f"{count} came in {arrival:.1f} s and were gone after {leaving:.1f} s; {memory:.1f} KiB each, {in_kernel:.1f} KiB in the "
        f"kernel with both ends of the socket, {maps:.2f} maps; one more delivers in {min(times):.1f} to {max(times):.1f} ms")

def slow():
    start("--timeout", "5")
    began, closed, heard, times = time.monotonic(), [], Counter(), []
    clients = [Client() for _ in range(200)]
    for number, client in enumerate(clients):
        check(client.hello() and (number % 2 or client.begin() == 354), "a slow client's beginning")
    def deliver():
        while len(closed) < 200 and time.monotonic() < began + 20:
            times.append(normal_service())
            time.sleep(0.2)
    delivering = threading.Thread(target=deliver)
    delivering.start()
    sockets, next_byte = {client.socket for client in clients}, 0
    while sockets and time.monotonic() < began + 20:
        if time.monotonic() >= next_byte:
            next_byte = time.monotonic() + 1
            for one in sockets:
                with suppress(ConnectionError):
                    one.send(b"x")
        for one in select.select(sockets, [], [], 0.05)[0]:
            text = b""
            with suppress(ConnectionError):
                text = one.recv(1000)
            heard[text[:3]] += 1
            if not text:
                closed.append(time.monotonic() - began)
                sockets.remove(one)
    delivering.join()
    check(len(closed) == heard[b"421"] == 200, "all hear 421 and are closed")
    check(4.5 < min(closed, default=0) and max(closed, default=0) < 7.5, "after 5 to 7 seconds")
    check(max(times) < 1000, "nobody else is held up")
    check_mails(len(times))
    end(f"{heard[b'421']} of 200 got 421 and {len(closed)} were closed, after {min(closed, default=0):.1f} to "
        f"{max(closed, default=0):.1f} s; the slowest of {len(times)} mails meanwhile took {max(times):.0f} ms")

def endless():
    client = start_and_mail()
    before, began, codes = server.status("VmHWM"), time.monotonic(), []
    for end_of_it in ("\r\n", END):
        if end_of_it == END:
            client.begin()
        for _ in range(1024):
            client.socket.sendall(b"x" * 1024 * 1024)
        codes.append(client.lives(client.say(end_of_it)))
    grown = server.status("VmHWM") - before
    check(codes == [500, 552], "500 for the command, 552 for the message")
    check(grown < 1024, "less than 1 MiB of memory")
    check(client.mail() == 250, "the session goes on")
    check_mails(2)
    end(f"1 GiB each in {time.monotonic() - began:.1f} s: {codes}; memory at its peak {before} KiB before, {grown} KiB more after")

def flood():
    start("--timeout", "2")
    for _ in range(20):
        normal_service()
    server.wait_until_alone()
    state = lambda: [server.status("VmRSS"), server.status("Threads"), len(os.listdir(f"/proc/{server.process.pid}/fd"))]
    before, until, sent_away = state(), time.monotonic() + 3, Counter()
    def junk():
        while time.monotonic() < until:
            client = Client()
            client.socket.sendall(b"?\r\n" * 50)
            sent_away[tuple(iter(client.reply, 0)) == (220, *[500] * 20, 421)] += 1
            client.close()
    with ThreadPoolExecutor(20) as pool:
        for _ in range(20):
            pool.submit(junk)
    check(not sent_away[False], "421 for each after 20 refusals")
    for _ in range(2000):
        socket.create_connection(("127.0.0.1", server.port)).close()
    mail = "HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n" + message(100) + END
    for half, last in [("", 220), ("NOOP", 220), ("NOOP\r\n", 250), (mail[:-1], 354), (mail, 250)]:
        client = Client()
        client.socket.sendall(half.encode())
        client.socket.shutdown(socket.SHUT_WR)
        codes = list(iter(client.reply, 0))
        check(codes[-1:] == [last], f"{last} at last, not {codes}, for a client that closes its side after {half[-9:]!r}")
        client.close()
    never_read, noops = [], 0
    for _ in range(20):
        never_read.append(Client(0.1))
        with suppress(TimeoutError, ConnectionError):
            while True:
                noops += never_read[-1].socket.send(b"NOOP\r\n" * 5000) // 6
    # Two seconds, and twice that for one that fetches a little.
    freed = server.wait_until_alone()
    check(freed < 10, "a client that never reads doesn't keep its thread")
    for client in never_read:
        client.close()
    normal_service()
    server.wait_until_alone()
    after = state()
    check(after[1:] == before[1:] and after[0] < before[0] + 4096, "threads, descriptors, memory as before")
    check_mails(22)
    end(f"{sent_away[True]} floods of junk got 421; 20 that never read sent {noops} NOOPs, the last was gone after {freed:.1f} s; "
        f"KiB, threads, descriptors: {before} before, {after} after")

def out_of_threads():
    user, most = None, 50
    os.makedirs(place)
    if os.getuid() == 0:  # For root there is no such limit. This user has no other threads.
        user = 54321
        os.chown(place, user, user)
    else:
        mine = [entry.path for entry in os.scandir("/proc") if entry.name.isdigit() and entry.stat().st_uid == os.getuid()]
        most += sum(len(os.listdir(f"{process}/task")) for process in mine)
    start(limit=(resource.RLIMIT_NPROC, most), user=user)
    clients = [Client() for _ in range(200)]
    codes = Counter(client.reply() for client in clients)
    if codes[220] == 200:
        skip("threads are not limited here")
    busy = server.processor_time(1)
    check(busy < 0.1, "no busy loop")
    check(any(client.say("HELO x\r\n") == 250 and client.mail() == 250 for client in clients), "those who are in deliver")
    for client in clients:
        client.close()
    server.wait_until_alone()
    normal_service()
    check_mails(2)
    end(f"of 200 clients {codes[220]} got a thread, {codes[421]} got 421, {codes[0]} were closed without a word; "
        f"{busy:.2f} s of processor in 1 s; then normal service")

# To hang is a failure as well.
watch = threading.Timer(120, lambda: (print(f"FAILED  {name}: it hangs"), server.process.kill(), os._exit(1)))
watch.daemon = True
watch.start()
try:
    globals()[name.replace("-", "_")]()
finally:
    if server:
        server.process.kill()
    subprocess.run(["umount", "--lazy", place], stderr=subprocess.DEVNULL)
    shutil.rmtree(place, ignore_errors=True)
sys.exit(1 if problems else 0)
PYTHON

# Whoever isn't root may mount a file system in a namespace where one is.
namespace=()
unshare -rm true 2>/dev/null && namespace=(unshare -rm)
failed=0
[ $# -gt 0 ] || set -- "${names[@]}"
for name in "$@"; do
    case $name in
        full-disk | read-only) "${namespace[@]}" python3 "$directory/hostile.py" "$directory" "$name" ;;
        *) python3 "$directory/hostile.py" "$directory" "$name" ;;
    esac || failed=$((failed + 1))
done
[ "$failed" -eq 0 ]
