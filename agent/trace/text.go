package trace

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/minehound/minehound/agent/host"
)

// blob is any bytes as JSON text, see the package documentation for the escape.
type blob string

func escape(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == 0 || r == utf8.RuneError && n == 1 {
			b.WriteByte(0)
			b.WriteString(hex.EncodeToString([]byte{s[i]}))
			i++
			continue
		}
		b.WriteString(s[i : i+n])
		i += n
	}
	return b.String()
}

func unescape(s string) (string, error) {
	if strings.IndexByte(s, 0) < 0 {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != 0 {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errors.New("U+0000 without two hexadecimal digits")
		}
		c, err := hex.DecodeString(s[i+1 : i+3])
		if err != nil {
			return "", errors.New("U+0000 without two hexadecimal digits")
		}
		b.WriteByte(c[0])
		i += 2
	}
	return b.String(), nil
}

func (t blob) MarshalJSON() ([]byte, error) { return json.Marshal(escape(string(t))) }

func (t *blob) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	s, err := unescape(s)
	*t = blob(s)
	return err
}

// seconds is a duration as a decimal number of seconds without loss.
type seconds time.Duration

func (d seconds) MarshalJSON() ([]byte, error) {
	sign, n := "", uint64(d)
	if d < 0 {
		sign, n = "-", -n
	}
	s := sign + strconv.FormatUint(n/1e9, 10)
	if frac := n % 1e9; frac != 0 {
		s += "." + strings.TrimRight(fmt.Sprintf("%09d", frac), "0")
	}
	return []byte(s), nil
}

func (d *seconds) UnmarshalJSON(b []byte) error {
	s := string(b)
	if s == "null" {
		return nil
	}
	if s[0] == '"' {
		v, err := time.ParseDuration(strings.Trim(s, `"`))
		*d = seconds(v)
		return err
	}
	digits, negative := strings.CutPrefix(s, "-")
	whole, frac, _ := strings.Cut(digits, ".")
	if len(frac) > 9 {
		return fmt.Errorf("time %s is finer than a nanosecond", s)
	}
	n, err := strconv.ParseInt(whole+frac+"000000000"[:9-len(frac)], 10, 64)
	if err != nil {
		return fmt.Errorf("time %s is not a number of seconds", s)
	}
	if negative {
		n = -n
	}
	*d = seconds(n)
	return nil
}

// size is a number of bytes.
type size int64

func (n *size) UnmarshalJSON(b []byte) error {
	s := string(b)
	if s == "null" {
		return nil
	}
	if s[0] != '"' {
		v, err := strconv.ParseInt(s, 10, 64)
		*n = size(v)
		return err
	}
	s = strings.Trim(s, `"`)
	for _, u := range []struct {
		suffix string
		shift  uint
	}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}} {
		if num, ok := strings.CutSuffix(s, u.suffix); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
			f *= float64(int64(1) << u.shift)
			if err != nil || math.IsNaN(f) || math.Abs(f) > math.MaxInt64/2 {
				break
			}
			*n = size(f)
			return nil
		}
	}
	return fmt.Errorf("size %q is not a number with KiB, MiB or GiB", s)
}

// fact is true, false or "unknown".
type fact host.Fact

func (f fact) MarshalJSON() ([]byte, error) {
	switch host.Fact(f) {
	case host.Yes:
		return []byte("true"), nil
	case host.No:
		return []byte("false"), nil
	case host.Unknown:
	}
	return []byte(`"unknown"`), nil
}

func (f *fact) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "true":
		*f = fact(host.Yes)
	case "false":
		*f = fact(host.No)
	case `"unknown"`, "null":
		*f = fact(host.Unknown)
	default:
		return fmt.Errorf(`%.20s is not true, false or "unknown"`, b)
	}
	return nil
}

// letter is the state of a process or thread: one character, "" for none.
type letter byte

func (l letter) MarshalJSON() ([]byte, error) {
	if l == 0 {
		return []byte(`""`), nil
	}
	return blob([]byte{byte(l)}).MarshalJSON()
}

func (l *letter) UnmarshalJSON(b []byte) error {
	var t blob
	if err := t.UnmarshalJSON(b); err != nil {
		return err
	}
	switch len(t) {
	case 0:
		*l = 0
	case 1:
		*l = letter(t[0])
	default:
		return fmt.Errorf("state %q is longer than a letter", string(t))
	}
	return nil
}

// variable is one environment variable: "NAME", "NAME=value", or ["NAME","value"] when the name has a = in it.
type variable host.EnvVar

func (v variable) MarshalJSON() ([]byte, error) {
	switch {
	case strings.Contains(v.Name, "="):
		return json.Marshal([]blob{blob(v.Name), blob(v.Value)})
	case v.Value == "":
		return blob(v.Name).MarshalJSON()
	}
	return blob(v.Name + "=" + v.Value).MarshalJSON()
}

func (v *variable) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		var two []blob
		if err := json.Unmarshal(b, &two); err != nil {
			return err
		}
		if len(two) != 2 {
			return errors.New("a variable in brackets is a name and a value")
		}
		v.Name, v.Value = string(two[0]), string(two[1])
		return nil
	}
	var t blob
	if err := t.UnmarshalJSON(b); err != nil {
		return err
	}
	v.Name, v.Value, _ = strings.Cut(string(t), "=")
	return nil
}
