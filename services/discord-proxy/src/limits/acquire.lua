-- Decides for all replicas which of the requested calls may be sent now. Only Redis's clock is read.
--
-- KEYS[1]  prefix of all keys; it contains a hash tag, so that a cluster keeps them in one slot
-- ARGV     1 replica, 2 epoch that the replica has ('' when none), 3 epoch to begin when there is none, 4 calls in a window,
--          5 window ms, 6 transit ms, 7 silence ms, 8 seats, 9 ms after which a call no longer counts as in flight,
--          10 grants of the replica from degraded mode, 11 for how many ms they still count,
--          12 calls that a seat allows in degraded mode, 13 whether the replica had a seat (0/1),
--          14 instance identity: another replica with the same one has ended ('' when unknown), 15 number of requests;
--          then for each request: id, route template, major parameter, bot (0/1), urgency (0-2), tenant
-- Returns  epoch, mark of a refused token ('' when none), ms of the edge's pause, effective limit, grants that count, seat (0/1), level
--          of each class (three), ms of the global pause, when pauses were last cleared and resumed ('' when never); then for each
--          request: decision, ms, bucket, count of the tenant. Decisions: go, global, route, answer, dead.
local prefix = KEYS[1]
local clock = redis.call('TIME')
local exact = clock[1] * 1000 + clock[2] / 1000
local now = math.floor(exact)
local replica, known, fresh = ARGV[1], ARGV[2], ARGV[3]
local total, window, transit, silence = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local seats, lease, share = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[12])
local held_longest = window + transit
local state, members, global, want = prefix .. 'state', prefix .. 'members', prefix .. 'global', prefix .. 'want'
-- One permit in so many belongs to a less urgent class that waits, so that urgent calls beyond the limit do not starve it.
local EVERY = 10
-- How many ms the request of a waiting replica counts without another request from it.
local WAITING_TTL = 150
-- ms until another request when a grant is free but a call of another replica precedes.
local PRECEDED_WAIT = 8

-- The first write is one that a full Redis refuses. After a write that it accepts, it would also accept the others, here but not in
-- complete.lua, and replicas would alternate between degraded and normal mode.
redis.call('SET', prefix .. 'beat', now, 'PX', 60000)

-- 1. Has Redis lost its data? A replica with another epoch proves that grants were lost with the old data: no call is granted for as
--    long as they could still count, and for a while the shares of replicas in degraded mode are reserved.
local is = redis.call('HMGET', state, 'epoch', 'hold', 'amnesia', 'pause', 'paused_at', 'edge', 'edged_at', 'paced',
  'level0', 'level1', 'level2', 'passed1', 'passed2', 'cleared', 'resumed')
local epoch, hold_until, amnesia_until = is[1], tonumber(is[2]) or 0, tonumber(is[3]) or 0
if not epoch then
  epoch = fresh
  redis.call('HSET', state, 'epoch', epoch)
end
if known ~= '' and known ~= epoch then
  hold_until, amnesia_until = now + held_longest, now + 5000
  redis.call('HSET', state, 'hold', hold_until, 'amnesia', amnesia_until)
end
redis.call('PEXPIRE', state, 86400000)
local amnesia = amnesia_until > now and amnesia_until <= now + 5000

-- 2. Which replicas are there, and which have a seat? One without a recent heartbeat may be in degraded mode: it sends within its
--    share with a seat, and one call in a window without. Its share is reserved for a minute, or until its successor registers.
redis.call('ZREMRANGEBYSCORE', members, now + silence, '+inf')
redis.call('ZADD', members, now, replica)
redis.call('PEXPIRE', members, 120000)
local who = prefix .. 'who'
local registered = {}
local flat = redis.call('HGETALL', who)
for i = 1, #flat, 2 do registered[flat[i]] = flat[i + 1] end
local taken, active, reserved = 0, 0, 0
flat = redis.call('ZRANGE', members, 0, -1, 'WITHSCORES')
local listed = {}
for i = 1, #flat, 2 do
  local name, seen = flat[i], tonumber(flat[i + 1])
  local seat, proof = string.match(registered[name] or '0 ', '^(%d) (.*)$')
  local ended = seen < now - 60000 or (name ~= replica and proof ~= '' and proof == ARGV[14])
  if ended then
    redis.call('ZREM', members, name)
    redis.call('HDEL', who, name)
    redis.call('HDEL', want, name)
  else
    listed[name] = true
    if name ~= replica then
      if seat == '1' then taken = taken + 1 end
      if seen < now - silence then
        reserved = reserved + (seat == '1' and share or 1)
      elseif seat == '1' then
        active = active + 1
      end
    end
  end
end
for name in pairs(registered) do
  if not listed[name] then redis.call('HDEL', who, name) end
end
-- After a loss of data, only replicas that had a seat get one.
local had = ARGV[13] == '1' or string.sub(registered[replica] or '', 1, 1) == '1'
local seat = taken < seats and (had or not amnesia)
if seat then active = active + 1 end
local entry = (seat and '1 ' or '0 ') .. ARGV[14]
if registered[replica] ~= entry then redis.call('HSET', who, replica, entry) end
redis.call('PEXPIRE', who, 120000)
if amnesia then
  reserved = math.max(0, seats - active) * share + math.max(0, total - seats * share)
end
local limit = math.max(1, total - reserved)

-- 3. The window. A grant that counts longer than possible means that the clock was set back.
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

-- A time in the future was set before the clock was set back: it does not count.
local function mark_time(at)
  at = tonumber(at) or 0
  return at > now + 1000 and 0 or at
end
local cleared = mark_time(is[14])
local resumed = math.max(cleared, mark_time(is[15]))
local function until_time(at, set_at, void)
  at, set_at = tonumber(at) or 0, tonumber(set_at) or 0
  -- A pause that was set before the end of all pauses does not count (end_pauses.lua).
  if set_at > now + 1000 or set_at <= (void or cleared) then return 0 end
  return math.max(0, at - now)
end
local hold = math.max(0, hold_until - now)
if hold > held_longest then
  hold = held_longest
  redis.call('HSET', state, 'hold', now + hold)
end
local edge, global_pause = until_time(is[6], is[7], resumed), until_time(is[4], is[5], resumed)
local pause = math.max(hold, global_pause, edge)
local mark = redis.call('GET', prefix .. 'dead') or ''

-- 4. Buckets. Returns decision and ms when a call must wait; else the bucket's name, and how the call counts in it.
-- In a bucket of a webhook's token one call in a window is reserved for each replica with a seat (local/reserved.rs), where the bucket
-- allows more calls than there are seats.
local own = amnesia and seats or (taken + (seat and 1 or 0))
local function bucket_of(route, major, bot)
  local paused = redis.call('HMGET', prefix .. 'pause:' .. route .. ':' .. major, 'till', 'set_at')
  local wait = until_time(paused[1], paused[2])
  if wait > 0 then return 'route', wait end
  local learned = redis.call('HMGET', prefix .. 'route:' .. route, 'hash', 'limit')
  if learned[1] == '-' then return nil, 0, '' end
  local name = (learned[1] or ('?' .. route)) .. ':' .. major
  local flight = prefix .. 'flight:' .. name
  redis.call('ZREMRANGEBYSCORE', flight, '-inf', now)
  redis.call('ZREMRANGEBYSCORE', flight, now + lease + 1000, '+inf')
  local in_flight_count = redis.call('ZCARD', flight)
  if not learned[1] then
    -- The bucket is not known: one call probes it.
    if in_flight_count > 0 then return 'answer', 50 end
    return nil, 0, name
  end
  local key = prefix .. 'bucket:' .. name
  local bucket = redis.call('HMGET', key, 'remaining', 'reset', 'guess', 'set_at')
  local left, reset = tonumber(bucket[1]), until_time(bucket[2], bucket[4])
  local new_window = not left or reset <= 0
  if new_window then
    local all = tonumber(learned[2])
    left = all - in_flight_count - ((not bot and all > seats) and own or 0)
  end
  if left <= 0 then
    if new_window or bucket[3] == '1' then return 'answer', 50 end
    return 'route', reset
  end
  return nil, 0, name, new_window, left
end

local changed = {}
local function count_in_bucket(id, name, new_window, left, is_counted)
  if name == '' then return end
  changed[name] = true
  local flight, key = prefix .. 'flight:' .. name, prefix .. 'bucket:' .. name
  redis.call('ZADD', flight, now + lease, id)
  redis.call('PEXPIRE', flight, lease + 1000)
  if is_counted then return end
  if new_window then
    -- The window's end is assumed until the first response states it.
    redis.call('HSET', key, 'remaining', left - 1, 'reset', now + 10000, 'guess', '1', 'set_at', now)
    redis.call('PEXPIRE', key, 70000)
  elseif left then
    redis.call('HINCRBY', key, 'remaining', -1)
  end
end

-- A replica that repeats the request of a granted call did not receive the grant (Redis was slow, or the connection was cut). The call
-- gets the same grant: an unused grant would delay other calls, and this one.
local function is_in_flight(request)
  local hash = redis.call('HGET', prefix .. 'route:' .. request.route, 'hash')
  if hash == '-' then return false, '' end
  local name = (hash or ('?' .. request.route)) .. ':' .. request.major
  return redis.call('ZSCORE', prefix .. 'flight:' .. name, request.id) ~= false, name
end

local requests, mine = {}, { {}, {}, {} }
for i = 1, tonumber(ARGV[15]) do
  local at = 15 + (i - 1) * 6
  local request = {
    number = i, id = ARGV[at + 1], route = ARGV[at + 2], major = ARGV[at + 3], bot = ARGV[at + 4] == '1',
    class = tonumber(ARGV[at + 5]) + 1, tenant = ARGV[at + 6], decision = 'global', ms = PRECEDED_WAIT, bucket = ''
  }
  requests[i] = request
  local decision, ms
  decision, ms, request.name, request.new_window, request.left = bucket_of(request.route, request.major, request.bot)
  local in_flight, name = is_in_flight(request)
  local has_grant = request.bot and redis.call('ZSCORE', global, request.id) ~= false
  local paused = decision == 'route' and redis.call('EXISTS', prefix .. 'pause:' .. request.route .. ':' .. request.major) == 1
  if (in_flight or (has_grant and name == '')) and not paused then
    decision, ms, request.name, request.is_counted = nil, 0, name, in_flight
  else
    has_grant = false
  end
  if request.bot and mark ~= '' then
    request.decision, request.ms = 'dead', 0
  elseif decision then
    request.decision, request.ms = decision, ms
  elseif edge > 0 then
    request.ms = edge
  elseif request.bot and pause > 0 then
    request.ms = pause
  elseif has_grant then
    redis.call('ZADD', global, now + held_longest, request.id)
    count_in_bucket(request.id, request.name, nil, nil, true)
    request.decision, request.ms, request.bucket = 'go', 0, request.name
  elseif request.bot then
    table.insert(mine[request.class], request)
  else
    count_in_bucket(request.id, request.name, request.new_window, request.left, request.is_counted)
    request.decision, request.ms, request.bucket = 'go', 0, request.name
  end
end

-- 5. Fair queueing over all replicas: in each class the tenant with the lowest count is next, and a new tenant starts at the level of
--    the others. The waiting calls of other replicas are known from their last request; a grant that belongs to one of them is left
--    for it. `real` counts are written, `seen` counts include what is left to others.
local theirs = { {}, {}, {} }
if pause == 0 and #mine[1] + #mine[2] + #mine[3] > 0 then
  local waiting = redis.call('HGETALL', want)
  for i = 1, #waiting, 2 do
    if waiting[i] ~= replica then
      local till, list = string.match(waiting[i + 1], '^(%d+)(.*)$')
      till = tonumber(till)
      if till > now and till < now + 1000 then
        for class, tenant in string.gmatch(list, ' (%d)([^ ]*)') do
          table.insert(theirs[tonumber(class) + 1], tenant)
        end
      end
    end
  end
end
local level = { tonumber(is[9]) or 0, tonumber(is[10]) or 0, tonumber(is[11]) or 0 }
local real, seen = { {}, {}, {} }, { {}, {}, {} }
local function served(class, tenant)
  local known = seen[class][tenant]
  if not known then
    known = math.max(level[class], tonumber(redis.call('ZSCORE', prefix .. 'turns:' .. class, tenant)) or 0)
    real[class][tenant], seen[class][tenant] = known, known
  end
  return known
end
local passed = { real = { 0, tonumber(is[12]) or 0, tonumber(is[13]) or 0 } }
passed.seen = { 0, passed.real[2], passed.real[3] }
-- Calls that are not interactive are spaced evenly but for a small burst, so that a grant ends every few milliseconds and an
-- interactive call never waits for the end of a burst.
local space = window / limit
local burst = math.max(1, math.floor(limit / 10)) - 1
local paced = tonumber(is[8]) or 0
if paced > exact + window * 2 then paced = exact end
local paced_seen = paced
local function pacing() return math.max(0, math.max(paced_seen, exact) - exact - burst * space) end

local function has_waiting(class) return #mine[class] + #theirs[class] > 0 end
local function note_passed(counts, class)
  for lower = 2, 3 do
    if lower == class then
      counts[lower] = 0
    elseif lower > class and has_waiting(lower) then
      counts[lower] = counts[lower] + 1
    end
  end
end
local function next_class(may_pace)
  local due
  for class = 2, 3 do
    if may_pace and has_waiting(class) and passed.seen[class] >= EVERY - 1
      and (not due or passed.seen[class] > passed.seen[due]) then
      due = class
    end
  end
  if due then return due end
  if has_waiting(1) then return 1 end
  if may_pace then return has_waiting(2) and 2 or has_waiting(3) and 3 or nil end
end
-- The tenant with the lowest count; at equal counts, that of this replica.
local function pick(class)
  local best, least, ours
  for i, request in ipairs(mine[class]) do
    local had = served(class, request.tenant)
    if not least or had < least then best, least, ours = i, had, true end
  end
  for i, tenant in ipairs(theirs[class]) do
    local had = served(class, tenant)
    if not least or had < least then best, least, ours = i, had, false end
  end
  return best, ours
end

local free, advanced = limit - held, false
while free > 0 do
  local class = next_class(pacing() <= 0)
  if not class then break end
  local at, ours = pick(class)
  if ours then
    local request = table.remove(mine[class], at)
    local decision, ms = nil, 0
    if changed[request.name] and not request.is_counted then
      decision, ms, request.name, request.new_window, request.left = bucket_of(request.route, request.major, request.bot)
    end
    if decision then
      request.decision, request.ms = decision, ms
    else
      redis.call('ZADD', global, now + held_longest, request.id)
      count_in_bucket(request.id, request.name, request.new_window, request.left, request.is_counted)
      request.decision, request.ms, request.bucket = 'go', 0, request.name
      free, held, advanced = free - 1, held + 1, true
      local start = real[class][request.tenant]
      level[class] = math.max(level[class], start)
      real[class][request.tenant], seen[class][request.tenant] = start + 1, seen[class][request.tenant] + 1
      redis.call('ZADD', prefix .. 'turns:' .. class, start + 1, request.tenant)
      note_passed(passed.real, class)
      note_passed(passed.seen, class)
      if class > 1 then
        paced, paced_seen = math.max(paced, exact) + space, math.max(paced_seen, exact) + space
      end
    end
  else
    local tenant = table.remove(theirs[class], at)
    free = free - 1
    seen[class][tenant] = seen[class][tenant] + 1
    note_passed(passed.seen, class)
    if class > 1 then paced_seen = math.max(paced_seen, exact) + space end
  end
end
if advanced then
  redis.call('HSET', state, 'paced', string.format('%.3f', paced), 'level0', level[1], 'level1', level[2], 'level2', level[3],
    'passed1', passed.real[2], 'passed2', passed.real[3])
  for class = 1, 3 do
    -- A tenant whose count is not above the level starts at the level anyway.
    redis.call('ZREMRANGEBYSCORE', prefix .. 'turns:' .. class, '-inf', level[class])
    redis.call('PEXPIRE', prefix .. 'turns:' .. class, 600000)
  end
end

-- 6. Calls that wait for the global limit: how long, and their record for other replicas.
local first
local waiting, any = {}, false
for class = 1, 3 do
  for _, request in ipairs(mine[class]) do
    if held >= limit then
      first = first or redis.call('ZRANGE', global, 0, 0, 'WITHSCORES')
      request.ms = first[2] and math.max(1, first[2] - now) or 5
    elseif class > 1 and pacing() > 0 then
      request.ms = math.max(1, pacing())
    end
    waiting[#waiting + 1] = (class - 1) .. request.tenant
  end
end
for _, request in ipairs(requests) do any = any or request.bot end
if #waiting > 0 then
  redis.call('HSET', want, replica, (now + WAITING_TTL) .. ' ' .. table.concat(waiting, ' '))
  redis.call('PEXPIRE', want, 1000)
elseif any then
  redis.call('HDEL', want, replica)
end

local out = { epoch, mark, tostring(edge), tostring(limit), tostring(held), seat and '1' or '0',
  tostring(level[1]), tostring(level[2]), tostring(level[3]), tostring(global_pause), is[14] or '', is[15] or '' }
for _, request in ipairs(requests) do
  out[#out + 1] = request.decision
  out[#out + 1] = tostring(math.ceil(request.ms))
  out[#out + 1] = request.bucket
  if request.bot then served(request.class, request.tenant) end
  out[#out + 1] = tostring(request.bot and real[request.class][request.tenant] or 0)
end
return out
