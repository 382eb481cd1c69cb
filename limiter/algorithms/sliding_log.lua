-- Sliding window log of one limit for one identity. The oracle is sliding_log.py; a property test holds both together.
-- KEYS[1]  state: a list of "AT_US COST SUM", one for each request, oldest first; SUM = all costs so far, its own included
-- ARGV     cost (negative gives back the newest), tokens in any window, window_us, 1 to look and not take,
--          now_us (the server's own clock when absent, so that nodes need not agree on the time)
-- returns  { 1 taken | 0 refused, used, at_us of the one that must leave first for this cost or 0, newest at_us, now_us }
local key, cost, tokens, window, look = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
local time = redis.call('TIME')
local now = tonumber(ARGV[5] or '') or time[1] * 1000000 + time[2]
local function entry(n)
  local at, spent, sum = string.match(redis.call('LINDEX', key, n) or '0 0 0', '(%d+) (%d+) (%d+)')
  return { at = tonumber(at), spent = tonumber(spent), sum = tonumber(sum) }
end
local function first(field, least) -- the place of the first entry whose field is at least that
  local low, high = 0, redis.call('LLEN', key)
  while low < high do
    local mid = math.floor((low + high) / 2)
    if entry(mid)[field] < least then low = mid + 1 else high = mid end
  end
  return low
end
local function text(at, spent, sum) return string.format('%.0f %.0f %.0f', at, spent, sum) end

local oldest, newest = entry(0), entry(-1)
if oldest.at <= now - window then
  redis.call('LTRIM', key, first('at', now - window + 1), -1)
  oldest, newest = entry(0), entry(-1)
end
local base, used = oldest.sum - oldest.spent, newest.sum - oldest.sum + oldest.spent
if newest.at > now then -- the clock stepped back: all of it counts as taken now
  redis.call('LTRIM', key, -1, -1)
  redis.call('LSET', key, 0, text(now, used, base + used))
end
local fits, frees, back = cost <= 0 or used + cost <= tokens, 0, math.min(-cost, used)
if not fits and cost <= tokens then frees = entry(first('sum', base + used + cost - tokens)).at end
if cost > 0 and fits and not look then
  used = used + cost
  redis.call('RPUSH', key, text(now, cost, base + used))
  redis.call('PEXPIRE', key, math.ceil(window / 1000) + 60000) -- collects garbage; no answer depends on it
end
while back > 0 do
  local at, spent, sum = entry(-1).at, entry(-1).spent, entry(-1).sum
  if spent <= back then redis.call('RPOP', key) else redis.call('LSET', key, -1, text(at, spent - back, sum - back)) end
  used, back = used - math.min(spent, back), back - spent
end
return { fits and 1 or 0, used, frees, entry(-1).at, now }
