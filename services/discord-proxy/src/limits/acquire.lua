-- Decides, for all replicas at once, which of the asking calls may leave now. Redis's clock is the only one read.
--
-- KEYS[1]  what all keys begin with; it holds a hash tag, so that a cluster keeps them in one slot
-- ARGV     1 replica, 2 epoch that the replica knows ('' when none), 3 epoch to begin when there is none, 4 calls in a window,
--          5 window ms, 6 transit ms, 7 silence ms, 8 largest number of replicas, 9 lease ms,
--          10 places that the replica brings from deciding by itself, 11 for how many ms they are still held,
--          12-14 calls that wait at the replica for the global limit, by urgency, 15 number of asks;
--          then for each ask: id, route, major, bot (0/1), urgency (0-2)
-- Answers  epoch, token dead (0/1), ms of the edge's pause, limit in force, places held; then for each ask: word, ms, bucket.
--          Words: go, global, route, answer, dead.
local prefix = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local replica, known, fresh = ARGV[1], ARGV[2], ARGV[3]
local total, window, transit, silence = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local most, lease = tonumber(ARGV[8]), tonumber(ARGV[9])
local held_longest = window + transit
local state, members, global, want = prefix .. 'state', prefix .. 'members', prefix .. 'global', prefix .. 'want'

-- The first write is one that a full Redis refuses. After a write that it does not refuse it would let the rest pass, here but
-- not in complete.lua, and replicas would waver between two minds.
redis.call('SET', prefix .. 'beat', now, 'PX', 60000)

-- 1. Has Redis forgotten? A replica that remembers another epoch proves that places were lost with the old data: hold
--    everything for as long as they could still count, and reckon for a while with replicas that decide for themselves.
local epoch = redis.call('HGET', state, 'epoch')
if not epoch then
  epoch = fresh
  redis.call('HSET', state, 'epoch', epoch)
end
if known ~= '' and known ~= epoch then
  redis.call('HSET', state, 'hold', now + held_longest, 'amnesia', now + 5000)
end
redis.call('PEXPIRE', state, 86400000)

-- 2. Who is there? One that fell silent may be deciding for itself within its share, until it is taken for dead.
redis.call('ZREMRANGEBYSCORE', members, '-inf', now - 60000)
redis.call('ZREMRANGEBYSCORE', members, now + silence, '+inf')
redis.call('ZADD', members, now, replica)
redis.call('PEXPIRE', members, 120000)
local alive = redis.call('ZCOUNT', members, now - silence, '+inf')
local apart = redis.call('ZCARD', members) - alive
local times = redis.call('HMGET', state, 'hold', 'amnesia', 'pause', 'paused_at', 'edge', 'edged_at')
local amnesia = (tonumber(times[2]) or 0) - now
if amnesia > 0 and amnesia <= 5000 then
  apart = most
end
apart = math.max(0, math.min(apart, most - alive))
local limit = math.max(1, total - apart * math.max(1, math.floor(total / most)))

-- 3. The window. A place held longer than any can be means that the clock was set back.
redis.call('ZREMRANGEBYSCORE', global, '-inf', now)
local ahead = redis.call('ZRANGEBYSCORE', global, now + held_longest + 100, '+inf')
for _, id in ipairs(ahead) do
  redis.call('ZADD', global, now + held_longest, id)
end
for i = 1, tonumber(ARGV[10]) do
  redis.call('ZADD', global, now + tonumber(ARGV[11]), replica .. ':own:' .. now .. ':' .. i)
end
redis.call('PEXPIRE', global, 60000)
local held = redis.call('ZCARD', global)

local function until_time(at, set_at)
  -- A time that was set in the future was set by a clock that has since gone back: it no longer counts.
  at, set_at = tonumber(at) or 0, tonumber(set_at) or 0
  if set_at > now + 1000 then return 0 end
  return math.max(0, at - now)
end
local hold = math.max(0, (tonumber(times[1]) or 0) - now)
if hold > held_longest then
  hold = held_longest
  redis.call('HSET', state, 'hold', now + hold)
end
local edge = until_time(times[5], times[6])
local pause = math.max(hold, until_time(times[3], times[4]), edge)

-- 4. Calls of other replicas that wait and are more urgent come first.
local waiting = { tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14]) }
if waiting[1] + waiting[2] > 0 then
  redis.call('HSET', want, replica, waiting[1] .. ' ' .. waiting[2] .. ' ' .. (now + 150))
  redis.call('PEXPIRE', want, 1000)
else
  redis.call('HDEL', want, replica)
end
local elsewhere = { 0, 0, 0 }
local all = redis.call('HGETALL', want)
for i = 1, #all, 2 do
  if all[i] ~= replica then
    local first, second, till = string.match(all[i + 1], '^(%d+) (%d+) (%d+)$')
    till = tonumber(till)
    if till > now and till < now + 1000 then
      elsewhere[2] = elsewhere[2] + first
      elsewhere[3] = elsewhere[3] + first + second
    end
  end
end

local dead = redis.call('EXISTS', prefix .. 'dead')
local out = { epoch, tostring(dead), tostring(edge), tostring(limit), tostring(held) }

local function answer(word, ms, bucket)
  out[#out + 1] = word
  out[#out + 1] = tostring(math.ceil(ms))
  out[#out + 1] = bucket
end

-- Whether the bucket lets a call through: word and ms when not; else its name, and how to charge it.
local function bucket_of(route, major)
  local paused = redis.call('HMGET', prefix .. 'pause:' .. route .. ':' .. major, 'till', 'set_at')
  local wait = until_time(paused[1], paused[2])
  if wait > 0 then return 'route', wait end
  local learned = redis.call('HMGET', prefix .. 'route:' .. route, 'hash', 'limit')
  if learned[1] == '-' then return nil, 0, '' end
  local name = (learned[1] or ('?' .. route)) .. ':' .. major
  local flight = prefix .. 'flight:' .. name
  redis.call('ZREMRANGEBYSCORE', flight, '-inf', now)
  redis.call('ZREMRANGEBYSCORE', flight, now + lease + 1000, '+inf')
  local flying = redis.call('ZCARD', flight)
  if not learned[1] then
    -- Nobody knows this bucket: one call goes ahead and asks.
    if flying > 0 then return 'answer', 50 end
    return nil, 0, name
  end
  local key = prefix .. 'bucket:' .. name
  local is = redis.call('HMGET', key, 'remaining', 'reset', 'guess', 'set_at')
  local left, reset = tonumber(is[1]), until_time(is[2], is[4])
  local opens = not left or reset <= 0
  if opens then left = tonumber(learned[2]) - flying end
  if left <= 0 then
    if opens or is[3] == '1' then return 'answer', 50 end
    return 'route', reset
  end
  return nil, 0, name, opens, left
end

local function charge(id, name, opens, left)
  if name == '' then return end
  local flight, key = prefix .. 'flight:' .. name, prefix .. 'bucket:' .. name
  redis.call('ZADD', flight, now + lease, id)
  redis.call('PEXPIRE', flight, lease + 1000)
  if opens then
    -- The window's end is a guess until the first answer tells it.
    redis.call('HSET', key, 'remaining', left - 1, 'reset', now + 10000, 'guess', '1', 'set_at', now)
    redis.call('PEXPIRE', key, 70000)
  elseif left then
    redis.call('HINCRBY', key, 'remaining', -1)
  end
end

for i = 1, tonumber(ARGV[15]) do
  local at = 15 + (i - 1) * 5
  local id, route, major, bot, urgency = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4] == '1', tonumber(ARGV[at + 5])
  local word, ms, name, opens, left = bucket_of(route, major)
  if bot and dead == 1 then
    answer('dead', 0, '')
  elseif word then
    answer(word, ms, '')
  elseif edge > 0 then
    answer('global', edge, '')
  elseif bot and pause > 0 then
    answer('global', pause, '')
  elseif bot and limit - held <= elsewhere[urgency + 1] then
    local first = redis.call('ZRANGE', global, 0, 0, 'WITHSCORES')
    answer('global', first[2] and math.max(1, first[2] - now) or 5, '')
  else
    if bot then
      redis.call('ZADD', global, now + held_longest, id)
      held = held + 1
    end
    charge(id, name, opens, left)
    answer('go', 0, name)
  end
end
return out
