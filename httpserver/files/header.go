package files

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// settled are the fields that an answer, or the server that frames it, decides for itself.
var settled = []string{
	"Accept-Ranges", "Allow", "Connection", "Content-Encoding", "Content-Length", "Content-Range", "Content-Type", "Date", "Etag",
	"Keep-Alive", "Last-Modified", "Location", "Proxy-Connection", "Trailer", "Transfer-Encoding", "Upgrade",
}

// ParseField reads "Name: value" as for [Config.Header]. The error says what is wrong with it.
func ParseField(s string) (name, value string, err error) {
	name, value, ok := strings.Cut(s, ":")
	if !ok {
		return "", "", fmt.Errorf("%q: want \"Name: value\"", s)
	}
	name, value = http.CanonicalHeaderKey(name), strings.Trim(value, " \t")
	return name, value, checkField(name, value)
}

func checkField(name, value string) error {
	switch {
	case name == "" || strings.ContainsFunc(name, notToken):
		return fmt.Errorf("%q is no name of a header field", name)
	case slices.Contains(settled, name):
		return fmt.Errorf("%s is settled by each answer itself", name)
	case strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }):
		return fmt.Errorf("the value of %s holds a control character", name)
	}
	return nil
}

// notToken finds what may not be in a token (RFC 9110 §5.6.2).
func notToken(c rune) bool {
	return c <= ' ' || c >= 0x7f || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", c)
}

// checkHeader returns a copy that may be shared among answers: who appends to its values gets new ones.
func checkHeader(h http.Header) (http.Header, error) {
	all := make(http.Header, len(h))
	for name, values := range h {
		name = http.CanonicalHeaderKey(name)
		for _, v := range values {
			if err := checkField(name, v); err != nil {
				return nil, err
			}
		}
		all[name] = slices.Clip(slices.Clone(values))
	}
	return all, nil
}
