package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestWatcher changes files in every way that editors and container platforms do. Each change must be noticed once, and
// what changes nothing must not be.
func TestWatcher(t *testing.T) {
	root := t.TempDir()
	conf := filepath.Join(root, "etc")
	confD := filepath.Join(conf, "conf.d")
	mounted := filepath.Join(root, "mounted") // as Kubernetes mounts a ConfigMap
	main := filepath.Join(conf, "minehound.yaml")
	mkdir(t, conf, filepath.Join(mounted, "..1"))
	put(t, main, "a: 1")
	put(t, filepath.Join(mounted, "..1", "rule.yml"), "one")
	link(t, "..1", filepath.Join(mounted, "..data"))
	link(t, "..data/rule.yml", filepath.Join(mounted, "rule.yml"))

	w, err := newWatcher([]string{main, conf, confD, mounted})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.run(ctx, func(err error) { t.Error(err) })
	}()
	defer func() { cancel(); <-ended }()

	steps := []struct {
		name   string
		do     func()
		notice bool
	}{
		{"written in place", func() { put(t, main, "a: 2") }, true},
		{"written in place, nothing new", func() { put(t, main, "a: 2") }, false},
		{"renamed over", func() {
			put(t, main+".swp", "a: 3")
			rename(t, main+".swp", main)
		}, true},
		{"an editor's backup", func() { put(t, main+"~", "x"); put(t, filepath.Join(conf, ".minehound.yaml.swp"), "x") }, false},
		{"moved away and written anew", func() {
			rename(t, main, main+".bak")
			put(t, main, "a: 4")
		}, true},
		{"a directory that was not there", func() { mkdir(t, confD); put(t, filepath.Join(confD, "x.yaml"), "b: 1") }, true},
		{"a file in it", func() { put(t, filepath.Join(confD, "x.yaml"), "b: 2") }, true},
		{"a link swapped as by Kubernetes", func() {
			mkdir(t, filepath.Join(mounted, "..2"))
			put(t, filepath.Join(mounted, "..2", "rule.yml"), "two")
			link(t, "..2", filepath.Join(mounted, "..data_tmp"))
			rename(t, filepath.Join(mounted, "..data_tmp"), filepath.Join(mounted, "..data"))
		}, true},
		{"removed", func() {
			if err := os.RemoveAll(confD); err != nil {
				t.Fatal(err)
			}
		}, true},
	}
	for _, s := range steps {
		s.do()
		select {
		case <-w.changed:
			if !s.notice {
				t.Errorf("%s: noticed, though nothing changed", s.name)
			}
		case <-time.After(map[bool]time.Duration{true: 20 * time.Second, false: 3 * quiet}[s.notice]):
			if s.notice {
				t.Errorf("%s: not noticed", s.name)
			}
		}
	}
}

func mkdir(t *testing.T, dirs ...string) {
	t.Helper()
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Skip("links cannot be made here:", err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
