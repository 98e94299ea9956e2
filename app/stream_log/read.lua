-- KEYS  log, meta, cache list    ARGV  run_id, epoch, after (seq), count
-- Returns {frame, ...}, the events after that seq without a hole; or 'GONE' when the log cannot say:
-- another epoch, another server or run of it, or events that are no longer in it.
drop_if_not(KEYS[2], 'hash')
drop_if_not(KEYS[1], 'stream')
local state = redis.call('HMGET', KEYS[2], 'server', 'epoch', 'seq')
if state[1] ~= identify(ARGV[1]) or state[2] ~= ARGV[2] then return 'GONE' end
local after, seq = tonumber(ARGV[3]), tonumber(state[3])
if after > seq then return 'GONE' end
if after == seq then return {} end
local found = redis.call(
  'XRANGE', KEYS[1], string.format('%.0f-0', after + 1), '+', 'COUNT', ARGV[4])
if #found == 0 or found[1][1] ~= string.format('%.0f-0', after + 1) then return 'GONE' end
local frames = {}
for i, entry in ipairs(found) do frames[i] = entry[2][2] end
return frames
