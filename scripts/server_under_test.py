"""Builds our server, starts it, speaks SMTP to it, and reads its Maildir: what the scripts share."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
TARGET = PROJECT / (os.environ.get("CARGO_TARGET_DIR") or "target")
END_OF_DATA = "\r\n.\r\n"


def build():
    """Builds the server and returns the path of the program.

    With SMTP_PROGRAM set, that is the program, such as a reader's own.
    """
    if program := os.environ.get("SMTP_PROGRAM"):
        if not os.access(program, os.X_OK):
            sys.exit(f"{program} is no program. To build it: cargo build --release")
        return Path(program).resolve()
    if not shutil.which("cargo"):
        sys.exit("cargo is missing. To install it: https://rustup.rs")
    print("building ...", flush=True)
    result = subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=PROJECT)
    if result.returncode != 0:
        sys.exit(1)
    return TARGET / "release" / "smtp-from-scratch"


def exit_on_signals():
    """Lets SIGINT, SIGTERM and SIGHUP end the script with an exception, so that every `finally` is run."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def leave(number, _frame):
        for each in signals:  # A second one must not interrupt the clean-up.
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    for each in signals:
        signal.signal(each, leave)


def free_ports(count):
    """Ports of 127.0.0.1 that nobody uses."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def status(pid, field):
    """A number in /proc/PID/status. VmRSS and VmHWM are in KiB."""
    return int(re.search(rf"^{field}:\s*(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1])


def processor_time(pid):
    """The seconds of processor time that a process has used, in user mode and in the kernel."""
    after_the_name = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    user, system = after_the_name[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class NotStarted(Exception):
    """The server ended before it listened."""


class Server:
    """A running server, on a free port and with a Maildir of its own."""

    def __init__(self, program, maildir, *flags, **popen_arguments):
        command = [program, "--listen", "127.0.0.1:0", "--quiet", "--maildir", maildir, *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, **popen_arguments)
        try:
            first_line = self.process.stdout.readline().decode()
        except BaseException:
            self.kill()
            raise
        if not first_line.startswith("listening on "):
            self.kill()
            raise NotStarted
        self.port = int(first_line.rsplit(":", 1)[1])

    def is_alive(self):
        return self.process.poll() is None

    def kill(self):
        """Ends the server with SIGKILL. It has no time for anything, as in a crash."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Client:
    """A client that speaks SMTP.

    Its methods return reply codes, and 0 once the connection is closed or broken. Without an answer in time they
    raise `socket.timeout`.
    """

    def __init__(self, port, timeout=20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.replies = self.socket.makefile("rb")
        self.last_line = b""

    def reply(self):
        """Reads a whole reply, of one line or several."""
        with suppress(ConnectionError):
            while True:
                self.last_line = self.replies.readline()
                if not self.last_line.endswith(b"\n"):
                    return 0
                if self.last_line[3:4] != b"-":
                    return int(self.last_line[:3])
        return 0

    def all_replies(self):
        """Reads replies until the connection is closed."""
        codes = []
        while code := self.reply():
            codes.append(code)
        return codes

    def send(self, octets):
        """Sends octets. If the connection is broken, the next reply shows it."""
        with suppress(ConnectionError):
            self.socket.sendall(octets)

    def say(self, text):
        """Sends text and returns the code of its reply."""
        self.send(text.encode())
        return self.reply()

    def hello(self):
        """Whether the client was greeted, and its EHLO accepted."""
        return self.reply() == 220 and self.say("EHLO client.example\r\n") == 250

    def begin_message(self):
        """Begins a transaction up to DATA and returns the code of DATA."""
        self.say("MAIL FROM:<ada@example.org>\r\n")
        self.say("RCPT TO:<bob@example.com>\r\n")
        return self.say("DATA\r\n")

    def deliver(self, message):
        """Sends a message, in CRLF lines that need no dot-stuffing, and returns the code for it.

        A server that can't store the message may refuse at DATA already. The message is then never sent.
        """
        code = self.begin_message()
        if code != 354:
            return code
        return self.say(message + END_OF_DATA)

    def close(self):
        self.replies.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()


def files(maildir, folder):
    """The files in a folder of a Maildir: `new` or `tmp`."""
    return list((Path(maildir) / folder).iterdir())


def read_mail(path):
    """Reads a stored mail and returns its header fields, as a dictionary, and its body, in octets."""
    header, _, body = path.read_bytes().partition(b"\n\n")
    fields = {}
    for line in header.decode(errors="replace").split("\n"):
        name, colon, value = line.partition(": ")
        if colon:
            fields[name] = value
    return fields, body
