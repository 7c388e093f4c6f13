-- Completes a grant with the outcome of its call, and records what the response states, for all replicas.
--
-- KEYS[1]  prefix of all keys
-- ARGV     1 id, 2 outcome (unused, lost, answered), 3 bot (0/1), 4 bucket in which the call counts, 5 route template, 6 major parameter,
--          7 window ms, 8 bucket's hash ('' not stated, '-' the route has no bucket), 9 limit, 10 remaining, 11 reset after ms,
--          12 pause ('', global, route, edge), 13 pause ms, 14 seats
local prefix = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local id, outcome, bot, bucket, route, major = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4], ARGV[5], ARGV[6]
local state, global = prefix .. 'state', prefix .. 'global'
local day = 86400000
-- A pause that was set before the end of all pauses does not count (end_pauses.lua).
local marks = redis.call('HMGET', state, 'cleared', 'resumed')
local function mark_time(at)
  at = tonumber(at) or 0
  return at > now + 1000 and 0 or at
end
local cleared = mark_time(marks[1])
local resumed = math.max(cleared, mark_time(marks[2]))

-- The call reached Discord before the response: its grant counts for one window from now.
if bot then
  if outcome == 'unused' then
    redis.call('ZREM', global, id)
  elseif outcome == 'answered' then
    local till = now + tonumber(ARGV[7])
    local held = redis.call('ZSCORE', global, id)
    if held and tonumber(held) > till then redis.call('ZADD', global, till, id) end
  end
end

if bucket ~= '' then
  local key = prefix .. 'bucket:' .. bucket
  local was_in_flight = redis.call('ZREM', prefix .. 'flight:' .. bucket, id)
  if outcome == 'unused' and was_in_flight == 1 and redis.call('EXISTS', key) == 1 then
    redis.call('HINCRBY', key, 'remaining', 1)
  end
end

local hash = ARGV[8]
if hash == '-' then
  -- Only where no bucket is known: some responses of a limited route have no headers.
  if redis.call('HSETNX', prefix .. 'route:' .. route, 'hash', '-') == 1 then
    redis.call('PEXPIRE', prefix .. 'route:' .. route, 60000)
  end
elseif hash ~= '' then
  local limit, remaining, reset_after = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
  redis.call('HSET', prefix .. 'route:' .. route, 'hash', hash, 'limit', limit)
  redis.call('PEXPIRE', prefix .. 'route:' .. route, day)
  local name = hash .. ':' .. major
  local key, flight = prefix .. 'bucket:' .. name, prefix .. 'flight:' .. name
  redis.call('ZREMRANGEBYSCORE', flight, '-inf', now)
  -- Calls in flight may be missing from the count in the response.
  local left = math.max(0, remaining - redis.call('ZCARD', flight))
  local reset, is = now + reset_after, redis.call('HMGET', key, 'remaining', 'reset', 'guess', 'set_at')
  local running = is[1] and tonumber(is[2]) > now and tonumber(is[4]) <= now + 1000 and tonumber(is[4]) > cleared
  if running and is[3] ~= '1' then
    if reset < tonumber(is[2]) - 1000 and remaining < limit - 1 then
      -- The response is about the window before this one.
      left = tonumber(is[1])
    end
    reset = math.max(reset, tonumber(is[2]))
  end
  if running then
    left = math.min(left, tonumber(is[1]))
  elseif not bot and limit > tonumber(ARGV[14]) then
    -- This window is new here: each replica may have taken its reserved call (acquire.lua).
    local own = 0
    for _, entry in ipairs(redis.call('HVALS', prefix .. 'who')) do
      if string.sub(entry, 1, 1) == '1' then own = own + 1 end
    end
    if (tonumber(redis.call('HGET', state, 'amnesia')) or 0) > now then own = tonumber(ARGV[14]) end
    left = math.max(0, left - own)
  end
  redis.call('HSET', key, 'remaining', left, 'reset', reset, 'guess', '0', 'set_at', now)
  redis.call('PEXPIRE', key, math.max(0, reset - now) + 60000)
end

local pause, ms = ARGV[12], tonumber(ARGV[13])
local function later(field, set_at)
  local is = redis.call('HMGET', state, field, set_at)
  local till = tonumber(is[1]) or 0
  local set = tonumber(is[2]) or 0
  if set > now + 1000 or set <= resumed then till = 0 end
  redis.call('HSET', state, field, math.max(till, now + ms), set_at, now)
  redis.call('PEXPIRE', state, day + ms)
end
if pause == 'global' then
  later('pause', 'paused_at')
elseif pause == 'edge' then
  later('edge', 'edged_at')
elseif pause == 'route' then
  local key = prefix .. 'pause:' .. route .. ':' .. major
  redis.call('HSET', key, 'till', now + ms, 'set_at', now)
  redis.call('PEXPIRE', key, ms + 1000)
end
return 1
