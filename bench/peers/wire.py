"""The load: distinct signed deliveries of about 800 bytes, sent until each of them is acknowledged."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.stories.stage import REALM, VERIFIER

SIZE = 800
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Load:
    """What the sender saw: acknowledged, refused, seconds in all, 95th percentile of an answer in seconds.

    `began`: when the first was sent (seconds of the system's clock), after the sender's own start.
    """

    good: int
    bad: int
    seconds: float
    most: float
    began: float


def write_bodies(path: Path, series: str, count: int, *, first: int = 1) -> list[str]:
    """Deliveries of one event each, one per line after both signatures; answers the ids of the events."""
    ids = [f"{series}-{number}" for number in range(count)]
    path.write_text("".join(f"{_to_line(id_, number)}\n" for number, id_ in enumerate(ids, first)), "ascii")
    return ids


def _to_line(id_: str, number: int) -> str:
    event = {
        "specversion": "1.0",
        "id": id_,
        "source": "intuit.dsnBgbseACLLRZNxo2dfc4evmEJdxde58xeeYcZliOU=",
        "type": "qbo.payment.created.v1",
        "datacontenttype": "application/json",
        "time": "2026-09-10T21:31:25.179851517Z",
        "intuitentityid": str(number),
        "intuitaccountid": REALM,
        "data": {"padding": ""},
    }
    event["data"] = {"padding": "x" * (SIZE - len(json.dumps([event])))}
    body = json.dumps([event])
    digest = hmac.new(VERIFIER.encode(), body.encode(), hashlib.sha256)
    return f"{base64.b64encode(digest.digest()).decode()} sha256={digest.hexdigest()} {body}"


def send(url: str, bodies: Path) -> Load:
    """Send all of them over 32 connections, from a process of its own."""
    command = [sys.executable, "-m", "bench.peers.sender", str(urlsplit(url).port), str(bodies)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=90)
    if done.returncode:
        raise SystemExit(done.stderr)
    return Load(**json.loads(done.stdout))
