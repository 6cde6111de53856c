"""Measures our server beside others, in turns, and prints Markdown: bench.py FOLDER REPORT

scripts/bench.sh runs it; docs/appendix-f-the-numbers.md says what the numbers mean. FOLDER has what the script has
compiled: `load` and `peer`. The tables are printed, and written to REPORT.
"""

import os
import platform
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from server_under_test import build, exit_on_signals, free_ports, processor_time, status  # noqa: E402

ROUNDS = 5
BACKLOG = 4096
CLIENTS = 20
IDLE_CLIENTS = 1000
CPUS = sorted(os.sched_getaffinity(0))
TICKS = os.sysconf("SC_CLK_TCK")
FOLDER = Path(sys.argv[1]).resolve()
PROGRAM = build().resolve()

OURS = "ours"
IN_C = "threads in C"
SINK = "smtp-sink"
AIOSMTPD = "aiosmtpd"
NODE = "smtp-server (Node)"

NODE_SERVER = """
const { SMTPServer } = require("smtp-server");
const onData = (stream, session, callback) => { stream.resume(); stream.on("end", callback); };
new SMTPServer({ authOptional: true, disabledCommands: ["STARTTLS"], disableReverseLookup: true, onData })
    .listen({ port: PORT, host: "127.0.0.1", backlog: BACKLOG });
"""


def progress(text):
    print(f"\r\033[K{text}" if sys.stderr.isatty() else text, end="" if sys.stderr.isatty() else "\n",
          file=sys.stderr, flush=True)


def on(cpu):
    """Pins a process to a processor, if there are two or more."""
    return (lambda: os.sched_setaffinity(0, {cpu})) if len(CPUS) > 1 else None


class Server:
    """A server that drops all mail, on a free port and on the first processor."""

    def __init__(self, name, *flags):
        self.name = name
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
            takes_socket = name in (OURS, IN_C)
            if takes_socket:
                listener.listen(BACKLOG)
            else:
                listener.close()
            self.process = subprocess.Popen(
                self.command(flags), preexec_fn=on(CPUS[0]), stdin=listener if takes_socket else subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
        self.wait_for_greeting()

    def command(self, flags):
        address = f"127.0.0.1:{self.port}"
        if self.name == OURS:
            return [PROGRAM, "--listen", "stdin", "--quiet", "--max-connections", "2000", *(flags or ["--discard"])]
        if self.name == IN_C:
            return [FOLDER / "peer"]
        if self.name == SINK:
            # It reads mail as a user of its own, if root starts it.
            user = ["-u", "nobody"] if os.getuid() == 0 else []
            return ["smtp-sink", *user, "-m", "2000", address, str(BACKLOG)]
        if self.name == AIOSMTPD:
            return [sys.executable, "-m", "aiosmtpd", "-n", "-c", "aiosmtpd.handlers.Sink", "-l", address]
        return ["node", "-e", NODE_SERVER.replace("PORT", str(self.port)).replace("BACKLOG", str(BACKLOG))]

    def wait_for_greeting(self):
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 20) as client:
                if client.recv(4096).startswith(b"220"):
                    client.sendall(b"QUIT\r\n")
                    while client.recv(4096):
                        pass
                    return
            time.sleep(0.02)
        self.stop()
        raise NotMeasured(f"{self.name} did not start")

    def stop(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.stop()

    def cpu(self):
        """The processor time so far, in seconds, of all threads, those that have ended too."""
        return processor_time(self.process.pid)

    def memory(self, field):
        """A field of /proc/PID/status in KiB."""
        return status(self.process.pid, field)


class NotMeasured(Exception):
    """Why a number is missing."""


def run(command):
    """Runs a client to its end on the last processor. Returns what it printed, and its seconds."""
    start = time.monotonic()
    result = subprocess.run(command, preexec_fn=on(CPUS[-1]), capture_output=True, text=True, timeout=120)
    seconds = time.monotonic() - start
    if result.returncode != 0:
        raise NotMeasured(f"{command[0]} ended with: {result.stderr.strip()[-200:]}")
    return result.stdout, seconds


def smtp_source(mails, octets=1024, clients=CLIENTS, kept=False):
    """Lets Postfix's client send mails. Returns mails per second, and no times of single mails."""
    def send(server, slow):
        count = mails // slow
        command = ["smtp-source", "-s", str(clients), "-m", str(count), "-l", str(octets)]
        _, seconds = run([*command, *(["-d"] if kept else []), f"127.0.0.1:{server.port}"])
        return count, count / seconds, None
    return send


def load(mails, pipelined=False):
    """Lets our client send mails. Returns mails per second, and the 99th percentile of their times in ms."""
    def send(server, slow):
        count = mails // slow
        command = [FOLDER / "load", f"127.0.0.1:{server.port}", str(CLIENTS), str(count), "1024"]
        output, _ = run([*command, *(["pipelined"] if pipelined else [])])
        rate, percentile = output.split()
        return count, float(rate), int(percentile) / 1000
    return send


def measure(servers, send):
    """Measures servers in turns. Returns the lists of (mails per second, CPU per 10,000, percentile) by name."""
    results = {name: [] for name in servers}
    for turn in range(ROUNDS):
        for name in list(servers)[:: 1 if turn % 2 else -1]:
            with Server(name) as server:
                before = server.cpu()
                count, rate, percentile = send(server, servers[name])
                results[name].append((rate, (server.cpu() - before) / count * 10_000, percentile))
    return results


def medians(results, column):
    return {name: median(row[column] for row in rows) for name, rows in results.items()}


def against(results, name, column):
    """The median of our number divided by the other's, round by round."""
    return median(ours[column] / other[column] for ours, other in zip(results[OURS], results[name]))


def table(headings, rows):
    """Makes a table in Markdown, which is also one to the eye."""
    cells = [headings, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    def line(row):
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
    return [line(headings), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)]


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def comparison(title, servers, send, unit="mails/s", scale=1):
    """The section on one kind of load."""
    progress(title)
    results = measure(servers, send)
    is_timed = results[OURS][0][2] is not None
    rates, cpus = medians(results, 0), medians(results, 1)
    percentiles = medians(results, 2) if is_timed else {}
    headings = ["", unit, "CPU s per 10,000 mails", *(["99th percentile, ms"] if is_timed else [])]
    headings += [f"ours: {unit}", "CPU", *(["99th percentile"] if is_timed else [])]
    rows = []
    for name in servers:
        row = [name, number(rates[name] * scale), f"{cpus[name]:.2f}"]
        row += [f"{percentiles[name]:.2f}"] if is_timed else []
        columns = [0, 1, 2] if is_timed else [0, 1]
        row += ["1" if name == OURS else f"{against(results, name, column):.2f} x" for column in columns]
        rows.append(row)
    return [f"### {title}", "", *table(headings, rows), ""]


def at_once(servers, clients):
    """The section on many clients at once: how long it takes until all of them have delivered a mail."""
    title = f"{clients:,} clients at once, one mail each"
    progress(title)
    results = measure(servers, smtp_source(clients, clients=clients))
    rows = [
        [name, f"{clients / rate:.2f}", "1" if name == OURS else f"{1 / against(results, name, 0):.2f} x"]
        for name, rate in medians(results, 0).items()
    ]
    return [f"### {title}", "", *table(["", "seconds", "ours"], rows), ""]


class Postfix:
    """Postfix in a folder of its own. It holds every mail: smtpd, cleanup, and a synced file in the queue.

    Nothing is delivered, the queue manager never sees a mail, and nothing slows it down on purpose. Its processor
    time is that of all its processes, those that have ended too.
    """

    def __init__(self, folder):
        self.folder = folder
        self.port = free_ports(1)[0]
        config, queue, data = (folder / name for name in ("config", "queue", "data"))
        for each in (config, queue, data):
            each.mkdir()
        shutil.chown(data, "postfix")
        (config / "main.cf").write_text(f"""compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = mail.example
mynetworks = 127.0.0.0/8
mydestination =
local_recipient_maps =
alias_maps =
inet_protocols = ipv4
in_flow_delay = 0
smtpd_peername_lookup = no
smtpd_client_restrictions = check_client_access static:HOLD
""")
        (config / "master.cf").write_text(f"""127.0.0.1:{self.port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
anvil unix - - n - 1 anvil
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
retry unix - - n - - error
postlog unix-dgram n - n - 1 postlogd
""")
        result = subprocess.run(["postfix", "-c", config, "start"], preexec_fn=on(CPUS[0]), capture_output=True, text=True)
        if result.returncode != 0:
            raise NotMeasured(f"Postfix did not start: {result.stderr.strip()[-200:]}")
        self.pid = int((queue / "pid" / "master.pid").read_text())

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        subprocess.run(["postfix", "-c", self.folder / "config", "stop"], capture_output=True)

    def cpu(self):
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = stat.read_text().rsplit(")", 1)[1].split()
                if self.pid in (int(stat.parent.name), int(fields[1])):
                    ticks += sum(map(int, fields[11:15]))
        return ticks / TICKS


def durable(folder, mails):
    """The section on mail that is safe on the disk before the reply."""
    title = "Durable: on the disk before the 250, 20 clients, a connection for each mail"
    progress(title)
    send = smtp_source(mails)
    results = {OURS: [], "Postfix": []}
    with Postfix(folder) as postfix, Server(OURS, "--maildir", folder / "mail") as ours:
        for server in (postfix, ours):
            send(server, 10)
        for turn in range(ROUNDS):
            for name, server in [(OURS, ours), ("Postfix", postfix)][:: 1 if turn % 2 else -1]:
                os.sync()  # So that earlier mails don't slow this measurement down.
                before = server.cpu()
                count, rate, _ = send(server, 1)
                results[name].append((rate, (server.cpu() - before) / count * 10_000))
        expected = mails // 10 + ROUNDS * mails
        for place in (folder / "mail" / "new", folder / "queue" / "hold"):
            found = sum(1 for path in place.rglob("*") if path.is_file())
            if found != expected:
                raise NotMeasured(f"there are {found} mails in {place}, not {expected}")
    rates, cpus = medians(results, 0), medians(results, 1)
    rows = [[OURS, number(rates[OURS]), f"{cpus[OURS]:.2f}", "1", "1"]]
    rows.append(["Postfix", number(rates["Postfix"]), f"{cpus['Postfix']:.2f}",
                 *(f"{against(results, 'Postfix', column):.2f} x" for column in (0, 1))])
    return [f"### {title}", "", *table(["", "mails/s", "CPU s per 10,000 mails", "ours: mails/s", "CPU"], rows), ""]


@contextmanager
def idle_clients(server, count):
    """Clients that have read their greeting and say nothing."""
    with ExitStack() as stack:
        address = ("127.0.0.1", server.port)
        clients = [stack.enter_context(socket.create_connection(address, 20)) for _ in range(count)]
        for client in clients:
            client.recv(4096)
        yield


def memory(servers, folder):
    """The section on memory. Each server is measured once: the numbers hardly change."""
    progress("memory")
    rows = []
    for name in servers:
        with Server(name) as server:
            smtp_source(CLIENTS, 25_000_000)(server, 1)
            peak = server.memory("VmHWM")
        with Server(name) as server:
            before = server.memory("VmRSS")
            with idle_clients(server, IDLE_CLIENTS):
                each = (server.memory("VmRSS") - before) / IDLE_CLIENTS
        rows.append([name, f"{before / 1024:.1f}", f"{peak / 1024:.1f}", f"{each:.1f}"])
    with Server(OURS, "--maildir", folder / "large") as server:
        before = server.memory("VmRSS")
        smtp_source(CLIENTS, 25_000_000)(server, 1)
        rows.insert(1, ["ours, mail stored", f"{before / 1024:.1f}", f"{server.memory('VmHWM') / 1024:.1f}", ""])
    headings = ["", "at rest, MiB", "peak with twenty mails of 25 MB, MiB", f"an idle client (of {IDLE_CLIENTS:,}), KiB"]
    return ["### Memory", "", *table(headings, rows), ""]


def calls(server, send):
    """How many system calls a server makes while a client runs."""
    report = FOLDER / "strace"
    tracer = subprocess.Popen(
        ["strace", "-f", "-c", "-o", report, "-p", str(server.process.pid)], stderr=subprocess.PIPE, text=True,
    )
    tracer.stderr.readline()  # "attached"
    try:
        send()
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(20)
    total = report.read_text().splitlines()[-1].split()
    return int(total[3])  # After the percents, the seconds and the microseconds for each.


def system_calls(servers):
    """The section on system calls. Each is a difference, so what happens once isn't counted."""
    progress("system calls")
    rows = []
    for name in servers:
        with Server(name) as server:
            def mails(count, *flags):
                def send():
                    run(["smtp-source", "-s", "1", "-m", str(count), "-l", "1024", *flags, f"127.0.0.1:{server.port}"])
                return calls(server, send)
            def pipelined(count):
                return calls(server, lambda: run([FOLDER / "load", f"127.0.0.1:{server.port}", "1", str(count), "1024", "pipelined"]))
            mails(20)  # What is made once is there.
            kept = (mails(101, "-d") - mails(1, "-d")) / 100
            each = (mails(110) - mails(10)) / 100
            group = (pipelined(110) - pipelined(10)) / 100
        rows.append([name, f"{kept:.1f}", f"{group:.1f}", f"{each:.1f}"])
    headings = ["", "a mail on a kept connection", "pipelined", "a connection for each mail"]
    return ["### System calls", "", *table(headings, rows), ""]


def peers():
    """The servers that can be measured here, and a part of the mails that is enough for each. And those that can't."""
    found, missing = {OURS: 1, IN_C: 1, SINK: 1}, []
    if not (FOLDER / "peer").exists():
        del found[IN_C]
        missing.append(f"{IN_C}, because there is no C compiler; to install one: apt install gcc")
    if subprocess.run([sys.executable, "-c", "import aiosmtpd"], capture_output=True).returncode == 0:
        found[AIOSMTPD] = 10
    else:
        missing.append(f"{AIOSMTPD}; to install it: pip install aiosmtpd")
    if shutil.which("node") and subprocess.run(["node", "-e", 'require("smtp-server")'], capture_output=True).returncode == 0:
        found[NODE] = 10
    else:
        missing.append(f"{NODE}; to install it: npm install smtp-server, and NODE_PATH=.../node_modules")
    return found, missing


def only(servers, *names):
    return {name: servers[name] for name in names if name in servers}


def machine():
    """What was measured, where and when."""
    def output(*command):
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    model = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    commit = output("git", "describe", "--always", "--dirty") or "no commit"
    return (
        f"{time.strftime('%Y-%m-%d')}, {output(PROGRAM, '--version')} ({commit}), {output('rustc', '--version')}, "
        f"Postfix {output('postconf', '-h', 'mail_version')}, Python {platform.python_version()}, "
        f"Linux {platform.release()}, {len(CPUS)} processors ({model[1] if model else platform.machine()}). "
        f"Medians of {ROUNDS} rounds in turns; ratios are medians of the rounds' ratios."
    )


def sections(servers, folder):
    """All sections, each with what can be measured here."""
    small = 20_000
    threads = only(servers, OURS, IN_C, SINK)
    slower = {NODE: 40} if NODE in servers else {}  # It waits for 100 ms before it greets.
    yield lambda: comparison("1 KB, 20 clients, connections kept", servers, smtp_source(small, kept=True))
    yield lambda: comparison("1 KB, 20 clients, each mail timed", threads, load(small))
    yield lambda: comparison("1 KB, 20 clients, pipelined", threads, load(2 * small, pipelined=True))
    yield lambda: comparison("1 KB, 20 clients, a connection for each mail", servers | slower, smtp_source(6000))
    yield lambda: comparison("25 MB, 20 clients", threads | {SINK: 4}, smtp_source(80, 25_000_000, kept=True), "MB/s", 25)
    yield lambda: at_once(threads, 1000)
    if os.getuid() == 0:
        yield lambda: durable(folder, 2000)
    yield lambda: memory(servers, folder)
    if shutil.which("strace"):
        yield lambda: system_calls(threads)


def main():
    exit_on_signals()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))
    start = time.monotonic()
    servers, missing = peers()
    if os.getuid() != 0:
        missing.append("durable mail beside Postfix, because only root can start a Postfix of one's own")
    if not shutil.which("strace"):
        missing.append("system calls; to install strace: apt install strace")
    lines = [machine(), ""]
    failed = 0
    # /tmp may be in memory, and mail in memory is not durable.
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        os.chmod(folder, 0o755)  # Postfix has a user of its own.
        for section in sections(servers, Path(folder)):
            try:
                lines += section()
            except (NotMeasured, subprocess.TimeoutExpired) as problem:
                failed += 1
                lines += [f"not measured: {problem}", ""]
    lines += [f"not here: {each}" for each in missing]
    lines += [f"It took {time.monotonic() - start:.0f} seconds."]
    progress("")
    print("\n".join(lines))
    Path(sys.argv[2]).write_text("\n".join(lines) + "\n")
    sys.exit(1 if failed else 0)


main()
