-- what wrk prints at its end, a number a line
done = function(summary, latency)
    local e = summary.errors
    io.write("answers ", summary.requests, "\nduration_us ", summary.duration)
    io.write("\nerrors ", e.connect + e.read + e.write + e.status + e.timeout)
    io.write("\np50_us ", latency:percentile(50), "\np99_us ", latency:percentile(99))
    io.write("\np999_us ", latency:percentile(99.9), "\n")
end
