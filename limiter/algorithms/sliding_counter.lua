-- Sliding window counter of one limit for one identity. The oracle is sliding_counter.py; a property test holds both.
--
-- KEYS[1]  state: "START_US CURRENT PREVIOUS", the window last taken from, what it and the one before it gave
-- ARGV[1]  cost; negative gives back what an earlier request took
-- ARGV[2]  tokens in any window
-- ARGV[3]  window_us; counted windows begin at its multiples
-- ARGV[4]  now_us; the server's own clock when absent, so that nodes need not agree on the time
-- returns  { 1 taken | 0 refused, current, previous, now_us }; a refused request changes nothing
local cost, tokens, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = tonumber(ARGV[4] or '')
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local start = now - now % window

local held, current, previous = string.match(redis.call('GET', KEYS[1]) or '0 0 0', '^(%d+) (%d+) (%d+)$')
held, current, previous = tonumber(held), tonumber(current), tonumber(previous)
local stepped = held > start -- the clock stepped back: what was used counts for the window we are in
if held < start then
  current, previous = 0, held >= start - window and current or 0
end

-- The weight of the window before, in 1024ths, rounded up: whole numbers, so no rounding lets more pass.
local weight = math.ceil((start + window - now) * 1024 / window)
local taken = cost <= 0 or current + math.ceil(previous * weight / 1024) + cost <= tokens
if taken then
  previous = math.max(previous + math.min(current + cost, 0), 0)
  current = math.max(current + cost, 0)
end
if (stepped or (taken and cost ~= 0)) and current + previous == 0 then
  redis.call('DEL', KEYS[1])
elseif stepped or (taken and cost ~= 0) then
  -- The expiry collects garbage, a minute after the next window; no answer depends on it.
  local expiry_ms = math.ceil((start + 2 * window - now) / 1000) + 60000
  local state = string.format('%.0f %.0f %.0f', start, current, previous)
  redis.call('SET', KEYS[1], state, 'PX', string.format('%.0f', expiry_ms))
end
return { taken and 1 or 0, current, previous, now }
