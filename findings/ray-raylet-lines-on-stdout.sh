#!/usr/bin/env bash
# Ray 2.60.0 (Python 3.11), run 2026-11-30: log_to_driver=False does not keep Ray off the stdout of the driver.
# Expected: when an actor dies, Ray tells of it on stderr if at all, and not with log_to_driver=False and a logging level
# above ERROR, so a driver may print results. Seen: a line that begins with "(raylet)" is printed to stdout. The variable
# RAY_DEDUP_LOGS_SKIP_REGEX, of the lines that workers print by its name, silences it if it is set before the import.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'ray==2.60.0'
cat > "$folder/driver.py" <<'EOF'
import logging, os, signal, time
import ray
ray.init(num_cpus=1, log_to_driver=False, logging_level=logging.CRITICAL, include_dashboard=False)
@ray.remote(max_restarts=0, max_task_retries=0)
class Actor:
    def number(self):
        return os.getpid()
    def wait(self):
        time.sleep(60)
actor = Actor.remote()
number = ray.get(actor.number.remote())
waiting = actor.wait.remote()
time.sleep(1)
os.kill(number, signal.SIGKILL)
try:
    ray.get(waiting)
except ray.exceptions.ActorDiedError:
    print("a result", flush=True)
time.sleep(5)
EOF
plain=$("$folder/venv/bin/python" "$folder/driver.py" 2>/dev/null)
skipped=$(RAY_DEDUP_LOGS_SKIP_REGEX=. "$folder/venv/bin/python" "$folder/driver.py" 2>/dev/null)
echo "stdout: $(echo "$plain" | cut -c 1-90)"
echo "stdout with RAY_DEDUP_LOGS_SKIP_REGEX=.: $skipped"
grep -q '(raylet)' <<< "$plain" && [ "$skipped" = "a result" ] || { echo "this has changed"; exit 1; }
