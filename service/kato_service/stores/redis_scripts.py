"""What happens inside Redis, each as one atomic Lua script. Called by `redis_sessions` alone.

Every key begins with the processor's prefix and so lies in one slot. After the prefix:

- `session:<id>`: a string of 24 bytes last activity, 24 bytes expiry, one byte `u` when something is unsettled, then
  version, newline, node, newline, and the rest of the session as JSON. The times lie in front so that sliding them
  moves no body; the node is written as in a URL, here and in every key.
- `expiry`: sorted set of `<id>\\n<node>` by expiry; `age`: of ids by creation; `node:<node>`: the same for one node.
- `unsettled`: set of ids. `answers:<id>`: hash of key -> expiry, newline, request, newline, body; `answers`: sorted set
  of `<id>:<key>` by expiry.
- `bindings`: hash of uid -> declaration and its session's id as JSON. `declarations`, `declaration:<uid>` and
  `parameters` are shared with the operator (`kato_spec.keys`); `taken`: hash of uid -> the record last taken up.

- `schema`: the schema version. This is 2; in a session of version 1 the JSON also held what stands in front of it.

Session keys and indexes have a time to live a little beyond the sessions': where no replica is left to sweep, Redis
itself forgets them.
"""

from __future__ import annotations

VERSION_AT = 49  # bytes of a session's value before its version

# KEYS: schema; ARGV: version -> the version that was noted before, 0 for none; a newer one stays
RAISE_SCHEMA = """
local found = tonumber(redis.call('GET', KEYS[1]) or '0')
if found < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return found
"""

_COMMON = """
local P = ARGV[1]
local function value_of(id) return redis.call('GET', P .. 'session:' .. id) end
local function expires(value) return tonumber(string.sub(value, 25, 48)) end
local function version_of(value) return string.match(value, '^[^\\n]*', 50) end
local function node_of(value) return string.match(value, '^[^\\n]*\\n([^\\n]*)', 50) end
local function outlive(key, ttl)
  if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl) end
end
local function forget_answers(id)
  for _, key in ipairs(redis.call('HKEYS', P .. 'answers:' .. id)) do
    redis.call('ZREM', P .. 'answers', id .. ':' .. key)
  end
  redis.call('DEL', P .. 'answers:' .. id)
end
local function remove(id, node)
  redis.call('DEL', P .. 'session:' .. id)
  redis.call('ZREM', P .. 'expiry', id .. '\\n' .. node)
  redis.call('ZREM', P .. 'age', id)
  redis.call('ZREM', P .. 'node:' .. node, id)
  redis.call('SREM', P .. 'unsettled', id)
  forget_answers(id)
end
local function delete(id)
  local value = value_of(id)
  if not value then return 0 end
  remove(id, node_of(value))
  return 1
end
-- s: the index in ARGV of a session's id, value, node, created, expires, ttl in milliseconds, 1 when unsettled
local function put(s)
  local id, node, ttl = ARGV[s], ARGV[s + 2], tonumber(ARGV[s + 5])
  redis.call('SET', P .. 'session:' .. id, ARGV[s + 1], 'PX', ttl)
  redis.call('ZADD', P .. 'expiry', ARGV[s + 4], id .. '\\n' .. node)
  redis.call('ZADD', P .. 'age', ARGV[s + 3], id)
  redis.call('ZADD', P .. 'node:' .. node, ARGV[s + 3], id)
  for _, index in ipairs({'expiry', 'age', 'node:' .. node}) do outlive(P .. index, ttl) end
  if ARGV[s + 6] == '1' then
    redis.call('SADD', P .. 'unsettled', id)
    outlive(P .. 'unsettled', ttl)
  else
    redis.call('SREM', P .. 'unsettled', id)
  end
end
"""

# ARGV: prefix, limit, now, version, session... -> 1 kept, 0 an id that is alive, -1 the limit is reached
CREATE = (
    _COMMON
    + """
local found, now = value_of(ARGV[5]), tonumber(ARGV[3])
if found and version_of(found) == ARGV[4] then return 1 end
local limit = tonumber(ARGV[2])
if limit > 0 and redis.call('ZCOUNT', P .. 'expiry', '(' .. ARGV[3], '+inf') >= limit then return -1 end
if found then
  if expires(found) > now then return 0 end
  remove(ARGV[5], node_of(found))
end
put(5)
return 1
"""
)

# ARGV: prefix, expected version, new version, answer's key or '', its value, expiry, ttl, session... -> 1 or 0
REPLACE = (
    _COMMON
    + """
local found = value_of(ARGV[8])
if not found then return 0 end
local version = version_of(found)
if version == ARGV[3] then return 1 end
if version ~= ARGV[2] then return 0 end
local node = node_of(found)
if node ~= ARGV[10] then remove(ARGV[8], node) end
put(8)
if ARGV[4] ~= '' then
  local answers = P .. 'answers:' .. ARGV[8]
  redis.call('HSET', answers, ARGV[4], ARGV[5])
  redis.call('ZADD', P .. 'answers', ARGV[6], ARGV[8] .. ':' .. ARGV[4])
  outlive(answers, tonumber(ARGV[7]))
  outlive(P .. 'answers', tonumber(ARGV[7]))
end
return 1
"""
)

# ARGV: prefix, id, version, last activity, expiry, both 24 bytes, ttl, node -> 1 or 0
TOUCH = (
    _COMMON
    + """
local key, width = P .. 'session:' .. ARGV[2], #ARGV[3]
local head = redis.call('GETRANGE', key, 0, 49 + width)
if string.sub(head, 50) ~= ARGV[3] .. '\\n' then return 0 end
if tonumber(ARGV[4]) > tonumber(string.sub(head, 1, 24)) then redis.call('SETRANGE', key, 0, ARGV[4]) end
if tonumber(ARGV[5]) > expires(head) then
  redis.call('SETRANGE', key, 24, ARGV[5])
  local node = ARGV[7]
  redis.call('ZADD', P .. 'expiry', (string.gsub(ARGV[5], ' ', '')), ARGV[2] .. '\\n' .. node)
  redis.call('PEXPIRE', key, ARGV[6])
  for _, index in ipairs({'expiry', 'age', 'node:' .. node}) do outlive(P .. index, tonumber(ARGV[6])) end
end
return 1
"""
)

# ARGV: prefix, id -> 1 or 0
DELETE = _COMMON + "return delete(ARGV[2])"

# ARGV: prefix, node or '', '' for all of them, created and id of the place, limit, now -> total, values...
PAGE = (
    _COMMON
    + """
local index, node, now, limit = P .. 'age', nil, tonumber(ARGV[6]), tonumber(ARGV[5])
if ARGV[2] ~= '' then
  node = string.sub(ARGV[2], 2)
  index = P .. 'node:' .. node
end
local total
if node then
  total = redis.call('ZCARD', index)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', P .. 'expiry', '-inf', ARGV[6])) do
    if string.match(member, '\\n(.*)$') == node then total = total - 1 end
  end
else
  total = redis.call('ZCOUNT', P .. 'expiry', '(' .. ARGV[6], '+inf')
end
local page, skip, newest = {total}, 0, ARGV[3]
while #page <= limit do
  local found = redis.call('ZREVRANGEBYSCORE', index, newest, '-inf', 'WITHSCORES', 'LIMIT', skip, limit + 1)
  if #found == 0 then break end
  for i = 1, #found, 2 do
    local id = found[i]
    if not (ARGV[4] ~= '' and tonumber(found[i + 1]) == tonumber(ARGV[3]) and id >= ARGV[4]) then
      local value = value_of(id)
      if value and expires(value) > now and #page <= limit then page[#page + 1] = value end
    end
  end
  skip = skip + #found / 2
end
return page
"""
)

# ARGV: prefix, now -> ZCOUNT
COUNT = "return redis.call('ZCOUNT', ARGV[1] .. 'expiry', '(' .. ARGV[2], '+inf')"

# ARGV: prefix, now, most -> how many sessions or answers there were, whichever were more, values...
EXPIRE = (
    _COMMON
    + """
local due = redis.call('ZRANGEBYSCORE', P .. 'expiry', '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
local answers = redis.call('ZRANGEBYSCORE', P .. 'answers', '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
local gone = {math.max(#due, #answers)}
for _, member in ipairs(due) do
  local id, node = string.match(member, '^([^\\n]*)\\n(.*)$')
  local value = value_of(id)
  if value then gone[#gone + 1] = value end
  remove(id, node)
end
for _, member in ipairs(answers) do
  local id, key = string.match(member, '^([^:]*):(.*)$')
  redis.call('HDEL', P .. 'answers:' .. id, key)
  redis.call('ZREM', P .. 'answers', member)
end
return gone
"""
)

# ARGV: prefix -> values
UNSETTLED = (
    _COMMON
    + """
local found = {}
for _, id in ipairs(redis.call('SMEMBERS', P .. 'unsettled')) do
  local value = value_of(id)
  if value then found[#found + 1] = value end
end
return found
"""
)

# ARGV: prefix, uid, binding as it was read or '', new binding, 1 with a session, session... -> 1 or 0
DECLARE = (
    _COMMON
    + """
local bound = redis.call('HGET', P .. 'bindings', ARGV[2]) or ''
if bound == ARGV[4] then return 1 end
if bound ~= ARGV[3] then return 0 end
redis.call('HSET', P .. 'bindings', ARGV[2], ARGV[4])
if ARGV[5] == '1' then put(6) end
return 1
"""
)

# ARGV: prefix, uid -> 1 or 0
WITHDRAW = (
    _COMMON
    + """
local bound = redis.call('HGET', P .. 'bindings', ARGV[2])
redis.call('HDEL', P .. 'taken', ARGV[2])
redis.call('SREM', P .. 'declarations', ARGV[2])
redis.call('DEL', P .. 'declaration:' .. ARGV[2])
if not bound then return 0 end
redis.call('HDEL', P .. 'bindings', ARGV[2])
delete(cjson.decode(bound).session_id)
return 1
"""
)

# ARGV: prefix -> uid, record or '' when it was removed, uid...
CHANGES = """
local P = ARGV[1]
local wanted, found = {}, {}
for _, uid in ipairs(redis.call('SMEMBERS', P .. 'declarations')) do
  local record = redis.call('GET', P .. 'declaration:' .. uid)
  if record then
    wanted[uid] = true
    if redis.call('HGET', P .. 'taken', uid) ~= record then
      found[#found + 1] = uid
      found[#found + 1] = record
    end
  end
end
for _, uid in ipairs(redis.call('HKEYS', P .. 'taken')) do
  if not wanted[uid] then
    found[#found + 1] = uid
    found[#found + 1] = ''
  end
end
return found
"""

# ARGV: prefix, now -> bindings whose session is gone or expires now
UNBOUND = (
    _COMMON
    + """
local found, now = {}, tonumber(ARGV[2])
for _, bound in ipairs(redis.call('HVALS', P .. 'bindings')) do
  local value = value_of(cjson.decode(bound).session_id)
  if not value or expires(value) <= now then found[#found + 1] = bound end
end
return found
"""
)
