//go:build !linux && !windows && !darwin

package sense

import (
	"fmt"
	"runtime"
)

// sensors is the list for a platform nobody has written one for.
func sensors(Options) ([]Sensor, error) {
	return nil, fmt.Errorf("looking at a live %s machine: %w", runtime.GOOS, ErrUnsupported)
}
