#!/usr/bin/env bash
# Everyday programs under libmmviz-preload.so say what they say without it: interpreters with threads and children,
# compilers, packers, a debugger on a preloaded target, servers. Some are followed meanwhile. What is not installed is left out.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/preloaded.sh"

need_root

# Threads that allocate while others fork: locks must be free in the children.
python_forks() {
	[ -x /usr/bin/python3 ] || { echo "  left out: no python3 here" && return; }
	same python3 '/usr/bin/python3 - <<PY
import concurrent.futures, multiprocessing, subprocess, threading

def work(count):
    return sum(len(str(i)) for i in range(count))

done = threading.Event()
def churn():
    while not done.wait(0.001):
        [bytearray(i % 9000) for i in range(300)]

threads = [threading.Thread(target=churn) for _ in range(3)]
[thread.start() for thread in threads]
with multiprocessing.Pool(3) as pool:
    print(pool.map(work, [5000] * 20))
for i in range(20):
    subprocess.run(["true"], check=True)
with concurrent.futures.ProcessPoolExecutor(2) as executor:
    print(list(executor.map(work, [100] * 5)))
done.set()
PY'
}

perl_forks_and_threads() {
	has perl || return 0
	same perl 'perl -e "my %h; \$h{\"k\" . (\$_ * 7919 % 10007)} .= \"x\$_\" for 1..60000; my \$n = 0; \$n += length for values %h;
		print \"\$n\n\"; my @p = map { fork() || exit(\$_) } 1..5; print join(\",\", map { waitpid(\$_, 0); \$? >> 8 } @p), \"\n\""
		perl -Mthreads -e "my @t = map { my \$n = \$_; threads->create(sub { my @a = map { \"s\$_\" x 3 } 1..5000; @a + \$n }) } 1..4;
			print join(\",\", map { \$_->join } @t), \"\n\"" || echo no threads'
	preloaded perl -e 'my @kept; for (1 .. 400000 * $ARGV[0]) { $kept[$_ % 20000] = "x" x ($_ * 7919 % 900) } print scalar @kept' \
		"$(size 3 30)"
	observe "$program" "$(size 6 40)"
	finished perl
	[ "$(cat "$scratch/out")" = 20000 ] || fail "perl says $(cat "$scratch/out")"
}

node_workers() {
	has node || return 0
	same node 'node -e "const all = []; for (let i = 0; i < 50000; i++) all.push({i, text: \"x\" + i});
		const text = JSON.stringify(all), zlib = require(\"zlib\");
		console.log(text.length, zlib.gunzipSync(zlib.gzipSync(text)).length);
		const worker = new (require(\"worker_threads\").Worker)(\"console.log([...Array(1e4).keys()].map(String).join().length)\", {eval: true});
		worker.on(\"exit\", () => zlib.deflate(text, (error, packed) => console.log(error, zlib.inflateSync(packed).length)))"'
}

# What packs, sorts and searches: large blocks, threads, memory of a set size.
text_tools() {
	same "sort, awk, grep, tar, gzip" 'seq 100000 | awk "{ print (\$1 * 7919) % 1000003, \"line\", \$1 * \$1 }" >t
		sort --parallel=2 -S 2M t | cksum; sort -n t | cksum; sort -u -k1,1 t | wc
		awk "{ a[\$1 % 500] = a[\$1 % 500] \$3 } END { for (i = 0; i < 500; i++) s += length(a[i]); print s }" t
		grep -E -c "(7|9)[0-9]*1 line" t; grep -o -E "^[0-9]+" t | cksum
		tar --sort=name --mtime=@0 -czf t.tar.gz t && tar -xOzf t.tar.gz | cksum
		bash -c "for i in {1..3000}; do a[i % 97]+=x\$i; done; echo \${#a[5]}; for i in {1..50}; do (echo \$i); done | cksum"'
	has xz || return 0
	same xz 'seq 100000 | xz -T2 --block-size=64KiB -1 | xz -dc | cksum; seq 30000 | xz -6 | cksum'
}

compilers_and_their_output() {
	has gcc g++ || return 0
	same "gcc -flto, OpenMP" 'cat >a.c <<C
#include <stdio.h>
#include <stdlib.h>
int main(void)
{
	long sum = 0;
#pragma omp parallel for reduction(+ : sum) num_threads(4)
	for (int i = 0; i < 300000; i++) {
		unsigned char *block = malloc(i % 3000 + 1);
		block[0] = block[i % 3000] = i % 100;
		sum += block[0];
		free(block);
	}
	printf("%ld\n", sum);
	return 0;
}
C
		gcc -O2 -fopenmp -S -o - a.c | cksum; gcc -O2 -flto -fopenmp -o a a.c && ./a; objdump -d ./a | wc -l; nm ./a | grep -c malloc'
}

# The debugger and what it debugs both carry the library.
debugger() {
	has gcc gdb || return 0
	same gdb 'printf "#include <stdlib.h>\nint f(char *p) { return p[0]; }\nint main(void) { return f(calloc(1, 100)); }" >b.c
		gcc -g -o b b.c && gdb -q -batch -nx -ex "break f" -ex run -ex "print p[5]" -ex bt -ex "python print(len(\"x\" * 100000))" \
			-ex continue ./b 2>/dev/null | grep -v "process\|0x"'
}

keys_and_certificates() {
	has ssh-keygen openssl || return 0
	same "ssh-keygen, openssl" 'ssh-keygen -q -t ed25519 -N secret -f k && wc -l <k; ssh-keygen -y -P secret -f k | wc -w
		openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out crt -subj /CN=here -days 1 2>/dev/null
		openssl x509 -in crt -noout -subject; openssl verify -CAfile crt crt'
}

# Two workers behind their master, a proxy to itself, compressed answers; a reload meanwhile.
nginx_serves() {
	command -v nginx >/dev/null || { echo "  left out: no nginx here" && return; }
	has curl || return 0
	local port=$((20000 + RANDOM % 12000)) worker
	mkdir -p "$scratch/www" "$scratch/logs"
	seq 20000 >"$scratch/www/file"
	cat >"$scratch/nginx.conf" <<-CONF
		daemon off; worker_processes 2; user $(id -un); pid $scratch/pid; error_log $scratch/logs/error.log;
		events { worker_connections 64; }
		http {
			access_log off; gzip on; gzip_types *; gzip_min_length 10;
			client_body_temp_path $scratch/body; proxy_temp_path $scratch/proxy; fastcgi_temp_path $scratch/fastcgi;
			uwsgi_temp_path $scratch/uwsgi; scgi_temp_path $scratch/scgi;
			server {
				listen 127.0.0.1:$port; root $scratch/www;
				location /again/ { proxy_pass http://127.0.0.1:$port/; }
			}
		}
	CONF
	preloaded nginx -p "$scratch" -e "$scratch/logs/error.log" -c "$scratch/nginx.conf"
	wait_for 5 curl -s -f "http://127.0.0.1:$port/file" || fail "nginx does not answer: $(cat "$scratch/logs/error.log" "$scratch/err")"
	worker=$(pgrep -P "$program" | head -1)
	for _ in $(seq "$(size 60 2000)"); do
		curl -s --compressed "http://127.0.0.1:$port/again/file" | cmp -s - "$scratch/www/file" || echo wrong
	done >"$scratch/client" &
	observe "$worker" "$(size 5 40)"
	kill -HUP "$program"
	wait $!
	[ ! -s "$scratch/client" ] || fail "nginx answered otherwise $(wc -l <"$scratch/client") times"
	kill -QUIT "$program"
	finished nginx
}

run_parts python_forks perl_forks_and_threads node_workers text_tools compilers_and_their_output debugger keys_and_certificates nginx_serves
[ "$observed" -ge 3 ] || fail "only $observed rounds were compared"
echo "ok $test_name: $observed rounds equal"
