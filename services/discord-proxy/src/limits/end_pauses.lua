-- Ends pauses early, for all replicas: pauses that were set no later than this mark do not count (acquire.lua, complete.lua).
--
-- KEYS[1]  prefix of all keys
-- ARGV     1 mark: 'cleared' (every pause, and the windows of buckets) or 'resumed' (the pauses of all calls)
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('HSET', KEYS[1] .. 'state', ARGV[1], now)
redis.call('PEXPIRE', KEYS[1] .. 'state', 86400000)
return now
