"""One purchase, as a game backend reports it: `python python_purchase.py '{"url", "key", "user"}'`."""

import json
import sys

from rudderstack.analytics.client import Client

arguments = json.loads(sys.argv[1])
failures: list[str] = []
client = Client(
    arguments["key"], host=arguments["url"], upload_interval=0.1, on_error=lambda error, _: failures.append(str(error))
)
client.track(arguments["user"], "purchase", {"value": 9.99, "currency": "USD"})
client.shutdown()
sys.exit("; ".join(failures) or 0)
