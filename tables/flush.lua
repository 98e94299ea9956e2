-- KEYS  meta, the shards that change
-- ARGV  1 token  2 generation  3 lowest and 4 highest step that may be the last one here  5 new step
--       6 offset, or '' if more follows or there is none
--       then for each shard: how many arguments to set and how many to delete, a key and a value
--       for each entry to set, the keys to delete
-- Returns 'OK', 'FENCED' or 'LOST'.

local verdict = judge(KEYS[1], ARGV[1], ARGV[2])
if verdict ~= 'OWNER' then return verdict end
local step = tonumber(redis.call('HGET', KEYS[1], 'step'))
if not step or step < tonumber(ARGV[3]) or step > tonumber(ARGV[4]) then return 'LOST' end

local added, at = 0, 7
for i = 2, #KEYS do
  local shard, first = KEYS[i], at + 2
  local middle = first + ARGV[at]
  at = middle + ARGV[at + 1]
  if first < middle then
    added = added + redis.call('HSET', shard, unpack(ARGV, first, middle - 1))
  end
  if middle < at then added = added - redis.call('HDEL', shard, unpack(ARGV, middle, at - 1)) end
end
redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'step', ARGV[5])
-- Not what is there now: what others take away is to be noticed at the next claim.
redis.call('HINCRBY', KEYS[1], 'count', added)
if ARGV[6] ~= '' then
  redis.call('HSET', KEYS[1], 'offset', ARGV[6], 'flushed_at', redis.call('TIME')[1])
end
return 'OK'
