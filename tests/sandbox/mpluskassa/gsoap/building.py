"""Builds a till from the vendor's WSDL with gSOAP, the toolkit whose envelopes the real installations answer with."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Final

from lxml import etree

from sandbox.mpluskassa.compact import OPERATIONS

HERE: Final = Path(__file__).parent
BUILT: Final = Path(__file__).parents[4] / "var" / "gsoap-till"
PROGRAMS: Final = ("wsdl2h", "soapcpp2", "g++")
_WSDL, _XSD = "{http://schemas.xmlsoap.org/wsdl/}", "{http://www.w3.org/2001/XMLSchema}"
_TYPES: Final = "/usr/share/gsoap/WS/typemap.dat"
_IMPORTS: Final = "/usr/share/gsoap/import"
_DECLARED: Final = re.compile(r"SOAP_FMAC6 __ns__(\w+)\(struct soap\*, (\w+) \*\w+, (\w+) &\w+\)")
_COMPILE: Final = ("g++", "-std=c++11", "-O0", "-w", "-I.")
_SOURCES: Final = ("till.cpp", "soapC.cpp", "soapServer.cpp", "soapClient.cpp")


def build(wsdl: Path, scratch: Path) -> Path:
    """The program, built once for this WSDL and this source; several test processes may ask at once.

    Raises `subprocess.CalledProcessError`, whose `stderr` says what the tool found wrong.
    """
    made_of = b"".join(path.read_bytes() for path in (wsdl, HERE / "till.cpp", Path(__file__)))
    program = BUILT.with_name(f"{BUILT.name}-{hashlib.sha256(made_of).hexdigest()[:16]}")
    BUILT.parent.mkdir(mode=0o700, exist_ok=True)
    with BUILT.with_name(f"{BUILT.name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not program.exists():
            _make(wsdl, scratch)
            shutil.copy(scratch / "till", scratch / "whole")
            shutil.move(scratch / "whole", program)
    return program


def _make(wsdl: Path, folder: Path) -> None:
    shutil.copy(HERE / "till.cpp", folder)
    (folder / "till.wsdl").write_bytes(cut(wsdl.read_bytes(), OPERATIONS))
    # The prefix of the real answers is `ns`.
    (folder / "types.dat").write_text(Path(_TYPES).read_text("utf-8") + '\nns = "urn:mplusqapi"\n', "utf-8")
    # Without the classes of the C++ library, and as one source that reads each header once: half as long to compile.
    _run(folder, "wsdl2h", "-t", "types.dat", "-c++11", "-s", "-o", "till.h", "till.wsdl")
    _run(folder, "soapcpp2", "-1", "-x", "-L", "-I", _IMPORTS, "till.h")
    declared = _DECLARED.findall((folder / "soapStub.h").read_text("utf-8"))
    (folder / "operations.inc").write_text("\n".join(f"PASS_ON({', '.join(each)})" for each in declared), "utf-8")
    (folder / "together.cpp").write_text("".join(f'#include "{source}"\n' for source in _SOURCES), "utf-8")
    _run(folder, *_COMPILE, "together.cpp", "-lgsoap++", "-lpthread", "-o", "till")


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280, check=True)


def cut(wsdl: bytes, operations: Collection[str]) -> bytes:
    """The WSDL with these operations only, and the types they reach: all of it takes minutes to compile."""
    root = etree.fromstring(wsdl)
    messages, wanted = set(), []
    for part in (*root.iter(f"{_WSDL}portType"), *root.iter(f"{_WSDL}binding")):
        for operation in part.findall(f"{_WSDL}operation"):
            if operation.get("name") not in operations:
                part.remove(operation)
            messages |= {_local(each.get("message")) for each in operation if operation.get("name") in operations}
    for message in root.findall(f"{_WSDL}message"):
        if message.get("name") not in messages:
            root.remove(message)
        else:
            wanted += [_local(part.get("element")) for part in message]
    for schema in root.iter(f"{_XSD}schema"):
        _keep(schema, wanted)
    return bytes(etree.tostring(root))


def _keep(schema: etree._Element, wanted: list[str]) -> None:
    named: dict[str, list[etree._Element]] = {}
    for each in schema:
        named.setdefault(str(each.get("name")), []).append(each)
    kept, left = set(), list(wanted)
    while left:
        name = left.pop()
        if name in named and name not in kept:
            kept.add(name)
            left += [used for each in named[name] for used in _names_used(each)]
    for node in [node for name in named.keys() - kept for node in named[name]]:
        schema.remove(node)


def _names_used(definition: etree._Element) -> list[str]:
    keys = ("type", "base", "ref")
    return [_local(node.get(key)) for node in definition.iter(etree.Element) for key in keys if node.get(key)]


def _local(name: str | None) -> str:
    return (name or "").rpartition(":")[2]
