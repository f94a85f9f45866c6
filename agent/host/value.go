package host

// Kind says what a Value holds.
type Kind uint8

// What a field can hold. The zero Value is not known.
const (
	KindUnknown Kind = iota // could not be seen, or not yet: it matches nothing, and neither does its negation
	KindAbsent              // seen, and there is none: Sigma's null
	KindNumber
	KindText
	KindBool
	KindTexts   // a list; a rule holds when it holds for one element
	KindNumbers // the same of numbers
)

// Value is one field of a Record as a rule sees it. The zero Value is unknown.
type Value struct {
	Kind    Kind
	Bool    bool
	Number  float64
	Text    string
	Texts   []string
	Numbers []float64
}

// Record is something that rules are held against: it tells the value of each field of a schema by its index. Get must
// not allocate.
type Record interface {
	Get(field int) Value
}

// Number is a known number.
func Number(f float64) Value { return Value{Kind: KindNumber, Number: f} }

// Text is a known text.
func Text(s string) Value { return Value{Kind: KindText, Text: s} }

// Bool is a known truth.
func Bool(b bool) Value { return Value{Kind: KindBool, Bool: b} }

// Texts is a known list of texts.
func Texts(l []string) Value { return Value{Kind: KindTexts, Texts: l} }

// Numbers is a known list of numbers.
func Numbers(l []float64) Value { return Value{Kind: KindNumbers, Numbers: l} }

// Absent is known to be missing.
func Absent() Value { return Value{Kind: KindAbsent} }

// TextOr is text, or unknown when s is empty.
func TextOr(s string) Value {
	if s == "" {
		return Value{}
	}
	return Text(s)
}

// BoolOf is the Value of a Fact.
func BoolOf(f Fact) Value {
	if f == Unknown {
		return Value{}
	}
	return Bool(f == Yes)
}
