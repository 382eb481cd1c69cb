-- Concurrency of one limit for one identity. The oracle is concurrency.py; a property test holds both together.
-- KEYS[1]  state: a sorted set of held slots, "ID/N" by the time its lease is over, epoch microseconds
-- ARGV     cost (negative releases what was acquired under ID), tokens (slots in all), lease_us, ID, 1 to look and not
--          acquire, now_us (the server's own clock when absent, so that nodes need not agree on the time)
-- returns  { 1 acquired | 0 refused, used, when enough leases are over for this cost or 0, when the last is, now_us }
local key, cost, tokens, lease, id = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local look, now = ARGV[5] == '1', tonumber(ARGV[6] or '')
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local function text(number) return string.format('%.0f', number) end

redis.call('ZREMRANGEBYSCORE', key, '-inf', text(now))
for _, slot in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. text(now + lease), '+inf')) do
  redis.call('ZADD', key, text(now + lease), slot) -- the clock stepped back: no lease is longer than a lease
end
for n = 1, -cost do
  redis.call('ZREM', key, id .. '/' .. n)
end

local used = redis.call('ZCARD', key)
local fits, frees, last = cost <= 0 or used + cost <= tokens, 0, 0
if not fits and cost <= tokens then
  local rank = used + cost - tokens - 1
  frees = tonumber(redis.call('ZRANGE', key, rank, rank, 'WITHSCORES')[2])
end
if cost > 0 and fits and not look then
  for n = 1, cost do
    redis.call('ZADD', key, text(now + lease), id .. '/' .. n)
  end
  used = used + cost
  -- The expiry collects garbage, a minute after the last lease; no answer depends on it.
  redis.call('PEXPIRE', key, math.ceil(lease / 1000) + 60000)
end
if used > 0 then
  last = tonumber(redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2])
end
return { fits and 1 or 0, used, frees, last, now }
