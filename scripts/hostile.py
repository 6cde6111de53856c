#!/usr/bin/env python3
"""Puts the server into situations that nobody wants, and reports how it copes.

    scripts/hostile.py [NAME...]     runs all situations if none is named

Each situation prints a line of figures that begins with `ok` or `FAILED`. A situation that this machine can't
produce is skipped, and the reason is printed. The exit code is 0 if nothing has failed. All of them take a minute.
"""

import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from server_under_test import (
    END_OF_DATA, Client, NotStarted, Server, build, exit_on_signals, files, processor_time, read_mail, status,
)

# A situation that takes longer has failed: the server, or a client, hangs.
MOST_SECONDS = 120
MIB = 1024 * 1024


class Skipped(Exception):
    """This machine can't produce the situation."""


# How many threads of the server may wait for a client (MOST_IDLE in src/server.rs).
MOST_IDLE = 64


class WatchedServer(Server):
    """A server whose memory, threads and processor time are read from /proc."""

    def read(self, file):
        return Path(f"/proc/{self.process.pid}/{file}").read_text()

    def status(self, field):
        return status(self.process.pid, field)

    def threads(self):
        return self.status("Threads")

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def processor_time(self):
        return processor_time(self.process.pid)

    def processor_time_during(self, seconds):
        before = self.processor_time()
        time.sleep(seconds)
        return self.processor_time() - before


class Trial:
    """One situation: its folder, its server, and the expectations that failed."""

    def __init__(self, directory, name):
        self.name = name
        self.program = directory / "server"
        self.place = directory / name
        self.maildir = self.place / "mail"
        self.errors = directory / "errors"  # This file is not on the disk that gets full.
        self.server = None
        self.files_at_rest = None
        self.problems = []

    def check(self, holds, expected):
        """Notes what was expected if it doesn't hold."""
        if not holds:
            self.problems.append(expected)

    def start(self, *flags, limit=None, user=None):
        """Starts the server, with a limit such as (RLIMIT_NOFILE, 64) and as another user if they are given."""
        how = {}
        if limit:
            kind, value = limit
            how["preexec_fn"] = lambda: resource.setrlimit(kind, (value, value))
        if user:
            how.update(user=user, group=user, extra_groups=[])
        with open(self.errors, "w") as errors:
            self.server = WatchedServer(self.program, self.maildir, *flags, stderr=errors, **how)
        self.files_at_rest = self.server.open_files()

    def client(self, timeout=20):
        return Client(self.server.port, timeout)

    def start_and_deliver(self):
        """Starts the server, delivers a first message, and returns the client for more."""
        self.start()
        client = self.client()
        self.check(client.hello() and client.deliver(message(100)) == 250, "a first message is accepted")
        return client

    def deliver(self, client, size):
        """Sends a message in a session that must go on whatever the reply is. Returns the code."""
        return self.session_goes_on(client, client.deliver(message(size)))

    def session_goes_on(self, client, code):
        self.check(client.say("NOOP\r\n") == 250, "the session goes on")
        return code

    def normal_service(self):
        """Delivers a message as one more client. Returns how many milliseconds it took."""
        began = time.monotonic()
        with self.client() as client:
            accepted = client.hello() and client.deliver(message(100)) == 250
        self.check(accepted, "normal service for one more client")
        return (time.monotonic() - began) * 1000

    def wait_until_alone(self):
        """Waits until every connection is closed. Returns how many seconds it took."""
        began = time.monotonic()
        while not self.is_alone() and time.monotonic() < began + 15:
            time.sleep(0.02)
        self.check(self.is_alone(), "no client leaves a connection behind, or one thread too many")
        return time.monotonic() - began

    def is_alone(self):
        """Whether no connection is open, and only threads are left that may wait for the next client."""
        return self.server.open_files() == self.files_at_rest and self.server.threads() <= 1 + MOST_IDLE

    def check_mails(self, delivered):
        """Checks that new/ has every message that was accepted, each of them whole, and that tmp/ is empty."""
        stored = files(self.maildir, "new")
        for path in stored:
            fields, content = read_mail(path)
            size = fields.get("X-Size", "")
            self.check(size.isdecimal() and content.decode() == body(int(size)) + "\n", f"{path} is whole")
        self.check(len(stored) == delivered, f"{delivered} mails in new/, not {len(stored)}")
        self.check(not files(self.maildir, "tmp"), "nothing left in tmp/")

    def mount(self, option):
        """Mounts a disk of 2 MiB, or mounts it again with another option. Returns whether that worked.

        All options are given each time. With fewer, mount asks the system for the rest, and gets some that a
        namespace doesn't accept.
        """
        command = ["mount", "-t", "tmpfs", "-o", f"{option},size=2m", "none", self.place]
        return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0

    def mount_small_disk(self):
        self.place.mkdir()
        if not self.mount("rw"):
            raise Skipped("no right to mount a file system")


def body(size):
    """A body of this many octets and a few more, in CRLF lines once they are sent."""
    return ("x" * 62 + "\n") * (size // 64) + "x" * (size % 64) + "end"


def message(size):
    """A message that says its own size, so that a cut one is noticed."""
    return f"X-Size: {size}\n\n{body(size)}".replace("\n", "\r\n")


def full_disk(trial):
    """Fills a small disk with mail.

    Without room for a message the reply is 452, and the session goes on. All messages that were accepted are whole.
    After some of them are removed, the same session delivers again.
    """
    trial.mount_small_disk()
    client = trial.start_and_deliver()
    delivered = 1
    codes = []
    for size in (100_000, 1000, 100):  # Small messages fit into the room that large ones leave.
        while (code := trial.deliver(client, size)) == 250:
            delivered += 1
        codes.append(code)
    trial.check(codes == [452] * 3, "452 when nothing is left")
    trial.check_mails(delivered)
    for path in files(trial.maildir, "new")[:20]:
        path.unlink()
    trial.check(client.deliver(message(10_000)) == 250, "250 in the same session when there is room again")
    trial.check_mails(delivered - 19)
    return f"{delivered} mails, then {codes}; after 20 were removed 250, in one session"


def no_maildir(trial):
    """Moves the Maildir away, between messages and in the middle of one.

    Without the Maildir the reply is 451, and the session goes on. Once the Maildir is back, the same session delivers
    again.
    """
    client = trial.start_and_deliver()
    away = trial.place / "mail.away"
    trial.maildir.rename(away)
    codes = [trial.deliver(client, 100) for _ in range(3)]
    away.rename(trial.maildir)
    trial.check(client.deliver(message(100)) == 250, "250 in the same session when it is back")
    trial.check_mails(2)

    trial.check(client.begin_message() == 354, "354 while it is there")
    client.send(message(100_000).encode())
    trial.maildir.rename(away)
    codes.append(trial.session_goes_on(client, client.say(END_OF_DATA)))
    away.rename(trial.maildir)
    trial.check(codes == [451] * 4, "451 without it")
    for path in files(trial.maildir, "tmp"):  # The server couldn't remove it while the folder was away.
        path.unlink()
    trial.check(client.deliver(message(100)) == 250, "250 when it was away in the middle of a mail")
    trial.check_mails(3)
    return f"{codes} without it, the last in the middle of a mail; 250 when it is back, in one session"


def read_only(trial):
    """Makes the disk read-only while the server runs.

    The reply is then 451 or 452, and the session goes on. Once the disk is writable, the same session delivers again.
    """
    trial.mount_small_disk()
    client = trial.start_and_deliver()
    if not trial.mount("remount,ro"):
        raise Skipped("no right to remount a file system")
    codes = [trial.deliver(client, 100) for _ in range(3)]
    trial.check(set(codes) <= {451, 452}, "451 or 452 while nothing can be written")
    trial.mount("remount,rw")
    trial.check(client.deliver(message(100)) == 250, "250 in the same session when it can be written to again")
    trial.check_mails(2)
    return f"{codes}, then 250, in one session"


def file_limit(trial):
    """Starts the server with a limit of 100 KiB for each file (ulimit -f).

    A message beyond it is answered with 452, a smaller one with 250. The server isn't ended by SIGXFSZ.
    """
    trial.start(limit=(resource.RLIMIT_FSIZE, 100 * 1024))
    client = trial.client()
    trial.check(client.hello(), "the client is greeted")
    sizes = (200_000, 1000, 103_000, 104_500, 5_000_000, 1000)  # In the file, each line has an octet less.
    codes = [trial.deliver(client, size) for size in sizes]
    expected = [452, 250, 250, 452, 452, 250]
    trial.check(codes == expected, "452 for what makes a file over 100 KiB, 250 for the others")
    trial.check_mails(3)
    return f"mails of {sizes} octets: {codes}"


def descriptors(trial):
    """Connects 200 clients to a server that may open 64 files.

    Each gets 220 or 421. Then those with 220 deliver at once, which leaves no descriptor even for accept: the reply is
    250 or 451, and the server doesn't spin. When all are gone, service is normal.
    """
    trial.start(limit=(resource.RLIMIT_NOFILE, 64))
    clients = [trial.client() for _ in range(200)]
    codes = [client.reply() for client in clients]
    trial.check(set(codes) == {220, 421}, "220 or 421 for each")
    busy = trial.server.processor_time_during(3)

    begun, answers = begin_messages(clients)
    clients += [trial.client() for _ in range(10)]
    starved = trial.server.processor_time_during(1)
    trial.check(busy < 0.1 and starved < 0.1, "no busy loop")
    answers.update(client.say(message(100) + END_OF_DATA) for client in begun)
    trial.check(set(answers) <= {250, 451} and answers[250], "250 or 451 for mails")

    for client in clients:
        client.close()
    trial.wait_until_alone()
    trial.normal_service()
    trial.check_mails(answers[250] + 1)
    return (
        f"of 200 clients {codes.count(220)} were let in, {codes.count(421)} got 421; {busy:.2f} s of processor in 3 s; "
        f"their mails at once: {dict(answers)}, {starved:.2f} s in 1 s"
    )


def begin_messages(clients):
    """Begins a message with each client that was let in. Returns those with 354, and the other replies to DATA."""
    begun = []
    refusals = Counter()
    for client in clients:
        if client.say("HELO x\r\n") != 250:
            continue
        code = client.begin_message()
        if code == 354:
            begun.append(client)
        else:
            refusals[code] += 1
    return begun, refusals


def idle(trial):
    """Connects 5,000 clients that say EHLO and then nothing.

    Each costs the server less than 16 KiB. One more client is served within a second.
    """
    count = 5000
    allow_open_files(6100)
    trial.start("--max-connections", "6000")
    trial.normal_service()
    before = memory_and_maps(trial.server)
    began = time.monotonic()
    clients = []
    for _ in range(count):
        client = trial.client()
        trial.check(client.hello(), "each is let in")
        clients.append(client)
    arrival = time.monotonic() - began
    after = memory_and_maps(trial.server)
    memory, in_kernel, maps = [(now - then) / count for now, then in zip(after, before)]
    trial.check(memory < 16, "less than 16 KiB for each")
    times = [trial.normal_service() for _ in range(20)]
    trial.check(max(times) < 1000, "one more is served within a second")
    for client in clients:
        client.close()
    leaving = trial.wait_until_alone()
    return (
        f"{count} came in {arrival:.1f} s and were gone after {leaving:.1f} s; {memory:.1f} KiB each, "
        f"{in_kernel:.1f} KiB in the kernel with both ends of the socket, {maps:.2f} maps; "
        f"one more delivers in {min(times):.1f} to {max(times):.1f} ms"
    )


def allow_open_files(needed):
    """Raises this process's limit of open files, which the server inherits."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise Skipped(f"{needed:,} open files are needed, and ulimit -Hn is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def memory_and_maps(server):
    """The server's memory in KiB, the kernel's, and how many maps the server has."""
    in_kernel = 0
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith(("KernelStack:", "PageTables:", "SUnreclaim:")):
            in_kernel += int(line.split()[1])
    return server.status("VmRSS"), in_kernel, server.read("maps").count("\n")


def slow(trial):
    """Connects 200 clients that send one octet a second, with a timeout of 5 seconds.

    Half of them are in the middle of a message. All get 421 and are closed after 5 to 7 seconds, and no other client
    is delayed.
    """
    trial.start("--timeout", "5")
    began = time.monotonic()
    clients = []
    for number in range(200):  # One by one: connecting all at once would overflow the queue of the listening socket.
        client = trial.client()
        begun = client.hello() and (number % 2 or client.begin_message() == 354)
        trial.check(begun, "a slow client's beginning")
        clients.append(client)
    with ThreadPoolExecutor(1) as pool:
        all_are_closed = threading.Event()
        delivering = pool.submit(deliver_until, trial, all_are_closed, began + 20)
        starts, closed = send_slowly([client.socket for client in clients], began)
        all_are_closed.set()
        times = delivering.result()
    first = min(closed, default=0)
    last = max(closed, default=0)
    trial.check(len(closed) == starts[b"421"] == 200, "all get 421 and are closed")
    trial.check(4.5 < first and last < 7.5, "after 5 to 7 seconds")
    trial.check(max(times) < 1000, "nobody else is held up")
    trial.check_mails(len(times))
    return (
        f"{starts[b'421']} of 200 got 421 and {len(closed)} were closed, after {first:.1f} to {last:.1f} s; "
        f"the slowest of {len(times)} mails meanwhile took {max(times):.0f} ms"
    )


def deliver_until(trial, stop, latest):
    """Delivers a message every 0.2 seconds. Returns how many milliseconds each took."""
    times = []
    while not stop.is_set() and time.monotonic() < latest:
        times.append(trial.normal_service())
        time.sleep(0.2)
    return times


def send_slowly(sockets, began):
    """Sends an octet a second on each socket, until all are closed or 20 seconds are over.

    Returns how often each start of a text was received, `b"421"` for one, and after how many seconds sockets closed.
    """
    still_open = set(sockets)
    starts = Counter()
    closed = []
    next_octet = 0
    while still_open and time.monotonic() < began + 20:
        if time.monotonic() >= next_octet:
            next_octet = time.monotonic() + 1
            for each in still_open:
                with suppress(ConnectionError):
                    each.send(b"x")
        for each in select.select(still_open, [], [], 0.05)[0]:
            text = b""
            with suppress(ConnectionError):
                text = each.recv(1000)
            starts[text[:3]] += 1
            if not text:
                closed.append(time.monotonic() - began)
                still_open.remove(each)
    return starts, closed


def endless(trial):
    """Sends a command and then a message of 1 GiB each, without a line end.

    They are answered with 500 and 552. The server needs less than 1 MiB of memory for them, and the session goes on.
    """
    client = trial.start_and_deliver()
    before = trial.server.status("VmHWM")
    began = time.monotonic()
    send_a_gibibyte(client)
    codes = [trial.session_goes_on(client, client.say("\r\n"))]
    trial.check(client.begin_message() == 354, "the endless message begins")
    send_a_gibibyte(client)
    codes.append(trial.session_goes_on(client, client.say(END_OF_DATA)))
    seconds = time.monotonic() - began
    grown = trial.server.status("VmHWM") - before
    trial.check(codes == [500, 552], "500 for the command, 552 for the message")
    trial.check(grown < 1024, "less than 1 MiB of memory")
    trial.check(client.deliver(message(100)) == 250, "250 for the next message")
    trial.check_mails(2)
    return f"1 GiB each in {seconds:.1f} s: {codes}; memory at its peak {before} KiB before, {grown} KiB more after"


def send_a_gibibyte(client):
    for _ in range(1024):
        client.socket.sendall(b"x" * MIB)


def flood(trial):
    """Sends junk with 20 clients at a time, connects 2,000 that leave at once, and 20 that never read a reply.

    Junk gets 421 after 20 refusals. Clients that never read are dropped. At the end no connection is left, and the
    server has no more than 4 MiB of memory on top.
    """
    trial.start("--timeout", "2")
    for _ in range(20):
        trial.normal_service()
    trial.wait_until_alone()
    before = resources(trial.server)
    floods = flood_with_junk(trial)
    for _ in range(2000):
        trial.client().close()
    close_the_sending_side(trial)
    silent, noops = connect_without_reading(trial)
    # A client that never reads has two seconds, and twice that if it reads a little.
    freed = trial.wait_until_alone()
    trial.check(freed < 10, "a client that never reads doesn't keep its connection")
    for client in silent:
        client.close()
    trial.normal_service()
    trial.wait_until_alone()
    after = resources(trial.server)
    trial.check(after[0] < before[0] + 4096, "memory as before")
    trial.check_mails(22)
    return (
        f"{floods} floods of junk got 421; 20 that never read sent {noops} NOOPs, the last was gone after "
        f"{freed:.1f} s; KiB, threads, descriptors: {before} before, {after} after"
    )


def resources(server):
    """The server's memory in KiB, its threads, and its open files."""
    return [server.status("VmRSS"), server.threads(), server.open_files()]


def flood_with_junk(trial):
    """Sends 50 junk commands a connection, on 20 connections at a time, for 3 seconds.

    Checks that each connection is ended after 20 refusals, and returns how many there were.
    """
    until = time.monotonic() + 3

    def send_junk():
        ended_well = []
        while time.monotonic() < until:
            with trial.client() as client:
                client.socket.sendall(b"?\r\n" * 50)
                ended_well.append(client.all_replies() == [220] + [500] * 20 + [421])
        return ended_well

    with ThreadPoolExecutor(20) as pool:
        senders = [pool.submit(send_junk) for _ in range(20)]
    outcomes = [outcome for sender in senders for outcome in sender.result()]
    trial.check(outcomes and all(outcomes), "421 for each after 20 refusals")
    return outcomes.count(True)


def close_the_sending_side(trial):
    """Closes the sending side of a connection at several points of a session, and checks the last reply."""
    mail = "HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n" + message(100) + END_OF_DATA
    for text, last in [("", 220), ("NOOP", 220), ("NOOP\r\n", 250), (mail[:-1], 354), (mail, 250)]:
        with trial.client() as client:
            client.socket.sendall(text.encode())
            client.socket.shutdown(socket.SHUT_WR)
            codes = client.all_replies()
        expected = f"{last} at last, not {codes}, for a client that closes its side after {text[-9:]!r}"
        trial.check(codes[-1:] == [last], expected)


def connect_without_reading(trial):
    """Connects 20 clients that send NOOP until nothing more fits. Returns them, and how many NOOPs they sent."""
    clients = []
    noops = 0
    for _ in range(20):
        client = trial.client(timeout=0.1)
        clients.append(client)
        with suppress(socket.timeout, ConnectionError):
            while True:
                noops += client.socket.send(b"NOOP\r\n" * 5000) // 6
    return clients, noops


def out_of_threads(trial):
    """Connects 200 clients to a server that may have 50 threads (ulimit -u).

    The server doesn't spin, and a client that has a thread delivers. When all are gone, service is normal.
    """
    trial.place.mkdir()
    user = None
    most = 50
    if os.getuid() == 0:  # The limit doesn't apply to root. This user has no other threads.
        user = 54321
        os.chown(trial.place, user, user)
    else:
        most += count_own_threads()
    trial.start(limit=(resource.RLIMIT_NPROC, most), user=user)
    clients = [trial.client() for _ in range(200)]
    codes = Counter(client.reply() for client in clients)
    if codes[220] == 200:
        raise Skipped("threads are not limited here")
    busy = trial.server.processor_time_during(1)
    trial.check(busy < 0.1, "no busy loop")
    delivered = any(client.say("HELO x\r\n") == 250 and client.deliver(message(100)) == 250 for client in clients)
    trial.check(delivered, "a client that was let in delivers")
    for client in clients:
        client.close()
    trial.wait_until_alone()
    trial.normal_service()
    trial.check_mails(2)
    return (
        f"of 200 clients {codes[220]} got a thread, {codes[421]} got 421, {codes[0]} were closed without a word; "
        f"{busy:.2f} s of processor in 1 s; then normal service"
    )


def count_own_threads():
    """The threads that this user has already: they count towards the limit."""
    threads = 0
    for entry in os.scandir("/proc"):
        with suppress(OSError):  # The process may have ended meanwhile.
            if entry.name.isdigit() and entry.stat().st_uid == os.getuid():
                threads += len(os.listdir(f"{entry.path}/task"))
    return threads


SITUATIONS = {
    "full-disk": full_disk,
    "no-maildir": no_maildir,
    "read-only": read_only,
    "file-limit": file_limit,
    "descriptors": descriptors,
    "idle": idle,
    "slow": slow,
    "endless": endless,
    "flood": flood,
    "out-of-threads": out_of_threads,
}
NEED_A_MOUNT = ["full-disk", "read-only"]


def report(outcome, name, text):
    print(f"{outcome:7} {name}: {text}", flush=True)


def run_here(directory, name):
    """Runs a situation in this process and prints its lines. Returns the exit code."""
    trial = Trial(directory, name)
    try:
        figures = SITUATIONS[name](trial)
        trial.check("panicked" not in trial.errors.read_text(), "no panic")
        trial.check(trial.server.is_alive(), "the server is alive")
        report("FAILED" if trial.problems else "ok", name, figures)
        for expected in trial.problems:
            print(f"        expected: {expected}", flush=True)
        return 1 if trial.problems else 0
    except Skipped as why:
        report("skipped", name, why)
        return 0
    except NotStarted:
        report("FAILED", name, f"the server didn't start: {trial.errors.read_text()}")
    except Exception as error:
        traceback.print_exc()
        report("FAILED", name, repr(error))
        for expected in trial.problems:
            print(f"        expected: {expected}", flush=True)
    finally:
        if trial.server:
            trial.server.kill()
    return 1


def run_apart(directory, name):
    """Runs a situation in a process of its own and returns whether it went well.

    The process leads a group, to which its server belongs. In the end the group is killed and the disk unmounted,
    whatever has happened.
    """
    namespace = own_namespace() if name in NEED_A_MOUNT else []
    command = [*namespace, sys.executable, __file__, "--in", directory, name]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        code = process.wait(MOST_SECONDS)
        if code < 0:
            report("FAILED", name, f"the script was ended by signal {-code}")
        return code == 0
    except subprocess.TimeoutExpired:
        report("FAILED", name, "it hangs")
        return False
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        place = directory / name
        subprocess.run(["umount", "--lazy", place], stderr=subprocess.DEVNULL)
        shutil.rmtree(place, ignore_errors=True)


def own_namespace():
    """The command that runs another with the right to mount, for users other than root. Empty if there is none."""
    command = ["unshare", "-rm"]
    with suppress(FileNotFoundError):
        if subprocess.run([*command, "true"], stderr=subprocess.DEVNULL).returncode == 0:
            return command
    return []


def run_all(names):
    """Runs situations one after the other and returns the exit code."""
    program = build()
    with tempfile.TemporaryDirectory() as directory:
        # For out-of-threads, another user must be able to start the program.
        os.chmod(directory, 0o755)
        shutil.copy(program, Path(directory) / "server")
        went_well = [run_apart(Path(directory), name) for name in names]
    return 0 if all(went_well) else 1


def main(arguments):
    if arguments[:1] == ["--in"]:  # This process was started by run_apart.
        directory, name = arguments[1:]
        return run_here(Path(directory), name)
    if not set(arguments) <= set(SITUATIONS):
        print(f"usage: scripts/hostile.py [NAME...], of: {' '.join(SITUATIONS)}", file=sys.stderr)
        return 2
    if not os.access("/proc/self/status", os.R_OK):
        print("This needs Linux, for its /proc", file=sys.stderr)
        return 2
    exit_on_signals()
    return run_all(arguments or list(SITUATIONS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
