"""Talks to the server through a program that speaks TLS: talk.py TASK [PORT [NAME PASSWORD]]

It trusts the certificate in cert.pem, sends the file `mail`, and connects from the address in SOURCE.
"""

import os
import smtplib
import socket
import ssl
import sys
from contextlib import suppress

SENDER, RECIPIENT = "ada@example.org", "bob@example.com"


def options():
    return {"timeout": 30, "source_address": (os.environ["SOURCE"], 0), "local_hostname": "client.example"}


def trust():
    return ssl.create_default_context(cafile="cert.pem")


def connect(port):
    return smtplib.SMTP_SSL("127.0.0.1", port, context=trust(), **options())


def expect(found, expected):
    if found != expected:
        sys.exit(f"{found}, not {expected}")


def send_mail(client):
    with open("mail", "rb") as mail:
        client.sendmail(SENDER, [RECIPIENT], mail.read())


def send(port, *login):
    with connect(port) as client:
        if login:
            client.login(*login)
        send_mail(client)


def plain(port):
    with smtplib.SMTP("127.0.0.1", port, **options()) as client:
        send_mail(client)


def starttls(port):
    with smtplib.SMTP("127.0.0.1", port, **options()) as client:
        client.starttls(context=trust())
        send_mail(client)


def ehlo(port):
    """Prints the keywords of the reply."""
    with connect(port) as client:
        expect(client.ehlo()[0], 250)
        print("\n".join(keyword.upper() for keyword in client.esmtp_features))


def lf_command(port):
    """Two commands with a bare LF between them are one line, and a wrong one."""
    with connect(port) as client:
        client.ehlo()
        client.send(b"NOOP\nNOOP\r\nHELP\r\n")
        expect([client.getreply()[0] for _ in range(2)], [500, 214])


def lf_dot_lf(port):
    """A second transaction is hidden in the message, behind ends that are none."""
    for end in (b"\n.\n", b"\n.\r\n", b"\r\n.\n"):
        with connect(port) as client:
            client.ehlo()
            client.mail(SENDER)
            client.rcpt(RECIPIENT)
            expect(client.docmd("DATA")[0], 354)
            client.send(b"Subject: one\r\n\r\none" + end + b"MAIL FROM:<mallory@example.org>\r\n")
            client.send(b"RCPT TO:<bob@example.com>\r\nDATA\r\nSubject: two\r\n\r\ntwo\r\n.\r\nHELP\r\n")
            # 250 for one message, or a refusal of it; then the reply to HELP.
            first, second = client.getreply()[0], client.getreply()[0]
            if first != 250 and first // 100 != 5 or second != 214:
                sys.exit(f"{end} in the message: {first} {second}")


def wrong_password(port):
    with connect(port) as client:
        try:
            client.login("ada", "hunter2-staple")
            sys.exit("it was accepted")
        except smtplib.SMTPAuthenticationError as error:
            expect(error.smtp_code, 535)


def no_login(port):
    with connect(port) as client:
        client.ehlo()
        expect(client.mail(SENDER)[0], 530)


def injection(port):
    """NOOP is sent together with STARTTLS. Under TLS, nobody answers it."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain_socket:
        reader = plain_socket.makefile("rb")
        reader.readline()
        plain_socket.sendall(b"EHLO client.example\r\n")
        while reader.readline()[3:4] == b"-":
            pass
        plain_socket.sendall(b"STARTTLS\r\nNOOP\r\n")
        reader.readline()
        # It breaks off, or NOOP is forgotten.
        with suppress(ssl.SSLError, ConnectionError):
            with trust().wrap_socket(plain_socket, server_hostname="localhost") as tls:
                tls.sendall(b"HELP\r\n")
                expect(tls.recv(3), b"214")


def ports():
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    print(*(listener.getsockname()[1] for listener in listeners))


TASKS = {task.__name__.replace("_", "-"): task for task in (
    send, plain, starttls, ehlo, lf_command, lf_dot_lf, wrong_password, no_login, injection, ports,
)}

task, *arguments = sys.argv[1:]
if task == "try":
    try:
        socket.create_server((arguments[0], 0)).close()
    except OSError:
        sys.exit(1)
elif arguments:
    TASKS[task](int(arguments[0]), *arguments[1:])
else:
    TASKS[task]()
