-- Adds to the stats of one identity. KEYS: its buckets, its addresses.
-- ARGV: requests, tokens, spend, denied, how long a silent identity is kept (seconds), addresses at most, addresses...
local second = tonumber(redis.call('TIME')[1])
local minute = math.floor(second / 60)
local buckets, ips = KEYS[1], KEYS[2]

local function add(field, number)
    if tonumber(number) > 0 then redis.call('HINCRBY', buckets, field, number) end
end

redis.call('HSETNX', buckets, 'first', second)
add('s:' .. second, ARGV[1])
add('r:' .. minute, ARGV[1])
add('t:' .. minute, ARGV[2])
add('m:' .. minute, ARGV[3])
add('d:' .. minute, ARGV[4])

-- Once a minute the buckets that have left their windows go.
if redis.call('HGET', buckets, 'pruned') ~= tostring(minute) then
    redis.call('HSET', buckets, 'pruned', minute)
    for _, field in ipairs(redis.call('HKEYS', buckets)) do
        local kind, at = string.match(field, '^(%a):(%d+)$')
        if kind then
            local oldest = kind == 's' and second - 60 or minute - 60
            if tonumber(at) <= oldest then redis.call('HDEL', buckets, field) end
        end
    end
    redis.call('ZREMRANGEBYSCORE', ips, '-inf', minute - 60)
end
redis.call('EXPIRE', buckets, ARGV[5])

if #ARGV > 6 then
    for i = 7, #ARGV do redis.call('ZADD', ips, minute, ARGV[i]) end
    redis.call('ZREMRANGEBYRANK', ips, 0, -1 - tonumber(ARGV[6]))
    redis.call('EXPIRE', ips, 3660)
end
return 1
