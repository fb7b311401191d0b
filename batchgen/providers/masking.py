"""Foreign words and bytes without the key, and without what opens a signed link."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

from batchgen.core.plain import plain
from batchgen.core.types import Blob
from batchgen.providers.endpoint import Secret

HIDDEN = "***"

_KEYS = re.compile(r"\bsk-[A-Za-z0-9_*.-]{4,}|(?<=Bearer )\S+", re.IGNORECASE)
_QUERIES = re.compile(r"(https?://[^\s?\"'<>]{1,2000})\?[^\s\"'<>]+", re.IGNORECASE)

_SHORTEST_KEY = 8
"""A shorter key is none: hiding a word such as `sandbox` everywhere would only garble texts."""

_SPLIT_BYTES = 256 * 1024
"""Longer evidence is not searched for keys with something invisible inside: it is megabytes of something else."""

_INVISIBLE = rb"(?:[\x00-\x20\x7f-\xff]|\\u(?:00[01]|20[0-6]|fef)[0-9a-fA-F]|\\[nrt])*"


@dataclass(frozen=True, slots=True)
class Mask:
    """Hides one endpoint's key, and whatever looks like another."""

    key: Secret
    _forms: tuple[str, ...] = field(init=False, repr=False)
    _split: re.Pattern[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Worked out once, and set in this way because the class is frozen.
        object.__setattr__(self, "_forms", _forms_of(self.key))
        object.__setattr__(self, "_split", _split_form(self.key))

    def text(self, text: str) -> str:
        """One plain line without keys and without the queries of URLs. What is invisible goes first, since it may split a key."""
        line = plain(text)
        for form in self._forms:
            line = line.replace(form, HIDDEN)
        return _QUERIES.sub(rf"\1?{HIDDEN}", _KEYS.sub(HIDDEN, line))

    def start(self, text: str) -> str:
        """`text` for a text that was cut at its end, where half a key may stand that nothing would find."""
        line = self.text(text)
        for form in self._forms:
            cut = next((n for n in range(len(form) - 1, 3, -1) if line.endswith(form[:n])), 0)
            if cut:
                return line[:-cut] + HIDDEN
        return line

    def data(self, data: Blob) -> Blob:
        """The same bytes with the key itself hidden, since evidence is kept on disk; not copied when there is none."""
        for form in self._forms:
            if (secret := form.encode()) in data:
                data = data.replace(secret, HIDDEN.encode())
        if self._forms and len(data) <= _SPLIT_BYTES:
            return self._split.sub(HIDDEN.encode(), data)
        return data

    def encoded(self, text: str) -> str:
        """A long text that should be base64. One with the key in it is none, and is kept as evidence."""
        return text.replace(self._forms[0], HIDDEN) if self._forms and self._forms[0] in text else text


def _forms_of(key: Secret) -> tuple[str, ...]:
    """The key as it is (first), and as it may be echoed: in URLs, in JSON, in base64 at any place."""
    secret = key.reveal()
    if len(secret) < _SHORTEST_KEY:
        return ()
    percents = "".join(f"%{ord(char):02X}" for char in secret)
    escapes = "".join(f"\\u{ord(char):04x}" for char in secret)
    in_json = json.dumps(secret)[1:-1]
    quoted = (quote(secret, safe=""), quote_plus(secret), quote(secret))
    forms = (
        secret,
        *quoted,
        *map(_lower_escapes, quoted),
        percents,
        percents.lower(),
        in_json,
        in_json.replace("/", "\\/"),
        escapes,
        re.sub("[0-9a-f]{4}", lambda found: found[0].upper(), escapes),
        *_base64_forms(secret),
    )
    return tuple(dict.fromkeys(forms))


def _lower_escapes(quoted: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quoted)


def _base64_forms(secret: str) -> Iterator[str]:
    """What base64 of any text with the key inside must contain: it depends on where the key begins, modulo three."""
    for before in range(3):
        encoded = b64encode(b"\0" * before + secret.encode()).decode()
        whole = (before + len(secret)) * 8 // 6
        form = encoded[-(-before * 8 // 6) : whole]
        yield form
        yield form.translate(str.maketrans("+/", "-_"))


def _split_form(key: Secret) -> re.Pattern[bytes]:
    """The key with something invisible between its characters."""
    return re.compile(_INVISIBLE.join(re.escape(char.encode()) for char in key.reveal()))
