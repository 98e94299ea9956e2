-- Reads what waits for users, all as it is at one moment.
--
-- KEYS  of each user: their count of notifications, the hash of their read states
-- ARGV  1 what the keys of channels' newest numbers begin with
--
-- Answers for each user: the count, and of each channel in turn its id, the read state, the number.

local KEYS_A_COMMAND = 1000

local answers = {}
for i = 1, #KEYS, 2 do
  local states, channels = redis.call('HGETALL', KEYS[i + 1]), {}
  for first = 1, #states, 2 * KEYS_A_COMMAND do
    local keys = {}
    for j = first, math.min(first + 2 * KEYS_A_COMMAND, #states) - 1, 2 do
      keys[#keys + 1] = ARGV[1] .. states[j]
    end
    for j, number in ipairs(redis.call('MGET', unpack(keys))) do
      local at = first + 2 * (j - 1)
      channels[#channels + 1] = states[at]
      channels[#channels + 1] = states[at + 1]
      channels[#channels + 1] = number
    end
  end
  answers[#answers + 1] = {redis.call('GET', KEYS[i]), channels}
end
return answers
