-- KEYS[1]: the hash of a document that was written. ARGV[1]: for how long new fills must read the latest
-- version, in milliseconds.
-- A fill in progress loses its token with the rest. The second part may fail for lack of memory.
redis.call('DEL', KEYS[1])
local time = redis.call('TIME')
redis.pcall('HSET', KEYS[1], 'latest', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
