package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestCross builds and vets everything for every platform that is promised. It takes minutes on a cold cache, so it runs
// only where it was asked for (MINEHOUND_CROSS=1, make cross).
func TestCross(t *testing.T) {
	if os.Getenv("MINEHOUND_CROSS") == "" {
		t.Skip("cross-builds: set MINEHOUND_CROSS=1, or make cross")
	}
	for _, p := range [][2]string{{"linux", "amd64"}, {"linux", "arm64"}, {"windows", "amd64"}, {"darwin", "arm64"}} {
		t.Run(p[0]+"-"+p[1], func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "minehound")
			if err := build(t.Context(), p[0], p[1], out); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(out)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%.1f MB", float64(info.Size())/1e6)
			vet := exec.CommandContext(t.Context(), "go", "vet", "../...")
			vet.Env = platform(p[0], p[1])
			if said, err := vet.CombinedOutput(); err != nil {
				t.Errorf("vet: %v\n%s", err, said)
			}
		})
	}
}

// TestCrossReproducible: the same source gives the same bytes, wherever it lies.
func TestCrossReproducible(t *testing.T) {
	if os.Getenv("MINEHOUND_CROSS") == "" {
		t.Skip("cross-builds: set MINEHOUND_CROSS=1, or make cross")
	}
	dir := t.TempDir()
	var sums [2][]byte
	for i, name := range []string{"a", "b/c"} {
		out := filepath.Join(dir, name)
		cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", out, "../cmd/minehound")
		cmd.Env = append(platform("", ""), "GOTMPDIR="+t.TempDir())
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = b
	}
	if !bytes.Equal(sums[0], sums[1]) {
		t.Error("two builds of the same source differ")
	}
}
