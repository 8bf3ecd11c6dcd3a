"""Moves of a spot with a later instant, one after another: seconds from request to answer."""
import datetime
import json
import sys
import time
import urllib.request

MOVES = 6
url = sys.argv[1] + "/v1/market"


def ask(body=None):
    headers = {"Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method="GET" if body is None else "PATCH")
    with urllib.request.urlopen(request, timeout=330) as answer:
        return json.load(answer)


seconds, simulated = [], 0
for move in range(MOVES):
    now = ask()
    asset = now["numbers"]["assets"][0]
    as_of = datetime.datetime.fromisoformat(now["market"]["as_of"].replace("Z", "+00:00"))
    later = (as_of + datetime.timedelta(seconds=1)).isoformat().replace("+00:00", "Z")
    update = {"as_of": later, "assets": [{"asset": asset["asset"], "spot": asset["spot"] * (1.001 if move % 2 else 0.999)}]}
    start = time.monotonic()
    simulated += ask(update)["is_simulated"]
    seconds.append(time.monotonic() - start)
# The first finds no memory of an earlier cube.
then = " ".join(f"{s:.2f}" for s in seconds[1:])
print(f"first {seconds[0]:.2f} s, then {then} s; {simulated} of {MOVES} simulated")
