-- Writes a gateway's counts of connections.
--
-- KEYS  the hashes of counts by gateway
-- ARGV  1 the gateway  2 how long a hash lives, seconds; then for each key its count, 0: none

for i, key in ipairs(KEYS) do
  local count = ARGV[2 + i]
  if count == '0' then
    redis.call('HDEL', key, ARGV[1])
  else
    redis.call('HSET', key, ARGV[1], count)
    redis.call('EXPIRE', key, ARGV[2])
  end
end
