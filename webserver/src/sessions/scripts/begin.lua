-- KEYS[1]: the new session. KEYS[2]: the one before it, if any.
-- ARGV[1]: the user, ARGV[2]: how long it lives unless it is used, in milliseconds.
-- The new one is written first: when memory is full, the old one stays.
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'user', ARGV[1], 'created', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if KEYS[2] then redis.call('DEL', KEYS[2]) end
return 'OK'
