package files

import (
	"os"
	"strings"
)

// sidecars are the codings that a file may lie ready in, the best one first.
var sidecars = []struct{ coding, suffix string }{{"br", ".br"}, {"gzip", ".gz"}}

// variant is the file that goes out for a name.
type variant struct {
	name   string
	info   os.FileInfo
	coding string // "": as it is
	varies bool   // another Accept-Encoding may get another variant
}

// choose looks for compressed copies beside a file, and takes the one that the client likes best (RFC 9110 §12.5.3). A
// copy that is older than the file, by more than the second that some archives round to, is not of this file any more.
func (h *Handler) choose(name string, info os.FileInfo, accept []string) variant {
	best := variant{name: name, info: info}
	var prefs preferences
	bestQ := 0
	for _, s := range sidecars {
		side, err := h.root.Stat(name + s.suffix)
		if err != nil || !side.Mode().IsRegular() || side.ModTime().Unix() < info.ModTime().Unix() {
			continue
		}
		if !best.varies {
			best.varies = true
			prefs = parseAccept(accept)
			bestQ = prefs.identity()
		}
		// The same liking: the smaller one, and the one that was found first.
		if q := prefs.of(s.coding); q > bestQ || q > 0 && q == bestQ && best.coding == "" {
			best.name, best.info, best.coding, bestQ = name+s.suffix, side, s.coding, q
		}
	}
	return best
}

// preferences are the weights of an Accept-Encoding field, in thousandths.
type preferences map[string]int

// of returns the weight of a coding: 0 is not acceptable.
func (p preferences) of(coding string) int {
	if q, ok := p[coding]; ok {
		return q
	}
	return p["*"]
}

// identity is the weight of no coding at all. Unless it is named, any coding that the client asked for is liked better.
// Even if it is refused it is what we fall back to: the client gets more from it than from a 406.
func (p preferences) identity() int { return p["identity"] }

// maxCodings bounds the work on a list of codings; real ones name five.
const maxCodings = 32

func parseAccept(lines []string) preferences {
	p := preferences{}
	for _, line := range lines {
		for element := range strings.SplitSeq(line, ",") {
			coding, params, weighted := strings.Cut(element, ";")
			coding = strings.ToLower(strings.Trim(coding, " \t"))
			if coding == "" || len(p) == maxCodings {
				continue
			}
			if coding == "x-gzip" { // §8.4.1.3
				coding = "gzip"
			}
			q := 1000
			if weighted {
				q = weight(strings.Trim(params, " \t"))
			}
			p[coding] = q
		}
	}
	return p
}

// weight reads "q=0.5" (§12.4.2) in thousandths. What is malformed weighs nothing: nobody gets a coding that was not
// clearly asked for.
func weight(s string) int {
	if len(s) < 3 || len(s) > 7 || s[0]|0x20 != 'q' || s[1] != '=' || len(s) > 3 && s[3] != '.' {
		return 0
	}
	q, unit := 0, 1000
	for i := 2; i < len(s); i++ {
		if i == 3 {
			continue
		}
		if s[i] < '0' || s[i] > '9' {
			return 0
		}
		q += int(s[i]-'0') * unit
		unit /= 10
	}
	if q > 1000 {
		return 0
	}
	return q
}
