-- One line of figures.
function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      "figures: %7.1f/s  p50 %7.3f ms  p90 %7.3f ms  p99 %7.3f ms  max %7.3f ms  refused or failed %d\n",
      summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3, latency:percentile(90) / 1e3,
      latency:percentile(99) / 1e3, latency.max / 1e3,
      errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
