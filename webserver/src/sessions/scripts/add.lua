-- ARGV[3]: the field of the product, ARGV[4]: how many pieces, ARGV[5]: how many different products
-- and ARGV[6]: how many pieces a cart holds. What became of it, and all fields of the session.
if not touch() then return {'unknown', {}} end
local items, pieces, fields = 0, 0, redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 5) == 'cart:' then
        items = items + 1
        pieces = pieces + fields[i + 1]
    end
end
local known = redis.call('HEXISTS', KEYS[1], ARGV[3]) == 1
if not known and items >= tonumber(ARGV[5]) then return {'too many items', {}} end
if pieces + ARGV[4] > tonumber(ARGV[6]) then return {'too many pieces', {}} end
redis.call('HINCRBY', KEYS[1], ARGV[3], ARGV[4])
return {'added', redis.call('HGETALL', KEYS[1])}
