"""The load of load.py by wrk, if it is installed: it uses a tenth of the CPU time of Python.

Each connection sends the next request after an answer, as in load.py.
"""

import json
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.benchmarks.load import DIALECTS, PLAYERS

SCRIPT = """
local template, start, finish, count = %(template)s, %(start)s, %(end)s, %(count)d
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
  for number = 1, count do
    messages[number] = template:gsub("@%%u+@",
      { ["@ID@"] = id(), ["@PERSON@"] = "anon-" .. math.random(0, %(players)d), ["@NOW@"] = now })
  end
  return wrk.format("POST", %(path)s, nil, start .. table.concat(messages, ",") .. finish)
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
    """Return the same figures as load.py; the times include refused requests."""
    template = DIALECTS[dialect]
    start, end = template.single_envelope if messages == 1 else template.batch_envelope
    name, _, value = template.header(key).partition(": ")
    text = json.dumps(template.message, separators=(",", ":"))
    text = text.replace("MESSAGE-ID", "@ID@").replace("PERSON", "@PERSON@").replace("NOW", "@NOW@")
    values = {"template": text, "start": start, "end": end, "header": name, "value": value}
    values["path"] = template.single if messages == 1 else template.batch
    script = folder / "wrk.lua"
    quoted = {name: json.dumps(text) for name, text in values.items()}
    script.write_text(SCRIPT % {**quoted, "count": messages, "players": PLAYERS - 1})
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s", "--timeout", "30s", "-s", str(script)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run([*command, f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = json.loads(result.stdout.splitlines()[-1])
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    milliseconds = {name: round(figures[name], 1) for name in ("p50_ms", "p99_ms")}
    return {**figures, **milliseconds, "messages": figures["requests"] * messages, "cpu_s": round(used, 2)}
