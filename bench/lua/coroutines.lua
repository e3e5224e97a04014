-- Coroutines: each has a stack of its own. A scheduler with many tasks, and a permutation generator.
local function permutations(list, n)
	n = n or #list
	if n <= 1 then
		coroutine.yield(list)
		return
	end
	for i = 1, n do
		list[n], list[i] = list[i], list[n]
		permutations(list, n - 1)
		list[n], list[i] = list[i], list[n]
	end
end

local count = 0
for _ in coroutine.wrap(function() permutations({1, 2, 3, 4, 5, 6, 7, 8}) end) do
	count = count + 1
end
assert(count == 40320)

local ready, results = {}, {}
local function spawn(body, ...)
	local arguments = table.pack(...)
	ready[#ready + 1] = coroutine.create(function()
		body(table.unpack(arguments, 1, arguments.n))
	end)
end

local function task(id, steps)
	local log = {}
	for step = 1, steps do
		log[#log + 1] = "task " .. id .. " step " .. step
		coroutine.yield()
	end
	results[id] = #log
end

for id = 1, 3000 do
	spawn(task, id, id % 30 + 1)
end
while #ready > 0 do
	local still = {}
	for _, thread in ipairs(ready) do
		assert(coroutine.resume(thread))
		if coroutine.status(thread) ~= "dead" then
			still[#still + 1] = thread
		end
	end
	ready = still
end
for id = 1, 3000 do
	assert(results[id] == id % 30 + 1)
end
