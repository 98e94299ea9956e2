-- Reads channels' lists of active users.
--
-- KEYS  of each channel: the list of its users by their end, the hash of their names
-- ARGV  1 now, Unix ms  2 how many users are named
--
-- Answers for each channel: how many users it has, the ids of some, and their names.

local answers = {}
for i = 1, #KEYS, 2 do
  local users = redis.call('ZRANGEBYSCORE', KEYS[i], ARGV[1], '+inf', 'LIMIT', 0, ARGV[2])
  local count, names = #users, {}
  if count == tonumber(ARGV[2]) then count = redis.call('ZCOUNT', KEYS[i], ARGV[1], '+inf') end
  if #users > 0 then names = redis.call('HMGET', KEYS[i + 1], unpack(users)) end
  answers[#answers + 1] = {count, users, names}
end
return answers
