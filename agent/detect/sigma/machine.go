package sigma

import (
	"math"
	"math/bits"
	"strconv"

	"github.com/minehound/minehound/agent/host"
)

// maxArena is how many bytes of scratch a machine keeps from one record to the next.
const maxArena = 256 << 10

// machine holds one record against the rules of a Set. Everything it computes about a record is valid for one generation
// and computed at most once.
type machine struct {
	set    *Set
	rec    host.Record
	gen    uint32
	plain  bool     // compute predicates without the prefilter, whose atoms are not looked for
	seen   []uint32 // by atom: the generation it was seen in
	awake  []uint64 // rules to evaluate, a bit each
	memo   []memo   // by predicate
	fields []loaded // by field; the last is the keyword search
	arena  []byte   // texts, folded and raw
}

type memo struct {
	gen   uint32
	truth Truth
}

// span is a text in the arena.
type span struct{ from, to int }

// loaded is what is known of a field of the record.
type loaded struct {
	gen     uint32
	foldGen uint32
	rawGen  uint32
	value   host.Value
	unknown bool   // keyword search: some field is unknown
	folded  []span // valid in foldGen
	raw     []span // valid in rawGen
}

func newMachine(s *Set, fields int) *machine {
	return &machine{
		set: s, seen: make([]uint32, len(s.atoms)), memo: make([]memo, len(s.predicates)),
		fields: make([]loaded, fields+1), awake: make([]uint64, (len(s.rules)+63)/64),
	}
}

// begin starts on another record.
func (m *machine) begin(rec host.Record) {
	m.rec = rec
	if m.gen++; m.gen == 0 { // after four thousand million records: nothing of the first round may count again
		clear(m.seen)
		clear(m.memo)
		for i := range m.fields {
			m.fields[i].gen, m.fields[i].foldGen, m.fields[i].rawGen = 0, 0, 0
		}
		m.gen = 1
	}
	if cap(m.arena) > maxArena {
		m.arena = nil
	}
	m.arena = m.arena[:0]
}

// see marks an atom and wakes the rules that wait for it.
func (m *machine) see(id int32) {
	if m.seen[id] == m.gen {
		return
	}
	m.seen[id] = m.gen
	for _, r := range m.set.atoms[id].rules {
		m.awake[r>>6] |= 1 << (r & 63)
	}
}

// field loads a field of the record.
func (m *machine) field(i int) *loaded {
	f := &m.fields[i]
	if f.gen == m.gen {
		return f
	}
	f.gen = m.gen
	if i == len(m.fields)-1 {
		m.loadKeywords(f)
		return f
	}
	f.value = m.rec.Get(i)
	if f.value.Kind == host.KindNumber && math.IsNaN(f.value.Number) {
		f.value = host.Value{}
	}
	f.unknown = f.value.Kind == host.KindUnknown
	return f
}

// loadKeywords makes one list of all texts of the record.
func (m *machine) loadKeywords(f *loaded) {
	f.value = host.Value{Kind: host.KindTexts}
	f.unknown = false
	for i := range len(m.fields) - 1 {
		f.unknown = m.field(i).unknown || f.unknown
	}
}

// texts are the texts of a field, folded unless raw; none for what is no text.
func (m *machine) texts(i int, raw bool) []span {
	f := m.field(i)
	gen, list := &f.foldGen, &f.folded
	if raw {
		gen, list = &f.rawGen, &f.raw
	}
	if *gen == m.gen {
		return *list
	}
	*gen = m.gen
	*list = (*list)[:0]
	if i == len(m.fields)-1 {
		for k := range len(m.fields) - 1 {
			if kind := m.field(k).value.Kind; kind == host.KindText || kind == host.KindTexts {
				*list = append(*list, m.texts(k, raw)...)
			}
		}
		return *list
	}
	*list = m.spell(*list, &f.value, raw)
	return *list
}

func (m *machine) spell(list []span, v *host.Value, raw bool) []span {
	from := len(m.arena)
	switch v.Kind {
	case host.KindText:
		return append(list, m.store(v.Text, raw))
	case host.KindTexts:
		for _, s := range v.Texts {
			list = append(list, m.store(s, raw))
		}
		return list
	case host.KindNumber:
		m.arena = appendNumber(m.arena, v.Number)
	case host.KindBool:
		m.arena = strconv.AppendBool(m.arena, v.Bool)
	case host.KindNumbers:
		for _, n := range v.Numbers {
			from = len(m.arena)
			m.arena = appendNumber(m.arena, n)
			list = append(list, span{from, len(m.arena)})
		}
		return list
	default:
		return list
	}
	return append(list, span{from, len(m.arena)})
}

// appendNumber spells a number as a rule does. Negative zero is zero, and is spelled like it.
func appendNumber(b []byte, n float64) []byte {
	if n == 0 {
		return append(b, '0')
	}
	return strconv.AppendFloat(b, n, 'f', -1, 64)
}

func (m *machine) store(s string, raw bool) span {
	from := len(m.arena)
	if raw {
		m.arena = append(m.arena, s...)
	} else {
		m.arena = appendFold(m.arena, s)
	}
	return span{from, len(m.arena)}
}

func (m *machine) bytes(s span) []byte { return m.arena[s.from:s.to] }

// run appends the rules that hold for the record.
func (m *machine) run(rec host.Record, hits []int) []int {
	m.begin(rec)
	copy(m.awake, m.set.always)
	for i := range m.set.scans {
		f := &m.set.scans[i]
		for _, s := range m.texts(f.field, false) {
			f.scan(m, m.bytes(s))
		}
	}
	for w, word := range m.awake {
		for word != 0 {
			bit := word & -word
			r := w<<6 + bits.TrailingZeros64(word)
			word ^= bit
			if m.set.holds[r](m) {
				hits = append(hits, r)
			}
		}
	}
	return hits
}
