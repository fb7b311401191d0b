"""Where things lie in a job's folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from batchgen.core.errors import StorageError


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one job's folder."""

    folder: Path

    @property
    def images(self) -> Path:
        """Images and sidecars under their final names."""
        return self.folder / "images"

    @property
    def superseded(self) -> Path:
        """Paid images that newer ones replaced."""
        return self.folder / "superseded"

    @property
    def state(self) -> Path:
        """Part files and quarantine; nobody else's business."""
        return self.folder / "state"

    @property
    def quarantine(self) -> Path:
        """Answers that are no image, kept for a refund claim."""
        return self.state / "quarantine"

    def part(self, attempt_id: str) -> Path:
        """Room for an attempt's image, then the image itself until it is renamed."""
        return self.state / f"{attempt_id}.part"

    def part_sidecar(self, attempt_id: str) -> Path:
        """The sidecar beside a part."""
        return self.state / f"{attempt_id}.json"

    def sidecar(self, task_id: str) -> Path:
        """A task's sidecar under its final name."""
        return self.images / f"{task_id}.json"

    def prepare(self) -> None:
        """Make the folders. Raises `StorageError` when one cannot be made, or is a link to somewhere else."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path, mode in (
                (self.images, 0o755),
                (self.superseded, 0o755),
                (self.state, 0o700),
                (self.quarantine, 0o700),
            ):
                if path.is_symlink():
                    raise StorageError(
                        f"{path} is a link; move it away, since images must stay in the job's folder"
                    )
                path.mkdir(exist_ok=True)
                path.chmod(mode)  # whatever the umask is
            if not os.access(self.images, os.W_OK | os.X_OK):
                raise StorageError(f"{self.images}: cannot be written; check its permissions, then run again")
        except OSError as error:
            raise StorageError(
                f"{self.folder}: cannot be prepared ({error}); check the path and its permissions"
            ) from error
