package sigma

import (
	"math/bits"
	"sort"
)

// The prefilter looks at each text once for all rules. An atom is a text that must stand at some place of one field; the
// scan finds every atom that does. Which rules are worth evaluating, and most of their tests, follow from the atoms seen.

// atom is one text to look for. Texts are folded.
type atom struct {
	field int
	place place
	text  string
	rules []int32 // to be evaluated when it is seen
}

// gramSize is the least length of an atom that may be anywhere: the scan looks at three bytes at a time.
const gramSize = 3

// maxAnchored is the greatest length of an atom at the start or the end.
const maxAnchored = 255

// scannable tells whether the scan can look for text at that place.
func scannable(p place, text string) bool {
	if p == placeAnywhere {
		return len(text) >= gramSize && len(text) <= 1<<15
	}
	return len(text) > 0 && len(text) <= maxAnchored
}

// fieldScan finds the atoms of one field.
type fieldScan struct {
	field  int
	front  hashTable // placeStart
	back   hashTable // placeEnd and placeWhole
	inside hashTable // placeAnywhere
	fronts [4]uint64 // lengths that front has
	backs  [4]uint64
}

// hashTable finds the entries that may match by a key, a hash or three bytes of the text. Most keys that are not there are
// turned away by one bit.
type hashTable struct {
	bitmap  []uint64
	shift   uint // of the bitmap's index
	slotBy  uint // of the slot's index
	starts  []int32
	entries []tableEntry
	longest int
}

type tableEntry struct {
	key  uint32
	atom int32
	at   int32 // placeAnywhere: where in the text the three bytes are; placeWhole: 1
	text string
}

const mix = 0x9E3779B1 // 2^32 divided by the golden ratio: spreads keys over the top bits (Knuth, TAOCP 3, 6.4)

func newHashTable(entries []tableEntry) hashTable {
	if len(entries) == 0 {
		return hashTable{}
	}
	slotBits := uint(bits.Len(uint(len(entries)))) + 1
	mapBits := max(slotBits+3, 10)
	t := hashTable{
		bitmap: make([]uint64, 1<<(mapBits-6)), shift: 32 - mapBits, slotBy: 32 - slotBits,
		starts: make([]int32, (1<<slotBits)+1), entries: entries,
	}
	slot := func(key uint32) uint32 { return key * mix >> t.slotBy }
	sort.SliceStable(entries, func(i, j int) bool { return slot(entries[i].key) < slot(entries[j].key) })
	for _, e := range entries {
		h := e.key * mix >> t.shift
		t.bitmap[h>>6] |= 1 << (h & 63)
		t.starts[slot(e.key)+1]++
		t.longest = max(t.longest, len(e.text))
	}
	for i := 1; i < len(t.starts); i++ {
		t.starts[i] += t.starts[i-1]
	}
	return t
}

// candidates are the entries whose key may be this one.
func (t *hashTable) candidates(key uint32) []tableEntry {
	h := key * mix
	b := h >> t.shift
	if t.bitmap[b>>6]>>(b&63)&1 == 0 {
		return nil
	}
	s := h >> t.slotBy
	return t.entries[t.starts[s]:t.starts[s+1]]
}

const (
	fnvOffset = 2166136261 // FNV-1a, 32 bits (Fowler, Noll, Vo)
	fnvPrime  = 16777619
)

// newFieldScan builds the tables for the atoms of one field; ids are their indexes in the Set.
func newFieldScan(field int, atoms []atom, ids []int32) fieldScan {
	f := fieldScan{field: field}
	var front, back []tableEntry
	var inside []int32
	for _, id := range ids {
		a := &atoms[id]
		n := len(a.text)
		h := uint32(fnvOffset)
		switch a.place {
		case placeAnywhere:
			inside = append(inside, id)
		case placeStart:
			for i := range n {
				h = (h ^ uint32(a.text[i])) * fnvPrime
			}
			front = append(front, tableEntry{key: h, atom: id, text: a.text})
			f.fronts[n>>6] |= 1 << (n & 63)
		default:
			for i := n - 1; i >= 0; i-- {
				h = (h ^ uint32(a.text[i])) * fnvPrime
			}
			e := tableEntry{key: h, atom: id, text: a.text}
			if a.place == placeWhole {
				e.at = 1
			}
			back = append(back, e)
			f.backs[n>>6] |= 1 << (n & 63)
		}
	}
	f.front, f.back = newHashTable(front), newHashTable(back)
	f.inside = newHashTable(gramEntries(atoms, inside))
	return f
}

func gram(s string, i int) uint32 { return uint32(s[i]) | uint32(s[i+1])<<8 | uint32(s[i+2])<<16 }

// gramEntries files each atom under the three of its bytes that the fewest atoms have.
func gramEntries(atoms []atom, ids []int32) []tableEntry {
	count := map[uint32]int{}
	for _, id := range ids {
		text := atoms[id].text
		for i := 0; i+gramSize <= len(text); i++ {
			count[gram(text, i)]++
		}
	}
	entries := make([]tableEntry, 0, len(ids))
	for _, id := range ids {
		text, best := atoms[id].text, 0
		for i := 1; i+gramSize <= len(text); i++ {
			if count[gram(text, i)] < count[gram(text, best)] {
				best = i
			}
		}
		g := gram(text, best)
		count[g] += len(ids) / 64 // spread over rare ones
		entries = append(entries, tableEntry{key: g, atom: id, at: int32(best), text: text})
	}
	return entries
}

// scan marks every atom of the field that text, folded, has.
func (f *fieldScan) scan(m *machine, text []byte) {
	if len(f.inside.entries) > 0 && len(text) >= gramSize {
		f.scanInside(m, text)
	}
	if len(f.back.entries) > 0 {
		f.scanBack(m, text)
	}
	if len(f.front.entries) > 0 {
		f.scanFront(m, text)
	}
}

func (f *fieldScan) scanInside(m *machine, text []byte) {
	t := &f.inside
	bitmap, shift := t.bitmap, t.shift
	key := uint32(text[0])<<8 | uint32(text[1])<<16
	for i := 2; i < len(text); i++ {
		key = key>>8 | uint32(text[i])<<16
		h := key * mix
		b := h >> shift
		if bitmap[b>>6]>>(b&63)&1 == 0 {
			continue
		}
		s := h >> t.slotBy
		for k := t.starts[s]; k < t.starts[s+1]; k++ {
			e := &t.entries[k]
			if e.key != key || m.seen[e.atom] == m.gen {
				continue
			}
			from := i - 2 - int(e.at)
			if from >= 0 && from+len(e.text) <= len(text) && string(text[from:from+len(e.text)]) == e.text {
				m.see(e.atom)
			}
		}
	}
}

func (f *fieldScan) scanBack(m *machine, text []byte) {
	h := uint32(fnvOffset)
	for n := 1; n <= len(text) && n <= f.back.longest; n++ {
		h = (h ^ uint32(text[len(text)-n])) * fnvPrime
		if f.backs[n>>6]>>(n&63)&1 == 0 {
			continue
		}
		for _, e := range f.back.candidates(h) {
			if e.key == h && (e.at == 0 || n == len(text)) && len(e.text) == n && string(text[len(text)-n:]) == e.text {
				m.see(e.atom)
			}
		}
	}
}

func (f *fieldScan) scanFront(m *machine, text []byte) {
	h := uint32(fnvOffset)
	for n := 1; n <= len(text) && n <= f.front.longest; n++ {
		h = (h ^ uint32(text[n-1])) * fnvPrime
		if f.fronts[n>>6]>>(n&63)&1 == 0 {
			continue
		}
		for _, e := range f.front.candidates(h) {
			if e.key == h && len(e.text) == n && string(text[:n]) == e.text {
				m.see(e.atom)
			}
		}
	}
}
