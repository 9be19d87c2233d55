-- SPDX-License-Identifier: MIT
--
-- POSTs a JSON body and ends with one line that load.py reads. The body is in BENCH_BODY. An "@" in it becomes
-- another text for every request: the next line of the file BENCH_IDS, from the top again at its end, or else a
-- number. One thread only (wrk -t1): counters are per thread.

local body = os.getenv("BENCH_BODY")
local before, after = body:match("^(.*)@(.*)$")
local ids

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = body

function init()
    local path = os.getenv("BENCH_IDS")
    if path then
        ids = {}
        for line in io.lines(path) do
            ids[#ids + 1] = line
        end
    end
end

-- Without an "@" wrk sends one request that it formats once: there must then be no request().
if before then
    local n = 0
    function request()
        n = n + 1
        local text = ids and ids[(n - 1) % #ids + 1] or tostring(n)
        return wrk.format(nil, nil, nil, before .. text .. after)
    end
end

function done(summary, latency)
    local e = summary.errors
    print(string.format("bench requests=%d duration_us=%d bytes=%d errors=%d p50_us=%d p99_us=%d",
        summary.requests, summary.duration, summary.bytes,
        e.connect + e.read + e.write + e.status + e.timeout,
        latency:percentile(50), latency:percentile(99)))
end
