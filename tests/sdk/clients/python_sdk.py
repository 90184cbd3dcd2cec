"""Tells the story with a Python SDK: `python python_sdk.py '{"sdk": "rudderstack", "url", "key", "story"}'`."""

import importlib
import json
import logging
import sys

told = json.loads(sys.argv[1])
story, user, failures = told["story"], told["story"]["user"], []
logging.basicConfig(level=logging.INFO)

Client = importlib.import_module(f"{told['sdk']}.analytics.client").Client
client = Client(
    told["key"],
    host=told["url"],
    max_retries=8,
    timeout=15,
    # One batch of 250, which is what the test counts on; the defaults send three.
    upload_size=story["coins"],
    upload_interval=0.2,
    on_error=lambda error, items: failures.append(f"{error}: {len(items)} lost"),
)
client.identify(user, story["traits"])
client.track(user, "Level Started", {"level": 1})
client.page(user, name="Shop", properties={"url": "https://game.example/shop"})
client.screen(user, name="Boss Room")
client.group(user, story["guild"], {"name": "Night Owls"})
client.alias(story["old"], user)
client.flush()
for n in range(story["coins"]):
    client.track(user, "Coin Collected", {"n": n})
client.flush()
client.shutdown()
sys.exit("; ".join(failures) or 0)
