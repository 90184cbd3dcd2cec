"""The files in which web processes share their counters, written without memory mapping.

prometheus_client counts in memory-mapped sparse files: on a full disk the first write to a new block is a SIGBUS, which
ends the process. Here counters are in memory, and a thread writes them to the same files in the same format, so that a
full disk is an error that is retried.
"""

import struct
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import ClassVar

import structlog
from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

logger = structlog.get_logger(__name__)

# The maximum age of what other processes read.
FLUSH_SECONDS = 0.25
# Each file begins with the number of bytes in use, and four bytes of padding.
HEADER = struct.Struct("i4x")
THREAD = "metric-files"


class CountFile(MmapedDict):
    """prometheus_client's MmapedDict in memory. `flush` writes the file."""

    _error_is_logged: ClassVar[bool] = False

    def __init__(self, filename: str) -> None:
        self._path, self._lock = Path(filename), threading.Lock()
        self._f = None  # type: ignore[assignment]  # no file stays open
        self._capacity = sys.maxsize
        # The file exists if an earlier process had the same id. A damaged file is replaced.
        try:
            self._load(self._path.read_bytes() if self._path.exists() else b"")
        except (OSError, RuntimeError, ValueError, struct.error):
            self._load(b"")
        _files.add(self)
        if THREAD not in {thread.name for thread in threading.enumerate()}:
            threading.Thread(target=_flush_regularly, name=THREAD, daemon=True).start()

    def _load(self, written: bytes) -> None:
        """Read the counters of a file; b'' for none. Raises an error for a damaged file."""
        self._written = written
        self._m = bytearray(written or HEADER.pack(HEADER.size))  # type: ignore[assignment]  # it grows as needed
        self._used = HEADER.unpack_from(self._m)[0]
        if self._used < HEADER.size:
            raise ValueError("The file has no header.")
        del self._m[self._used :]
        self._positions = {key: position for key, _, _, position in self._read_all_values()}

    def flush(self) -> None:
        """Write what has changed; what could not be written is written the next time."""
        with self._lock:
            data = bytes(self._m)
            if data == self._written:
                return
            try:
                self._write(data)
                self._written = data
            except OSError as error:
                if not CountFile._error_is_logged:
                    CountFile._error_is_logged = True
                    logger.warning("metrics_not_written", error=str(error))

    def _write(self, data: bytes) -> None:
        if not self._written:
            # Renamed when it is complete, so that no reader sees half a file.
            temporary = self._path.with_suffix(".new")
            temporary.write_bytes(data)
            temporary.rename(self._path)
            return
        with self._path.open("r+b") as file:
            file.seek(HEADER.size)
            file.write(data[HEADER.size :])
            file.flush()
            # The length is written last, so that a reader never reads beyond what was written.
            file.seek(0)
            file.write(data[: HEADER.size])


_files: "weakref.WeakSet[CountFile]" = weakref.WeakSet()


def install() -> None:
    """Make prometheus_client use CountFile. Must run before the first metric is created."""
    values.MmapedDict = CountFile  # type: ignore[attr-defined, assignment]


def flush() -> None:
    """Write what has changed; on an error it is written the next time."""
    for file in list(_files):
        file.flush()


def _flush_regularly() -> None:
    while True:
        time.sleep(FLUSH_SECONDS)
        flush()
