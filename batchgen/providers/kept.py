"""Lists of models, kept beside the jobs: what a provider said when it was last asked."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from batchgen.catalogue.listing import Listed, Listing
from batchgen.core.errors import StorageError
from batchgen.core.types import JsonObject, JsonValue
from batchgen.system.clock import moment_or_blank
from batchgen.system.files import make_folder, replace_file
from batchgen.system.folder import Folder

FOLDER = ".models"
"""In the folder of all jobs; no job's name begins with a dot."""

VERSION = 1

_MOST_BYTES = 32 * 1024 * 1024


def kept_path(output: Path, provider: str) -> Path:
    """Where the list of a provider is kept: one for each, the last that was read."""
    return output / FOLDER / f"{provider}.json"


def keep(output: Path, listing: Listing) -> None:
    """Keep a list in the place of the earlier one. Raises `StorageError`."""
    path = kept_path(output, listing.provider)
    document = {
        "version": VERSION,
        "provider": listing.provider,
        "host": listing.host,
        "read": listing.read,
        "whole": listing.whole,
        "data": [_written(listed) for listed in listing.models.values()],
    }
    try:
        make_folder(path.parent)
        replace_file(path, json.dumps(document, indent=1).encode() + b"\n")
    except OSError as error:
        raise StorageError(f"{path}: the list cannot be kept ({error.strerror})") from error


def read_kept(output: Path, provider: str) -> Listing | None:
    """The kept list of a provider; None where there is none that can be read. It only advises, so nothing is raised."""
    path = kept_path(output, provider)
    try:
        with closing(Folder.open(path.parent)) as folder:
            document: JsonValue = json.loads(folder.file(path.name).read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return _listing(document) if isinstance(document, dict) else None


def _written(listed: Listed) -> JsonObject:
    """A model with what is known of it, in the words of a catalogue."""
    price = listed.price
    told: dict[str, JsonValue] = {
        "owned_by": listed.owner,
        "model_type": listed.kind,
        "shutdown_date": listed.shutdown.isoformat() if listed.shutdown else None,
    }
    if price is not None:
        told["pricing"] = {
            "currency": "USD / M tokens",
            "input": price.input_usd,
            "output": price.output_usd,
            "per_request": price.each_usd,
        }
    return {"id": listed.model_id} | {name: value for name, value in told.items() if value}


def _listing(document: dict[str, JsonValue]) -> Listing | None:
    # Imported here: most folders keep no list, and every command that reads a manifest looks for one.
    from batchgen.providers.endpoint import Secret
    from batchgen.providers.listed import page_of
    from batchgen.providers.masking import Mask

    provider, host = document.get("provider"), document.get("host")
    read = moment_or_blank(document.get("read"))
    page = page_of(document, Mask(Secret("")))
    if document.get("version") != VERSION or page is None or not read:
        return None
    if not isinstance(provider, str) or not isinstance(host, str):
        return None
    return Listing(provider, host, read, page.models, document.get("whole") is not False)
