// Package sense looks at the live machine and tells what it saw as one [host.Snapshot] per look.
//
// A [Looker] runs a fixed list of sensors, one list per operating system (sensors_GOOS.go). Each sensor fills in its own
// part of the Snapshot and leaves the rest alone. A sensor that cannot see says so by its error, which becomes a
// [host.Gap] that is repeated in every Snapshot for as long as it lasts.
//
// The package looks; it does not judge, it does not sleep and it starts no other program. Secrets in arguments and in the
// environment are masked here (see [Mask]), before anything else gets to see them.
package sense

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/minehound/minehound/agent/host"
)

// Sensor looks at one part of the machine. Sense fills that part of the Snapshot, which is reused from look to look: the
// part still holds what the look before left there, except Events and Gaps, which start empty.
//
// An error becomes a Gap. A sensor that is partly blind adds Gaps of its own and returns nil. A sensor that holds
// resources is also an [io.Closer].
type Sensor interface {
	Name() string
	Sense(ctx context.Context, snap *host.Snapshot) error
}

// Why a sensor cannot see. Both are wrapped with the detail; both last until the agent is started in another way.
var (
	ErrUnsupported = errors.New("not supported here")
	ErrPermission  = errors.New("not permitted")
)

// Looker is all sensors of this platform in their order. It is not safe for concurrent use.
type Looker struct {
	sensors []Sensor
	snap    host.Snapshot
}

// New opens the sensors of this platform. It fails when the machine cannot be looked at at all: on Linux when there is no
// /proc, or options that contradict themselves.
func New(o Options) (*Looker, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	list, err := sensors(o)
	if err != nil {
		return nil, err
	}
	return &Looker{sensors: list}, nil
}

// Look looks once. The Snapshot is valid until the next Look. Look does not wait: whoever calls it sets the pace, which
// Options.SweepMin expects to be about two seconds.
//
// The first sensor tells the time and the identity of the machine; when it fails for another reason than ErrUnsupported or
// ErrPermission there is no Snapshot. Everything else that fails is a Gap. The Gaps are sorted and without duplicates.
func (l *Looker) Look(ctx context.Context) (*host.Snapshot, error) {
	l.snap.Events = l.snap.Events[:0]
	l.snap.Gaps = l.snap.Gaps[:0]
	for i, s := range l.sensors {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("look: %w", err)
		}
		err := s.Sense(ctx, &l.snap)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("look: sensor %s: %w", s.Name(), err)
		}
		if i == 0 && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrPermission) {
			return nil, fmt.Errorf("look: sensor %s: %w", s.Name(), err)
		}
		l.snap.Gaps = append(l.snap.Gaps, host.Gap{Sensor: s.Name(), Reason: err.Error()})
	}
	slices.SortFunc(l.snap.Gaps, func(a, b host.Gap) int {
		return cmp.Or(cmp.Compare(a.Sensor, b.Sensor), cmp.Compare(a.Reason, b.Reason))
	})
	l.snap.Gaps = slices.Compact(l.snap.Gaps)
	return &l.snap, nil
}

// Close ends what the sensors do in the background and frees what they hold. The Looker is of no use afterwards.
func (l *Looker) Close() error {
	var errs []error
	for _, s := range slices.Backward(l.sensors) {
		c, ok := s.(io.Closer)
		if !ok {
			continue
		}
		if err := c.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close sensor %s: %w", s.Name(), err))
		}
	}
	l.sensors = nil
	return errors.Join(errs...)
}

// blind is a sensor that does not exist here; its error says why.
type blind struct {
	name string
	err  error
}

// missing names a sensor that this platform does not have, so that its silence is not taken for "all clear".
func missing(name, why string) Sensor {
	return blind{name: name, err: fmt.Errorf("%s: %w", why, ErrUnsupported)}
}

func (b blind) Name() string                                { return b.name }
func (b blind) Sense(context.Context, *host.Snapshot) error { return b.err }
