-- KEYS[1]: the hash of a document. ARGV[1]: the token of the fill that ends. ARGV[2]: how long its copy is
-- fresh, ARGV[3]: how long it may be served stale after that, in milliseconds. Then the copy: found,
-- body, version, node.
-- A fill that a write has overtaken, or that was given up, leaves nothing. If there is no memory for the
-- copy, nothing is stored either, but the fill ends, so that no reader waits for it.
if redis.call('HGET', KEYS[1], 'filler') ~= ARGV[1] then return 0 end
local began = redis.call('HGET', KEYS[1], 'began')
local fresh = began + ARGV[2]
local useful = fresh + ARGV[3]
local kept = redis.pcall('HSET', KEYS[1], 'fresh', fresh, 'useful', useful,
    'found', ARGV[4], 'body', ARGV[5], 'version', ARGV[6], 'node', ARGV[7], 'since', began)
redis.call('HDEL', KEYS[1], 'filler', 'began', 'rests', 'failure')
if type(kept) == 'table' then return kept end
local latest = redis.call('HGET', KEYS[1], 'latest') or 0
redis.call('PEXPIREAT', KEYS[1], math.max(useful, tonumber(latest)))
return 1
