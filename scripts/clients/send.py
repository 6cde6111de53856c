"""Sends the message in the file `mail` with Python's smtplib: send.py HOST PORT SENDER RECIPIENT...

It logs in if LOGIN_NAME and LOGIN_PASSWORD are in the environment.
"""

import email
import email.policy
import os
import smtplib
import sys
from pathlib import Path

host, port, sender, *recipients = sys.argv[1:]
message = email.message_from_bytes(Path("mail").read_bytes(), policy=email.policy.SMTP)
with smtplib.SMTP(host, int(port), timeout=30) as client:
    if "LOGIN_NAME" in os.environ:
        client.login(os.environ["LOGIN_NAME"], os.environ["LOGIN_PASSWORD"])
    refused = client.send_message(message, sender, recipients)
sys.exit(1 if refused else 0)
