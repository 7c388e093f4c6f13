-- Decides, for all replicas at once, which of the asking calls may leave now. Redis's clock is the only one read.
--
-- KEYS[1]  what all keys begin with; it holds a hash tag, so that a cluster keeps them in one slot
-- ARGV     1 replica, 2 epoch that the replica knows ('' when none), 3 epoch to begin when there is none, 4 calls in a window,
--          5 window ms, 6 transit ms, 7 silence ms, 8 seats, 9 lease ms,
--          10 places that the replica brings from deciding by itself, 11 for how many ms they are still held,
--          12 places that a seat is worth without Redis, 13 whether the replica had a seat (0/1),
--          14 what proves that an earlier replica with the same proof is dead ('' when nothing does), 15 number of asks;
--          then for each ask: id, route, major, bot (0/1), urgency (0-2), tenant
-- Answers  epoch, mark of a dead token ('' when none), ms of the edge's pause, limit in force, places held, seat (0/1), turns reached in each class
--          (three), ms of the global pause, when pauses were last cleared and resumed ('' when never); then for each ask: word, ms, bucket, the tenant's turns. Words: go, global, route, answer, dead.
local prefix = KEYS[1]
local clock = redis.call('TIME')
local exact = clock[1] * 1000 + clock[2] / 1000
local now = math.floor(exact)
local replica, known, fresh = ARGV[1], ARGV[2], ARGV[3]
local total, window, transit, silence = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local seats, lease, share = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[12])
local held_longest = window + transit
local state, members, global, want = prefix .. 'state', prefix .. 'members', prefix .. 'global', prefix .. 'want'
-- One turn in so many belongs to a less urgent class that waits, so that urgent calls beyond the limit starve nobody.
local EVERY = 10
-- How long the wish of a replica that waits for a place is honoured without another word from it.
local WISH = 150
-- How soon to ask again when a place is free but another replica's call is before us.
local AFTER_YOU = 8

-- The first write is one that a full Redis refuses. After a write that it does not refuse it would let the rest pass, here but
-- not in complete.lua, and replicas would waver between two minds.
redis.call('SET', prefix .. 'beat', now, 'PX', 60000)

-- 1. Has Redis forgotten? A replica that remembers another epoch proves that places were lost with the old data: hold
--    everything for as long as they could still count, and reckon for a while with replicas that decide for themselves.
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

-- 2. Who is there, and who has a seat? One that fell silent may be deciding for itself: within its share when it has a seat,
--    one call at a time when it has none. It is reckoned with until it is taken for dead, or its successor proves it.
redis.call('ZREMRANGEBYSCORE', members, now + silence, '+inf')
redis.call('ZADD', members, now, replica)
redis.call('PEXPIRE', members, 120000)
local who = prefix .. 'who'
local told = {}
local flat = redis.call('HGETALL', who)
for i = 1, #flat, 2 do told[flat[i]] = flat[i + 1] end
local taken, alive, apart = 0, 0, 0
flat = redis.call('ZRANGE', members, 0, -1, 'WITHSCORES')
local listed = {}
for i = 1, #flat, 2 do
  local name, seen = flat[i], tonumber(flat[i + 1])
  local seat, proof = string.match(told[name] or '0 ', '^(%d) (.*)$')
  local dead = seen < now - 60000 or (name ~= replica and proof ~= '' and proof == ARGV[14])
  if dead then
    redis.call('ZREM', members, name)
    redis.call('HDEL', who, name)
    redis.call('HDEL', want, name)
  else
    listed[name] = true
    if name ~= replica then
      if seat == '1' then taken = taken + 1 end
      if seen < now - silence then
        apart = apart + (seat == '1' and share or 1)
      elseif seat == '1' then
        alive = alive + 1
      end
    end
  end
end
for name in pairs(told) do
  if not listed[name] then redis.call('HDEL', who, name) end
end
-- While it is not known who else has a seat, only those that had one get one.
local had = ARGV[13] == '1' or string.sub(told[replica] or '', 1, 1) == '1'
local seat = taken < seats and (had or not amnesia)
if seat then alive = alive + 1 end
local word = (seat and '1 ' or '0 ') .. ARGV[14]
if told[replica] ~= word then redis.call('HSET', who, replica, word) end
redis.call('PEXPIRE', who, 120000)
if amnesia then
  apart = math.max(0, seats - alive) * share + math.max(0, total - seats * share)
end
local limit = math.max(1, total - apart)

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

-- A time that was set in the future was set by a clock that has since gone back: it no longer counts.
local function mark_time(at)
  at = tonumber(at) or 0
  return at > now + 1000 and 0 or at
end
local cleared = mark_time(is[14])
local resumed = math.max(cleared, mark_time(is[15]))
local function until_time(at, set_at, void)
  at, set_at = tonumber(at) or 0, tonumber(set_at) or 0
  -- What was set before the pauses were ended is void (end_pauses.lua).
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

-- 4. Buckets. Whether one lets a call through: word and ms when not; else its name, and how to charge it.
-- In a bucket of a webhook's token each replica with a seat takes one place in a window without asking (local/own.rs), where there
-- are more places than seats.
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
  local flying = redis.call('ZCARD', flight)
  if not learned[1] then
    -- Nobody knows this bucket: one call goes ahead and asks.
    if flying > 0 then return 'answer', 50 end
    return nil, 0, name
  end
  local key = prefix .. 'bucket:' .. name
  local bucket = redis.call('HMGET', key, 'remaining', 'reset', 'guess', 'set_at')
  local left, reset = tonumber(bucket[1]), until_time(bucket[2], bucket[4])
  local opens = not left or reset <= 0
  if opens then
    local all = tonumber(learned[2])
    left = all - flying - ((not bot and all > seats) and own or 0)
  end
  if left <= 0 then
    if opens or bucket[3] == '1' then return 'answer', 50 end
    return 'route', reset
  end
  return nil, 0, name, opens, left
end

local changed = {}
local function charge(id, name, opens, left, charged)
  if name == '' then return end
  changed[name] = true
  local flight, key = prefix .. 'flight:' .. name, prefix .. 'bucket:' .. name
  redis.call('ZADD', flight, now + lease, id)
  redis.call('PEXPIRE', flight, lease + 1000)
  if charged then return end
  if opens then
    -- The window's end is a guess until the first answer tells it.
    redis.call('HSET', key, 'remaining', left - 1, 'reset', now + 10000, 'guess', '1', 'set_at', now)
    redis.call('PEXPIRE', key, 70000)
  elseif left then
    redis.call('HINCRBY', key, 'remaining', -1)
  end
end

-- A replica that asks again for a call that has its place never got the answer that gave it (Redis was slow, or the connection was
-- cut). It gets the same place: a place that nobody uses would keep others, and this call too, from theirs.
local function has_flight(ask)
  local hash = redis.call('HGET', prefix .. 'route:' .. ask.route, 'hash')
  if hash == '-' then return false, '' end
  local name = (hash or ('?' .. ask.route)) .. ':' .. ask.major
  return redis.call('ZSCORE', prefix .. 'flight:' .. name, ask.id) ~= false, name
end

local asks, mine = {}, { {}, {}, {} }
for i = 1, tonumber(ARGV[15]) do
  local at = 15 + (i - 1) * 6
  local ask = {
    number = i, id = ARGV[at + 1], route = ARGV[at + 2], major = ARGV[at + 3], bot = ARGV[at + 4] == '1',
    class = tonumber(ARGV[at + 5]) + 1, tenant = ARGV[at + 6], word = 'global', ms = AFTER_YOU, bucket = ''
  }
  asks[i] = ask
  local word, ms
  word, ms, ask.name, ask.opens, ask.left = bucket_of(ask.route, ask.major, ask.bot)
  local flies, name = has_flight(ask)
  local placed = ask.bot and redis.call('ZSCORE', global, ask.id) ~= false
  local paused = word == 'route' and redis.call('EXISTS', prefix .. 'pause:' .. ask.route .. ':' .. ask.major) == 1
  if (flies or (placed and name == '')) and not paused then
    word, ms, ask.name, ask.charged = nil, 0, name, flies
  else
    placed = false
  end
  if ask.bot and mark ~= '' then
    ask.word, ask.ms = 'dead', 0
  elseif word then
    ask.word, ask.ms = word, ms
  elseif edge > 0 then
    ask.ms = edge
  elseif ask.bot and pause > 0 then
    ask.ms = pause
  elseif placed then
    redis.call('ZADD', global, now + held_longest, ask.id)
    charge(ask.id, ask.name, nil, nil, true)
    ask.word, ask.ms, ask.bucket = 'go', 0, ask.name
  elseif ask.bot then
    table.insert(mine[ask.class], ask)
  else
    charge(ask.id, ask.name, ask.opens, ask.left, ask.charged)
    ask.word, ask.ms, ask.bucket = 'go', 0, ask.name
  end
end

-- 5. Whose turn is it? Tenants of all replicas take turns in each class: the one with the fewest goes next, and one that comes
--    anew starts level with the others. What other replicas wait for is known from their last ask; a place that belongs to one
--    of their calls is left for it. `real` is written down, `seen` reckons with what is left to others too.
local theirs = { {}, {}, {} }
if pause == 0 and #mine[1] + #mine[2] + #mine[3] > 0 then
  local wishes = redis.call('HGETALL', want)
  for i = 1, #wishes, 2 do
    if wishes[i] ~= replica then
      local till, list = string.match(wishes[i + 1], '^(%d+)(.*)$')
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
local function turns(class, tenant)
  local known = seen[class][tenant]
  if not known then
    known = math.max(level[class], tonumber(redis.call('ZSCORE', prefix .. 'turns:' .. class, tenant)) or 0)
    real[class][tenant], seen[class][tenant] = known, known
  end
  return known
end
local passed = { real = { 0, tonumber(is[12]) or 0, tonumber(is[13]) or 0 } }
passed.seen = { 0, passed.real[2], passed.real[3] }
-- What is not interactive leaves evenly spaced but for a few, so that a place is given back every few milliseconds and an
-- interactive call never waits for the end of a burst.
local space = window / limit
local burst = math.max(1, math.floor(limit / 10)) - 1
local paced = tonumber(is[8]) or 0
if paced > exact + window * 2 then paced = exact end
local paced_seen = paced
local function pacing() return math.max(0, math.max(paced_seen, exact) - exact - burst * space) end

local function waits(class) return #mine[class] + #theirs[class] > 0 end
local function note_passed(counts, class)
  for lower = 2, 3 do
    if lower == class then
      counts[lower] = 0
    elseif lower > class and waits(lower) then
      counts[lower] = counts[lower] + 1
    end
  end
end
local function next_class(may_pace)
  local due
  for class = 2, 3 do
    if may_pace and waits(class) and passed.seen[class] >= EVERY - 1
      and (not due or passed.seen[class] > passed.seen[due]) then
      due = class
    end
  end
  if due then return due end
  if waits(1) then return 1 end
  if may_pace then return waits(2) and 2 or waits(3) and 3 or nil end
end
-- The one with the fewest turns, ours before theirs where they are level.
local function pick(class)
  local best, least, ours
  for i, ask in ipairs(mine[class]) do
    local had = turns(class, ask.tenant)
    if not least or had < least then best, least, ours = i, had, true end
  end
  for i, tenant in ipairs(theirs[class]) do
    local had = turns(class, tenant)
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
    local ask = table.remove(mine[class], at)
    local word, ms = nil, 0
    if changed[ask.name] and not ask.charged then
      word, ms, ask.name, ask.opens, ask.left = bucket_of(ask.route, ask.major, ask.bot)
    end
    if word then
      ask.word, ask.ms = word, ms
    else
      redis.call('ZADD', global, now + held_longest, ask.id)
      charge(ask.id, ask.name, ask.opens, ask.left, ask.charged)
      ask.word, ask.ms, ask.bucket = 'go', 0, ask.name
      free, held, advanced = free - 1, held + 1, true
      local start = real[class][ask.tenant]
      level[class] = math.max(level[class], start)
      real[class][ask.tenant], seen[class][ask.tenant] = start + 1, seen[class][ask.tenant] + 1
      redis.call('ZADD', prefix .. 'turns:' .. class, start + 1, ask.tenant)
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
    -- Who has no more turns than the level starts level anyway.
    redis.call('ZREMRANGEBYSCORE', prefix .. 'turns:' .. class, '-inf', level[class])
    redis.call('PEXPIRE', prefix .. 'turns:' .. class, 600000)
  end
end

-- 6. What waits for the global limit: for how long, and that others know of it.
local first
local wishes, any = {}, false
for class = 1, 3 do
  for _, ask in ipairs(mine[class]) do
    if held >= limit then
      first = first or redis.call('ZRANGE', global, 0, 0, 'WITHSCORES')
      ask.ms = first[2] and math.max(1, first[2] - now) or 5
    elseif class > 1 and pacing() > 0 then
      ask.ms = math.max(1, pacing())
    end
    wishes[#wishes + 1] = (class - 1) .. ask.tenant
  end
end
for _, ask in ipairs(asks) do any = any or ask.bot end
if #wishes > 0 then
  redis.call('HSET', want, replica, (now + WISH) .. ' ' .. table.concat(wishes, ' '))
  redis.call('PEXPIRE', want, 1000)
elseif any then
  redis.call('HDEL', want, replica)
end

local out = { epoch, mark, tostring(edge), tostring(limit), tostring(held), seat and '1' or '0',
  tostring(level[1]), tostring(level[2]), tostring(level[3]), tostring(global_pause), is[14] or '', is[15] or '' }
for _, ask in ipairs(asks) do
  out[#out + 1] = ask.word
  out[#out + 1] = tostring(math.ceil(ask.ms))
  out[#out + 1] = ask.bucket
  if ask.bot then turns(ask.class, ask.tenant) end
  out[#out + 1] = tostring(ask.bot and real[ask.class][ask.tenant] or 0)
end
return out
