-- All fields of the session; none when there is no such session.
if not touch() then return {} end
return redis.call('HGETALL', KEYS[1])
