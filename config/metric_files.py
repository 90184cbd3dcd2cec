"""The files in which web processes share their counters, written without memory mapping.

prometheus_client counts in memory-mapped sparse files: on a full disk the first write to a new block is a SIGBUS, which
ends the process. Here counters are in memory, and a thread writes them to the same files in the same format, so that a
full disk is an error that is retried.
"""

import contextlib
import os
import struct
import threading
import weakref
from pathlib import Path

import structlog
from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

logger = structlog.get_logger(__name__)

# The maximum age of what other processes read.
FLUSH_SECONDS = 0.25
# File format: used length and four bytes of padding; then each key with its length, padded to eight, and two doubles.
HEADER = struct.Struct("i4x")
LENGTH = struct.Struct("i")
COUNT = struct.Struct("dd")


class CountFile:
    """Replaces prometheus_client's MmapedDict: values with timestamps, by key."""

    def __init__(self, filename: str) -> None:
        self._path, self._lock = Path(filename), threading.Lock()
        self._positions: dict[str, int] = {}
        self._data = bytearray(HEADER.pack(HEADER.size))
        self._descriptor = -1
        # The range of `_data` that is not written yet.
        self._changed: tuple[int, int] | None = None
        with contextlib.suppress(OSError, struct.error, RuntimeError):
            for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(filename):  # type: ignore[no-untyped-call]
                self.write_value(key, value, timestamp)
        _flush_regularly(self)

    def read_value(self, key: str) -> tuple[float, float]:
        with self._lock:
            value, timestamp = COUNT.unpack_from(self._data, self._position(key))
            return value, timestamp

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        with self._lock:
            position = self._position(key)
            COUNT.pack_into(self._data, position, value, timestamp)
            self._note(position, position + COUNT.size)

    def close(self) -> None:
        self.flush()
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = -1

    def flush(self) -> None:
        """Write what has changed. What could not be written is written the next time."""
        with self._lock:
            if self._changed is None:
                return
            (first, last), self._changed = self._changed, None
            part, whole = bytes(self._data[first:last]), bytes(self._data)
        try:
            self._write(first, part, whole)
        except OSError as error:
            with self._lock:
                self._note(first, last)
            _log_once(error)

    def _write(self, first: int, part: bytes, whole: bytes) -> None:
        if self._descriptor < 0:
            # Renamed only once it is complete, so that no reader sees half a file.
            draft = self._path.with_suffix(".new")
            descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
            try:
                _write_all(descriptor, whole, 0)
                os.rename(draft, self._path)
            except OSError:
                os.close(descriptor)
                with contextlib.suppress(OSError):
                    draft.unlink()
                raise
            self._descriptor = descriptor
            return
        _write_all(self._descriptor, part, first)
        # The length is written last, so that a reader never reads beyond what was written.
        _write_all(self._descriptor, HEADER.pack(len(whole)), 0)

    def _position(self, key: str) -> int:
        """Return the position of `key`, creating it on the first call."""
        if key not in self._positions:
            encoded = key.encode()
            padded = encoded + b" " * (8 - (len(encoded) + 4) % 8)
            start = len(self._data)
            self._data += LENGTH.pack(len(encoded)) + padded + COUNT.pack(0.0, 0.0)
            HEADER.pack_into(self._data, 0, len(self._data))
            self._positions[key] = len(self._data) - COUNT.size
            self._note(start, len(self._data))
        return self._positions[key]

    def _note(self, first: int, last: int) -> None:
        known = self._changed or (first, last)
        self._changed = min(first, known[0]), max(last, known[1])


def install() -> None:
    """Make prometheus_client use CountFile. Must run before the first metric is created."""
    values.MmapedDict = CountFile  # type: ignore[attr-defined, assignment]


def flush() -> None:
    """Write what has changed; on an error it is written the next time."""
    for file in list(_files):
        file.flush()


_files: "weakref.WeakSet[CountFile]" = weakref.WeakSet()
_ticking = threading.Event()
_state = {"pid": 0, "complained": 0}


def _flush_regularly(file: CountFile) -> None:
    _files.add(file)
    if _state["pid"] != os.getpid():
        _state["pid"] = os.getpid()
        threading.Thread(target=_keep_flushing, name="metric-files", daemon=True).start()


def _keep_flushing() -> None:
    while not _ticking.wait(FLUSH_SECONDS):
        flush()


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Write all bytes. Raises OSError if the disk accepts none."""
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], offset + written)


def _log_once(error: OSError) -> None:
    """Log once per process, since the write is retried four times a second."""
    if not _state["complained"]:
        _state["complained"] = 1
        logger.warning("metrics_not_written", error=str(error))
