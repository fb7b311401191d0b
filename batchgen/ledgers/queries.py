"""Reads the SQL files: every statement has a name and one line that says what it is for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

_NAMED = re.compile(r"^-- (?P<name>\w+): .+\n(?P<sql>(?:(?!^-- \w+: ).*\n?)*)", re.MULTILINE)


@cache
def queries() -> Mapping[str, str]:
    """Name -> statement, of `queries.sql`."""
    text = (files("batchgen.ledgers") / "queries.sql").read_text(encoding="utf-8")
    return MappingProxyType({match["name"]: match["sql"].strip() for match in _NAMED.finditer(text)})


def schema() -> str:
    """The script that makes a new ledger."""
    return (files("batchgen.ledgers") / "schema.sql").read_text(encoding="utf-8")


def migration(name: str) -> str:
    """The script that makes a newer ledger of an older one."""
    return (files("batchgen.ledgers") / f"schema-{name}.sql").read_text(encoding="utf-8")
