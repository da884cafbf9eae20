package sockstat

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Socket is what a filter looks at: a connection, what is there before or after one, or a listener, which has no Remote.
type Socket struct {
	State         string // as in control.Conn; LISTEN, TIME-WAIT
	Local, Remote netip.AddrPort
	BothFamilies  bool // of a listener: it takes IPv4 as well
}

// IsOf reports whether s is of IPv4, or else of IPv6.
func (s *Socket) IsOf(ipv4 bool) bool { return s.BothFamilies || s.Local.Addr().Is4() == ipv4 }

// States picks some of the states.
type States func(state string) bool

// What is asked for when a filter names no state, in ss as well.
var (
	Connections States = func(s string) bool { return s != listening && s != halfOpen && s != timeWait && s != "CLOSED" }
	Listening   States = func(s string) bool { return s == listening }
	All         States = func(string) bool { return true }
)

const (
	listening = "LISTEN"
	timeWait  = "TIME-WAIT"
	halfOpen  = "SYN-RECEIVED"
)

// Filter picks sockets by their state, and by their ends.
type Filter struct {
	states States
	ends   predicate
}

type predicate func(*Socket) bool

func (f *Filter) takes(s *Socket) bool { return f.states(s.State) && f.ends(s) }

// And returns a filter of what f takes and also holds as well.
func (f *Filter) And(also func(*Socket) bool) *Filter { return &Filter{f.states, both(f.ends, also)} }

// stateWords are the names that a filter has for states.
var stateWords = map[string]string{
	"established": "ESTABLISHED", "syn-sent": "SYN-SENT", "syn-recv": halfOpen,
	"fin-wait-1": "FIN-WAIT-1", "fin-wait-2": "FIN-WAIT-2", "close-wait": "CLOSE-WAIT",
	"closing": "CLOSING", "last-ack": "LAST-ACK", "closed": "CLOSED", "time-wait": timeWait, "listening": listening, "listen": listening,
}

// stateGroups are names for several states.
var stateGroups = map[string]States{
	"all":          All,
	"connected":    func(s string) bool { return s != "CLOSED" && s != listening },
	"synchronized": func(s string) bool { return s != "CLOSED" && s != listening && s != "SYN-SENT" },
	"bucket":       isRecord,
	"big":          func(s string) bool { return !isRecord(s) },
}

// isRecord tells the states in which there is a record only, in ss as here, from those with a socket.
func isRecord(state string) bool { return state == halfOpen || state == timeWait }

// Parse reads a filter in a subset of the language of ss: [state NAME]… [exclude NAME]… [EXPRESSION]. One that names no
// state picks those of usual.
func Parse(args []string, usual States) (*Filter, error) {
	p := &parser{words: split(args)}
	states, err := p.states(usual)
	if err != nil {
		return nil, err
	}
	f := &Filter{states, func(*Socket) bool { return true }}
	if p.done() {
		return f, nil
	}
	if f.ends, err = p.expression(); err != nil {
		return nil, err
	}
	if !p.done() {
		return nil, fmt.Errorf("filter: %q is one too many", p.peek())
	}
	return f, nil
}

func both(a, b predicate) predicate { return func(s *Socket) bool { return a(s) && b(s) } }

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

// states reads "state NAME" and "exclude NAME". What is only excluded from is every state.
func (p *parser) states(usual States) (States, error) {
	var wanted, unwanted []States
	for {
		word := p.peek()
		if word != "state" && word != "exclude" && word != "excl" {
			break
		}
		p.next()
		if p.done() {
			return nil, fmt.Errorf("filter: %s of what? %s", word, stateHelp)
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
	if len(wanted)+len(unwanted) == 0 {
		return usual, nil
	}
	return func(state string) bool {
		return (len(wanted) == 0 || anyOf(wanted, state)) && !anyOf(unwanted, state)
	}, nil
}

func anyOf(list []States, state string) bool {
	return slices.ContainsFunc(list, func(in States) bool { return in(state) })
}

func stateNamed(word string) (States, error) {
	if group, ok := stateGroups[word]; ok {
		return group, nil
	}
	if state, ok := stateWords[word]; ok {
		return func(s string) bool { return s == state }, nil
	}
	return nil, fmt.Errorf("filter: no state %q; %s", word, stateHelp)
}

const stateHelp = "want established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, close-wait, closing, last-ack, listening, " +
	"connected, synchronized, bucket, big or all"

// expression is term { or term }.
func (p *parser) expression() (predicate, error) {
	f, err := p.term()
	for err == nil && p.take("or", "|", "||") {
		var g predicate
		if g, err = p.term(); err == nil {
			a := f
			f = func(s *Socket) bool { return a(s) || g(s) }
		}
	}
	return f, err
}

// term is factor { [and] factor }: conditions that stand side by side both have to hold.
func (p *parser) term() (predicate, error) {
	f, err := p.factor()
	for err == nil && !p.done() && p.peek() != ")" && p.peek() != "or" && p.peek() != "|" && p.peek() != "||" {
		p.take("and", "&", "&&")
		var g predicate
		if g, err = p.factor(); err == nil {
			f = both(f, g)
		}
	}
	return f, err
}

func (p *parser) factor() (predicate, error) {
	switch {
	case p.done():
		return nil, errors.New("filter: it ends too early")
	case p.take("not", "!"):
		f, err := p.factor()
		if err != nil {
			return nil, err
		}
		return func(s *Socket) bool { return !f(s) }, nil
	case p.take("("):
		f, err := p.expression()
		if err == nil && !p.take(")") {
			err = errors.New("filter: a ) is missing")
		}
		return f, err
	}
	return p.condition()
}
