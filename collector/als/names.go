package als

import "github.com/kongdao/kongdao/internal/calllog"

// methods are those of core.v3.RequestMethod, by number, as HTTP spells them.
var methods = [...][]byte{
	nil, []byte("GET"), []byte("HEAD"), []byte("POST"), []byte("PUT"), []byte("DELETE"),
	[]byte("CONNECT"), []byte("OPTIONS"), []byte("TRACE"), []byte("PATCH"),
}

// otherMethod is for those that have no number.
var otherMethod = []byte(calllog.OtherMethod)

func method(number uint64) []byte {
	if number < uint64(len(methods)) {
		return methods[number]
	}
	return otherMethod
}

// flagNames are the short names that Envoy's text log has for the fields of
// ResponseFlags, by field number.
var flagNames = [...]string{
	1: "LH", 2: "UH", 3: "UT", 4: "LR", 5: "UR", 6: "UF", 7: "UC", 8: "UO", 9: "NR", 10: "DI",
	11: "FI", 12: "RL", 13: "UAEX", 14: "RLSE", 15: "DC", 16: "URX", 17: "SI", 18: "IH", 19: "DPE", 20: "UMSDR",
	21: "RFCF", 22: "NFCF", 23: "DT", 24: "UPE", 25: "NC", 26: "OM", 27: "DF", 28: "DR",
}

const retriesExceeded = 16 // the text log has it in front

// flags reads ResponseFlags into the text that the file log has.
func (d *decoder) flags(b []byte) (ok bool) {
	var set [len(flagNames)]bool
	f := fields{rest: b}
	for f.next() {
		if f.num > 0 && int(f.num) < len(set) {
			set[f.num] = f.u != 0 || f.v != nil
		}
	}
	start := len(d.scratch)
	if set[retriesExceeded] {
		d.scratch = append(append(d.scratch, flagNames[retriesExceeded]...), ',')
		set[retriesExceeded] = false
	}
	for number, is := range set {
		if is {
			d.scratch = append(append(d.scratch, flagNames[number]...), ',')
		}
	}
	if end := len(d.scratch) - 1; end > start {
		d.record.Flags = d.scratch[start:end:end]
	}
	return !f.bad
}
