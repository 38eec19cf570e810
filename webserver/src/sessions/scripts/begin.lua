-- KEYS[1]: the new session. KEYS[2]: the previous one, if any.
-- ARGV[1]: the user, ARGV[2]: the idle time in milliseconds.
-- The new session is written first: if memory is full, the old one stays.
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'user', ARGV[1], 'created', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if KEYS[2] then redis.call('DEL', KEYS[2]) end
return 'OK'
