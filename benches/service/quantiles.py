"""Quantiles of a route's latency from the histogram on standard input, interpolated in its bucket."""
import re
import sys

route, buckets = sys.argv[1], {}
for line in sys.stdin:
    if line.startswith("shortfall_request_duration_seconds_bucket") and f'route="{route}"' in line and 'status="200"' in line:
        bound, count = re.search(r'le="([^"]+)"} (\d+)', line).groups()
        buckets[float(bound.replace("+Inf", "inf"))] = int(count)
total = max(buckets.values(), default=0)
words = []
for quantile in (0.5, 0.9, 0.99):
    lower, below = 0.0, 0
    for bound, count in sorted(buckets.items()):
        if count >= quantile * total:
            share = (quantile * total - below) / max(1, count - below)
            words.append(f"p{quantile * 100:g} {1e3 * (lower + share * (bound - lower)):7.3f} ms")
            break
        lower, below = bound, count
print(f"{total:9d}    " + "  ".join(words))
