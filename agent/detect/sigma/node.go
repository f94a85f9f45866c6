package sigma

import (
	"net/netip"
	"regexp"
	"sort"
)

type nodeOp uint8

const (
	opTest nodeOp = iota
	opAnd
	opOr
	opNot
)

// node is a detection as a tree. A node is immutable once built and may have several parents.
type node struct {
	op   nodeOp
	kids []*node
	test *test // of opTest
}

func testNode(t *test) *node { return &node{op: opTest, test: t} }
func notNode(n *node) *node  { return &node{op: opNot, kids: []*node{n}} }

func group(op nodeOp, kids []*node) *node {
	if len(kids) == 1 {
		return kids[0]
	}
	return &node{op: op, kids: kids}
}

type testKind uint8

const (
	testPattern testKind = iota // the text matches a pattern
	testRegexp                  // the text has a match of a regular expression
	testCompare                 // the number, or a part of the date, compares to number
	testCIDR                    // the address is in the network
	testNull                    // the field is known to have no value
	testExists                  // the field is known to be there
	testField                   // the field compares to another field
)

// test asks one question about one field. The zero field "" is the keyword search: all text fields.
type test struct {
	kind  testKind
	field string
	line  int
	label string // as in the rule

	pat     pattern // testPattern
	number  bool    // testPattern: the value was written without quotes as a number, so numbers compare as numbers
	cased   bool    // testPattern, testField
	re      *regexp.Regexp
	needs   []string // testRegexp: folded texts one of which every match contains; nil when there is no such list
	least   int      // testRegexp: bytes of the shortest match
	atEnd   bool     // testRegexp: it can tell where the text ends
	compare compareOp
	part    datePart // testCompare, testPattern: take this part of the date
	against float64
	network netip.Prefix
	other   string // testField
	place   place  // testField: where in the field the other's value must be
}

type compareOp uint8

const (
	equalTo compareOp = iota
	lessThan
	atMost
	greaterThan
	atLeast
)

func (op compareOp) holds(a, b float64) bool {
	switch op {
	case lessThan:
		return a < b
	case atMost:
		return a <= b
	case greaterThan:
		return a > b
	case atLeast:
		return a >= b
	default:
		return a == b
	}
}

type datePart uint8

const (
	wholeValue datePart = iota
	datePartMinute
	datePartHour
	datePartDay
	datePartWeek
	datePartMonth
	datePartYear
)

type place uint8

const (
	placeWhole place = iota
	placeStart
	placeEnd
	placeAnywhere
)

// eachTest visits every test below n.
func (n *node) eachTest(visit func(*test)) {
	if n.op == opTest {
		visit(n.test)
		return
	}
	for _, k := range n.kids {
		k.eachTest(visit)
	}
}

// fields lists the fields that the tests below n look at, sorted; "" for the keyword search is left out.
func (n *node) fields() []string {
	seen := map[string]bool{}
	n.eachTest(func(t *test) {
		seen[t.field] = true
		seen[t.other] = true
	})
	delete(seen, "")
	list := make([]string, 0, len(seen))
	for f := range seen {
		list = append(list, f)
	}
	sort.Strings(list)
	return list
}
