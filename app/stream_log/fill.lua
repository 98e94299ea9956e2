-- KEYS  log, meta, cache list    ARGV  run_id, epoch, seq, cache ttl, then messages, newest first
-- Writes the cache list only if it is still missing and the stream has not moved since the caller
-- asked MongoDB. Returns 1 if it did, else 0.
drop_if_not(KEYS[3], 'list')
drop_if_not(KEYS[2], 'hash')
local state = redis.call('HMGET', KEYS[2], 'server', 'epoch', 'seq')
if state[1] ~= identify(ARGV[1]) or state[2] ~= ARGV[2] or state[3] ~= ARGV[3] then return 0 end
if redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
for i = 5, #ARGV do redis.call('RPUSH', KEYS[3], ARGV[i]) end
redis.call('EXPIRE', KEYS[3], ARGV[4])
return 1
