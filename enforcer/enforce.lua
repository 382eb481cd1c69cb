-- Changes of enforcement in Redis, all of a call atomic: snapshot, feed, version and target keys move together.
--
-- KEYS  1 snapshot (hash)  2 feed (stream)  3 applied (hash: partition of `actions` -> last offset in the snapshot)
--       4 ... a target (string) for each change; with `install` and `build`: the new snapshot, not in place yet;
--       with `build` 5 ... a target for each action
-- ARGV  apply  at_ms feed_max, then for each change: put|del partition offset uid body stands stands_expires_ms
--       build  keep_ms, then for each action: uid body stands stands_expires_ms (stands empty: it is the action itself)
--       install  at_ms epoch_expected epoch version_min partition offset [partition offset ...]
-- Gives {epoch, what, version [, what, version ...]}, a pair for each change; what =
--   done     the snapshot changed, one entry went to the feed
--   same     it was so already: redelivered
--   stale    the snapshot is ahead of this record
--   absent   there is no snapshot: install one, from the whole truth
--   lost     another put a snapshot in place first
local FEED_BODY_MAX = 8192 -- a larger action is only named in the feed, which keeps thousands; the snapshot has it once
local CHANGE_ARGS = 7
local op, at_ms = ARGV[1], ARGV[2]

local function answer(what)
  local at = redis.call('HMGET', KEYS[1], 'version', 'epoch')
  return {at[2] or '', what, at[1] or '0'}
end

if op == 'build' then
  for i = 5, #KEYS do
    local from = 3 + (i - 5) * 4
    local body, stands = ARGV[from + 1], ARGV[from + 2]
    redis.call('HSET', KEYS[4], ARGV[from], body)
    redis.call('SET', KEYS[i], stands ~= '' and stands or body, 'PXAT', ARGV[from + 3])
  end
  redis.call('PEXPIRE', KEYS[4], ARGV[2])
  return answer('done')
end

if op == 'install' then
  if (redis.call('HGET', KEYS[1], 'epoch') or '') ~= ARGV[3] then
    redis.call('DEL', KEYS[4])
    return answer('lost')
  end
  redis.call('DEL', KEYS[1], KEYS[3])
  if redis.call('EXISTS', KEYS[4]) == 1 then
    redis.call('RENAME', KEYS[4], KEYS[1])
    redis.call('PERSIST', KEYS[1])
  end
  local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
  redis.call('HSET', KEYS[1], 'epoch', ARGV[4], 'version', ARGV[5], 'id', last and last[1] or '0-0')
  for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) end
  return answer('done')
end

local function apply(op, partition, offset, uid, body, stands, stands_expires_ms, target)
  if tonumber(offset) < tonumber(redis.call('HGET', KEYS[3], partition) or '-1') then return 'stale' end
  redis.call('HSET', KEYS[3], partition, offset)

  -- The snapshot holds what is in force, and only an action's status ever changes: there already means applied already.
  if (op == 'put') == (redis.call('HEXISTS', KEYS[1], uid) == 1) then return 'same' end

  local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
  if op == 'put' then
    -- The first `"version":0` is the field: within a JSON text its quotes would be escaped.
    local from, to = string.find(body, '"version":0', 1, true)
    if from then body = string.sub(body, 1, from - 1) .. '"version":' .. version .. string.sub(body, to + 1) end
    redis.call('HSET', KEYS[1], uid, body)
  else
    redis.call('HDEL', KEYS[1], uid)
    body = uid
  end
  if stands == '' then
    redis.call('DEL', target)
  else
    redis.call('SET', target, stands, 'PXAT', stands_expires_ms)
  end
  local entry = {'v', version, 'op', op, 'body', body, 'at', at_ms}
  if #body > FEED_BODY_MAX then entry = {'v', version, 'op', op, 'body', '', 'at', at_ms, 'uid', uid} end
  local id = redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', unpack(entry))
  redis.call('HSET', KEYS[1], 'id', id)
  return 'done'
end

if redis.call('HEXISTS', KEYS[1], 'version') == 0 then return answer('absent') end
local given = {redis.call('HGET', KEYS[1], 'epoch') or ''}
for i = 4, #KEYS do
  local from = 4 + (i - 4) * CHANGE_ARGS
  given[#given + 1] = apply(ARGV[from], ARGV[from + 1], ARGV[from + 2], ARGV[from + 3], ARGV[from + 4], ARGV[from + 5],
    ARGV[from + 6], KEYS[i])
  given[#given + 1] = redis.call('HGET', KEYS[1], 'version')
end
return given
