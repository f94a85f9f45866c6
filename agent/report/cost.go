package report

import (
	"fmt"
	"math"
)

// Cost is an estimate of what was stolen; never more than an estimate.
type Cost struct {
	CPUSeconds float64 `json:"cpu_seconds"`
	KWh        Range   `json:"kwh"`
}

// Range is a low and a high estimate and how they were made.
type Range struct {
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Method string  `json:"method"`
}

// Watts that one busy logical CPU draws beyond an idle machine, at the processor: memory, fans, power supply and cooling
// come on top, so the true figure is rather higher.
//
// Low is a notebook: Intel rates the Core i7-1365U at 15 W of processor base power for 12 threads (Intel ARK). High is a
// desktop: 253 W of maximum turbo power for the 32 threads of a Core i9-14900K (Intel ARK). Servers lie between: the
// averages over SPECpower results that Cloud Carbon Footprint uses (its Methodology, "Compute") differ between idle and
// full load by 2.8 W (AWS), 3.0 W (Azure) and 3.6 W (Google) per virtual CPU.
const (
	lowWatts  = 15.0 / 12
	highWatts = 253.0 / 32
)

// cost estimates the energy behind so many seconds of CPU time. Time that is not known counts as none.
func cost(cpuSeconds float64) Cost {
	if math.IsNaN(cpuSeconds) || math.IsInf(cpuSeconds, 0) || cpuSeconds < 0 {
		cpuSeconds = 0
	}
	kwh := func(watts float64) float64 { return math.Round(cpuSeconds*watts/3.6) / 1e6 } // to a milliwatt hour
	return Cost{
		CPUSeconds: math.Round(cpuSeconds*10) / 10,
		KWh: Range{
			Low: kwh(lowWatts), High: kwh(highWatts),
			Method: fmt.Sprintf("estimate: CPU seconds at %.2f to %.2f W per busy logical CPU", lowWatts, highWatts),
		},
	}
}
