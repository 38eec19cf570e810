-- KEYS[1]: an empty key beside those of the shop. Tries every command that the shop's scripts use, and leaves
-- nothing behind. Returns the time in milliseconds, and the first command that was refused with the error
-- message; a refusal of a command that adds data counts last.
local key = KEYS[1]
local adding = {{'HSET', key, 'probe', '1'}, {'HINCRBY', key, 'probe', '1'}}
local others = {{'DEL', key}, {'HDEL', key, 'probe'}, {'PEXPIRE', key, '1'}, {'PEXPIREAT', key, '1'},
    {'HGET', key, 'probe'}, {'HMGET', key, 'probe'}, {'HGETALL', key}, {'HEXISTS', key, 'probe'}, {'PTTL', key}}
local full, refused, now = nil, nil, 0
for _, try in ipairs(adding) do
    local answer = redis.pcall(unpack(try))
    if type(answer) == 'table' and answer.err then full = full or {try[1], answer.err} end
end
for _, try in ipairs(others) do
    local answer = redis.pcall(unpack(try))
    if type(answer) == 'table' and answer.err then refused = refused or {try[1], answer.err} end
end
local time = redis.pcall('TIME')
if time.err then refused = refused or {'TIME', time.err} else now = time[1] * 1000 + math.floor(time[2] / 1000) end
local first = refused or full or {'', ''}
return {now, first[1], first[2]}
