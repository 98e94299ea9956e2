-- Adds users to channels' lists of active users, and takes users out. Safe to repeat.
--
-- KEYS  of each channel: the list of its users by their end, the hash of their names
-- ARGV  1 the end of those who are added, Unix ms  2 how long a list lives, seconds; then for each
--       user: the number of the channel, from 1, the user's id, and the name, or '' of who has left

local living = {}
for i = 3, #ARGV, 3 do
  local channel, user, name = tonumber(ARGV[i]), ARGV[i + 1], ARGV[i + 2]
  local users, names = KEYS[2 * channel - 1], KEYS[2 * channel]
  if name == '' then
    redis.call('ZREM', users, user)
    redis.call('HDEL', names, user)
  else
    redis.call('ZADD', users, ARGV[1], user)
    redis.call('HSET', names, user, name)
    living[channel] = true
  end
end
for channel in pairs(living) do
  redis.call('EXPIRE', KEYS[2 * channel - 1], ARGV[2])
  redis.call('EXPIRE', KEYS[2 * channel], ARGV[2])
end
