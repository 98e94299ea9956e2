-- KEYS  log, meta, cache list    ARGV  run_id, fresh epoch, floor or '', meta ttl
-- Returns {epoch, seq, number} or 'NEED_NUMBER'.
local epoch, seq, number = open_stream(
  KEYS[2], KEYS[1], KEYS[3], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if not epoch then return 'NEED_NUMBER' end
return {epoch, seq, number}
