-- Puts another version of a policy in force: the order limiters look at, and one entry in the feed for those that wait.
--
-- KEYS  1 order (string, JSON)  2 snapshot (hash)  3 feed (stream)
-- ARGV  order serial name at_ms feed_max
-- Gives done, same (it was so already) or stale (what is there was ordered later).
local held = redis.call('GET', KEYS[1])
if held == ARGV[1] then return 'same' end
if held and tonumber(cjson.decode(held).serial) >= tonumber(ARGV[2]) then return 'stale' end
redis.call('SET', KEYS[1], ARGV[1])
-- Without a snapshot nobody reads the feed: no enforcer was here yet. Limiters look once a second in any case.
if redis.call('HEXISTS', KEYS[2], 'version') == 1 then
  local version = redis.call('HINCRBY', KEYS[2], 'version', 1)
  local entry = {'v', version, 'op', 'policy', 'body', ARGV[3], 'at', ARGV[4]}
  local id = redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[5], '*', unpack(entry))
  redis.call('HSET', KEYS[2], 'id', id)
end
return 'done'
