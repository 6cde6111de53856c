"""Looks for passwords in what a server has printed: passwords.py PASSWORD... <LOG

It finds them as they are, and in base64: alone, behind a name, or anywhere else in a longer text. If there is one, it
prints the line and ends with code 1.
"""

import base64
import sys


def main(passwords):
    looks = {look for password in passwords for look in looks_of(password.encode())}
    for line in sys.stdin.buffer:
        if any(look in line for look in looks):
            sys.exit(line.decode(errors="replace").strip())


def looks_of(password):
    """Lists the password as it is, and the three ways in which it can stand in base64."""
    yield password
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + password)
        # A letter is 6 bits. The first and the last letters may have bits of the neighbours.
        first = -(-before * 8 // 6)
        last = (before + len(password)) * 8 // 6
        yield encoded[first:last]


main(sys.argv[1:])
