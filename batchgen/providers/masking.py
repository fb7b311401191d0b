"""Foreign words and bytes without the key, and without what opens a signed link."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

import pybase64

from batchgen.core.plain import safe_text
from batchgen.core.types import Blob
from batchgen.providers.endpoint import Secret

HIDDEN = "***"

_KEYS = re.compile(r"\bsk-[A-Za-z0-9_*.-]{4,}|(?<=Bearer )\S+", re.IGNORECASE)
_QUERIES = re.compile(r"(https?://[^\s?\"'<>]{1,2000})\?[^\s\"'<>]+", re.IGNORECASE)
_LOGINS = re.compile(r"(\w{1,20}://)[^\s/?#@]{1,500}@", re.IGNORECASE)

_SHORTEST_KEY = 8
"""A shorter key is none: hiding a word such as `sandbox` everywhere would only garble texts."""

_SPELLED_BYTES = 64 * 1024
"""Longer evidence is searched for the usual forms of the key only: it is megabytes of something else."""

_DECODED_LETTERS = 3 * 1024 * 1024
"""A longer image is not held a second time, decoded, only to look into it."""

_ODD = re.compile(r"[^A-Za-z0-9+/=]")

_INVISIBLE = rb"(?:[\x00-\x20\x7f-\xff]|\\u(?:00[01]|20[0-6]|fef)[0-9a-fA-F]|\\[nrt])*"


@dataclass(frozen=True, slots=True)
class Mask:
    """Hides one endpoint's key, and whatever looks like another."""

    key: Secret
    _forms: tuple[str, ...] = field(init=False, repr=False)
    _spelled: tuple[re.Pattern[str], re.Pattern[bytes]] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Worked out once, and set in this way because the class is frozen.
        object.__setattr__(self, "_forms", _forms_of(self.key))
        object.__setattr__(self, "_spelled", _spellings_of(self.key) if self._forms else None)

    def text(self, text: str) -> str:
        """One plain line without keys and without the passwords and queries of URLs.

        What is invisible goes first, since it may split a key.
        """
        line = safe_text(text, printable=True)
        for form in self._forms:
            line = line.replace(form, HIDDEN)
        # Every header of every answer passes here; what a pattern cannot match without is looked for far faster.
        if self._spelled and ("\\" in line or "%" in line):
            line = self._spelled[0].sub(HIDDEN, line)
        line = _KEYS.sub(HIDDEN, line)
        if "://" not in line:
            return line
        return _QUERIES.sub(rf"\1?{HIDDEN}", _LOGINS.sub(rf"\1{HIDDEN}@", line))

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
        if self._spelled and len(data) <= _SPELLED_BYTES:
            return self._spelled[1].sub(HIDDEN.encode(), data)
        return data

    def encoded(self, text: str) -> str:
        """A long text that should be base64. One with the key in it is no image, and is kept as evidence.

        Searched for every form: in base64, which anybody can decode, the key looks like anything but itself. Masked,
        such a text is no base64 any more, so that an image with the key inside is neither stored nor mended.
        """
        if self._is_clean_base64(text):
            return text
        if any(blank in text for blank in "\n\r\t "):
            bare = "".join(text.split())
            masked = self._replaced(bare)
            return text if masked is bare else masked
        return self._replaced(text)

    def _is_clean_base64(self, text: str) -> bool:
        """Whether it is base64 of bytes without the key: decoding takes half the time of looking for every form."""
        if not self._forms:
            return True
        if len(text) > _DECODED_LETTERS:
            return False
        secret = self._forms[0]
        try:
            return secret.encode() not in pybase64.b64decode(text, validate=True) and not _holds(text, secret)
        except ValueError:
            return False

    def _replaced(self, text: str) -> str:
        for form in self._forms:
            if _holds(text, form):
                text = text.replace(form, HIDDEN)
        return text


def _holds(text: str, form: str) -> bool:
    # One odd character is looked for far faster than a form, and most keys have one that base64 has not.
    odd = _ODD.search(form)
    return (odd is None or odd[0] in text) and form in text


def _forms_of(key: Secret) -> tuple[str, ...]:
    """The key as it is (first), and as it is most often echoed: in URLs, in JSON, in base64 at any place."""
    secret = key.reveal()
    if len(secret) < _SHORTEST_KEY:
        return ()
    in_json = json.dumps(secret)[1:-1]
    forms = (
        secret,
        quote(secret),
        quote(secret, safe=""),
        in_json,
        in_json.replace("/", "\\/"),
        *_base64_forms(secret),
    )
    return tuple(dict.fromkeys(forms))


def _base64_forms(secret: str) -> Iterator[str]:
    """What base64 of any text with the key inside must contain: it depends on where the key begins, modulo three."""
    for before in range(3):
        encoded = b64encode(b"\0" * before + secret.encode()).decode()
        whole = (before + len(secret)) * 8 // 6
        form = encoded[-(-before * 8 // 6) : whole]
        yield form
        yield form.translate(str.maketrans("+/", "-_"))


def _spellings_of(key: Secret) -> tuple[re.Pattern[str], re.Pattern[bytes]]:
    r"""The key with any of its characters escaped by `\` or `%`, in bytes also with something invisible between them."""
    escaped = [
        rf"(?:{re.escape(char)}|\\{re.escape(char)}|(?i:%{ord(char):02x}|\\u{ord(char):04x}))"
        for char in key.reveal()
    ]
    return re.compile("".join(escaped)), re.compile(_INVISIBLE.join(char.encode() for char in escaped))
