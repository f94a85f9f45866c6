package sense

import (
	"strconv"
	"time"
)

// budget is a share of one core that may be saved up for a while. Looking is paid from it; a debt delays what can wait.
type budget struct {
	share  float64
	most   time.Duration // that can be saved, and owed
	credit time.Duration
	last   time.Duration
}

func newBudget(share float64, saved time.Duration) budget {
	most := time.Duration(share * float64(saved))
	return budget{share: share, most: most, credit: most}
}

// earn adds what time has brought.
func (b *budget) earn(now time.Duration) {
	if now > b.last {
		b.credit = min(b.credit+time.Duration(b.share*float64(now-b.last)), b.most)
	}
	b.last = now
}

// spend takes off what was used. A debt is bounded, so that one dear look is not paid for by blindness.
func (b *budget) spend(d time.Duration) { b.credit = max(b.credit-d, -b.most) }

// tally counts something for a Gap whose text changes only when the count changes its magnitude, so that a lasting Gap is
// one Gap and costs nothing.
type tally struct {
	n     int
	floor int
	over  bool
	text  string
}

// reason is the text of the Gap: what, then how many. Empty when there are none. Counts to ten are told exactly, others
// rounded down.
func (t *tally) reason(what string) string {
	if t.n == 0 {
		t.floor, t.over, t.text = 0, false, ""
		return ""
	}
	if f, over := magnitude(t.n), t.n > 10; f != t.floor || over != t.over {
		t.floor, t.over = f, over
		t.text = what + ": " + strconv.Itoa(f)
		if over {
			t.text = what + ": at least " + strconv.Itoa(f)
		}
	}
	return t.text
}

// magnitude rounds down to 1, 2 or 5 times a power of ten; up to ten it leaves n alone.
func magnitude(n int) int {
	if n <= 10 {
		return n
	}
	for f := 10; ; f *= 10 {
		switch {
		case n < 2*f:
			return f
		case n < 5*f:
			return 2 * f
		case n < 10*f:
			return 5 * f
		}
	}
}
