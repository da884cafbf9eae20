package sockstat

import (
	"errors"
	"fmt"
	"strings"

	"ustack/cmd/ustack/internal/control"
)

// Filter reports whether a connection is one of those that are asked for.
type Filter func(*control.Conn) bool

// stateWords are the names that a filter has for states.
var stateWords = map[string]string{
	"established": "ESTABLISHED", "syn-sent": "SYN-SENT", "syn-recv": "SYN-RECEIVED",
	"fin-wait-1": "FIN-WAIT-1", "fin-wait-2": "FIN-WAIT-2", "close-wait": "CLOSE-WAIT",
	"closing": "CLOSING", "last-ack": "LAST-ACK", "closed": "CLOSED",
}

// stateGroups are names for several states.
var stateGroups = map[string]func(state string) bool{
	"all":          func(string) bool { return true },
	"connected":    func(s string) bool { return s != "CLOSED" },
	"synchronized": func(s string) bool { return s != "CLOSED" && s != "SYN-SENT" },
	"big":          func(string) bool { return true },
}

// Parse reads a filter in a subset of the language of ss: [state NAME]… [exclude NAME]… [EXPRESSION].
func Parse(args []string) (Filter, error) {
	p := &parser{words: split(args)}
	inState, err := p.states()
	if err != nil {
		return nil, err
	}
	if p.done() {
		return inState, nil
	}
	expr, err := p.expression()
	if err != nil {
		return nil, err
	}
	if !p.done() {
		return nil, fmt.Errorf("filter: %q is one too many", p.peek())
	}
	return both(inState, expr), nil
}

func both(a, b Filter) Filter { return func(c *control.Conn) bool { return a(c) && b(c) } }

// split makes words of arguments: parentheses, ! and comparisons need no spaces around them.
func split(args []string) []string {
	s := strings.Join(args, " ")
	var words []string
	word := func(w string) {
		if w != "" {
			words = append(words, w)
		}
	}
	for s != "" {
		i := strings.IndexAny(s, " ()!=<>&|")
		if i < 0 {
			word(s)
			break
		}
		word(s[:i])
		sign := s[i : i+1]
		if len(s) > i+1 && (s[i+1] == '=' || (sign == "&" || sign == "|") && s[i+1] == s[i]) && !strings.Contains(" ()", sign) {
			sign = s[i : i+2]
		}
		word(strings.TrimSpace(sign))
		s = s[i+len(sign):]
	}
	return words
}

type parser struct{ words []string }

func (p *parser) done() bool { return len(p.words) == 0 }

func (p *parser) peek() string {
	if p.done() {
		return ""
	}
	return p.words[0]
}

func (p *parser) next() string {
	w := p.peek()
	if !p.done() {
		p.words = p.words[1:]
	}
	return w
}

// take goes on if the next word is one of those.
func (p *parser) take(words ...string) bool {
	for _, w := range words {
		if p.peek() == w && !p.done() {
			p.next()
			return true
		}
	}
	return false
}

// states reads "state NAME" and "exclude NAME". Without the first, every state is asked for.
func (p *parser) states() (Filter, error) {
	var wanted, unwanted []func(string) bool
	for {
		word := p.peek()
		if word != "state" && word != "exclude" && word != "excl" {
			break
		}
		p.next()
		if p.done() {
			return nil, fmt.Errorf("filter: %s of what? %s", word, stateHelp())
		}
		in, err := stateNamed(p.next())
		if err != nil {
			return nil, err
		}
		if word == "state" {
			wanted = append(wanted, in)
		} else {
			unwanted = append(unwanted, in)
		}
	}
	return func(c *control.Conn) bool {
		return (len(wanted) == 0 || anyOf(wanted, c.State)) && !anyOf(unwanted, c.State)
	}, nil
}

func anyOf(list []func(string) bool, state string) bool {
	for _, f := range list {
		if f(state) {
			return true
		}
	}
	return false
}

func stateNamed(word string) (func(string) bool, error) {
	if group, ok := stateGroups[word]; ok {
		return group, nil
	}
	if state, ok := stateWords[word]; ok {
		return func(s string) bool { return s == state }, nil
	}
	switch word {
	case "time-wait", "listening", "listen", "bucket":
		return nil, fmt.Errorf("filter: state %s: ustack keeps records of those, no connections; `ustack ss -s` counts them", word)
	}
	return nil, fmt.Errorf("filter: no state %q; %s", word, stateHelp())
}

func stateHelp() string {
	return "want established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, close-wait, closing, last-ack, connected, synchronized or all"
}

// expression is term { or term }.
func (p *parser) expression() (Filter, error) {
	f, err := p.term()
	for err == nil && p.take("or", "|", "||") {
		var g Filter
		if g, err = p.term(); err == nil {
			a := f
			f = func(c *control.Conn) bool { return a(c) || g(c) }
		}
	}
	return f, err
}

// term is factor { [and] factor }: conditions that stand side by side both have to hold.
func (p *parser) term() (Filter, error) {
	f, err := p.factor()
	for err == nil && !p.done() && p.peek() != ")" && p.peek() != "or" && p.peek() != "|" && p.peek() != "||" {
		p.take("and", "&", "&&")
		var g Filter
		if g, err = p.factor(); err == nil {
			f = both(f, g)
		}
	}
	return f, err
}

func (p *parser) factor() (Filter, error) {
	switch {
	case p.done():
		return nil, errors.New("filter: it ends too early")
	case p.take("not", "!"):
		f, err := p.factor()
		if err != nil {
			return nil, err
		}
		return func(c *control.Conn) bool { return !f(c) }, nil
	case p.take("("):
		f, err := p.expression()
		if err == nil && !p.take(")") {
			err = errors.New("filter: a ) is missing")
		}
		return f, err
	}
	return p.condition()
}
