"""The OpenAPI document when several requests ask for it at the same time in a new process."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
from concurrent.futures import ThreadPoolExecutor
import django
django.setup()
from config.api_document import CachedGenerator
with ThreadPoolExecutor(8) as pool:
    documents = list(pool.map(lambda _: CachedGenerator().get_schema(public=True), range(8)))
assert all(document is documents[0] for document in documents)
print(len(documents[0]["paths"]))
"""


def test_requests_at_the_same_time_get_one_document() -> None:
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run([sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert int(result.stdout) > 100
