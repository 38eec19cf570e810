-- KEYS[1]: the hash of a document. ARGV[1]: the caller's token, ARGV[2]: how long a fill may take, in
-- milliseconds. ARGV[3]: older copies are not trusted, because they could not be removed if the document was
-- written; ARGV[4]: for how long after that time fills must read the latest version. A caller that gets "fill"
-- is the only one that may query the database.
-- Returns a verdict, the token of the fill in progress (or why the last one failed) and its age, whether the
-- latest version must be read, and the copy. A fresh copy needs no write, so it is served even if Redis is full.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kept = redis.call('HMGET', KEYS[1], 'fresh', 'useful', 'rests', 'filler', 'began', 'latest',
    'found', 'body', 'version', 'node', 'failure', 'since')
local fresh, useful, rests, filler, began = kept[1], kept[2], kept[3], kept[4], kept[5]
local latest, doubtful = kept[6], false
if ARGV[3] ~= '0' then
    latest = math.max(tonumber(latest or 0), ARGV[3] + ARGV[4])
    doubtful = fresh and tonumber(kept[12] or 0) < tonumber(ARGV[3])
    if doubtful then fresh, useful, rests = nil, nil, nil end
    if filler and tonumber(began) < tonumber(ARGV[3]) then filler = nil end
end
local copy = {}
if useful and now < tonumber(useful) then copy = {kept[7], kept[8], kept[9], kept[10]} end
if fresh and now < tonumber(fresh) then return {'fresh', '', 0, 0, copy} end
if rests and now < tonumber(rests) then
    if copy[1] then return {'resting', '', 0, 0, copy} end
    return {'failed', kept[11] or '', 0, 0, copy}
end
if filler and now < began + ARGV[2] then return {'wait', filler, now - began, 0, copy} end
if doubtful then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'filler', ARGV[1], 'began', now)
local left = redis.call('PTTL', KEYS[1])
redis.call('PEXPIRE', KEYS[1], math.max(left, 2 * ARGV[2]))
return {'fill', ARGV[1], 0, latest and now < tonumber(latest) and 1 or 0, copy}
