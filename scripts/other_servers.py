"""The servers that servers.py sends mails to: how each is started, and how its mail is read back."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from server_under_test import PROJECT, NotStarted, free_ports

HANDLERS = PROJECT / "scripts" / "servers"
LIMIT = 26_214_400
# Recipients there are refused for good, and for now, by the servers that can.
GONE, LATER = "gone.example", "later.example"

TRACE_FIELDS = re.compile(
    rb"((Return-Path|Delivered-To|Received|X-(Client|Helo|Mail|Rcpt)-[A-Z][a-z]+): [^\n]*\n([ \t][^\n]*\n)*)*"
)


class Server:
    """A server that runs. Each subclass says how to start it, and where it stores its mail."""

    install = ""
    program = None  # Where it isn't found by its name.
    pattern = "mail/*"
    line_end = b"\n"
    has_limit = True
    knows_utf8 = True
    refuses = (GONE, LATER)

    def __init__(self, *flags):
        self.temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.folder = Path(self.temporary.name)
        self.folder.chmod(0o755)  # Servers have users of their own.
        self.flags = flags
        self.port = free_ports(1)[0]
        self.seen = set()
        self.process = None
        (self.folder / "mail").mkdir()

    @classmethod
    def why_not(cls):
        """Says why the server can't run here, if so."""
        return None if shutil.which(cls.program or cls.name) else f"not here; to install it: {cls.install}"

    def __enter__(self):
        try:
            self.start()
            self.wait_until_it_listens()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception):
        self.stop()
        self.temporary.cleanup()

    def start(self):
        environment = dict(os.environ, PYTHONPATH=str(HANDLERS), PYTHONDONTWRITEBYTECODE="1")
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def stop(self):
        if self.process:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            self.process.kill()
            self.process.wait()

    def wait_until_it_listens(self):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not (self.process and self.process.poll()):
            with suppress(ConnectionRefusedError):
                return socket.create_connection(("127.0.0.1", self.port)).close()
            time.sleep(0.02)
        raise NotStarted("".join(log.read_text(errors="replace")[-300:] for log in self.folder.glob("log")))

    def new_messages(self):
        """The messages that it has stored since the last call, without the fields that servers write on top."""
        paths = set(self.folder.glob(self.pattern)) - self.seen
        self.seen |= paths
        messages = [self.in_lf(self.read(path)) for path in paths]
        return [message[TRACE_FIELDS.match(message).end():] for message in messages]

    def read(self, path):
        return path.read_bytes()

    def in_lf(self, octets):
        if self.line_end == b"\r\n":  # Then an LF alone has come over the wire.
            octets = re.sub(rb"(?<!\r)\n", b"[bare LF]", octets)
        return octets.replace(self.line_end, b"\n")


class Ours(Server):
    name = "ours"
    pattern = "mail/new/*"
    refuses = (GONE,)

    @classmethod
    def why_not(cls):
        return None

    def command(self):
        flags = [f"--domain={domain}" for domain in ("example.com", LATER)]
        return [self.program, f"--listen=127.0.0.1:{self.port}", "--quiet", "--maildir=mail", *flags]


class Aiosmtpd(Server):
    name = "aiosmtpd"
    install = "pip install aiosmtpd"
    line_end = b"\r\n"

    @classmethod
    def why_not(cls):
        found = subprocess.run([sys.executable, "-c", "import aiosmtpd"], capture_output=True).returncode == 0
        return None if found else f"not here; to install it: {cls.install}"

    def command(self):
        listen = f"127.0.0.1:{self.port}"
        flags = ["--nosetuid", "--smtputf8", f"--size={LIMIT}", f"--listen={listen}"]
        return [sys.executable, "-m", "aiosmtpd", *flags, "--class=aiosmtpd_store.Store", "mail"]


class SmtpServer(Server):
    name = "smtp-server"
    install = "apt install nodejs npm, then npm install -g smtp-server"
    line_end = b"\r\n"

    @classmethod
    def why_not(cls):
        if shutil.which("node"):
            if npm := shutil.which("npm"):
                places = subprocess.run([npm, "root", "-g"], capture_output=True, text=True).stdout.strip()
                os.environ["NODE_PATH"] = f"{os.environ.get('NODE_PATH', '')}:{places}"
            if subprocess.run(["node", "-e", "require('smtp-server')"], capture_output=True).returncode == 0:
                return None
        return f"not here; to install it: {cls.install}"

    def command(self):
        return ["node", HANDLERS / "store.js", str(self.port), "mail", str(LIMIT)]


class SmtpSink(Server):
    name = "smtp-sink"
    install = "apt install postfix"
    has_limit = False
    knows_utf8 = False
    refuses = ()

    def command(self):
        user = []
        if os.geteuid() == 0:
            shutil.chown(self.folder / "mail", "postfix")
            user = ["-u", "postfix"]
        return ["smtp-sink", *user, "-d", "mail/", *self.flags, f"127.0.0.1:{self.port}", "10"]

    def read(self, path):
        return path.read_bytes().removesuffix(b"\n")


class NeedsRoot(Server):
    @classmethod
    def why_not(cls):
        return super().why_not() or (None if os.geteuid() == 0 else "not tried: only root can start one of our own")


class Postfix(NeedsRoot):
    """Postfix that holds every mail in its queue."""

    name = "postfix"
    install = "apt install postfix"
    pattern = "queue/hold/*"

    def start(self):
        for name in ("config", "queue", "data"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        (self.folder / "refused").write_text(f"/@{GONE}/ 550 5.1.1 Nobody is here\n/@{LATER}/ 450 4.2.1 Try again\n")
        (self.folder / "config" / "main.cf").write_text(f"""compatibility_level = 3.6
queue_directory = {self.folder}/queue
data_directory = {self.folder}/data
maillog_file = {self.folder}/log
maillog_file_prefixes = {self.folder}
myhostname = mail.example
mydestination =
local_recipient_maps =
alias_maps =
inet_protocols = ipv4
smtputf8_enable = yes
message_size_limit = {LIMIT}
local_header_rewrite_clients =
smtpd_peername_lookup = no
smtpd_client_restrictions = check_client_access static:HOLD
smtpd_recipient_restrictions = check_recipient_access regexp:{self.folder}/refused, permit_mynetworks, reject
smtpd_relay_restrictions =
""")
        (self.folder / "config" / "master.cf").write_text(f"""127.0.0.1:{self.port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
""")
        self.control("start")

    def stop(self):
        self.control("stop")

    def control(self, verb):
        return subprocess.run(["postfix", "-c", self.folder / "config", verb], capture_output=True)

    def read(self, path):
        return subprocess.run(["postcat", "-bh", path], capture_output=True, check=True).stdout


class Exim(NeedsRoot):
    """Exim that leaves every mail in its queue."""

    name = "exim"
    program = os.environ.get("EXIM") or shutil.which("exim4") or "exim"
    install = "apt install exim4-daemon-light"
    pattern = "spool/input/*-H"

    def command(self):
        (self.folder / "exim.conf").write_text(f"""primary_hostname = mail.example
spool_directory = {self.folder}/spool
log_file_path = {self.folder}/%slog
pid_file_path = {self.folder}/pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
queue_only
host_lookup =
keep_environment =
tls_advertise_hosts =
smtputf8_advertise_hosts = *
message_size_limit = {LIMIT}
acl_smtp_rcpt = recipient
begin acl
recipient:
  deny domains = {GONE}
  defer domains = {LATER}
    message = 450 4.2.1 Try again later
  accept
""")
        (self.folder / "spool").mkdir()
        for folder in (self.folder, self.folder / "spool"):  # Exim goes on as a user of its own.
            folder.chmod(0o777)
        return [self.program, "-C", self.folder / "exim.conf", "-bdf"]

    def read(self, path):
        command = [self.program, "-C", self.folder / "exim.conf", "-Mvc", path.name.removesuffix("-H")]
        return subprocess.run(command, capture_output=True, check=True).stdout


SERVERS = (Ours, Aiosmtpd, SmtpServer, Postfix, Exim, SmtpSink)
