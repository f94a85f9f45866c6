package detect

import (
	"fmt"
	"math"
	"strings"

	"github.com/minehound/minehound/agent/detect/sigma"
)

// The weights a rule of each class may have, in tenths of a deciban. A proof alone must carry a verdict from the prior
// of -30 dB to +13 dB; of the others a single rule may weigh no more than its whole class counts.
const (
	LeastProof     Decibans = 430
	MostProof      Decibans = 1000
	MostCapability Decibans = 250
	MostConduct    Decibans = 200
	MostConcealed  Decibans = 200
)

// bounds are the least and the greatest weight of a class; ok is false for a class that there is not.
func bounds(c Class) (least, most Decibans, ok bool) {
	switch c {
	case Proof:
		return LeastProof, MostProof, true
	case Capability:
		return 0, MostCapability, true
	case Conduct:
		return 0, MostConduct, true
	case Concealment:
		return 0, MostConcealed, true
	}
	return 0, 0, false
}

// weigh checks the minehound block and fills in what it says.
func weigh(r *Rule) []error {
	w := r.Weighing
	if w == nil {
		return nil
	}
	var errs []error
	refuse := func(format string, args ...any) {
		errs = append(errs, &sigma.Error{File: r.File, Line: r.Line, Rule: r.Name, Reason: "minehound: " + fmt.Sprintf(format, args...)})
	}
	least, most, ok := bounds(Class(w.Class))
	switch {
	case !ok:
		refuse("class %q is none of proof, capability, conduct, concealment", w.Class)
	case math.IsNaN(w.Weight) || math.IsInf(w.Weight, 0) || FromFloat(w.Weight) < least || FromFloat(w.Weight) > most:
		refuse("weight %v is outside of %s to %s decibans, which class %s allows", w.Weight, least, most, w.Class)
	case math.Abs(w.Weight*10-math.Round(w.Weight*10)) > 1e-9:
		refuse("weight %v is finer than a tenth of a deciban", w.Weight)
	}
	if strings.Trim(w.Group, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		refuse("group %q may hold only lower-case letters, digits and hyphens", w.Group)
	}
	if len(errs) > 0 {
		return errs
	}
	r.Class, r.Weight, r.Group = Class(w.Class), FromFloat(w.Weight), w.Group
	return nil
}
