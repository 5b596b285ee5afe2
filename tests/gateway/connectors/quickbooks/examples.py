"""The recorded and documented bodies of the vendor, read from beside the checkout; tests without them skip visibly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.connectors.quickbooks.fields import find_object

FOLDER = Path(__file__).resolve().parents[4] / ".." / "shared" / "data" / "qbo-examples"


def read_bytes(name: str) -> bytes:
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"the vendor's examples are not beside the checkout: {name}")
    return path.read_bytes()


def read_json(name: str) -> dict[str, Any]:
    found = find_object(read_bytes(name))
    assert found is not None
    return dict(found)


def answer_of(name: str) -> dict[str, Any]:
    """The response body of a recorded exchange."""
    return dict(read_json(name)["response"]["body"])
