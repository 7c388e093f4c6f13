-- Ends pauses before their time, for all replicas: what was set no later than this mark is void (acquire.lua, complete.lua).
--
-- KEYS[1]  what all keys begin with
-- ARGV     1 mark: 'cleared' (every pause, and the windows of buckets) or 'resumed' (the pauses of all calls)
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('HSET', KEYS[1] .. 'state', ARGV[1], now)
redis.call('PEXPIRE', KEYS[1] .. 'state', 86400000)
return now
