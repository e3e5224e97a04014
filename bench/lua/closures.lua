-- Closures and upvalues: counters, memoising, streams that are made of functions.
local function counter()
	local n = 0
	return function()
		n = n + 1
		return n
	end
end

local counters = {}
for i = 1, 30000 do
	counters[i] = counter()
end
for round = 1, 5 do
	for i = 1, #counters do
		assert(counters[i]() == round)
	end
end

local function memoise(f)
	local known = {}
	return function(n)
		if known[n] == nil then
			known[n] = f(n)
		end
		return known[n]
	end
end
local fibonacci
fibonacci = memoise(function(n)
	return n < 2 and n or fibonacci(n - 1) + fibonacci(n - 2)
end)
assert(fibonacci(80) == 23416728348467685)

-- A lazy stream is a value and a function that makes the rest.
local function from(n)
	return {n, function() return from(n + 1) end}
end
local function filter(keep, stream)
	while not keep(stream[1]) do
		stream = stream[2]()
	end
	local rest = stream[2]
	return {stream[1], function() return filter(keep, rest()) end}
end
local function primes(stream)
	local p, rest = stream[1], stream[2]
	return {p, function()
		return primes(filter(function(n) return n % p ~= 0 end, rest()))
	end}
end
local stream = primes(from(2))
for _ = 1, 299 do
	stream = stream[2]()
end
assert(stream[1] == 1987)
