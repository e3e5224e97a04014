-- Binary trees (Benchmarks Game): one long-lived tree, many short-lived ones.
local function grow(depth)
	if depth == 0 then
		return {}
	end
	return {grow(depth - 1), grow(depth - 1)}
end

local function nodes(tree)
	return tree[1] and 1 + nodes(tree[1]) + nodes(tree[2]) or 1
end

local DEPTH = 14
local long_lived = grow(DEPTH)
for depth = 4, DEPTH, 2 do
	local trees, sum = 1 << (DEPTH - depth + 2), 0
	for _ = 1, trees do
		sum = sum + nodes(grow(depth))
	end
	assert(sum == trees * ((1 << (depth + 1)) - 1))
end
assert(nodes(long_lived) == (1 << (DEPTH + 1)) - 1)
