-- What a kept connection saves: every EVERY-th request asks for its connection to be closed behind the answer.
--   EVERY=1 wrk -t1 -c64 -d10s -s scripts/wrk_keepalive.lua http://127.0.0.1:3000    a connection each
--   EVERY=0 wrk -t1 -c64 -d10s -s scripts/wrk_keepalive.lua http://127.0.0.1:3000    all are kept (the default)
-- wrk opens a closed connection again at once, and counts the closing ones among its read errors in old versions.

local every = tonumber(os.getenv("EVERY") or "0")
local body = '{"features":[4,15,1,1,1,3321,282,2,77,13,0.728,0.09,0.5,0.25,0.125]}'
local kept, closing, n

function init()
    n = 0
    kept = wrk.format("POST", "/predict", {["Content-Type"] = "application/json"}, body)
    closing = wrk.format("POST", "/predict", {["Content-Type"] = "application/json", ["Connection"] = "close"}, body)
end

function request()
    n = n + 1
    if every > 0 and n % every == 0 then return closing end
    return kept
end

function done(summary)
    print(string.format("%d requests, every %d-th with a connection of its own", summary.requests, every))
end
