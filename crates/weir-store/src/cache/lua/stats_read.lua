-- The stats of one identity. KEYS: its buckets, its addresses.
-- Gives requests of the last minute, then of the last hour: requests, tokens, spend, denied, addresses; and since when
-- it is known, in seconds.
local second = tonumber(redis.call('TIME')[1])
local minute = math.floor(second / 60)
local sums = { s = 0, r = 0, t = 0, m = 0, d = 0 }
local first = second
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
    local kind, at = string.match(all[i], '^(%a):(%d+)$')
    if kind then
        local oldest = kind == 's' and second - 60 or minute - 60
        if tonumber(at) > oldest then sums[kind] = sums[kind] + tonumber(all[i + 1]) end
    elseif all[i] == 'first' then
        first = tonumber(all[i + 1])
    end
end
local ips = redis.call('ZCOUNT', KEYS[2], minute - 59, '+inf')
return { sums.s, sums.r, sums.t, sums.m, sums.d, ips, second - first }
