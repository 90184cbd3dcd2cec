"""On the PYTHONPATH of a worker whose clock is to be wrong: Python imports this before everything else.

The clock runs on at its own speed, CLOCK_OFF_SECONDS ahead (or behind, when negative); monotonic clocks stay true.
"""

import os
import time

import time_machine

time_machine.travel(time.time() + float(os.environ["CLOCK_OFF_SECONDS"]), tick=True).start()
