-- One request's tokens of a token bucket and, beyond them, a lot that a node holds to serve from its memory. The oracle is
-- `granted` in limiter/leases.py; a property test holds both together. Whole microseconds below 2^53, as in token_bucket.lua.
--
-- KEYS[1]  state: the theoretical arrival time (tat), as token_bucket.lua writes it
-- ARGV[1]  increment_us: what the request itself adds to tat; 0 for a refill
-- ARGV[2]  capacity_us: how far tat may lie ahead of now
-- ARGV[3]  emission_us: one token
-- ARGV[4]  wanted: tokens wanted beyond the request's own, at most
-- ARGV[5]  share: a node may hold one share-th of the tokens that are left
-- ARGV[6]  held: tokens it holds already
-- ARGV[7]  least: a smaller lot is not worth holding
-- ARGV[8]  now_us; the server's own clock when absent
-- returns  { 1 taken | 0 refused, tat_us after, lot, now_us }; a refused request changes nothing
local increment, capacity, emission = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = tonumber(ARGV[8] or '')
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local held_tat = tonumber(redis.call('GET', KEYS[1]) or '') or now
local tat = math.min(math.max(held_tat, now), now + capacity)
local stepped = held_tat > tat -- the clock stepped back, as in token_bucket.lua

local after, lot = tat + increment, 0
local taken = after - now <= capacity
if taken then
  local left = math.floor((capacity - (after - now)) / emission)
  lot = math.min(tonumber(ARGV[4]), math.floor(left / tonumber(ARGV[5])) - tonumber(ARGV[6]))
  lot = lot >= tonumber(ARGV[7]) and lot or 0
  after = after + lot * emission
else
  after = tat
end
if stepped or after > tat then
  local expiry_ms = math.ceil((after - now) / 1000) + 60000
  redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', string.format('%.0f', expiry_ms))
end
return { taken and 1 or 0, after, lot, now }
