-- KEYS  meta, data
-- ARGV  1 token  2 generation
-- Returns {offset, count, HLEN, age of the last flush in seconds}; nil where there is none.

redis.call('HSET', KEYS[1], 'token', ARGV[1], 'generation', ARGV[2], 'step', 0)
local held = redis.call('HMGET', KEYS[1], 'offset', 'count', 'flushed_at')
local age = held[3] and redis.call('TIME')[1] - held[3]
return {held[1], held[2], redis.call('HLEN', KEYS[2]), age}
