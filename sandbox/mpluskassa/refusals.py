"""How the simulator says no: a SOAP fault for a bad message, a result code for a good message it cannot carry out."""

from __future__ import annotations


class Fault(Exception):
    """A SOAP fault: `code` without the `SOAP-ENV:` prefix (`Client`, `Client.Authentication`, `Server`)."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Refused(Exception):
    """A result other than OK, answered with HTTP 200: `result` is the part of the enum after `…-RESULT-`."""

    def __init__(self, result: str, message: str = "") -> None:
        super().__init__(message)
        self.result = result
        self.message = message


def refuse_client(text: str) -> Fault:
    """The request is wrong; sending it again does not help."""
    return Fault("Client", text)


def refuse_credentials() -> Fault:
    """The `ident` or `secret` in the query string is wrong."""
    return Fault("Client.Authentication", "Invalid ident and secret combination.")


def fail_server(text: str) -> Fault:
    """The server cannot answer now."""
    return Fault("Server", text)
