-- Takes away the mark of a dead token, unless the death was confirmed later.
--
-- KEYS[1]  what all keys begin with
-- ARGV     1 milliseconds since 1970: marks confirmed no later than that are no longer true
local key = KEYS[1] .. 'dead'
local mark = redis.call('GET', key)
if not mark then return 0 end
local confirmed = tonumber(string.match(mark, '^%d+ (%d+)')) or 0
if confirmed > tonumber(ARGV[1]) then return 0 end
return redis.call('DEL', key)
