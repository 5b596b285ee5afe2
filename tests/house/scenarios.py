"""The numbered ways to fail: what the product does in each, and the tests named after it, found in the code."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from tests.house.sources import sources

_NUMBERED = re.compile(r"test((?:_\d\d)+)_[a-z]")

# Number, what fails, what the product does. Where nothing of the kind can fail, the third says why, in brackets.
SCENARIOS: tuple[tuple[int, str, str], ...] = (
    (1, "web killed before the commit", "no row; the sender repeats it, one row"),
    (2, "web killed after the commit, before its answer", "the repetition finds the key, one row"),
    (3, "web killed after the commit, before the wake-up", "a sweeper finds the row within seconds"),
    (4, "no broker while deliveries come in", "200 as fast as before; the sweeper finds the events"),
    (5, "the broker does not answer", "no process waits for it; workers take events from the database"),
    (6, "the database cannot be reached", "503 with Retry-After in time; used again without a restart"),
    (7, "connections to the database stop answering", "closed within seconds, without a restart"),
    (8, "database failover, no writes for a while", "503 until it takes writes; nothing acknowledged is lost"),
    (9, "no free connection to the database", "503, without the reason in the answer"),
    (10, "the disk is full, the file locked", "503 until there is room; the process goes on"),
    (11, "the answer to a commit is lost", "503; the repetition makes no second row"),
    (12, "the database is slow", "answers come later; too slow is 503 before Intuit's limit"),
    (13, "the sender closes the connection in the middle", "no row, no error"),
    (14, "web is asked to end while it handles requests", "each gets its answer; ended within ten seconds"),
    (15, "a burst of deliveries", "stored whole, many in one commit"),
    (16, "a wrong, doubled or odd signature", "401, always the same; nothing is stored"),
    (17, "the same meaning in other bytes", "401: the raw bytes are signed"),
    (18, "the signing secret is rotated", "both hold until the old one is removed"),
    (19, "no signing secret", "everything is refused"),
    (20, "an old delivery is replayed", "its key is known; no second effect"),
    (21, "timestamps in signatures", "(neither Intuit nor MplusKASSA signs a time; replays are stopped by keys)"),
    (22, "a signature guessed by measuring time", "compared in constant time, everywhere"),
    (23, "an endless or huge body", "413 or 408 while it is read"),
    (24, "a compressed body", "415; nothing is inflated"),
    (25, "a body that cannot be parsed", "200, parked, visible; later events are not blocked"),
    (26, "an unknown company or event", "200; visible with its reason"),
    (27, "one bad event in a batch", "parked alone"),
    (28, "both formats of QuickBooks' webhooks", "both are read"),
    (29, "malformed headers and slow heads", "refused or cut off; others are served meanwhile"),
    (30, "another method or path", "405 or 404, never a redirect"),
    (31, "a forged address of the sender", "(no address is trusted for anything: there is no list of addresses)"),
    (32, "an address of the internal network", "not followed, not fetched"),
    (33, "hostile XML", "refused at once"),
    (34, "a forged or reused OAuth state", "refused; nothing is stored"),
    (35, "the admin endpoints without the token", "401 or 403; guessing is slowed down"),
    (36, "markup in what others wrote", "shown as text"),
    (37, "secrets in logs, errors, reports", "none"),
    (38, "a worker killed, or failing, between any two steps", "another one finishes the event; one effect"),
    (39, "a worker asked to end", "it finishes its events; no attempt is counted"),
    (40, "a worker stopped between any two steps, or with the write lock", "replaced; its late result is refused"),
    (41, "the broker loses everything", "the sweeper finds the rows"),
    (42, "the broker restarts without its last seconds", "likewise"),
    (43, "the broker cannot be reached while events fail, or closes connections", "attempts are rows; none is lost"),
    (44, "the broker is full", "workers take events from the database"),
    (45, "the broker is read-only or busy", "likewise; no crash loop"),
    (46, "invalid messages in the queue", "the events beside them are handled"),
    (47, "an event that kills every worker", "parked after five crashes; others go on"),
    (48, "an event that never ends", "ended at its time limit, and its process replaced"),
    (49, "the same wake-up many times at once", "one claim"),
    (50, "a wake-up without a row", "nothing happens"),
    (51, "events out of order", "the newest state wins"),
    (52, "two events about one record at once", "one after the other; other records meanwhile"),
    (53, "one shop with thousands beside one with a single event", "they take turns"),
    (54, "a backlog of 100,000 rows", "a claim costs what it cost before"),
    (55, "two clocks at once", "one polls, the other leaves it"),
    (56, "several processes migrate at once", "one does, the others wait"),
    (57, "a thousand events fail together", "their retries are spread out"),
    (58, "an event that never succeeds", "parked with its last error and what to do"),
    (59, "429, 5xx, HTML for JSON, faults inside 200", "retried later; a rate limit counts no attempt"),
    (60, "a peer that stops answering, or answers byte by byte", "ended at a deadline"),
    (61, "the answer to a write is lost", "looked for, then repeated with the same request id; one record"),
    (62, "likewise where the peer has no request ids", "looked for before it is made again"),
    (63, "a record that changes at every attempt", "read again; parked after three"),
    (64, "the token ends in the middle, for all threads", "one refresh"),
    (65, "two processes refresh at once; one is killed in between", "one does; a loss is always reported"),
    (66, "the grant is revoked; the token endpoint fails", "parked with what to do; left as it is"),
    (67, "the encryption key is rotated, or wrong", "old secrets are decrypted; with a wrong key nothing starts"),
    (68, "SOAP faults, a foreign or missing WSDL", "a named error; a copy on disk stands in"),
    (69, "a certificate of no trusted authority", "refused; nothing was sent"),
    (70, "missed webhooks, two days away", "found by polling, and once"),
    (
        71,
        "clocks that jump",
        "leases use the database's clock only; what was received in the future is due",
    ),
    (72, "a process with another's name", "each start has its own name; old ones are deleted"),
    (73, "malformed variables, addresses as a PaaS writes them", "one clear line; understood"),
    (74, "a disk that is wiped at every start", "SQLite is refused where that is known"),
    (75, "many web processes, few connections", "five connections for each process, whatever the load"),
    (76, "a web process that cannot even be imported", "it ends, instead of being restarted for ever"),
    (77, "Sentry does not answer", "no process waits for it; the end is delayed by two seconds at most"),
    (78, "the output of the process is not read", "nothing is held up"),
    (79, "a log that grows", "deleted in batches after its days"),
    (80, "a restored backup", "what happened since is found, and nothing is booked twice"),
)


@cache
def find_proofs() -> Mapping[int, Sequence[str]]:
    """Where each number's tests stand: `path::name`."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for source in sources():
        for function in source.functions() if source.path.startswith("tests/") else ():
            if match := _NUMBERED.match(function.name):
                for number in match[1].split("_")[1:]:
                    found[int(number)].append(f"{source.path}::{function.name}")
    return found


def applies(outcome: str) -> bool:
    """Whether anything of the kind can happen to us."""
    return not outcome.startswith("(")


def list_scenarios() -> Iterator[Sequence[str]]:
    """Every scenario with its tests."""
    for number, failing, outcome in SCENARIOS:
        named = "<br>".join(f"`{test}`" for test in sorted(find_proofs()[number]))
        yield str(number), failing, outcome.strip("()"), named or "does not apply"
