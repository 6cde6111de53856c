"""A handler for aiosmtpd: it stores each message as a file of the folder that is given."""

import uuid
from pathlib import Path


class Store:
    def __init__(self, folder):
        self.folder = Path(folder)

    @classmethod
    def from_cli(cls, _parser, folder):
        return cls(folder)

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if address.endswith("@gone.example"):
            return "550 5.1.1 Nobody of that name is here"
        if address.endswith("@later.example"):
            return "450 4.2.1 Try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):
        (self.folder / uuid.uuid4().hex).write_bytes(envelope.original_content)
        return "250 OK"
