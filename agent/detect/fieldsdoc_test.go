package detect_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/minehound/minehound/agent/feature"
)

var update = flag.Bool("update", false, "write docs/fields.md anew")

const fieldsFile = "../../docs/fields.md"

// TestFieldsDoc keeps docs/fields.md what the code says; `go test ./agent/detect -run FieldsDoc -update` writes it anew.
func TestFieldsDoc(t *testing.T) {
	want := fieldsDoc()
	if *update {
		if err := os.WriteFile(fieldsFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(fieldsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale: run go test ./agent/detect -run FieldsDoc -update", fieldsFile)
	}
}

func fieldsDoc() string {
	var b strings.Builder
	b.WriteString(`# Fields

What rules can ask for. This page is written from the code by a test; do not edit it.

A rule may use either name of a field: Minehound's, or the one that Sigma's taxonomy has for it. Sizes, times and shares
are plain numbers in the unit that is given; compare them with ` + "`gt`, `gte`, `lt`, `lte`" + `. A list matches when one of its
elements does.

A field has one of three states. It has a value; it is absent, which ` + "`null` and `exists: false`" + ` match (a kernel thread has no
executable); or it is unknown: it was not read, could not be read, or has not been watched for long enough. Unknown matches
nothing, and neither does its negation. ` + "`minehound rules test`" + ` says which unknown fields kept a rule silent.

## Processes

For rules with ` + "`logsource: {product: minehound, category: process_activity}`" + `. Every process is held against them at every look at it.

`)
	table(&b, func(yield func(name, sigma, doc string)) {
		for _, f := range feature.Fields() {
			yield(f.Name, f.Sigma, f.Doc)
		}
	})
	b.WriteString(`
## Events

For rules with ` + "`category: process_creation` or `process_termination`" + ` and the product ` + "`linux`, `windows`, `macos`" + ` or none. Fields marked "no
sensor" are understood and always unknown; a rule that can only hold by them is listed as inactive.

`)
	table(&b, func(yield func(name, sigma, doc string)) {
		for _, f := range feature.EventFields() {
			yield(f.Name, f.Sigma, f.Doc)
		}
	})
	return b.String()
}

func table(b *strings.Builder, rows func(func(name, sigma, doc string))) {
	b.WriteString("| field | in Sigma | what it is |\n|---|---|---|\n")
	rows(func(name, sigma, doc string) {
		if sigma != "" {
			sigma = "`" + sigma + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, sigma, strings.ReplaceAll(doc, "|", `\|`))
	})
}
