package secret

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

const (
	monero   = "48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9VetWzYGzKt52XU5xvqgzYnDK9URnRoJMk1j8nLwEVsaSWJ4fhdUyZijBGUicoD"
	bitcoin  = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"
	segwit   = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"
	ethereum = "0x52908400098527886E0F7030069857D2E4169EE7"
)

func TestMask(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "sleep|1", "sleep|1"},
		// Miners.
		{"pool password", "xmrig|-o|pool.example:3333|-u|" + monero + ".rig|-p|x", "xmrig|-o|pool.example:3333|-u|" + monero + ".rig|-p|***"},
		{"pool password, long", "xmrig|--user=" + monero + "|--pass=geheim", "xmrig|--user=" + monero + "|--pass=***"},
		{"pool password, next", "xmrig|--pass|geheim|--donate-level=1", "xmrig|--pass|***|--donate-level=1"},
		{"pool password, attached", "xmrig|-u|" + monero + "|-pgeheim", "xmrig|-u|" + monero + "|-p***"},
		{"pool password that looks like a flag", "xmrig|--pass|-x", "xmrig|--pass|***"},
		{"a miner called ssh", "ssh|-o|stratum+tcp://pool:3333|-p|geheim", "ssh|-o|stratum+tcp://pool:3333|-p|***"},
		{"wallet in a URL", "minerd|-o|stratum+tcp://" + monero + ".w1:x@pool.example:3333", "minerd|-o|stratum+tcp://" + monero + ".w1:***@pool.example:3333"},
		{"wallet in a URL, alone", "-P|stratum1+ssl://" + ethereum + ".rig@eth.example:4444", "-P|stratum1+ssl://" + ethereum + ".rig@eth.example:4444"},
		{"account in a URL", "m|stratum+tcp://anna.rig:geheim@pool:1", "m|stratum+tcp://***:***@pool:1"},
		{"user with password", "cpuminer|-O|anna.1:geheim", "cpuminer|-O|anna.1:***"},
		{"wallet with password", "m|-u|" + monero + ".rig:geheim", "m|-u|" + monero + ".rig:***"},
		{"paid in another coin", "xmrig|-u|DOGE:DH5yaieqoZN36fDVciNyRueRGvGLR3mr7L.rig#ref", "xmrig|-u|DOGE:DH5yaieqoZN36fDVciNyRueRGvGLR3mr7L.rig#ref"},
		{"userpass", "m|--userpass=" + bitcoin + ".1:geheim", "m|--userpass=" + bitcoin + ".1:***"},
		{"claymore", "EthDcrMiner64|-ewal|" + ethereum + "|-epsw|geheim", "EthDcrMiner64|-ewal|" + ethereum + "|-epsw|***"},
		{"donate and keepalive are no secrets", "xmrig|--keepalive|--donate-level|1|-k", "xmrig|--keepalive|--donate-level|1|-k"},
		{"tls fingerprint", "xmrig|--tls-fingerprint=420c7850e09b7c0bdcf748a7da9eb3647daf8515718f36d9ccfdd6b9ff834b14", "xmrig|--tls-fingerprint=420c7850e09b7c0bdcf748a7da9eb3647daf8515718f36d9ccfdd6b9ff834b14"},
		{"http token", "xmrig|--http-access-token=abc", "xmrig|--http-access-token=***"},
		// Ports are no secrets.
		{"ssh port", "ssh|-p|22|host", "ssh|-p|22|host"},
		{"port of an unknown program", "serve|-p|8080", "serve|-p|8080"},
		{"docker ports", "docker|run|-p|127.0.0.1:8080:80/tcp|nginx", "docker|run|-p|127.0.0.1:8080:80/tcp|nginx"},
		{"number above the ports", "serve|-p|123456", "serve|-p|***"},
		{"mkdir", "mkdir|-p|/tmp/.X11-unix/.x", "mkdir|-p|/tmp/.X11-unix/.x"},
		{"busybox mkdir", "busybox|mkdir|-p|/tmp/.x", "busybox|mkdir|-p|/tmp/.x"},
		{"find", "find|/|-path|/tmp/x|-print", "find|/|-path|/tmp/x|-print"},
		// Databases and tools.
		{"mysql", "mysql|-uroot|-pgeheim|-h|db", "mysql|-uroot|-p***|-h|db"},
		{"mysql, long", "/usr/bin/mysqldump|--password=geheim|--port=3306", "/usr/bin/mysqldump|--password=***|--port=3306"},
		{"environment with blanks", "docker|run|-e|PASSWORD=ge heim|x", "docker|run|-e|PASSWORD=***|x"},
		{"a whole value", "x|--password=a&b=c d", "x|--password=***"},
		{"redis", "redis-cli|-a|geheim|-p|6379", "redis-cli|-a|***|-p|6379"},
		{"curl user", "curl|-u|anna:geheim|https://example.org", "curl|-u|anna:***|https://example.org"},
		{"curl header", "curl|-H|Authorization: Bearer abc.def|https://x", "curl|-H|Authorization: Bearer ***|https://x"},
		{"curl key header", "curl|-H|X-Api-Key: abc|https://x", "curl|-H|X-Api-Key: ***|https://x"},
		{"curl body", `curl|-d|{"user":"anna","password":"geheim","n":1}`, `curl|-d|{"user":"anna","password":"***","n":1}`},
		{"curl body with blanks", `curl|-d|{"user": "anna", "password": "ge heim"}`, `curl|-d|{"user": "anna", "password": "***"}`},
		{"query", "wget|https://x/?a=1&token=abc&b=2", "wget|https://x/?a=1&token=***&b=2"},
		{"git", "git|clone|https://anna:geheim@git.example/x.git", "git|clone|https://***:***@git.example/x.git"},
		{"token as user", "git|clone|https://ghp_0123456789abcdefghijABCDEFGHIJ012345@github.com/x", "git|clone|https://***@github.com/x"},
		{"password with a slash", "psql|postgres://anna:ge/heim@db/x", "psql|postgres://***:***@db/x"},
		{"password with an at", "psql|postgres://anna:ge@heim@db/x", "psql|postgres://***:***@db/x"},
		{"no userinfo", "curl|http://host:8080/a@b", "curl|http://host:8080/a@b"},
		{"without a scheme", "proxy|anna:geheim@host:1080", "proxy|***:***@host:1080"},
		{"without a scheme, in a command", "sh|-c|x a:geheim@h -o b@c", "sh|-c|x ***:***@h -o b@c"},
		{"mail", "mail|anna@example.org", "mail|anna@example.org"},
		{"image digest", "docker|pull|reg:5000/x@sha256:0123", "docker|pull|reg:5000/x@sha256:0123"},
		{"environment", "docker|run|-e|MYSQL_ROOT_PASSWORD=geheim|-e|TZ=UTC|db", "docker|run|-e|MYSQL_ROOT_PASSWORD=***|-e|TZ=UTC|db"},
		{"java", "java|-Ddb.password=geheim|-Dport=80|-jar|x.jar", "java|-Ddb.password=***|-Dport=80|-jar|x.jar"},
		{"windows", `net.exe|use|/user:anna|/password:geheim`, `net.exe|use|/user:anna|/password:***`},
		{"password file", "x|--password-file|/run/secret|--password-file=/run/s", "x|--password-file|/run/secret|--password-file=/run/s"},
		{"key file", "nginx|--key|/etc/x.key|--tls-key=server.pem", "nginx|--key|/etc/x.key|--tls-key=server.pem"},
		{"key", "x|--key|abcdef|--api-key=abcdef", "x|--key|***|--api-key=***"},
		{"sort key", "sort|--key=2,2|f", "sort|--key=2,2|f"},
		{"words that only sound so", "x|--bypass|a|--compass=b|--passive|c|--author=d|--monkey=e", "x|--bypass|a|--compass=b|--passive|c|--author=d|--monkey=e"},
		{"openssl", "openssl|enc|-passin|pass:geheim|-k|geheim", "openssl|enc|-passin|***|-k|***"},
		{"slack", "curl|https://hooks.slack.com/services/T0/B0/abc", "curl|https://hooks.slack.com/services/***"},
		{"telegram", "curl|https://api.telegram.org/bot1:abc/sendMessage", "curl|https://api.telegram.org/bot***/sendMessage"},
		{"jwt", "x|eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ", "x|***"},
		// Commands inside arguments.
		{"shell", "sh|-c|mysql -pgeheim -h db; echo done", "sh|-c|mysql -p*** -h db; echo done"},
		{"shell, miner", "sh|-c|nohup ./x -o stratum+tcp://p:1 -u " + monero + " -p geheim >/dev/null 2>&1 &", "sh|-c|nohup ./x -o stratum+tcp://p:1 -u " + monero + " -p *** >/dev/null 2>&1 &"},
		{"shell, mkdir", "sh|-c|mkdir -p /tmp/.x && cd /tmp/.x", "sh|-c|mkdir -p /tmp/.x && cd /tmp/.x"},
		{"shell in shell", `sh|-c|bash -c 'mysql --password geheim'`, `sh|-c|bash -c 'mysql --password ***'`},
		{"pipe", "sh|-c|curl -s http://a:b@x/i.sh | sh", "sh|-c|curl -s http://***:***@x/i.sh | sh"},
		{"quoted value", `sh|-c|x --password "ge heim" --n 1`, `sh|-c|x --password "***" --n 1`},
		{"assignment", "sh|-c|PGPASSWORD=geheim psql -p 5432", "sh|-c|PGPASSWORD=*** psql -p 5432"},
		{"title", "nginx: worker process", "nginx: worker process"},
		{"bytes", "x|\xff\xfe|--pass|\xff", "x|\xff\xfe|--pass|***"},
		{"empty", "x|--pass||y", "x|--pass||y"},
	} {
		args := strings.Split(c.in, "|")
		if c.name == "pipe" {
			args = []string{"sh", "-c", strings.TrimPrefix(c.in, "sh|-c|")}
		}
		before := slices.Clone(args)
		if got := strings.Join(Mask(args), "|"); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		if diff := cmp.Diff(before, args); diff != "" {
			t.Errorf("%s changed its input:\n%s", c.name, diff)
		}
	}
}

func TestMaskReturnsItsInputWhenThereIsNothingToMask(t *testing.T) {
	args := []string{"go", "test", "./..."}
	if got := Mask(args); &got[0] != &args[0] {
		t.Error("it was copied")
	}
	if got := Mask(nil); got != nil {
		t.Errorf("no arguments became %q", got)
	}
}

func TestValue(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"POOL_URL", "stratum+tcp://" + monero + ":x@pool:1", "stratum+tcp://" + monero + ":***@pool:1"},
		{"POOL_USER", monero + ".rig:x", monero + ".rig:***"},
		{"POOL_PASS", "x", "***"},
		{"WALLET", monero, monero},
		{"LD_PRELOAD", "/tmp/x.so", "/tmp/x.so"},
		{"XMRIG_PASSWORD", "geheim", "***"},
		{"XMRIG_ARGS", "--pass=geheim", "--pass=***"},
	} {
		if got := Value(c.name, c.in); got != c.want {
			t.Errorf("%s=%s: %s, want %s", c.name, c.in, got, c.want)
		}
	}
}

func TestWallet(t *testing.T) {
	for s, want := range map[string]bool{
		monero: true, monero + ".rig-1": true, monero + "+5000": true, monero + "/rig": true,
		bitcoin: true, segwit: true, ethereum: true, "LaMT348PWRnrqeeWArpwQPbuanpXDZGEUz": true,
		"kaspa:qypmkkrefg2slhnt0kf0mgg7p0j4vkpg4l4w6t6ctgcm8vcwhhqggjs6rmxrs": true, "kaspa:qypmkkrefg2slhnt0kf0": false,
		"": false, "x": false, "geheim": false, monero[:80]: false, monero + ":x": false, monero + "." + strings.Repeat("a", 70): false,
		"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb":         false, // its checksum is wrong, so it may be a password
		"bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdp": false,
		"0x52908400098527886E0F7030069857D2E4169EEG": false,
		"correcthorsebatterystaple1234567":           false,
	} {
		if got := Wallet(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add("xmrig\x00-o\x00stratum+tcp://a:b@c:1\x00-p\x00x")
	f.Add("sh\x00-c\x00mysql -p'a b' --token=\"x\" | y; PASS=1 z")
	f.Add(`x` + "\x00" + `{"password": "a\"b", 'token':'c'}`)
	f.Add("curl\x00-H\x00Authorization: Bearer x\x00https://u:p@h,http://u:p@h")
	f.Fuzz(func(t *testing.T, s string) {
		args := strings.Split(s, "\x00")
		once := Mask(args)
		if len(once) != len(args) {
			t.Fatalf("%q became %q", args, once)
		}
		for i := range once {
			if utf8.ValidString(args[i]) && !utf8.ValidString(once[i]) {
				t.Errorf("%q became %q", args[i], once[i])
			}
			// Each *** stands for a byte at least, and what there was is looked at a few times at most.
			if len(once[i]) > 3*len(args[i])+3 {
				t.Errorf("%q grew to %q", args[i], once[i])
			}
		}
	})
}

// FuzzMaskHides puts a secret where one stands and wants it gone.
func FuzzMaskHides(f *testing.F) {
	f.Add("hunter2", uint8(0))
	f.Add("-x y'z\"", uint8(3))
	f.Add("a/b@c:d", uint8(5))
	f.Fuzz(func(t *testing.T, s string, where uint8) {
		if len(s) < 4 || Wallet(s) || isPorts(s) || strings.Contains(Masked, s) || strings.ContainsRune(s, 0) {
			return
		}
		plain := strings.IndexFunc(s, func(r rune) bool { return r > 'z' || !isAlnum(byte(r)) }) < 0
		args := [][]string{
			{"xmrig", "--pass", s},
			{"xmrig", "--pass=" + s},
			{"xmrig", "-u", monero, "-p", s},
			{"mysql", "-p" + s},
			{"app", "--api-token", s},
			{"curl", "https://anna:" + s + "@host/"},
			{"sh", "-c", "x --password " + s},
			{"curl", "-d", `{"password":"` + s + `"}`},
		}
		pick := int(where) % len(args)
		if pick >= 3 && !plain || pick == 3 && (strings.HasPrefix(s, "ort") || strings.HasPrefix(s, "rotocol")) {
			return // there, such bytes end it
		}
		for _, a := range Mask(args[pick]) {
			if strings.Contains(a, s) && !strings.Contains(strings.Join(args[pick], " "), s+" ") && a != args[pick][0] && !strings.HasPrefix(a, "--") {
				t.Errorf("%q shows %q", Mask(args[pick]), s)
			}
		}
	})
}

// BenchmarkMaskHostile tries arguments that are made to take long: the cost must stay in proportion to their length.
func BenchmarkMaskHostile(b *testing.B) {
	for _, piece := range []string{"://", "a:b@c ", "pass=", "pass: ", `"pass":"`, "'", "-p ", "ghp_0123456789abcdefghijABCDEFGHIJ012345 ", "=", "--a-b-c", "x -c '", "eyJ"} {
		args := []string{"sh", "-c", strings.Repeat(piece, 128<<10/len(piece))}
		b.Run(strings.TrimSpace(piece), func(b *testing.B) {
			b.SetBytes(128 << 10)
			for b.Loop() {
				Mask(args)
			}
		})
	}
}
