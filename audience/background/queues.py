"""The task queues. A worker takes the tasks of one of them, or of both (config/task_settings.py has the routes)."""

DIGEST = "digest"
DELIVERY = "delivery"
QUEUES = (DIGEST, DELIVERY)
