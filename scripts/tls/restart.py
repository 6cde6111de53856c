"""Restarts the server on a socket that stays, as systemd's does: restart.py PROGRAM MAILDIR

Clients connect while no server is there. None is refused, and each is greeted by the next server. There are more of
them than a listener of Rust's standard library lets wait.
"""

import socket
import subprocess
import sys

program, maildir = sys.argv[1:]
CLIENTS = 300


def start():
    return subprocess.Popen([program, "--listen", "stdin", "--quiet", "--maildir", maildir],
                            stdin=listener, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def greet(client):
    greeting = client.makefile("rb").readline()
    if not greeting.startswith(b"220 "):
        sys.exit(f"not greeted: {greeting}")


listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
address = listener.getsockname()
server = start()
try:
    greet(socket.create_connection(address, timeout=10))
    server.kill()
    server.wait()
    waiting = [socket.create_connection(address, timeout=10) for _ in range(CLIENTS)]
    server = start()
    for each in waiting:
        greet(each)
finally:
    server.kill()
    server.wait()
