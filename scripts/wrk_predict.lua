-- A different row each request to POST /predict, as DeepFM takes them.
--   wrk -t2 -c64 -d10s --latency -s scripts/wrk_predict.lua http://127.0.0.1:3000
-- Requests are written once, before the measurement; sending the next costs the client little.

local heights = {7, 24, 35, 370, 5, 20000, 10000, 4, 150, 70} -- of the tables that the first ten numbers index
local n_dense, n_requests = 5, 4096
local requests, at, thread_seed = {}, 0, 0

local function row()
    local out = {}
    for i, height in ipairs(heights) do out[i] = tostring(math.random(0, height - 1)) end
    for _ = 1, n_dense do out[#out + 1] = string.format("%.4f", math.random()) end
    return "[" .. table.concat(out, ",") .. "]"
end

function setup(thread)
    thread_seed = thread_seed + 1
    thread:set("seed", thread_seed)
end

function init()
    math.randomseed(seed)
    local headers = {["Content-Type"] = "application/json"}
    for i = 1, n_requests do
        requests[i] = wrk.format("POST", "/predict", headers, '{"features":' .. row() .. "}")
    end
end

function request()
    at = at % n_requests + 1
    return requests[at]
end

function done(summary, latency)
    local bad = summary.errors.status + summary.errors.read + summary.errors.timeout
    print(string.format("p99.9 %.2f ms, %d errors", latency:percentile(99.9) / 1000, bad))
end
