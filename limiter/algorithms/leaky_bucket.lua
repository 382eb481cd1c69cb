-- Leaky bucket as a queue: of one limit for one identity. The oracle is leaky_bucket.py; a property test holds both
-- together. All numbers are whole microseconds below 2^53, so doubles carry them exactly.
--
-- KEYS[1]  state: free_us, when everything let in so far will have passed, epoch microseconds
-- ARGV[1]  work_us: how long this request keeps the outlet busy; negative takes an earlier one out of the queue
-- ARGV[2]  capacity_us: how much work may be in the queue, with what passes now
-- ARGV[3]  now_us; the server's own clock when absent, so that nodes need not agree on the time
-- returns  { 1 let in | 0 refused, delay_us until it passes, free_us after, now_us }; a refused request changes nothing
local work, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = tonumber(ARGV[3] or '')
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local held = tonumber(redis.call('GET', KEYS[1]) or '') or now
local free = math.min(math.max(held, now), now + capacity)
local stepped = held > free -- the clock stepped back: a full queue, or it would stay full for as long as the step

local delay = free - now
local let_in = work < 0 or delay + work <= capacity
if let_in then
  free = math.max(free + work, now)
end
if stepped or (let_in and work ~= 0) then
  if free == now then
    redis.call('DEL', KEYS[1])
  else
    -- The expiry collects garbage, a minute after the queue is empty; no answer depends on it.
    local expiry_ms = math.ceil((free - now) / 1000) + 60000
    redis.call('SET', KEYS[1], string.format('%.0f', free), 'PX', string.format('%.0f', expiry_ms))
  end
end
return { let_in and 1 or 0, delay, free, now }
