-- KEYS[1]: the hash of a document. ARGV[1]: the token of a fill that failed. ARGV[2]: for how long
-- readers get the stale copy, or the failure, at once, in milliseconds. ARGV[3]: why it failed.
if redis.call('HGET', KEYS[1], 'filler') ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.pcall('HSET', KEYS[1], 'rests', now + ARGV[2], 'failure', ARGV[3])
redis.call('HDEL', KEYS[1], 'filler', 'began')
local left = redis.call('PTTL', KEYS[1])
redis.call('PEXPIREAT', KEYS[1], now + math.max(left, tonumber(ARGV[2])))
return 1
