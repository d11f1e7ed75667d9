-- ROWS rows (default 16) in each request to POST /predict.
--   ROWS=16 wrk -t1 -c64 -d10s --latency -s scripts/wrk_batch.lua http://127.0.0.1:3000

local rows = tonumber(os.getenv("ROWS") or "16")
local heights = {7, 24, 35, 370, 5, 20000, 10000, 4, 150, 70} -- of the tables that the first ten numbers index
local n_dense = 5
local n_requests = math.max(16, math.floor(4096 / rows))
local requests, at = {}, 0

local function row()
    local out = {}
    for i, height in ipairs(heights) do out[i] = tostring(math.random(0, height - 1)) end
    for _ = 1, n_dense do out[#out + 1] = string.format("%.4f", math.random()) end
    return "[" .. table.concat(out, ",") .. "]"
end

function init()
    local headers = {["Content-Type"] = "application/json"}
    for i = 1, n_requests do
        local list = {}
        for k = 1, rows do list[k] = row() end
        requests[i] = wrk.format("POST", "/predict", headers, '{"instances":[' .. table.concat(list, ",") .. "]}")
    end
end

function request()
    at = at % n_requests + 1
    return requests[at]
end

function done(summary)
    local seconds = summary.duration / 1e6
    print(string.format("%.0f rows/s, %d rows a request", summary.requests * rows / seconds, rows))
end
