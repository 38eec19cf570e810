-- KEYS[1]: the session. ARGV[1]: idle time, ARGV[2]: absolute time, in milliseconds.
-- Returns false if there is no such session; otherwise restarts its idle time, but never beyond its absolute
-- end. The clock of this Redis is the one that counts for all servers. While Redis takes no writes, the
-- session still exists, until the end of its current idle time.
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
