-- Returns all fields of the session; none if there is no such session.
if not touch() then return {} end
return redis.call('HGETALL', KEYS[1])
