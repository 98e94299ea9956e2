-- KEYS  meta, data
-- ARGV  1 token  2 generation  3 lowest and 4 highest step that may be the last one here  5 new step
--       6 offset, or '' if more follows or there is none  7 number of entries to set
--       then a key and a value for each, then keys to delete
-- Returns 'OK', 'FENCED' or 'LOST'.

local verdict = judge(KEYS[1], ARGV[1], ARGV[2])
if verdict ~= 'OWNER' then return verdict end
local step = tonumber(redis.call('HGET', KEYS[1], 'step'))
if not step or step < tonumber(ARGV[3]) or step > tonumber(ARGV[4]) then return 'LOST' end

local last = 7 + 2 * tonumber(ARGV[7])
if last > 7 then redis.call('HSET', KEYS[2], unpack(ARGV, 8, last)) end
if last < #ARGV then redis.call('HDEL', KEYS[2], unpack(ARGV, last + 1, #ARGV)) end
redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'step', ARGV[5],
  'count', redis.call('HLEN', KEYS[2]))
if ARGV[6] ~= '' then
  redis.call('HSET', KEYS[1], 'offset', ARGV[6], 'flushed_at', redis.call('TIME')[1])
end
return 'OK'
