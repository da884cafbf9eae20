package panel

import "iter"

// latest keeps the last values of many, in places that are used again.
type latest[T any] struct {
	places []T // limit of them at most
	limit  int
	next   int // where the next value goes, once all places are taken: the oldest is there
	seen   uint64
}

// place returns where the newest value belongs. What the oldest had there is to be overwritten, or used.
func (l *latest[T]) place() *T {
	l.seen++
	if len(l.places) < l.limit {
		l.places = append(l.places, *new(T))
		return &l.places[len(l.places)-1]
	}
	p := &l.places[l.next]
	l.next = (l.next + 1) % l.limit
	return p
}

// all goes through the values, the oldest first.
func (l *latest[T]) all() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i := range l.places {
			if !yield(&l.places[(l.next+i)%len(l.places)]) {
				return
			}
		}
	}
}

// list returns the values, the oldest first.
func (l *latest[T]) list() []T {
	list := make([]T, 0, len(l.places))
	for p := range l.all() {
		list = append(list, *p)
	}
	return list
}

// forgotten returns how many values there is no place for any more.
func (l *latest[T]) forgotten() uint64 { return l.seen - uint64(len(l.places)) }
