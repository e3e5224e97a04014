-- Text: building, searching, replacing. Many short strings and a few long buffers.
local words = {"arena", "heap", "span", "block", "label", "tag", "walk", "replica"}

local function sentence(seed)
	local parts = {}
	for i = 1, 40 do
		seed = (seed * 1103515245 + 12345) & 0x7fffffff
		parts[i] = words[seed % #words + 1] .. seed % 100
	end
	return table.concat(parts, " ")
end

local function count_words(text)
	local counts = {}
	for word in text:gmatch("%a+") do
		counts[word] = (counts[word] or 0) + 1
	end
	return counts
end

local total = 0
for seed = 1, 4000 do
	local text = sentence(seed)
	for _, count in pairs(count_words(text)) do
		total = total + count
	end
	local shouted = text:upper():gsub("BLOCK(%d+)", "<%1>")
	assert(not shouted:find("BLOCK", 1, true))
end
assert(total == 4000 * 40)

local page = {}
for i = 1, 20000 do
	page[#page + 1] = string.format("line %05d: %s\n", i, words[i % #words + 1])
end
assert(#table.concat(page) > 300000)
