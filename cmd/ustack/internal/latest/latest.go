// Package latest keeps the last values of many, in places that are used again.
package latest

import "iter"

// List has the last values that were added to it. It is made by New.
type List[T any] struct {
	places []T // limit of them at most
	limit  int
	next   int // where the next value goes, once all places are taken: the oldest is there
	seen   uint64
}

// New makes a List of limit values at most. It takes their memory as they come.
func New[T any](limit int) List[T] { return List[T]{limit: limit} }

// Place returns where the newest value belongs: it is to be overwritten, or what an older value had there used. Another
// Place may move the values.
func (l *List[T]) Place() *T {
	l.seen++
	n := len(l.places)
	switch {
	case n == l.limit:
		p := &l.places[l.next]
		l.next = (l.next + 1) % l.limit
		return p
	case n < cap(l.places):
		l.places = l.places[:n+1] // what was there before a Clear still is
	default:
		l.places = append(l.places, *new(T))
	}
	return &l.places[n]
}

// Clear forgets the values, and keeps their places.
func (l *List[T]) Clear() { l.places, l.next, l.seen = l.places[:0], 0, 0 }

// Len returns how many values there are.
func (l *List[T]) Len() int { return len(l.places) }

// All goes through the values, the oldest first.
func (l *List[T]) All() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i := range l.places {
			if !yield(&l.places[(l.next+i)%len(l.places)]) {
				return
			}
		}
	}
}

// Slice returns the values, the oldest first.
func (l *List[T]) Slice() []T {
	list := make([]T, 0, len(l.places))
	for p := range l.All() {
		list = append(list, *p)
	}
	return list
}

// Forgotten returns how many values there is no place for any more.
func (l *List[T]) Forgotten() uint64 { return l.seen - uint64(len(l.places)) }
