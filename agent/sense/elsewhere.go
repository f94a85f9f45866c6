package sense

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// elsewhere names what no platform but Linux has a sensor for, so that silence about it is not taken for "all clear".
func elsewhere() []Sensor {
	return []Sensor{
		missing("events", "processes that start and end between two looks are not seen"),
		missing("affinity", "which processors a thread may run on"),
		missing("memory", "sizes of the mappings and of huge pages of a process"),
		missing("environment", "names of environment variables"),
		missing("container", "containers"),
		missing("hash", "hashes of executables"),
		missing("msr", "whether model specific registers are open to programs"),
		missing("gpu", "load on graphics cards has no sensor yet"),
	}
}

// disguise turns the machine's own id into the one that leaves it: stable, and of no use to whoever wants the original,
// as sd_id128_get_machine_app_specific(3) does.
func disguise(machineID string) string {
	if machineID == "" {
		return ""
	}
	h := hmac.New(sha256.New, []byte(machineID))
	h.Write([]byte("github.com/minehound/minehound host id"))
	return hex.EncodeToString(h.Sum(nil)[:16])
}
