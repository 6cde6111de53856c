"""A first SMTP server, for one client at a time: it knows MAIL, and not yet what a path is.

With an argument it suffers at a line that is too long: it `dies`, `hangs`, or `dies-later`, when the client has left.
"""
import socket
import sys
import time

weakness = sys.argv[1] if len(sys.argv) > 1 else ""

listener = socket.create_server(("127.0.0.1", 0))
print("listening on %s:%d" % listener.getsockname(), flush=True)
while True:
    client, _ = listener.accept()
    greeted = mail = long = False
    with client, client.makefile("rb") as lines:
        client.sendall(b"220 python.example\r\n")
        for line in lines:
            if len(line) > 512 and weakness == "dies":
                sys.exit()
            if len(line) > 512 and weakness == "hangs":
                time.sleep(60)
            long = long or len(line) > 512
            verb, _, argument = line.decode("latin-1").strip().partition(" ")
            if len(line) > 512 or not line.isascii() or verb.upper() not in ("HELO", "EHLO", "MAIL"):
                reply = b"500 what?"
            elif verb.upper() == "MAIL":
                reply = b"250 fine" if greeted and not mail else b"503 not now"
                mail = mail or greeted
            else:
                reply = b"250 python.example" if argument else b"501 who?"
                greeted, mail = greeted or argument != "", mail and not argument
            client.sendall(reply + b"\r\n")
    if long and weakness == "dies-later":
        sys.exit()
