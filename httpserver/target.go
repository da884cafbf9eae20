package httpserver

import (
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// parseTarget reads the request target (RFC 9112, 3.2) into u; plain tells that it holds only what a path may hold. For
// the absolute form it returns the authority, which then stands for the Host field.
func parseTarget(method, target string, plain bool, u *url.URL) (authority string, err *protocolError) {
	switch {
	case method == http.MethodConnect:
		return "", refuse(http.StatusNotImplemented, "CONNECT is for proxies")
	case target == "*":
		if method != http.MethodOptions {
			return "", bad("asterisk target without OPTIONS") // RFC 9112, 3.2.4
		}
		u.Path = "*"
		return "", nil
	case plain && target[0] == '/':
		u.Path = target
		return "", nil
	case target[0] == '/':
		return "", parseOrigin(target, u)
	}
	const scheme = "http://"
	if len(target) < len(scheme) || !equalFold(target[:len(scheme)], scheme) {
		return "", bad("request target is neither a path nor an http URL")
	}
	p, perr := url.ParseRequestURI(target)
	if perr != nil {
		return "", bad("malformed request target")
	}
	if p.User != nil || p.Host == "" || !validHost(p.Host) { // RFC 9110, 4.2.1 and 4.2.4
		return "", bad("malformed authority in the request target")
	}
	*u = *p
	return p.Host, nil
}

// parseOrigin reads the origin form: absolute-path ["?" query].
func parseOrigin(target string, u *url.URL) *protocolError {
	path, query, hasQuery := strings.Cut(target, "?")
	if span(path, charPath) == len(path) {
		u.Path, u.RawQuery = path, query
		u.ForceQuery = hasQuery && query == ""
		return nil
	}
	p, err := url.ParseRequestURI(target)
	if err != nil {
		return bad("malformed request target")
	}
	*u = *p
	return nil
}

// validHost reports whether s is uri-host [":" port] (RFC 9110, 7.2; RFC 3986, 3.2.2), the port a number to 65535 or
// empty.
func validHost(s string) bool {
	if s == "" {
		return false
	}
	if s[0] == '[' {
		end := strings.IndexByte(s, ']')
		return end > 0 && validIPLiteral(s[1:end]) && validPort(s[end+1:])
	}
	n := spanRegName(s)
	return n > 0 && validPort(s[n:])
}

// spanRegName returns how many bytes at the start of s form a reg-name.
func spanRegName(s string) int {
	for i := 0; i < len(s); i++ {
		switch {
		case chars[s[i]]&charHost != 0:
		case s[i] == '%' && i+2 < len(s) && chars[s[i+1]]&chars[s[i+2]]&charHex != 0:
			i += 2
		default:
			return i
		}
	}
	return len(s)
}

// validIPLiteral checks what stands in brackets: an IPv6 address without zone, or IPvFuture.
func validIPLiteral(s string) bool {
	if s != "" && lower(s[0]) == 'v' {
		version, rest, ok := strings.Cut(s[1:], ".")
		if !ok || version == "" || span(version, charHex) != len(version) || rest == "" {
			return false
		}
		rest = strings.ReplaceAll(rest, ":", "")
		return span(rest, charHost) == len(rest)
	}
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6() && a.Zone() == ""
}

// validPort checks ":" port, or nothing.
func validPort(s string) bool {
	if s == "" || s == ":" {
		return true
	}
	if s[0] != ':' || len(s) > len(":65535") {
		return false
	}
	for i := 1; i < len(s); i++ {
		if !isDigit(s[i]) {
			return false
		}
	}
	n, err := strconv.Atoi(s[1:])
	return err == nil && n <= 65535
}
