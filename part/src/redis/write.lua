-- A write and its idempotency key, atomically.
-- KEYS: the record, the request, the counter of versions, the index of keys
-- ARGV: key, action, value or number, condition, version, digest ('' without an idempotency key), the key's lifetime in ms
local named = ARGV[6] ~= ''
if named then
  local earlier = redis.call('HMGET', KEYS[2], 'about', 'sum', 'version')
  if earlier[1] then
    if earlier[1] ~= ARGV[6] then return {'reused'} end
    -- The repetition writes as well, so that WAIT waits for it, and therefore for the first write.
    redis.call('HINCRBY', KEYS[2], 'repeated', 1)
    return {'done', earlier[2], earlier[3]}
  end
end
local old = redis.call('HMGET', KEYS[1], 'value', 'version')
if ARGV[4] == 'absent' and old[1] then return {'conflict'} end
if ARGV[4] == 'version' and old[2] ~= ARGV[5] then return {'conflict'} end
local sum = ''
if ARGV[2] == 'add' then
  local added = redis.pcall('HINCRBY', KEYS[1], 'value', ARGV[3])
  if type(added) == 'table' then
    if string.find(added.err, 'overflow') then return {'overflow'} end
    if string.find(added.err, 'integer') then return {'not a number'} end
    return added
  end
  -- As text, because Lua's numbers have only 53 bits.
  sum = redis.call('HGET', KEYS[1], 'value')
elseif ARGV[2] == 'put' then
  redis.call('HSET', KEYS[1], 'value', ARGV[3])
end
local version = string.format('%.0f', redis.call('INCR', KEYS[3]))
if ARGV[2] == 'delete' then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[4], ARGV[1])
else
  redis.call('HSET', KEYS[1], 'version', version)
  redis.call('ZADD', KEYS[4], 0, ARGV[1])
end
if named then
  redis.call('HSET', KEYS[2], 'about', ARGV[6], 'sum', sum, 'version', version)
  redis.call('PEXPIRE', KEYS[2], ARGV[7])
end
return {'done', sum, version}
