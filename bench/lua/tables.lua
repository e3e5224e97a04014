-- Tables: arrays that grow by doubling, hashes that rehash, a queue, sorting, a sieve.
local function sieve(limit)
	local composite, primes = {}, {}
	for n = 2, limit do
		if not composite[n] then
			primes[#primes + 1] = n
			for multiple = n * n, limit, n do
				composite[multiple] = true
			end
		end
	end
	return primes
end

assert(#sieve(200000) == 17984)

local index = {}
for i = 1, 60000 do
	index["key " .. i] = {id = i, parent = index["key " .. i // 2]}
end
local depth, node = 0, index["key 60000"]
while node do
	depth, node = depth + 1, node.parent
end
assert(depth == 16)

for i = 1, 60000, 2 do
	index["key " .. i] = nil
end
collectgarbage()

local values, seed = {}, 42
for i = 1, 100000 do
	seed = (seed * 1103515245 + 12345) & 0x7fffffff
	values[i] = seed
end
table.sort(values)
for i = 2, #values do
	assert(values[i - 1] <= values[i])
end

local head, tail, queue = 1, 0, {}
for i = 1, 200000 do
	tail = tail + 1
	queue[tail] = {i}
	if i % 3 ~= 0 then
		queue[head], head = nil, head + 1
	end
end
assert(tail - head + 1 == 66666)
