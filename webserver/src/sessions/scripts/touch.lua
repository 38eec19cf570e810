-- KEYS[1]: the session. ARGV[1]: idle time, ARGV[2]: absolute time, in milliseconds.
-- False when there is no such session; otherwise it lives on for another idle time, but never
-- beyond its absolute end. Every server goes by the one clock of this Redis. While that takes no writes the
-- session is there all the same, until the time that it had.
local function touch()
    local created = redis.call('HGET', KEYS[1], 'created')
    if not created then return false end
    local time = redis.call('TIME')
    local left = created + ARGV[2] - (time[1] * 1000 + math.floor(time[2] / 1000))
    if left <= 0 then
        redis.pcall('DEL', KEYS[1])
        return false
    end
    redis.pcall('PEXPIRE', KEYS[1], math.min(left, tonumber(ARGV[1])))
    return true
end
