-- Publishes frames.
--
-- ARGV  for each frame: the channel it is published on, the frame

for i = 1, #ARGV, 2 do
  redis.call('PUBLISH', ARGV[i], ARGV[i + 1])
end
