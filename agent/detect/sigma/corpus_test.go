package sigma

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpusRules is how many rules the corpus has: SigmaHQ's rules for Linux, macOS and Windows processes.
const corpusRules = 1460

// readCorpus parses every rule of the corpus. Without the corpus the test is skipped, in CI it fails.
func readCorpus(t testing.TB) []*Rule {
	t.Helper()
	shared := os.Getenv("MINEHOUND_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "..", "shared")
	}
	root := filepath.Join(shared, "data", "sigma", "rules")
	if _, err := os.Stat(root); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the Sigma corpus is missing: %v", err)
		}
		t.Skipf("the Sigma corpus is missing: %v", err)
	}
	var rules []*Rule
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yml") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		more, perr := Parse(rel, data)
		if perr != nil {
			t.Errorf("refused: %v", perr)
		}
		rules = append(rules, more...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestCorpusLoads(t *testing.T) {
	rules := readCorpus(t)
	if len(rules) != corpusRules {
		t.Errorf("%d of %d rules load", len(rules), corpusRules)
	}
}
