package trace

import (
	"encoding/json"
	"slices"
	"strconv"
)

// Exchange is a request and its answer, as a server above the stack tells of them: where they stand in the streams of
// their connection, in octets from 0.
type Exchange struct {
	Number int // of the request on its connection, from 1
	Place  int // in its burst, from 1: 2 or more means that the client did not wait for the answers before

	Method, Target []byte // as received; empty if they could not be read

	In, InEnd int64 // where the request's head begins and ends in what came; of ResponseEnd, where what was read of it ends
	// Of Response and ResponseEnd: where the final answer begins and ends in what is sent; of Response, where it shall end,
	// -1 if nobody knows. Of Interim: those of the informational one.
	Out, OutEnd int64

	Status int   // of the answer; 0: there is none
	Length int64 // of the content: the request's in Request, else the answer's; -1: not known

	// Of ResponseEnd.
	Aborted bool   // the answer is not complete, or there is none
	Close   string // why the connection ends after it; "": it does not
}

// interim stands before "answer" where it is an informational one.
const interim = "interim "

// handedOver is the Close of an exchange after which the connection belongs to somebody else.
const handedOver = "hijacked"

// maxExchangeText is how many octets of method and target a Record keeps.
const maxExchangeText = 128

// A keptExchange is a copy of an Exchange with texts of its own.
type keptExchange struct {
	Exchange
	text [maxExchangeText]byte
}

// keep makes k a copy of x, and returns it.
func (k *keptExchange) keep(x *Exchange) *Exchange {
	method := x.Method[:min(len(x.Method), maxExchangeText/2)]
	text := append(k.text[:0], method...)
	if room := maxExchangeText - len(method); len(x.Target) <= room {
		text = append(text, x.Target...)
	} else {
		text = append(append(text, x.Target[:room-len("…")]...), "…"...)
	}
	k.Exchange = *x
	k.Method, k.Target = text[:len(method):len(method)], text[len(method):]
	return &k.Exchange
}

func appendExchangeJSON(b []byte, kind Kind, x *Exchange) []byte {
	b = appendInt(b, "number", x.Number)
	b = appendInt(b, "place", x.Place)
	if len(x.Method) > 0 {
		b = appendQuoted(b, "method", x.Method)
		b = appendQuoted(b, "target", x.Target)
	}
	b = appendInt(b, "in", int(x.In))
	b = appendInt(b, "in_end", int(x.InEnd))
	if kind != Request {
		b = appendInt(b, "out", int(x.Out))
		if x.OutEnd >= 0 {
			b = appendInt(b, "out_end", int(x.OutEnd))
		}
		if x.Status > 0 {
			b = appendInt(b, "status", x.Status)
		}
	}
	if x.Length >= 0 {
		b = appendInt(b, "length", int(x.Length))
	}
	if x.Aborted {
		b = append(b, `,"aborted":true`...)
	}
	if x.Close != "" {
		b = appendString(b, "close", x.Close)
	}
	return b
}

// appendQuoted appends a string of any octets. What is no UTF-8 becomes U+FFFD.
func appendQuoted(b []byte, name string, value []byte) []byte {
	b = append(append(append(b, `,"`...), name...), `":`...)
	text, err := json.Marshal(string(value))
	if err != nil { // never with a string
		return append(b, `""`...)
	}
	return append(b, text...)
}

// appendExchange says what has become of x:
//
//	request 3: GET /bytes/100000, at octet 512 of what came
//	interim answer 3: 100 PUT /upload, at octet 1024 of what was sent
//	answer 3 begins: 200 GET /bytes/100000, at octet 1024 of what was sent
//	answer 3 ends: 200 GET /bytes/100000, 100096 octets, to octet 101120 of what was sent
func appendExchange(b []byte, kind Kind, x *Exchange) []byte {
	if kind == Request {
		b = strconv.AppendInt(append(b, "request "...), int64(x.Number), 10)
		b = x.appendRequest(append(b, ": "...))
		return appendOctet(b, ", at octet ", x.In, " of what came")
	}
	if kind == Interim {
		b = append(b, interim...)
	}
	b = strconv.AppendInt(append(b, "answer "...), int64(x.Number), 10)
	switch kind {
	case Interim:
		b = x.appendAnswer(append(b, ": "...))
		return appendOctet(b, ", at octet ", x.Out, " of what was sent")
	case Response:
		b = x.appendAnswer(append(b, " begins: "...))
		return appendOctet(b, ", at octet ", x.Out, " of what was sent")
	}
	b = x.appendAnswer(append(append(b, x.end()...), ": "...))
	b = appendOctet(b, ", ", x.OutEnd-x.Out, " octets")
	b = appendOctet(b, ", to octet ", x.OutEnd, " of what was sent")
	switch x.Close {
	case "":
		return b
	case handedOver:
		return append(b, "; the rest of the connection is no HTTP"...)
	}
	return append(append(b, "; the connection ends: "...), x.Close...)
}

// end says how the answer ends.
func (x *Exchange) end() string {
	if x.Aborted {
		return " breaks off"
	}
	return " ends"
}

// appendAnswer appends the status, and what was asked for.
func (x *Exchange) appendAnswer(b []byte) []byte {
	if x.Status == 0 {
		b = append(b, "none"...)
	} else {
		b = strconv.AppendInt(b, int64(x.Status), 10)
	}
	return x.appendRequest(append(b, ' '))
}

// maxShown is how many octets of a target are shown to people.
const maxShown = 80

// appendRequest appends method and target, as one line can hold them.
func (x *Exchange) appendRequest(b []byte) []byte {
	if len(x.Method) == 0 {
		return append(b, "(not readable)"...)
	}
	b = append(appendShown(b, x.Method), ' ')
	if len(x.Target) > maxShown {
		return append(appendShown(b, x.Target[:maxShown]), "…"...)
	}
	return appendShown(b, x.Target)
}

// appendShown appends a text of any octets, escaped as in Go where they are not printable.
func appendShown(b, text []byte) []byte {
	start := len(b)
	b = strconv.AppendQuote(b, string(text))
	return slices.Delete(b[:len(b)-1], start, start+1)
}

func appendOctet(b []byte, before string, n int64, after string) []byte {
	return append(strconv.AppendInt(append(b, before...), n, 10), after...)
}
