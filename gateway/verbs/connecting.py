"""The verb about connections: list, rename, remove."""

from __future__ import annotations

import dataclasses
from http import HTTPStatus

from gateway import removal
from gateway.errors import Rejected
from gateway.removal import Data
from gateway.store import connections, retention
from gateway.store.session import reading, writing
from gateway.verbs.call import GOOD, PROBLEM, USAGE, Call, Misuse, remark, show, show_json


def handle_connection(call: Call) -> int:
    """`connection list`, `connection rename NAME NEW`, `connection remove NAME --data keep|purge`."""
    asked = call.arguments
    try:
        match asked.what:
            case "rename" if asked.name and asked.wanted:
                return _rename(call, asked.name, asked.wanted)
            case "remove" if asked.name and asked.data and not asked.wanted:
                return _remove(call, asked.name, Data(asked.data))
            case "list" if not asked.name:
                return _list(call)
    except Rejected as refusal:
        if refusal.status in {HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST}:
            raise Misuse(refusal.reason) from None
        raise
    remark("usage: connection list | rename NAME NEW | remove NAME --data keep|purge")
    return USAGE


def _list(call: Call) -> int:
    with reading(call.engine) as session:
        every, gone = connections.every(session, call.seal), retention.find_removed(session)
    said = [(each.display_name, each.paused or ("live" if each.live else "not live yet")) for each in every]
    said += [(each.called, "being purged" if each.status == "purging" else "removed, its data kept") for each in gone]
    if call.as_json:
        show_json([{"name": name, "standing": status} for name, status in said])
        return GOOD
    for name, status in said:
        show(f"{name}: {status}")
    if not said:
        show("nothing is connected yet")
    return GOOD


def _rename(call: Call, name: str, wanted: str) -> int:
    with writing(call.engine) as session:
        removal.rename(session, name, wanted, actor="cli")
    if call.as_json:
        show_json({"name": wanted, "before": name})
    else:
        show(f"the connection {name} is called {wanted} now")
    return GOOD


def _remove(call: Call, name: str, data: Data) -> int:
    outcome = removal.remove(call.engine, call.settings, name, data, actor="cli")
    if call.as_json:
        show_json(dataclasses.asdict(outcome))
    else:
        show(f"the connection {name} was removed; {outcome.ended} waiting events were ended")
        if outcome.trouble:
            show(f"its tokens were not revoked: {outcome.trouble}")
        if data is Data.PURGE:
            show("the clock process purges its data now; see how far it is with: connection list")
    return PROBLEM if outcome.trouble else GOOD
