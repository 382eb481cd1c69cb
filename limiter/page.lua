-- A page of the snapshot, with the feed position it was read at, and its actions as lines: one reply to parse, not 500.
--
-- KEYS  1 snapshot (hash)
-- ARGV  1 cursor (0: from the start)  2 about so many actions
-- Gives {cursor (0: that was all), version, id, epoch, lines}; version is empty where there is no snapshot
local head = redis.call('HMGET', KEYS[1], 'version', 'id', 'epoch')
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local lines = {}
for at = 1, #page[2], 2 do
  local field = page[2][at]
  if field ~= 'version' and field ~= 'id' and field ~= 'epoch' then lines[#lines + 1] = page[2][at + 1] end
end
return {page[1], head[1] or '', head[2] or '', head[3] or '', table.concat(lines, '\n')}
