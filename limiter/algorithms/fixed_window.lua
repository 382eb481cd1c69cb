-- Fixed window of one limit for one identity. The oracle is fixed_window.py; a property test holds both together.
--
-- KEYS[1]  state: "START_US USED", the window last taken from and how much
-- ARGV[1]  cost; negative gives back what an earlier request took
-- ARGV[2]  tokens of a window
-- ARGV[3]  window_us; windows begin at its multiples
-- ARGV[4]  now_us; the server's own clock when absent, so that nodes need not agree on the time
-- returns  { 1 taken | 0 refused, used in this window, now_us }; a refused request changes nothing
local cost, tokens, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = tonumber(ARGV[4] or '')
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local start = now - now % window

local held_start, held = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%d+)$')
held_start = tonumber(held_start or '') or 0
local used = held_start >= start and tonumber(held) or 0
local stepped = held_start > start -- the clock stepped back: what was used counts for the window we are in

local taken = cost <= 0 or used + cost <= tokens
if taken then
  used = math.max(used + cost, 0)
end
if stepped or (taken and cost ~= 0) then
  if used == 0 then
    redis.call('DEL', KEYS[1])
  else
    -- The expiry collects garbage, a minute after the window; no answer depends on it.
    local expiry_ms = math.ceil((start + window - now) / 1000) + 60000
    redis.call('SET', KEYS[1], string.format('%.0f %.0f', start, used), 'PX', string.format('%.0f', expiry_ms))
  end
end
return { taken and 1 or 0, used, now }
