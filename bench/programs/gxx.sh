#!/usr/bin/env bash
# gxx.sh - g++ compiles one file with many templates. See common.sh.
# shellcheck source=bench/programs/common.sh
. "${BASH_SOURCE%/*}/common.sh"

is_quick && parts=1 || parts=5

# Maps, variants, tuples and recursive templates, each part with types of its own.
source_text() {
	cat <<-'CPP'
		#include <algorithm>
		#include <functional>
		#include <map>
		#include <memory>
		#include <string>
		#include <tuple>
		#include <unordered_map>
		#include <utility>
		#include <variant>
		#include <vector>

		template <int Part, int N> struct leaf {
			long value[N % 7 + 1];
			bool operator<(const leaf &other) const { return value[0] < other.value[0]; }
		};
		template <int Part, typename Sequence> struct forest;
		template <int Part, int... N> struct forest<Part, std::integer_sequence<int, N...>> {
			std::tuple<leaf<Part, N>...> leaves;
			std::variant<leaf<Part, N>...> one;
			long sum() const
			{
				return std::apply([](const auto &...each) { return (0L + ... + each.value[0]); }, leaves)
					+ std::visit([](const auto &each) { return each.value[0]; }, one);
			}
		};
		template <int Part, int Depth> struct chain {
			using map = std::map<std::string, std::vector<leaf<Part, Depth>>>;
			map here;
			std::unordered_map<int, std::shared_ptr<map>> there;
			chain<Part, Depth - 1> rest;
			long count(const std::function<long(const map &)> &of)
			{
				auto &list = here["part"];
				std::sort(list.begin(), list.end());
				there[Depth] = std::make_shared<map>(here);
				return of(here) + rest.count([&](const auto &other) { return long(other.size()) + of(here); });
			}
		};
		template <int Part> struct chain<Part, 0> {
			using map = std::map<std::string, int>;
			long count(const std::function<long(const map &)> &of) { return of({}); }
		};
	CPP
	for part in $(seq "$parts"); do
		cat <<-CPP
			long run_$part() {
				forest<$part, std::make_integer_sequence<int, 12>> trees{};
				chain<$part, 2> links;
				return trees.sum() + links.count([](const auto &map) { return long(map.size()); });
			}
		CPP
	done
}

case ${1:-} in
prepare)
	need g++
	source_text >"$SCRATCH/templates.cpp"
	g++ -std=c++17 -O1 -c -o "$SCRATCH/templates.o" "$SCRATCH/templates.cpp"
	same_result gxx "$SCRATCH/templates.o"
	;;
verify) verify_malloc "$(g++ -print-prog-name=cc1plus)" "$(g++ -print-prog-name=cc1plus)" --version ;;
run)
	measured g++ cc1plus g++ -std=c++17 -O1 -c -o "$SCRATCH/templates.o" "$SCRATCH/templates.cpp"
	same_result gxx "$SCRATCH/templates.o"
	;;
esac
