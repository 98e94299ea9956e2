-- Begins a rewrite: takes the partition over and empties it. Until the last flush of the rewrite
-- writes an offset again, a claim finds none and discards what is there.
--
-- KEYS  meta, shards
-- ARGV  1 token  2 generation  3 lowest generation of another owner that fences us  4 new step
-- Returns 'OK', 'FENCED' or 'LOST' (this very call came late, behind later ones).

local verdict = judge(KEYS[1], ARGV[1], ARGV[3])
if verdict == 'FENCED' then return verdict end
local step = tonumber(redis.call('HGET', KEYS[1], 'step'))
if verdict == 'OWNER' and step and step >= tonumber(ARGV[4]) then return 'LOST' end

redis.call('UNLINK', unpack(KEYS))
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'generation', ARGV[2], 'step', ARGV[4])
return 'OK'
