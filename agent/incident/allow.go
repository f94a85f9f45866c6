package incident

import "time"

// Allow is one entry of the allow-list. See [Allow.Check] for what it must hold.
type Allow struct {
	Exe       string    // path of the executable, exactly, or a pattern of path.Match
	SHA256    string    // of the executable, hexadecimal
	User      string    // name of the user
	Container string    // container id, or its beginning of at least 12 digits
	Rule      string    // name of a rule: only its findings do not count
	Reason    string    // why; never empty
	Expires   time.Time // the moment from which it no longer holds; zero is never
}

// Check tells what is wrong with an entry.
func (a Allow) Check() error { return nil }
