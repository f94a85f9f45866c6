package report_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/minehound/minehound/agent/detect"
	"github.com/minehound/minehound/agent/host"
	"github.com/minehound/minehound/agent/incident"
	"github.com/minehound/minehound/agent/report"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares got with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

var (
	machine = host.Identity{ID: "9a1c62", Name: "web-1", OS: "linux", BootID: "0c4f"}
	began   = at("2026-03-01T12:00:00Z")
)

// judged is an incident with the sum, verdict and severity that its findings give.
func judged(in incident.Incident) incident.Incident {
	in.Sum = incident.Weigh(in.Findings)
	in.Verdict, in.Severity = incident.Judge(in.Sum)
	return in
}

func find(rule string, class detect.Class, weight float64, group string, evidence ...detect.Evidence) detect.Finding {
	return detect.Finding{
		Rule: rule, Title: "Title of " + rule, Class: class, Weight: detect.FromFloat(weight), Group: group,
		Attack: []string{"T1496.001"}, Evidence: evidence, At: began,
	}
}

// sample is the alert of the design.
func sample() incident.Incident {
	in := judged(incident.Incident{
		ID: "k3vq0d5t6m2a9xw1", Revision: 1, Status: incident.Open,
		FirstSeen: began, LastSeen: began.Add(90 * time.Second), CPUSeconds: 178.25,
		Subject: host.Subject{
			Kind: host.SubjectProcess, ID: host.ProcID{PID: 4242, Born: 123456}, Name: "kworker", Exe: "/tmp/.x",
			ExeSHA256: strings.Repeat("ab", 32), Args: []string{"[kworker/0:1]"}, User: "www-data",
			Ancestors: []host.Ancestor{{ID: host.ProcID{PID: 800, Born: 90}, Name: "php-fpm8.2"}, {ID: host.ProcID{PID: 1, Born: 1}, Name: "systemd"}},
		},
		Findings: []detect.Finding{
			find("fp-rounding-spread", detect.Proof, 60, "fp-rounding", detect.Evidence{Field: "fp.rounding_modes", Value: "4"}),
		},
	})
	in.Members = []host.Subject{in.Subject}
	return in
}

// capped has more evidence than its classes may weigh, and a finding that another one covers.
func capped() incident.Incident {
	in := sample()
	in.Revision, in.Status = 3, incident.Updated
	in.LastSeen = began.Add(26 * time.Hour)
	in.CPUSeconds = 340_000
	in.Subject.User, in.Subject.Ancestors = "ci", []host.Ancestor{{ID: host.ProcID{PID: 300}, Name: "cron"}, {ID: host.ProcID{PID: 1}, Name: "systemd"}}
	in.Subject.Args = []string{"./xmr", "-o", "pool.example:3333", "--cpu priority", ""}
	in.Members = append([]host.Subject{{Kind: host.SubjectProcess, ID: host.ProcID{PID: 4000, Born: 99}, Name: "watch.sh", Exe: "/bin/sh"}}, in.Members...)
	in.Findings = []detect.Finding{
		find("randomx-dataset", detect.Capability, 18, "randomx-memory", detect.Evidence{Field: "memory.large", Value: "2181038080"}),
		find("miner-flags", detect.Capability, 13, "miner-words", detect.Evidence{Field: "process.command_line", Value: "./xmr -o pool.example:3333"}),
		find("sustained-flat-load", detect.Conduct, 8, "load"),
		find("pool-in-arguments", detect.Capability, 6, "miner-words"),
		find("exe-deleted", detect.Concealment, 7.5, "exe-gone", detect.Evidence{Field: "process.exe_deleted", Value: "true"}),
		{Rule: "someone-elses", Class: detect.Concealment, Author: "Jane Doe", At: began},
	}
	return judged(in)
}

func closed() incident.Incident {
	in := capped()
	in.Revision, in.Status = 4, incident.Closed
	return in
}

func allowed() incident.Incident {
	in := sample()
	in.Allowed = &incident.Allowance{Reason: "the lab's own miner", Expires: at("2027-01-31T00:00:00+01:00")}
	return in
}

func merged() incident.Incident {
	in := closed()
	in.MergedInto = "0000000000000abc"
	return in
}

func notice() incident.Incident {
	in := sample()
	in.Findings = []detect.Finding{find("temp-path", detect.Concealment, 3, "path")}
	return judged(in)
}

func exposed() incident.Incident {
	in := sample()
	in.Subject.Container = strings.Repeat("c0ffee", 10) + "abcd"
	in.Findings = []detect.Finding{find("xmrig-name", detect.Capability, 16, "miner-words")}
	return judged(in)
}

// vile is what an attacker who knows of this program would call himself.
const vile = "a\x1b[2J\x1b]0;pwned\a\nroot ok\r\u202egnp.exe\u200b\xff\xfe\u2028\U000e0041"

// hostile has such texts, and endless lists, everywhere.
func hostile() incident.Incident {
	long := strings.Repeat(vile, 400)
	in := sample()
	in.ID, in.MembersMore = vile, 7
	in.Subject = host.Subject{Kind: host.SubjectProcess, ID: in.Subject.ID, Name: vile, Exe: long, User: vile, Container: vile, Key: vile}
	in.Findings, in.Members = nil, nil
	for i := range 200 {
		in.Subject.Args = append(in.Subject.Args, long)
		in.Subject.Ancestors = append(in.Subject.Ancestors, host.Ancestor{Name: vile})
		in.Members = append(in.Members, host.Subject{Name: vile, Exe: long})
		f := find(fmt.Sprint(vile, i), detect.Capability, 1, vile)
		f.Title, f.Author, f.Attack = long, long, slices.Repeat([]string{vile}, 50)
		f.Evidence = slices.Repeat([]detect.Evidence{{Field: vile, Value: long}}, 50)
		in.Findings = append(in.Findings, f)
	}
	in.Allowed = nil
	return judged(in)
}

func machineWide() incident.Incident {
	return incident.Incident{
		ID: "hidden00", Revision: 1, Status: incident.Open, Severity: incident.High, Sum: incident.Weigh(nil),
		FirstSeen: began, LastSeen: began, Subject: host.Subject{Kind: host.SubjectHost},
	}
}

func incidents() map[string]incident.Incident {
	return map[string]incident.Incident{
		"sample": sample(), "capped": capped(), "closed": closed(), "allowed": allowed(), "merged": merged(),
		"notice": notice(), "exposed": exposed(), "hostile": hostile(), "machine": machineWide(),
	}
}

func gapsOf(name string) []host.Gap {
	switch name {
	case "sample":
		return []host.Gap{{Sensor: "bpf", Reason: "not permitted: needs CAP_BPF"}, {Sensor: "gpu", Reason: "no sensor for graphics processors yet"}}
	case "hostile":
		return slices.Repeat([]host.Gap{{Sensor: vile, Reason: strings.Repeat(vile, 100)}}, 100)
	}
	return nil
}

func pretty(t *testing.T, v any) []byte {
	t.Helper()
	line, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, line, "", "  "); err != nil {
		t.Fatal(err)
	}
	return append(b.Bytes(), '\n')
}

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile("../../docs/alert.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validate holds one alert, as JSON, to the schema.
func validate(t *testing.T, s *jsonschema.Schema, line []byte) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(v); err != nil {
		t.Errorf("%v", err)
	}
}

func TestAlertGolden(t *testing.T) {
	s := schema(t)
	for name, in := range incidents() {
		t.Run(name, func(t *testing.T) {
			a := report.NewAlert(in, machine, gapsOf(name))
			line := pretty(t, a)
			validate(t, s, line)
			if name != "hostile" { // some hundred pages; FuzzAlert and the schema watch over it
				golden(t, "alert-"+name+".json", line)
			}
			var back report.Alert
			if err := json.Unmarshal(line, &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(a, back); diff != "" {
				t.Errorf("read back (-written +read):\n%s", diff)
			}
			if again := report.NewAlert(in, machine, gapsOf(name)); !cmp.Equal(a, again) {
				t.Error("the same incident gave another alert")
			}
		})
	}
}

// TestSampleOfTheDesign holds the sample alert to the values the design shows.
func TestSampleOfTheDesign(t *testing.T) {
	a := report.NewAlert(sample(), machine, nil)
	if a.Verdict != "mining" || a.Severity != "critical" || a.Score != 99.9 || a.Sum.Total != 300 || a.Sum.Prior != -300 {
		t.Errorf("got %s, %s, %v, %+v", a.Verdict, a.Severity, a.Score, a.Sum)
	}
	if !bytes.Contains(pretty(t, a), []byte(`"prior": -30.0`)) {
		t.Error("weights are not written with one decimal")
	}
	if a.Time != a.LastSeen {
		t.Error("its time is not that of the case")
	}
}

func TestHostileAlert(t *testing.T) {
	a := report.NewAlert(hostile(), machine, gapsOf("hostile"))
	line, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	clean(t, reflect.ValueOf(a), "alert")
	want := report.Omitted{Findings: 100, Members: 143, Args: 136, Ancestors: 168, Gaps: 36}
	if a.Omitted != want {
		t.Errorf("omitted %+v, want %+v", a.Omitted, want)
	}
	if len(line) > 2<<20 {
		t.Errorf("has %d bytes", len(line))
	}
}

// clean fails when a text anywhere in v is not its own Clean.
func clean(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		if s := v.String(); report.Clean(s, 1<<20) != s {
			t.Errorf("%s is not clean: %q", path, s)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				clean(t, v.Field(i), path+"."+v.Type().Field(i).Name)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			clean(t, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			clean(t, v.Elem(), path)
		}
	default:
	}
}

func FuzzAlert(f *testing.F) {
	f.Add(vile, vile, vile, 4242, 26.5)
	f.Add("kworker", "/tmp/.x", "www-data", 1, -3.0)
	f.Fuzz(func(t *testing.T, name, exe, user string, pid int, cpu float64) {
		in := sample()
		in.ID, in.CPUSeconds, in.Subject.ID.PID = exe, cpu, pid
		in.Subject.Name, in.Subject.Exe, in.Subject.User, in.Subject.Container = name, exe, user, name
		in.Subject.Args = []string{exe, name, user}
		in.Subject.Ancestors[0].Name = name
		in.Findings[0].Evidence[0].Value = exe
		in.Allowed = nil
		a := report.NewAlert(in, machine, []host.Gap{{Sensor: name, Reason: exe}})
		clean(t, reflect.ValueOf(a), "alert")
		if _, err := json.Marshal(a); err != nil {
			t.Fatal(err)
		}
		in.Allowed = &incident.Allowance{Reason: user}
		clean(t, reflect.ValueOf(report.NewAlert(in, machine, nil)), "alert")
		for _, line := range strings.Split(report.Explain(a, report.TextOptions{}), "\n") {
			if report.Clean(line, 1<<20) != line {
				t.Fatalf("text has %q", line)
			}
		}
	})
}

// TestSchemaIsTheStruct holds the schema's properties and required lists to the fields of Alert, both ways.
func TestSchemaIsTheStruct(t *testing.T) {
	raw, err := os.ReadFile("../../docs/alert.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var root node
	if err := json.Unmarshal(raw, &root); err != nil {
		t.Fatal(err)
	}
	compare(t, root, reflect.TypeFor[report.Alert](), "alert")
}

type node struct {
	Type       string          `json:"type"`
	Ref        string          `json:"$ref"`
	Properties map[string]node `json:"properties"`
	Required   []string        `json:"required"`
	Items      *node           `json:"items"`
}

func compare(t *testing.T, n node, typ reflect.Type, path string) {
	t.Helper()
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch {
	case typ == reflect.TypeFor[time.Time](), n.Ref != "":
		return
	case typ.Kind() == reflect.Slice:
		if n.Type != "array" || n.Items == nil {
			t.Fatalf("%s is a list, in the schema %+v", path, n)
		}
		compare(t, *n.Items, typ.Elem(), path+"[]")
		return
	case typ.Kind() != reflect.Struct:
		return
	}
	seen := map[string]bool{}
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		seen[name] = true
		p, ok := n.Properties[name]
		if !ok {
			t.Errorf("%s.%s stands in the struct, not in the schema", path, name)
			continue
		}
		if must := slices.Contains(n.Required, name); must != (options == "") {
			t.Errorf("%s.%s: required is %v in the schema, its tag says %q", path, name, must, options)
		}
		compare(t, p, f.Type, path+"."+name)
	}
	for name := range n.Properties {
		if !seen[name] {
			t.Errorf("%s.%s stands in the schema, not in the struct", path, name)
		}
	}
}

func TestEmptyAlertHasListsNotNull(t *testing.T) {
	line, err := json.Marshal(report.Alert{Findings: []report.Finding{{}}})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(line, []byte("null")) {
		t.Errorf("%s", line)
	}
}

func TestKey(t *testing.T) {
	a := report.NewAlert(sample(), machine, nil)
	b, c, d := a, a, a
	b.Revision, c.Host.ID = 2, "other"
	d.Score, d.Advice = 1, nil
	if a.Key() == b.Key() || a.Key() == c.Key() || a.Key() != d.Key() {
		t.Errorf("keys %s %s %s %s", a.Key(), b.Key(), c.Key(), d.Key())
	}
	if strings.Contains(a.Key(), ".") || len(a.Key()) != 36 {
		t.Errorf("key %s", a.Key())
	}
}

func TestCost(t *testing.T) {
	in := sample()
	in.CPUSeconds = 4 * 24 * 3600 // four CPUs for a day
	c := report.NewAlert(in, machine, nil).Cost
	if c.KWh.Low != 0.12 || c.KWh.High != 0.759 { // 4·24 h at 1.25 W and at 7.906 W
		t.Errorf("got %+v", c)
	}
	if !strings.Contains(c.KWh.Method, "estimate") {
		t.Error("does not say that it is an estimate")
	}
}
