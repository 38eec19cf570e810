-- KEYS[1]: what is known of a document that was written. ARGV[1]: for how long whoever fills anew is to
-- ask for what was written last, in milliseconds.
-- A fill that is under way loses its token with the rest. The second part may fail for want of memory.
redis.call('DEL', KEYS[1])
local time = redis.call('TIME')
redis.pcall('HSET', KEYS[1], 'latest', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
