package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Files that change are usually written in several steps. They count as finished when nothing has happened for quiet, or
// after longest where something never stops writing.
const (
	quiet   = 500 * time.Millisecond
	longest = 10 * time.Second
)

// watcher tells when files in some directories have changed. It watches directories, never files: editors write a new
// file and rename it over the old one, and Kubernetes swaps a link named ..data.
type watcher struct {
	notify  *fsnotify.Watcher
	targets []string // what is asked for: directories, and files outside of them
	print   [sha256.Size]byte
	changed chan struct{}
	aims    chan []string
}

func newWatcher(targets []string) (*watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch files: %w", err)
	}
	w := &watcher{notify: notify, changed: make(chan struct{}, 1), aims: make(chan []string, 1)}
	w.aim(targets)
	return w, nil
}

// aim watches these targets from now on, and takes what they hold now for known.
func (w *watcher) aim(targets []string) {
	w.targets = targets
	w.attach()
	w.print = fingerprint(targets)
}

// attach watches every directory that can bring a change: the targets, where their links lead, and for what is not there
// the nearest directory above it.
func (w *watcher) attach() {
	var want []string
	for _, t := range w.targets {
		want = append(want, places(t)...)
	}
	slices.Sort(want)
	want = slices.Compact(want)
	have := w.notify.WatchList()
	for _, dir := range have {
		if !slices.Contains(want, dir) {
			_ = w.notify.Remove(dir) // it may be gone, and with it the watch
		}
	}
	for _, dir := range want {
		_ = w.notify.Add(dir) // one that cannot be watched is still read on SIGHUP; Add of a watched one is no change
	}
}

// retarget makes run watch other targets.
func (w *watcher) retarget(targets []string) {
	if w.aims == nil {
		return // nothing is watched
	}
	select {
	case <-w.aims:
	default:
	}
	w.aims <- targets
}

func places(target string) []string {
	if abs, err := filepath.Abs(target); err == nil {
		target = abs
	}
	var list []string
	if info, err := os.Stat(target); err == nil && info.IsDir() {
		list = append(list, target)
	}
	for _, name := range []string{target, resolved(target)} {
		dir := name
		if info, err := os.Lstat(name); err != nil || !info.IsDir() {
			dir = filepath.Dir(name)
		}
		for {
			if info, err := os.Stat(dir); err == nil && info.IsDir() {
				list = append(list, dir)
				break
			}
			up := filepath.Dir(dir)
			if up == dir {
				break
			}
			dir = up
		}
	}
	return list
}

func resolved(name string) string {
	if target, err := filepath.EvalSymlinks(name); err == nil {
		return target
	}
	return name
}

// run tells on w.changed until ctx ends. What happens without changing a byte of what is asked for is not told.
func (w *watcher) run(ctx context.Context, failed func(error)) {
	settle := time.NewTimer(time.Hour)
	settle.Stop()
	var since time.Time // when the first of the changes came that have not settled, zero for none
	for {
		select {
		case <-ctx.Done():
			return
		case targets := <-w.aims:
			if !slices.Equal(targets, w.targets) {
				w.aim(targets)
			}
		case err, ok := <-w.notify.Errors:
			if !ok {
				return
			}
			failed(fmt.Errorf("watch files: %w", err))
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				continue
			}
			settle.Reset(quiet) // events were lost: look
		case _, ok := <-w.notify.Events:
			if !ok {
				return
			}
			if since.IsZero() {
				since = time.Now()
			}
			if time.Since(since) < longest {
				settle.Reset(quiet)
			}
		case <-settle.C:
			since = time.Time{}
			w.attach()
			if now := fingerprint(w.targets); now != w.print {
				w.print = now
				select {
				case w.changed <- struct{}{}:
				default: // it has not been looked at since the last time anyway
				}
			}
		}
	}
}

func (w *watcher) close() error { return w.notify.Close() }

// fingerprint is a digest of the targets that are files and of every file that counts below those that are directories:
// names, contents, and what cannot be read.
func fingerprint(targets []string) [sha256.Size]byte {
	sum := sha256.New()
	for _, t := range targets {
		// A file that cannot be read is part of the digest as such.
		top := resolved(t)
		_ = filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				fmt.Fprintf(sum, "%s: %v\n", name, err)
				return nil
			}
			if d.IsDir() || name != top && !counts(name) {
				return nil
			}
			fmt.Fprintf(sum, "%s\n", name)
			if err := digest(sum, name); err != nil {
				fmt.Fprintf(sum, "%v\n", err)
			}
			return nil
		})
	}
	return [sha256.Size]byte(sum.Sum(nil))
}

// digest adds a file's content to sum. Only regular files are read: anything else may never end.
func digest(sum io.Writer, name string) error {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(sum, f)
	return errors.Join(err, f.Close())
}

// counts tells whether a file of that name is ever read: editors leave others.
func counts(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}
