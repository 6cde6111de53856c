#!/usr/bin/env python3
"""Puts HAProxy in front of three servers on one Maildir, ends two of them on the way, and checks that no mail is lost.

    scripts/many.py [MAILS]     20,000 mails if the number isn't given
    scripts/many.py idle        what 1,000, 5,000 and 10,000 idle clients cost one server

HAProxy's configuration is that of docs/appendix-e-beyond-one-machine.md, with other ports. Twenty clients send mails
with numbers through it. After a quarter of them, one server is drained and replaced, and no client may notice. After
half of them, another is ended with kill -9, and is started again on its port. A mail that had no answer is sent again,
as a mail server would do it. In the end every mail whose 250 was read must be in new/, and none may be there twice
except those that had no answer. The exit code is 0 if all of that holds.
"""

import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from hostile import Skipped, WatchedServer, allow_open_files, memory_and_maps
from server_under_test import (
    END_OF_DATA, PROJECT, TARGET, Client, NotStarted, build, exit_on_signals, files, free_ports, read_mail,
)

PAGE = PROJECT / "docs" / "appendix-e-beyond-one-machine.md"
SENDERS = 20
MAILS_A_CONNECTION = 10
MOST_TRIES = 20
NAMES = ["one", "two", "three"]
IDLE_CLIENTS = [1000, 5000, 10_000]


class Site:
    """HAProxy and three servers on one Maildir."""

    def __init__(self, program, directory):
        self.program = program
        self.directory = directory
        self.maildir = directory / "mail"
        self.port, self.runtime_port, *ports = free_ports(2 + len(NAMES))
        self.ports = dict(zip(NAMES, ports))
        self.servers = {}
        self.processes = {}  # The names of the servers, by their process ids.
        self.haproxy = None

    def __enter__(self):
        try:
            for name in NAMES:
                self.start(name)
            self.start_haproxy()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception):
        if self.haproxy:
            self.haproxy.kill()
            self.haproxy.wait()
        for server in self.servers.values():
            server.kill()

    def start(self, name):
        """Starts a server on its port. It may be one that was ended."""
        listen = ("--listen", f"127.0.0.1:{self.ports[name]}")
        server = WatchedServer(self.program, self.maildir, *listen, "--proxy", stderr=subprocess.DEVNULL)
        self.servers[name] = server
        self.processes[str(server.process.pid)] = name

    def start_haproxy(self):
        fence = re.search(r"^```text\n(# /etc/haproxy/haproxy\.cfg\n.*?)^```$", PAGE.read_text(), re.DOTALL | re.M)
        text = fence[1].replace("bind :25", f"bind 127.0.0.1:{self.port}")
        text = text.replace("/run/haproxy.sock", f"127.0.0.1:{self.runtime_port}")
        for name in NAMES:
            text = re.sub(rf"(server {name} 127\.0\.0\.1):\d+", rf"\1:{self.ports[name]}", text)
        (self.directory / "haproxy.cfg").write_text(text)
        with open(self.directory / "haproxy.log", "w") as log:
            command = ["haproxy", "-f", "haproxy.cfg"]
            self.haproxy = subprocess.Popen(command, cwd=self.directory, stdout=log, stderr=log)
        while self.haproxy.poll() is None:
            try:
                return Client(self.port).close()
            except ConnectionRefusedError:
                time.sleep(0.02)
        sys.exit("HAProxy didn't start: " + (self.directory / "haproxy.log").read_text())

    def ask_haproxy(self, command):
        """Gives HAProxy a command at its socket and returns the answer. For `set` it is empty."""
        with socket.create_connection(("127.0.0.1", self.runtime_port), 5) as runtime:
            runtime.sendall(command.encode() + b"\n")
            return runtime.makefile().read().strip()

    def clients(self, name):
        """How many clients HAProxy has at a server."""
        row = re.search(rf"^servers,{name},.*", self.ask_haproxy("show stat"), re.M)[0]
        return int(row.split(",")[4])

    def replace(self, name):
        """Drains a server, and starts it anew when its last client is gone. Returns the seconds until then."""
        began = time.monotonic()
        self.ask_haproxy(f"set server servers/{name} state drain")
        while self.clients(name) > 0:
            time.sleep(0.01)
        seconds = time.monotonic() - began
        self.servers[name].kill()
        self.start(name)
        self.ask_haproxy(f"set server servers/{name} state ready")
        return seconds


class Ledger:
    """What became of each mail, by its number. All senders write into it."""

    def __init__(self, mails):
        self.lock = threading.Lock()
        self.numbers = iter(range(mails))
        self.acknowledged = set()  # The 250 was read.
        self.unanswered = set()  # It was sent to its end once, and no reply came.
        self.faults = []  # Replies that should not have come, and the like.
        self.broken = 0  # Connections that broke, wherever that was.

    def next_number(self):
        with self.lock:
            return next(self.numbers, None)

    def wait_for(self, count, senders):
        """Waits until so many mails are acknowledged, or no sender is left."""
        while len(self.acknowledged) < count and not all(sender.done() for sender in senders):
            time.sleep(0.005)

    def note(self, client, number, code, is_sent):
        """Notes the last reply code that a mail got. 0 is none."""
        with self.lock:
            if code == 250:
                self.acknowledged.add(number)
            elif code:
                self.faults.append(client.last_line)
            else:
                self.broken += 1
                if is_sent:
                    self.unanswered.add(number)


def deliver(ledger, client, number):
    """Delivers a mail and returns whether it was acknowledged."""
    code = client.begin_message()
    is_sent = code == 354
    if is_sent:
        code = client.say(f"X-Number: {number}\r\n\r\nHello.{END_OF_DATA}")
    ledger.note(client, number, code, is_sent)
    return code == 250


def send(ledger, port):
    """Delivers one mail after the other, a few on a connection, until none is left."""
    number = ledger.next_number()
    tries = 0
    while number is not None and tries < MOST_TRIES:
        tries += 1
        with Client(port) as client:
            if not client.hello():
                ledger.note(client, number, 0, False)
                continue
            for _ in range(MAILS_A_CONNECTION):
                if number is None or not deliver(ledger, client, number):
                    break  # A mail that isn't acknowledged is sent again, on another connection.
                number = ledger.next_number()
                tries = 0


def run_through(site, mails):
    """Sends the mails, ends servers meanwhile, and returns the ledger."""
    ledger = Ledger(mails)
    began = time.monotonic()
    with ThreadPoolExecutor(SENDERS) as pool:
        senders = [pool.submit(send, ledger, site.port) for _ in range(SENDERS)]
        ledger.wait_for(mails // 4, senders)
        seconds = site.replace("two")
        print(f"two is drained in {seconds:.2f} s and replaced: {ledger.broken} connections broke", flush=True)
        noticed = ledger.broken
        ledger.wait_for(mails // 2, senders)
        site.servers["three"].kill()
        time.sleep(1)
        site.start("three")
        for sender in senders:
            sender.result()
    seconds = time.monotonic() - began
    print(f"three is killed and started again after a second: {ledger.broken - noticed} connections broke")
    print(f"{mails} mails in {seconds:.1f} s, from {SENDERS} clients")
    if noticed:
        ledger.faults.append("connections broke while two was drained and replaced")
    return ledger


def check(site, ledger, mails):
    """Compares the Maildir with the ledger, prints the counts, and returns the exit code."""
    found = Counter()
    stored_by = Counter()
    for path in files(site.maildir, "new"):
        found[int(read_mail(path)[0]["X-Number"])] += 1
        stored_by[site.processes[re.search(r"\.M\d+P(\d+)Q", path.name)[1]]] += 1
    lost = ledger.acknowledged - set(found)
    twice = {number for number, times in found.items() if times > 1}
    unexplained = twice - ledger.unanswered
    is_right = len(ledger.acknowledged) == mails and not lost and not unexplained and not ledger.faults
    print("stored by " + ", ".join(f"{name}: {stored_by[name]}" for name in NAMES))
    if ledger.faults:
        print(f"    faults: {len(ledger.faults)}, such as {ledger.faults[0]}")
    print(
        f"{'ok' if is_right else 'FAILED'}: {len(ledger.acknowledged)} acknowledged, {len(found)} found, "
        f"{len(lost)} lost, {len(ledger.unanswered)} without an answer and sent again, {len(twice)} twice, "
        f"{len(unexplained)} of them without that reason, {len(files(site.maildir, 'tmp'))} left in tmp/"
    )
    return 0 if is_right else 1


def share(mails):
    """Sends mails through HAProxy and returns the exit code."""
    if not shutil.which("haproxy"):
        print("skipped: haproxy is missing. To install it: apt install haproxy")
        return 0
    program = build()
    # The Maildir is beside the program, because /tmp may be in memory, where nothing takes any time.
    with tempfile.TemporaryDirectory(prefix="many.", dir=TARGET) as directory:
        with Site(program, Path(directory)) as site:
            return check(site, run_through(site, mails), mails)


def idle():
    """Counts what idle clients cost and returns the exit code."""
    program = build()
    all_right = True
    for count in IDLE_CLIENTS:
        try:
            allow_open_files(count + 100)
            all_right &= hold_idle(program, count)
        except NotStarted:  # It has said why.
            print(f"skipped: {count} idle clients: the server has no room for them", flush=True)
        except Skipped as why:
            print(f"skipped: {count} idle clients: {why}", flush=True)
    return 0 if all_right else 1


def hold_idle(program, count):
    """Connects clients that say EHLO and then nothing, and prints their cost. Returns whether all were let in."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        server = WatchedServer(program, Path(directory) / "mail", "--max-connections", str(count))
        stack.callback(server.kill)
        before = memory_and_maps(server)
        clients = []
        began = time.monotonic()
        while len(clients) < count:
            client = stack.enter_context(Client(server.port))
            if not client.hello():
                break
            clients.append(client)
        seconds = time.monotonic() - began
        after = memory_and_maps(server)
        threads = server.threads()
        busy = server.processor_time_during(1)
        is_right = len(clients) == count
        memory, in_kernel, maps = [(now - then) / max(1, len(clients)) for now, then in zip(after, before)]
        print(
            f"{'ok' if is_right else 'FAILED'}: {len(clients)} idle clients in {seconds:.1f} s, {threads} threads; "
            f"{memory:.1f} KiB each, {in_kernel:.1f} KiB in the kernel with both ends of the socket, {maps:.2f} maps; "
            f"{after[0] / 1024:.0f} MiB in all; {busy:.2f} s of processor in 1 s",
            flush=True,
        )
        return is_right


def main(arguments):
    what = arguments[0] if arguments else "20000"
    if len(arguments) > 1 or not re.fullmatch("idle|[1-9][0-9]*", what):
        print("usage: scripts/many.py [MAILS|idle], such as 20000", file=sys.stderr)
        return 2
    exit_on_signals()
    try:
        return idle() if what == "idle" else share(int(what))
    except NotStarted:
        sys.exit("a server didn't start")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
