-- http-request lua.floodwarden: asks the limiter about a request (GET /v1/auth), and answers it where it may not pass.
-- A limiter that is away, stuck or broken lets requests pass: its outage must not become yours.

local WAY = "abns@floodwarden" -- of haproxy.cfg: it knows the limiter, and how long to wait for it
local PATIENCE_MS = 60000 -- beyond any there
-- Only what the limiter is to know, so that no client sends it a header in our name. A header that you set yourself, and
-- take from clients, may stand here, too: "x-user".
local TOLD = { "user-agent", "authorization", "x-api-key" }
local SHOWN = { "ratelimit", "ratelimit-policy" }
local KEPT = { "cache-control", "retry-after", "floodwarden-challenge" }
local PROBLEM = "application/problem+json"
local UNREADABLE = '{"type":"about:blank","title":"The request cannot be read","status":400,"detail":"a header is malformed"}'

local function joined(values)
    if values == nil then
        return nil
    end
    local text = values[0]
    for at = 1, #values do
        text = text .. ", " .. values[at]
    end
    return text
end

local function refuse(txn, answer)
    local elsewhere = answer.headers["floodwarden-challenge"] and txn:get_var("txn.floodwarden_challenge")
    if elsewhere then
        txn:done(txn:reply({ status = 303, headers = { location = { elsewhere }, ["cache-control"] = { "no-store" } } }))
    end
    local problem = joined(answer.headers["content-type"]) == PROBLEM
    local reply = txn:reply({ status = answer.status, body = problem and answer.body or UNREADABLE })
    reply:add_header("content-type", PROBLEM)
    for _, name in ipairs(KEPT) do
        local value = joined(answer.headers[name])
        if value then
            reply:add_header(name, value)
        end
    end
    txn:done(reply)
end

core.register_action("floodwarden", { "http-req" }, function(txn)
    local sent = txn.http:req_get_headers()
    local by = joined(sent["x-forwarded-for"])
    local asking = {
        ["x-original-method"] = { txn.f:method() },
        ["x-original-uri"] = { txn.f:pathq() },
        ["x-forwarded-for"] = { (by and by .. ", " or "") .. txn.f:src() },
    }
    for _, name in ipairs(TOLD) do
        asking[name] = sent[name] and { joined(sent[name]) }
    end
    local way = { url = "http://floodwarden/v1/auth", dst = WAY, headers = asking, timeout = PATIENCE_MS }
    local answer = core.httpclient():get(way)
    if answer == nil or answer.status < 200 or answer.status >= 500 then
        return
    end
    for _, name in ipairs(SHOWN) do
        local value = joined(answer.headers[name])
        if value then
            txn:set_var("txn.floodwarden_" .. name:gsub("-", "_"), value)
        end
    end
    if answer.status >= 300 then
        refuse(txn, answer)
    end
end)
