-- A projection is '<content> <incarnation>:<partition>:<offset>', a string or a hash's field: it is
-- written unless the one that is there has a later offset of the same incarnation and partition.
--
-- KEYS  the projections' keys
-- ARGV  1 the server, which does not matter here; then for each key: its field or '', content,
--       '<incarnation>:<partition>:', offset

for i, key in ipairs(KEYS) do
  local field, content, source, offset = unpack(ARGV, 4 * i - 2, 4 * i + 1)
  local held
  if field == '' then held = redis.call('GET', key) else held = redis.call('HGET', key, field) end
  local there = held and string.match(held, ' (%S+)$') or ''
  local is_comparable = string.sub(there, 1, #source) == source
  local found = is_comparable and tonumber(string.sub(there, #source + 1))
  if not found or found <= tonumber(offset) then
    local value = content .. ' ' .. source .. offset
    if field == '' then redis.call('SET', key, value) else redis.call('HSET', key, field, value) end
  end
end
