-- ARGV[3]: the field of the product, ARGV[4]: the number of pieces to add, ARGV[5]: the most
-- different products and ARGV[6]: the most pieces in a cart. Returns the result, and all fields of
-- the session.
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
