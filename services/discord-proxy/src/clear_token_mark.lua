-- Removes the mark of a refused token, unless the refusal was confirmed later.
--
-- KEYS[1]  prefix of all keys
-- ARGV     1 milliseconds since 1970: a mark that was confirmed no later than this is removed
local key = KEYS[1] .. 'dead'
local mark = redis.call('GET', key)
if not mark then return 0 end
local confirmed = tonumber(string.match(mark, '^%d+ (%d+)')) or 0
if confirmed > tonumber(ARGV[1]) then return 0 end
return redis.call('DEL', key)
