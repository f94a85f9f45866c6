package sigma

import "time"

// dateNumber takes a part of a date like 2024-03-01, 2024-03-01T12:34:56Z or 2024-03-01 12:34 as it is written: time zones
// are not converted, as the specification has it. The week is that of ISO 8601.
func dateNumber(s string, part datePart) (float64, bool) {
	year, ok := digits(s, 0, 4)
	month, ok2 := digits(s, 5, 2)
	day, ok3 := digits(s, 8, 2)
	if !ok || !ok2 || !ok3 || s[4] != '-' || s[7] != '-' || month < 1 || month > 12 || day < 1 || day > 31 {
		return 0, false
	}
	switch part {
	case datePartYear:
		return float64(year), true
	case datePartMonth:
		return float64(month), true
	case datePartDay:
		return float64(day), true
	case datePartWeek:
		_, week := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).ISOWeek()
		return float64(week), true
	default:
	}
	hour, ok := digits(s, 11, 2)
	minute, ok2 := digits(s, 14, 2)
	if !ok || !ok2 || s[10] != 'T' && s[10] != 't' && s[10] != ' ' || s[13] != ':' || hour > 23 || minute > 59 {
		return 0, false
	}
	if part == datePartHour {
		return float64(hour), true
	}
	return float64(minute), true
}

// digits is the number that n digits from index at make.
func digits(s string, at, n int) (int, bool) {
	if len(s) < at+n {
		return 0, false
	}
	v := 0
	for _, c := range []byte(s[at : at+n]) {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return v, true
}
