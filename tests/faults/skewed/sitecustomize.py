"""Python imports this module first in a worker with a wrong clock, which has this folder on its PYTHONPATH.

The clock is CLOCK_OFF_SECONDS ahead (behind, if negative) and advances normally; monotonic clocks are not changed.
"""

import os
import time

import time_machine

time_machine.travel(time.time() + float(os.environ["CLOCK_OFF_SECONDS"]), tick=True).start()
