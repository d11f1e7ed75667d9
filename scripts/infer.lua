-- Random rows to POST /infer, for any model with one float input: ROWS rows (default 8) of WIDTH numbers (default 15)
-- below LIMIT (default 1; whole numbers when it is above 1). No module that wrk lacks.
--   ROWS=8 WIDTH=4 wrk -t1 -c16 -d10s --latency -s scripts/infer.lua http://127.0.0.1:3000
-- MODEL names one of several models.

local rows = tonumber(os.getenv("ROWS") or "8")
local width = tonumber(os.getenv("WIDTH") or "15")
local limit = tonumber(os.getenv("LIMIT") or "1")
local model = os.getenv("MODEL")
local n_requests = math.max(16, math.floor(4096 / rows))
local requests, at = {}, 0

local function number()
    if limit > 1 then return tostring(math.random(0, limit - 1)) end
    return string.format("%.6f", math.random())
end

local function list(n, make)
    local out = {}
    for i = 1, n do out[i] = make() end
    return "[" .. table.concat(out, ",") .. "]"
end

function init()
    local path = model and "/infer?model=" .. model or "/infer"
    for i = 1, n_requests do
        local body = '{"inputs":' .. list(rows, function() return list(width, number) end) .. "}"
        requests[i] = wrk.format("POST", path, {["Content-Type"] = "application/json"}, body)
    end
end

function request()
    at = at % n_requests + 1
    return requests[at]
end

local reported = false
function response(status, _, body)
    if status ~= 200 and not reported then
        reported = true
        print("status " .. status .. ": " .. body)
    end
end
