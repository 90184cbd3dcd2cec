"""The same load by wrk, where it is installed: it takes a tenth of the processor that Python takes for it.

Each of its connections sends the next request when the last is answered, as in load.py.
"""

import json
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.benchmarks.load import DIALECTS, PEOPLE

SCRIPT = """
local template, around_start, around_end, count = %(template)s, %(start)s, %(end)s, %(count)d
local letters = { }

function init(args)
  math.randomseed(os.time() + tonumber(tostring(letters):sub(8), 16) %% 1000000)
end

local function id()
  local r = math.random
  return string.format("%%08x-%%04x-4%%03x-8%%03x-%%06x%%06x", r(0, 2^31 - 1), r(0, 65535), r(0, 4095), r(0, 4095),
    r(0, 2^24 - 1), r(0, 2^24 - 1))
end

function request()
  local now = os.date("!%%Y-%%m-%%dT%%H:%%M:%%S") .. ".000+00:00"
  local messages = {}
  for place = 1, count do
    messages[place] = template:gsub("@%%u+@",
      { ["@ID@"] = id(), ["@PERSON@"] = "anon-" .. math.random(0, %(people)d), ["@NOW@"] = now })
  end
  return wrk.format("POST", %(path)s, nil, around_start .. table.concat(messages, ",") .. around_end)
end

wrk.headers[%(header)s] = %(value)s

function done(summary, latency, requests)
  io.write(string.format('{"requests": %%d, "refused": %%d, "seconds": %%f, "p50_ms": %%f, "p99_ms": %%f}\\n',
    summary.requests - summary.errors.status, summary.errors.status, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


def is_installed() -> bool:
    return shutil.which("wrk") is not None


def load(*, port: int, key: str, connections: int, seconds: float, messages: int, dialect: str, folder: Path) -> Any:
    """The same figures as load.py prints; of refused ones too, the time counts."""
    words = DIALECTS[dialect]
    start, end = words.around_one if messages == 1 else words.around_many
    name, _, value = words.header(key).partition(": ")
    text = json.dumps(words.message, separators=(",", ":"))
    text = text.replace("MESSAGE-ID", "@ID@").replace("PERSON", "@PERSON@").replace("NOW", "@NOW@")
    quoted = {"template": text, "start": start, "end": end, "header": name, "value": value}
    quoted["path"] = words.single if messages == 1 else words.batch
    script = folder / "wrk.lua"
    given = {key: json.dumps(said) for key, said in quoted.items()}
    script.write_text(SCRIPT % {**given, "count": messages, "people": PEOPLE - 1})
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s", "--timeout", "30s", "-s", str(script)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*command, f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seen = json.loads(done.stdout.splitlines()[-1])
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    milliseconds = {name: round(seen[name], 1) for name in ("p50_ms", "p99_ms")}
    return {**seen, **milliseconds, "messages": seen["requests"] * messages, "cpu_s": round(used, 2)}
