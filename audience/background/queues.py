"""The task queues. A worker process takes the tasks of one of them, or of both (config/queues.py has the routes)."""

DIGEST = "digest"
DELIVERY = "delivery"
QUEUES = (DIGEST, DELIVERY)
