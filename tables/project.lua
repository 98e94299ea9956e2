-- Each value is '<content> <incarnation>:<partition>:<offset>': it is written unless the one that is
-- there has a later offset of the same incarnation and partition.
--
-- KEYS  the projection's keys
-- ARGV  for each key: content, '<incarnation>:<partition>:', offset

local held = redis.call('MGET', unpack(KEYS))
for i, key in ipairs(KEYS) do
  local content, source, offset = ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i]
  local there = held[i] and string.match(held[i], ' (%S+)$') or ''
  local is_comparable = string.sub(there, 1, #source) == source
  local found = is_comparable and tonumber(string.sub(there, #source + 1))
  if not found or found <= tonumber(offset) then
    redis.call('SET', key, content .. ' ' .. source .. offset)
  end
end
