-- Token bucket (GCRA) of one limit for one identity. The oracle is token_bucket.py; a property test holds both together.
-- All numbers are whole microseconds below 2^53, so doubles carry them exactly.
--
-- KEYS[1]  state: the theoretical arrival time (tat), when the bucket will be full again, epoch microseconds
-- ARGV[1]  increment_us: what this request adds to tat; negative gives back what an earlier one took
-- ARGV[2]  capacity_us: how far tat may lie ahead of now, i.e. an empty bucket
-- ARGV[3]  now_us; the server's own clock when absent, so that nodes need not agree on the time
-- returns  { 1 taken | 0 refused, tat_us after, now_us }; a refused request takes nothing
local increment, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = tonumber(ARGV[3] or '')
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local held = tonumber(redis.call('GET', KEYS[1]) or '') or now
local tat = math.min(math.max(held, now), now + capacity)
local stepped = held > tat -- the clock stepped back: an empty bucket, or it would stay empty for as long as the step

local after = math.max(tat + increment, now)
local taken = increment < 0 or after - now <= capacity
if not taken then
  after = tat
end
if stepped or (taken and increment ~= 0) then
  if after == now then
    redis.call('DEL', KEYS[1])
  else
    -- The expiry collects garbage, a minute after the bucket is full; no answer depends on it.
    local expiry_ms = math.ceil((after - now) / 1000) + 60000
    redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', string.format('%.0f', expiry_ms))
  end
end
return { taken and 1 or 0, after, now }
