package httpserver

import (
	"errors"
	"io"
	"os"
)

// peek is the source's Peek with the first piece never empty unless both are.
func (c *conn) peek() (a, b []byte, err error) {
	c.settle()
	a, b, err = c.src.Peek()
	if len(a) == 0 {
		a, b = b, nil
	}
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return a, b, err
}

// settle discards what was parsed of a view. It goes before any other use of the source; a request with a body has
// settled before its handler runs, one without does not touch the source.
func (c *conn) settle() {
	t := c.turn
	if t == nil {
		return
	}
	if t.eaten > 0 {
		c.src.Discard(t.eaten)
		t.eaten = 0
	}
	t.view = nil
}

// nextHead returns the next request's head if it is complete: in place if it lies in one piece, which consumeHead then
// ends. Otherwise what is there of it is taken off the source, so that the source never fills up with it.
func (c *conn) nextHead() ([]byte, error) {
	if p := c.viewedHead(); p != nil {
		return p, nil // the burst goes on
	}
	for {
		a, _, err := c.peek()
		if len(a) == 0 {
			if err == io.EOF && c.hasPartial() {
				err = errTruncated
			}
			return nil, err
		}
		if !c.hasPartial() {
			if skipped, perr := c.skipBlank(a); perr != nil {
				return nil, perr
			} else if skipped {
				continue
			}
			if n := headEnd(a, 0); n > 0 && n <= c.srv.maxHeader() {
				c.turn.view = a
				return a[:n], nil
			}
			c.left().headStart = c.srv.clock()
		}
		if done, perr := c.carry(a); perr != nil {
			return nil, perr
		} else if done {
			return c.residue.partial, nil
		}
	}
}

// viewedHead returns the next request's head if it lies complete in the view; else nil.
func (c *conn) viewedHead() []byte {
	v := c.turn.view
	if len(v) == 0 || v[0] == '\r' {
		return nil
	}
	if n := headEnd(v, 0); n > 0 && n <= c.srv.maxHeader() {
		return v[:n]
	}
	return nil
}

// left returns the connection's residue, which it makes if there is none.
func (c *conn) left() *residue {
	if c.residue == nil {
		c.residue = new(residue)
	}
	return c.residue
}

// hasPartial reports whether the start of a head was taken off the source.
func (c *conn) hasPartial() bool { return c.residue != nil && len(c.residue.partial) > 0 }

// skipBlank discards what a begins with of an empty line before the request line (RFC 9112, 2.2), and reports whether
// there was any.
func (c *conn) skipBlank(a []byte) (bool, *protocolError) {
	switch {
	case c.residue != nil && c.residue.blankCR:
		if a[0] != '\n' {
			return false, bad("carriage return without line feed")
		}
		c.residue.blankCR = false
	case a[0] == '\r':
		r := c.left()
		if r.blank++; r.blank > maxBlankLines {
			return false, bad("too many empty lines before the request")
		}
		r.blankCR = true
	default:
		return false, nil
	}
	c.src.Discard(1)
	return true, nil
}

// carry takes the head's bytes in p over to the residue and reports whether it is complete now.
func (c *conn) carry(p []byte) (bool, *protocolError) {
	limit, r := c.srv.maxHeader(), c.residue
	had := len(r.partial)
	r.partial = append(r.partial, p[:min(len(p), limit+1-had)]...)
	n := headEnd(r.partial, had)
	if n > 0 && n <= limit {
		r.partial = r.partial[:n]
		c.src.Discard(n - had)
		return true, nil
	}
	c.src.Discard(len(r.partial) - had)
	err := checkPartial(r.partial, r.checked, limit+1)
	r.checked = len(r.partial)
	return false, err
}

// consumeHead ends the use of p, which nextHead returned. The heads of a burst are discarded together.
func (c *conn) consumeHead(p []byte) {
	if t := c.turn; !c.hasPartial() {
		t.eaten += len(p)
		t.view = t.view[len(p):]
		if len(t.view) == 0 {
			c.settle()
		}
	}
	c.residue = nil
}
