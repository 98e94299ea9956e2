-- A projection is '<content> <incarnation>:<partition>:<offset>', a string or a hash's field: it is
-- written unless the one that is there has a later offset of the same incarnation and partition.
--
-- KEYS  the projections' keys
-- ARGV  1 the server, which does not matter here; then for each key: its field or '', its value

local function place_of(value)
  return string.match(value, ' (%S+):(%d+)$')
end

for i, key in ipairs(KEYS) do
  local field, value = ARGV[2 * i], ARGV[2 * i + 1]
  local held
  if field == '' then held = redis.pcall('GET', key) else held = redis.pcall('HGET', key, field) end
  local is_later = false
  if type(held) == 'table' then
    redis.call('DEL', key)  -- Of a wrong type: none of ours.
  elseif held then
    local source, offset = place_of(held)
    local own_source, own_offset = place_of(value)
    is_later = source == own_source and tonumber(offset) > tonumber(own_offset)
  end
  if not is_later then
    if field == '' then redis.call('SET', key, value) else redis.call('HSET', key, field, value) end
  end
end
