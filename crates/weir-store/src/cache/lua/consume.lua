-- Counts one request against limits of one subject, in one step.
-- KEYS: a window each. ARGV: the length of each in milliseconds.
-- Gives for each what was counted and what is left of it in milliseconds. The server's clock ends a window.
local answer = {}
for i, key in ipairs(KEYS) do
    local counted = redis.call('INCR', key)
    local left = redis.call('PTTL', key)
    if left < 0 then
        left = tonumber(ARGV[i])
        redis.call('PEXPIRE', key, left)
    end
    answer[2 * i - 1] = counted
    answer[2 * i] = left
end
return answer
