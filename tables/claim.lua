-- KEYS  meta, shards
-- ARGV  1 token  2 generation
-- Returns {offset, count, entries, age of the last flush in seconds}; nil where there is none.

redis.call('HSET', KEYS[1], 'token', ARGV[1], 'generation', ARGV[2], 'step', 0)
local held = redis.call('HMGET', KEYS[1], 'offset', 'count', 'flushed_at')
local age = held[3] and redis.call('TIME')[1] - held[3]
local length = 0
for i = 2, #KEYS do length = length + redis.call('HLEN', KEYS[i]) end
return {held[1], held[2], length, age}
