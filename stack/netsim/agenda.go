package netsim

// agenda is what is still to happen: a binary heap by time, and by order of
// entry within a time, so that runs are repeatable.
type agenda struct {
	heap    []entry
	entered uint64
}

type entry struct {
	at    Time
	order uint64
	do    func()
}

func (e entry) before(o entry) bool {
	return e.at < o.at || e.at == o.at && e.order < o.order
}

func (a *agenda) add(at Time, do func()) {
	a.entered++
	a.heap = append(a.heap, entry{at, a.entered, do})
	for i := len(a.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !a.heap[i].before(a.heap[parent]) {
			return
		}
		a.heap[i], a.heap[parent] = a.heap[parent], a.heap[i]
		i = parent
	}
}

// due reports whether there is an entry for that time or an earlier one.
func (a *agenda) due(by Time) bool { return len(a.heap) > 0 && a.heap[0].at <= by }

// next takes the earliest entry; a nil function: there is none.
func (a *agenda) next() (Time, func()) {
	if len(a.heap) == 0 {
		return 0, nil
	}
	first := a.heap[0]
	last := len(a.heap) - 1
	a.heap[0] = a.heap[last]
	a.heap[last] = entry{}
	a.heap = a.heap[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if a.heap[child].before(a.heap[least]) {
				least = child
			}
		}
		if least == i {
			return first.at, first.do
		}
		a.heap[i], a.heap[least] = a.heap[least], a.heap[i]
		i = least
	}
}
