-- Every script begins with this. meta holds: token and generation (the owner and its consumer
-- group generation), step (the owner's last write), offset (how far the shards go in the changelog),
-- count (their entries, as added by flushes), flushed_at (this server's clock, seconds).

-- 'OWNER', 'FENCED' (another has taken over) or 'LOST' (an owner before us is back, or nobody: this
-- server has lost our claim). Generations only grow, so a lower one is an owner before us.
local function judge(meta, token, fencing_generation)
  local held = redis.call('HMGET', meta, 'token', 'generation')
  if held[1] == token then return 'OWNER' end
  if held[1] and (tonumber(held[2]) or -1) >= tonumber(fencing_generation) then return 'FENCED' end
  return 'LOST'
end
