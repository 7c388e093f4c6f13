-- Adds invalid requests to the present minute, and returns those of the last ten minutes with their age in minutes.
--
-- KEYS[1]  prefix of all keys
-- ARGV     cause, count, cause, count, …
-- Returns  age, cause, count, age, cause, count, …
local prefix = KEYS[1] .. 'invalid:'
local minute = math.floor(redis.call('TIME')[1] / 60)
for i = 1, #ARGV, 2 do
  redis.call('HINCRBY', prefix .. minute, ARGV[i], ARGV[i + 1])
  redis.call('PEXPIRE', prefix .. minute, 720000)
end
local out = {}
for age = 0, 10 do
  local counts = redis.call('HGETALL', prefix .. (minute - age))
  for i = 1, #counts, 2 do
    out[#out + 1] = tostring(age)
    out[#out + 1] = counts[i]
    out[#out + 1] = counts[i + 1]
  end
end
return out
