/*
 * The two programs of the map. Both read the colour table of look.ts; both draw state as a pattern
 * besides a colour: free is flat, cached dotted, never-used dashed, metadata barred, untouched
 * hatched.
 *
 * Integers all the way: a place needs 32 bits, a float has 24.
 */

const COMMON = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
precision highp sampler2D;
uniform sampler2D u_look;
uniform int u_height, u_pitch, u_gap, u_dot;
uniform uint u_focus, u_look_row;
out vec4 o_colour;

const uint NO_CONTEXT = 0xffffffffu;
const int KIND_FREE = 0, KIND_LIVE = 1, KIND_CACHED = 2, KIND_UNUSED = 3, KIND_META = 4,
	  KIND_UNTOUCHED = 5;
const int ROW_CONTEXT = 0, ROW_AGE = 1, ROW_STATE = 2, ROW_OCCUPANCY = 3, ROW_INK = 4;

vec3 look(int row, int index) { return texelFetch(u_look, ivec2(index, row), 0).rgb; }

bool inPattern(int kind, ivec2 at) {
	at /= u_dot;
	if (kind == KIND_CACHED) return at.x % 4 == 1 && at.y % 4 == 1;
	if (kind == KIND_UNUSED) return at.y % 5 == 2 && at.x % 6 < 3;
	if (kind == KIND_META) return at.x % 3 == 0;
	if (kind == KIND_UNTOUCHED) return (at.x + at.y) % 7 == 0;
	return false;
}
vec3 emptyColour(int kind, ivec2 at) {
	vec3 ground = kind == KIND_LIVE ? look(ROW_STATE, KIND_FREE) : look(ROW_STATE, kind);
	if (!inPattern(kind, at)) return ground;
	return look(ROW_INK, kind == KIND_UNTOUCHED ? 1 : 2);
}
vec3 liveColour(int slot, int age, int occupancy) {
	int row = int(u_look_row);
	int index = row == ROW_CONTEXT ? slot : row == ROW_AGE ? age :
		    row == ROW_OCCUPANCY ? occupancy : KIND_LIVE;
	return look(row, index);
}
vec3 dimmed(vec3 colour, uint context) {
	if (u_focus == NO_CONTEXT || u_focus == context) return colour;
	return mix(colour, look(ROW_INK, 0), 0.78);
}
`;

export const TEXEL_VERTEX = `#version 300 es
void main() { gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0, 1); }
`;

/* One pixel: which place is it, which texel holds that place, what does the texel say? */
export const TEXEL_FRAGMENT =
	COMMON +
	`
uniform usampler2D u_context, u_shares, u_facts;
uniform uint u_first, u_end, u_places, u_pixels, u_per_row;
uniform uint u_texels_first, u_texels_places, u_texels_count;
uniform int u_rows;

vec3 texelColour(uint index, ivec2 at) {
	ivec2 cell = ivec2(index & 511u, index >> 9);
	uvec4 shares = texelFetch(u_shares, cell, 0), facts = texelFetch(u_facts, cell, 0);
	uint context = texelFetch(u_context, cell, 0).r;
	int taken = int(min(shares.r + shares.g, 255u)), kind = int(facts.r);
	vec3 empty = emptyColour(kind, at);
	if (context == NO_CONTEXT || shares.r == 0u) return empty;
	vec3 colour = dimmed(liveColour(int(facts.b), int(facts.g), taken), context);
	if (int(u_look_row) == ROW_OCCUPANCY) return colour;
	float cover = float(taken) / 255.0;
	return mix(empty, colour, kind == KIND_LIVE ? 0.35 + 0.65 * cover : 0.7 * cover);
}
void main() {
	ivec2 pixel = ivec2(int(gl_FragCoord.x), u_height - 1 - int(gl_FragCoord.y));
	int row = pixel.y / u_pitch;
	ivec2 at = ivec2(pixel.x, pixel.y - row * u_pitch);
	uint column = uint(pixel.x) * u_places / u_pixels;
	uint place = u_first + uint(row) * u_per_row + column;
	vec3 colour = look(ROW_INK, 0);
	if (at.y < u_pitch - u_gap && row < u_rows && column < u_per_row && place < u_end) {
		uint texel = (place - u_texels_first) / u_texels_places;
		colour = place >= u_texels_first && texel < u_texels_count
			? texelColour(texel, pixel) : look(ROW_STATE, KIND_FREE);
	}
	o_colour = vec4(colour, 1);
}
`;

export const BLOCK_VERTEX = `#version 300 es
precision highp float;
precision highp int;
layout(location = 0) in vec4 a_piece;
layout(location = 1) in uvec2 a_facts;
layout(location = 2) in float a_header;
uniform int u_width, u_height, u_pitch, u_gap;
flat out uvec2 v_facts;
flat out vec4 v_piece;
flat out float v_header;
void main() {
	vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
	float height = float(u_pitch - u_gap);
	vec2 pixel = vec2(a_piece.x + corner.x * a_piece.z, a_piece.y * float(u_pitch) + corner.y * height);
	v_facts = a_facts;
	v_piece = a_piece;
	v_header = a_header;
	gl_Position = vec4(pixel / vec2(u_width, u_height) * vec2(2, -2) + vec2(-1, 1), 0, 1);
}
`;

/* A block: its header a shade darker, its last pixel a gap, so that neighbours stay apart. */
export const BLOCK_FRAGMENT =
	COMMON +
	`
flat in uvec2 v_facts;
flat in vec4 v_piece;
flat in float v_header;
void main() {
	ivec2 pixel = ivec2(int(gl_FragCoord.x), u_height - 1 - int(gl_FragCoord.y));
	float inPiece = float(pixel.x) - v_piece.x;
	uint context = v_facts.x, life = v_facts.y >> 16 & 0xffu;
	vec3 colour = life == 1u
		? dimmed(liveColour(int(v_facts.y & 0xffu), int(v_facts.y >> 8 & 0xffu), 255), context)
		: emptyColour(KIND_CACHED, pixel);
	if (life == 1u && v_header >= 2.0 && inPiece + v_piece.w < v_header)
		colour = mix(colour, look(ROW_INK, 0), 0.45);
	if (v_piece.z >= 3.0 && inPiece >= v_piece.z - float(u_dot)) colour = look(ROW_INK, 0);
	o_colour = vec4(colour, 1);
}
`;
