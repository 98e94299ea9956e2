-- KEYS  log, meta, cache list (a user's stream: a key that never exists)
-- ARGV  1 run_id  2 fresh epoch  3 floor or ''  4 meta ttl  5 live channel  6 now (ms)
--       7 guard field  8 incarnation  9 log length  10 log ttl  11 cache length  12 cache ttl
--       then per entry: offset, number or '', cache change, id prefix, rev, head, data, message,
--       the number that the stream must have reached
-- Cache change: '' none, 'push', 'replace', 'remove'. An empty message is the data itself.
-- Returns {epoch, seq} or 'NEED_NUMBER'; with the offset of the first entry that needs a number not
-- reached, if there is one: nothing is done about it, nor about any after it.

drop_if_not(KEYS[1], 'stream')
drop_if_not(KEYS[3], 'list')
local epoch, seq, number = open_stream(
  KEYS[2], KEYS[1], KEYS[3], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if not epoch then return 'NEED_NUMBER' end

local guard = -1
local held = redis.call('HGET', KEYS[2], ARGV[7])
if held then
  local incarnation, offset = string.match(held, '^(.*):(%d+)$')
  if incarnation == ARGV[8] then guard = tonumber(offset) end
end

-- The entry of the cache list that begins with the prefix, its index and its rev.
local function find(prefix)
  for index, item in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
    if string.sub(item, 1, #prefix) == prefix then
      return index - 1, item, tonumber(string.match(item, '^%d+', #prefix + 1))
    end
  end
end

local frames, last, refused = {}, guard, nil
for i = 13, #ARGV, 9 do
  local offset, own = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  if offset > guard and tonumber(ARGV[i + 8]) > number then
    -- The guard stays below it: what was refused and what was done can always be told apart.
    refused = offset
    break
  end
  -- At or below the guard: delivered again. A creation not above number: whoever began this epoch
  -- has clients reload up to there.
  if offset > guard and not (own and own <= number) then
    seq = seq + 1
    if own then number = own end
    local change, prefix, data = ARGV[i + 2], ARGV[i + 3], ARGV[i + 6]
    local message = ARGV[i + 7]
    if message == '' then message = data end
    if change == 'push' then
      redis.call('LPUSH', KEYS[3], message)
      redis.call('LTRIM', KEYS[3], 0, ARGV[11] - 1)
    elseif change ~= '' then
      local index, item, rev = find(prefix)
      if index and change == 'remove' then
        redis.call('LREM', KEYS[3], 1, item)
      elseif index and tonumber(ARGV[i + 4]) > rev then
        redis.call('LSET', KEYS[3], index, message)
      end
    end
    local cursor = string.format('%s.%.0f.%.0f.%s', epoch, seq, number, ARGV[6])
    local frame = ARGV[i + 5] .. string.format('%.0f', seq) .. ',"cursor":"' .. cursor
      .. '","data":' .. data .. '}'
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[9], string.format('%.0f-0', seq), 'f', frame)
    frames[#frames + 1] = frame
  end
  if offset > last then last = offset end
end

if last > guard then
  redis.call('HSET', KEYS[2], 'seq', string.format('%.0f', seq),
    'number', string.format('%.0f', number), ARGV[7], ARGV[8] .. ':' .. string.format('%.0f', last))
  redis.call('EXPIRE', KEYS[2], ARGV[4])
  redis.call('EXPIRE', KEYS[1], ARGV[10])
  redis.call('EXPIRE', KEYS[3], ARGV[12])
end
if #frames > 0 then
  -- One payload a call: a header line, then a frame a line (JSON has no bare line feed).
  local header = string.format('%s %.0f\n', epoch, seq - #frames + 1)
  redis.call('PUBLISH', ARGV[5], header .. table.concat(frames, '\n'))
end
return {epoch, seq, refused}
