"""The task queues. A worker processes one of them, or both (the routes are in config/task_settings.py)."""

DIGEST = "digest"
DELIVERY = "delivery"
QUEUES = (DIGEST, DELIVERY)
