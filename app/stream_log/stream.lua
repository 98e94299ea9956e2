-- Before every script: the stream's state, opened under the rule "same Redis, same epoch".
-- A restarted or failed-over Redis may have lost its last writes, so a stream that another run of a
-- server wrote, or the same before it was a replica, begins a new epoch: log and cache list go, seq
-- starts at 0, and number at a floor that the caller took from MongoDB.

-- The run that the caller's connection reached, and the server's replication id: that is another one
-- after every promotion, and when a master gets its first replica, or has had none for an hour. It
-- is asked for here, since a connection may outlive a promotion (3 us).
local function identify(run_id)
  return run_id .. ':' .. string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
end

local function drop_if_not(key, wanted)
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'none' and kind ~= wanted then redis.call('DEL', key) end
end

-- Returns epoch, seq, number; or nothing when a new epoch needs a floor and there is none.
local function open_stream(meta, log, cache, run_id, fresh_epoch, floor, meta_ttl)
  drop_if_not(meta, 'hash')
  local server = identify(run_id)
  local state = redis.call('HMGET', meta, 'server', 'epoch', 'seq', 'number')
  if state[1] == server and state[2] and state[3] and state[4] then
    return state[2], tonumber(state[3]), tonumber(state[4])
  end
  if floor == '' then return nil end
  redis.call('DEL', meta, log, cache)
  redis.call('HSET', meta, 'server', server, 'epoch', fresh_epoch, 'seq', 0, 'number', floor)
  redis.call('EXPIRE', meta, meta_ttl)
  return fresh_epoch, 0, tonumber(floor)
end
