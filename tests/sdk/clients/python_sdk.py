"""Sends the calls with a Python SDK: `python python_sdk.py '{"sdk": "rudderstack", "url", "key", "calls"}'`."""

import importlib
import json
import logging
import sys

arguments = json.loads(sys.argv[1])
calls, user, failures = arguments["calls"], arguments["calls"]["user"], []
logging.basicConfig(level=logging.INFO)

Client = importlib.import_module(f"{arguments['sdk']}.analytics.client").Client
client = Client(
    arguments["key"],
    host=arguments["url"],
    max_retries=8,
    timeout=15,
    # One batch of 250, which the test requires; by default there are three.
    upload_size=calls["coins"],
    upload_interval=0.2,
    on_error=lambda error, items: failures.append(f"{error}: {len(items)} lost"),
)
client.identify(user, calls["traits"])
client.track(user, "Level Started", {"level": 1})
client.page(user, name="Shop", properties={"url": "https://game.example/shop"})
client.screen(user, name="Boss Room")
client.group(user, calls["guild"], {"name": "Night Owls"})
client.alias(calls["old"], user)
client.flush()
for n in range(calls["coins"]):
    client.track(user, "Coin Collected", {"n": n})
client.flush()
client.shutdown()
sys.exit("; ".join(failures) or 0)
